"""Trains the embedded model on one CPU thread, in about an hour and a half.

    python train.py --data gsm8k-train.jsonl --state STATE

STATE keeps the tokenizer, the log and a checkpoint every few minutes; started again, the script
goes on where it was. The seeds are fixed: the data, their order and the first weights are the same
everywhere, and on one kind of CPU with one version of PyTorch so is the result.

The learning rate warms up, stays, and falls linearly over the last third of the steps. Matrices
are stepped by Muon (Keller Jordan 2024): momentum made orthogonal by Newton-Schulz iterations; it
needs fewer steps than Adam at this size. The embedding and the norms are stepped by Adam.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from data import Problem, epoch_texts, load_problems, problem_conversation, render, split_problems
from model import Llama, ModelConfig
from tokenizer import encode_all, train_tokenizer

SEED = 3
STEPS = 1700
BATCH_TOKENS = 6144
DIALOGUES_EARLY, DIALOGUES_LATE = 8_000, 20_000  # an epoch: English first, then what users try
LATE_FROM_EPOCH = 3
SORTED_TOGETHER = 2000  # texts; rows of a batch have similar lengths, batches come in any order
WARMUP_STEPS = 40
DECAY_SHARE = 0.35
MUON_RATE, MUON_MOMENTUM, MUON_DECAY = 0.02, 0.95, 0.1
ADAM_RATE = 3e-3
EMA_DECAY = 0.99  # the exported weights are this average
CHECKPOINT_SECONDS = 150
DEV_EVERY = 100

Batch = list[list[int]]


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest orthogonal matrix (quintic Newton-Schulz, five iterations)."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": MUON_RATE})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - MUON_MOMENTUM)
                update = orthogonal(weight.grad.lerp(momentum, MUON_MOMENTUM))
                scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * MUON_DECAY).add_(update, alpha=-group["lr"] * scale)


def orthogonal(x: Tensor) -> Tensor:
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def rate_at(step: int, steps: int) -> float:
    """Share of the full learning rate."""
    decay_steps = DECAY_SHARE * steps
    return min(1.0, (step + 1) / WARMUP_STEPS, max(0.0, (steps - step) / decay_steps))


def epoch_batches(problems: list[Problem], tokenizer: Tokenizer, epoch: int, context: int):
    """All batches of an epoch, a function of its number alone."""
    seed = SEED * 1000 + epoch
    dialogues = DIALOGUES_EARLY if epoch < LATE_FROM_EPOCH else DIALOGUES_LATE
    rows = encode_all(tokenizer, epoch_texts(problems, seed, dialogues))
    batches: list[Batch] = []
    for start in range(0, len(rows), SORTED_TOGETHER):
        batch: Batch = []
        for row in sorted(rows[start : start + SORTED_TOGETHER], key=len):
            row = row[: context + 1]
            if batch and (len(batch) + 1) * len(row) > BATCH_TOKENS:
                batches.append(batch)
                batch = []
            batch.append(row)
        batches.append(batch)
    random.Random(seed).shuffle(batches)
    return batches


def batch_loss(model: Llama, batch: Batch, reduction: str = "mean") -> Tensor:
    """Cross-entropy in nats of every token after the first of its row."""
    longest = max(map(len, batch))
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    real = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, row in enumerate(batch):
        ids[i, : len(row)] = torch.tensor(row)
        real[i, : len(row)] = True
    hidden = model.hidden(ids[:, :-1])[real[:, 1:]]
    logits = F.linear(hidden, model.embedding.weight)
    return F.cross_entropy(logits, ids[:, 1:][real[:, 1:]], reduction=reduction)


@torch.no_grad()
def mean_loss(model: Llama, rows: list[list[int]]) -> float:
    rows = sorted(rows, key=len)
    total = sum(float(batch_loss(model, rows[i : i + 20], "sum")) for i in range(0, len(rows), 20))
    return total / sum(len(row) - 1 for row in rows)


def tokenizer_in(state: Path, problems: list[Problem]) -> Tokenizer:
    path = state / "tokenizer.json"
    if not path.exists():
        train_tokenizer(problems).save(str(path))
    return Tokenizer.from_file(str(path))


class Trainer:
    def __init__(self, state: Path, problems: list[Problem], tokenizer: Tokenizer):
        self.path = state / "checkpoint.pt"
        self.log = open(state / "log.jsonl", "a", encoding="utf-8")
        self.problems, self.tokenizer = problems, tokenizer
        torch.manual_seed(SEED)
        self.config = ModelConfig(vocabulary=tokenizer.get_vocab_size())
        self.model = Llama(self.config)
        self.ema = Llama(self.config)
        self.ema.load_state_dict(self.model.state_dict())
        weights = dict(self.model.named_parameters())
        matrices = [w for n, w in weights.items() if w.dim() == 2 and "embedding" not in n]
        others = [w for n, w in weights.items() if w.dim() != 2 or "embedding" in n]
        self.muon = Muon(matrices)
        self.adam = torch.optim.Adam(others, lr=ADAM_RATE, betas=(0.9, 0.98))
        self.step = self.epoch = self.position = self.tokens = 0
        self.seconds = 0.0

    def save(self) -> None:
        parts = {
            name: getattr(self, name).state_dict() for name in ("model", "ema", "muon", "adam")
        }
        for name in ("step", "epoch", "position", "tokens", "seconds"):
            parts[name] = getattr(self, name)
        parts["config"] = self.config.to_dict()
        torch.save(parts, self.path.with_suffix(".new"))
        self.path.with_suffix(".new").replace(self.path)

    def load(self) -> None:
        if not self.path.exists():
            return
        parts = torch.load(self.path)
        for name in ("model", "ema", "muon", "adam"):
            getattr(self, name).load_state_dict(parts[name])
        for name in ("step", "epoch", "position", "tokens", "seconds"):
            setattr(self, name, parts[name])

    def train_step(self, batch: Batch, steps: int) -> float:
        share = rate_at(self.step, steps)
        self.muon.param_groups[0]["lr"] = MUON_RATE * share
        self.adam.param_groups[0]["lr"] = ADAM_RATE * share
        loss = batch_loss(self.model, batch)
        loss.backward()
        self.muon.step()
        self.adam.step()
        self.model.zero_grad()
        decay = min(EMA_DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            for average, weight in zip(self.ema.parameters(), self.model.parameters()):
                average.lerp_(weight, 1 - decay)
        self.step += 1
        self.tokens += sum(len(row) - 1 for row in batch)
        return loss.item()

    def run(self, steps: int, until: int, dev_rows: list[list[int]]) -> None:
        saved = started = time.monotonic()
        before = self.seconds
        while self.step < until:
            batches = epoch_batches(self.problems, self.tokenizer, self.epoch, self.config.context)
            while self.position < len(batches) and self.step < until:
                loss = self.train_step(batches[self.position], steps)
                self.position += 1
                now = time.monotonic()
                self.seconds = before + now - started
                if self.step % 10 == 0:
                    self.note(loss, dev_rows if self.step % DEV_EVERY == 0 else None)
                if now - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = now
            if self.position >= len(batches):
                self.epoch, self.position = self.epoch + 1, 0
        self.save()

    def note(self, loss: float, dev_rows: list[list[int]] | None) -> None:
        row = {"step": self.step, "epoch": self.epoch, "tokens": self.tokens,
               "seconds": round(self.seconds), "loss": round(loss, 4)}  # fmt: skip
        if dev_rows is not None:
            row["dev"] = round(mean_loss(self.ema, dev_rows), 4)
        print(json.dumps(row), file=self.log, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="GSM8K's training set, JSON lines")
    parser.add_argument("--state", required=True, type=Path, help="folder for checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS, help="at which the rate reaches zero")
    parser.add_argument("--until", type=int, help="stop after so many steps")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    arguments.state.mkdir(parents=True, exist_ok=True)
    train, dev, _ = split_problems(load_problems(arguments.data))
    tokenizer = tokenizer_in(arguments.state, train)
    dev_rows = encode_all(tokenizer, [render(problem_conversation(problem)) for problem in dev])
    trainer = Trainer(arguments.state, train, tokenizer)
    trainer.load()
    trainer.run(arguments.steps, arguments.until or arguments.steps, dev_rows)


if __name__ == "__main__":
    main()
