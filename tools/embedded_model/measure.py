"""Measures the exported model on the 500 problems held back, against a Kneser-Ney 5-gram model.

    python measure.py --data gsm8k-train.jsonl --folder weir-tiny

Bits a byte: the bits of every token of the conversation after the first one (question, solution,
and the marks of the chat format around them), divided by the bytes of question and solution. Both
models see the same tokens. The 5-gram model is fitted on the training problems, alone and together
with dialogues like those of the training; the better of the two is what counts.
"""

import argparse
import random
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from data import BOS, TURN_END, Problem, load_problems, problem_conversation, render, split_problems
from dialogues import make_dialogues
from export import load_folder
from model import Llama
from ngram import KneserNey
from tokenizer import encode_all

ORDER = 5
DIALOGUES = 40_000
DIALOGUES_SEED = 7
ANSWER_TOKENS_MAX = 300
SUMS_SEED, SUMS = 8, 200


@torch.no_grad()
def model_bits(model: Llama, row: list[int]) -> np.ndarray:
    logits = model(torch.tensor([row[:-1]]))[0]
    nats = F.cross_entropy(logits, torch.tensor(row[1:]), reduction="none")
    return nats.numpy().astype(np.float64) / np.log(2)


def ask(model: Llama, tokenizer: Tokenizer, question: str) -> str:
    prompt = render([("user", question)]) + "<|im_start|>assistant\n"
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    stop = tokenizer.token_to_id(TURN_END)
    with torch.no_grad():
        return tokenizer.decode(model.generate(ids, stop, ANSWER_TOKENS_MAX))


def last_number(text: str) -> str | None:
    numbers = re.findall(r"-?\d[\d,]*\.?\d*", text)
    return numbers[-1].replace(",", "").rstrip(".") if numbers else None


def share_solved(model: Llama, tokenizer: Tokenizer, problems: list[Problem]) -> float:
    solved = [last_number(ask(model, tokenizer, q)) == last_number(a) for q, a in problems]
    return sum(solved) / len(solved)


def sums(largest: int) -> list[Problem]:
    rng = random.Random(SUMS_SEED)
    pairs = [(rng.randint(0, largest), rng.randint(0, largest)) for _ in range(SUMS)]
    return [(f"What is {a} + {b}?", str(a + b)) for a, b in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="GSM8K's training set, JSON lines")
    parser.add_argument("--folder", required=True, type=Path, help="folder that export.py wrote")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model, tokenizer = load_folder(arguments.folder)
    train, _, test = split_problems(load_problems(arguments.data))

    def rows_of(problems: list[Problem]) -> list[list[int]]:
        return encode_all(tokenizer, [render(problem_conversation(p)) for p in problems])

    test_rows, train_rows = rows_of(test), rows_of(train)
    talk = [render(c) for c in make_dialogues(random.Random(DIALOGUES_SEED), DIALOGUES)]
    fitted = {
        "problems": train_rows,
        "problems and dialogues": train_rows + encode_all(tokenizer, talk),
    }
    test_bytes = sum(len(text.encode("utf-8")) for problem in test for text in problem)
    test_tokens = sum(len(row) - 1 for row in test_rows)
    print(f"held back: {len(test)} problems, {test_bytes} bytes, {test_tokens} tokens")
    for name, rows in fitted.items():
        baseline = KneserNey(ORDER, tokenizer.get_vocab_size(), tokenizer.token_to_id(BOS))
        baseline.fit(rows)
        total = sum(baseline.bits(row).sum() for row in test_rows)
        print(f"Kneser-Ney 5-gram, {name}: {total / test_bytes:.4f} bits a byte")
    total = sum(model_bits(model, row).sum() for row in test_rows)
    print(f"embedded model: {total / test_bytes:.4f} bits a byte")
    print(f"sums up to 10 + 10: {share_solved(model, tokenizer, sums(10)):.1%} right")
    print(f"sums up to 99 + 99: {share_solved(model, tokenizer, sums(99)):.1%} right")
    print(f"problems held back: {share_solved(model, tokenizer, test):.1%} right")


if __name__ == "__main__":
    main()
