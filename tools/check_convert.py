#!/usr/bin/env python3
"""Converts models to the other form and back, and says whether they still compute the same.

usage: check_convert.py WEIR MODEL...
A MODEL is a GGUF file or a Hugging Face folder. Compared are the logits (of an encoder: the vectors)
of a few prompts to the bit, the tokens of a few texts, and the chat template. "close" is the largest
difference in units of the logits' standard deviation, where bits differ.
"""
import array
import base64
import json
import math
import os
import random
import subprocess
import sys
import tempfile

TEXTS = ["Hello, world!", "  two  spaces\n\n\tand tabs", "naïve café — 東京 🙂 ½", "<s></s><|im_end|>", "x" * 50,
         "1234567 3.14", "e\u0301 \u1e9b\u0323"]


def ask(weir, verb, model, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([weir, verb, "--model", model], input=text, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return answers if len(answers) == len(lines) else [{"error": done.stderr.strip()}] * len(lines)


def look(weir, model):
    rng = random.Random(1)
    prompts = [{"ids": [rng.randrange(40) for _ in range(n)]} for n in (1, 9, 33)]
    logits = ask(weir, "logits", model, prompts)
    if "encoder" in str(logits[0].get("error", "")) or "vectors" in str(logits[0].get("error", "")):
        logits = ask(weir, "embed", model, [dict(p, pooling="mean", normalize=True) for p in prompts])
    tokens = []
    for special in (False, True):
        tokens += ask(weir, "tokenize", model,
                      [{"text": t, "parse_special": special, "add_special": special} for t in TEXTS])
    tokens = [t.get("ids") for t in tokens]
    ids = [t for t in tokens if t]
    return logits, tokens, ask(weir, "detokenize", model, [{"ids": i} for i in ids]) if ids else []


def closeness(before, after):
    if any("error" in x for x in before + after):
        return "error " + str([x["error"] for x in before + after if "error" in x][0])[:150]
    if before == after:
        return "same bits"
    worst = 0.0
    for x, y in zip(before, after):
        a, b = (array.array("f", base64.b64decode(next(iter(z.values())))) for z in (x, y))
        mean = sum(a) / len(a)
        unit = math.sqrt(sum((v - mean) ** 2 for v in a) / len(a)) or 1
        worst = max(worst, max(abs(p - q) for p, q in zip(a, b)) / unit)
    return f"close {worst:.1e}"


def convert(weir, model, out):
    done = subprocess.run([weir, "convert", model, out], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else None


def main():
    weir, models = sys.argv[1], sys.argv[2:]
    bad = 0
    for model in models:
        with tempfile.TemporaryDirectory() as scratch:
            is_folder = os.path.isdir(model)
            there = os.path.join(scratch, "there" if not is_folder else "there.gguf")
            back = os.path.join(scratch, "back" if is_folder else "back.gguf")
            before = look(weir, model)
            said = []
            for source, target in ((model, there), (there, back)):
                refused = convert(weir, source, target)
                if refused:
                    said.append("refused: " + refused.replace("\n", " ")[:200])
                    break
                after = look(weir, target)
                said.append(closeness(before[0], after[0]) + ("" if before[1:] == after[1:] else ", TOKENS DIFFER"))
            bad += any("same bits" not in s or "DIFFER" in s for s in said)
            print(f"{os.path.basename(os.path.dirname(model) if model.endswith('model.gguf') else model):28s} "
                  f"{'folder' if is_folder else 'gguf':7s}{' | '.join(said)}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
