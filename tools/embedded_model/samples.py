"""Prints samples of the model as Markdown: fixed prompts, fixed seeds, nothing chosen.

python samples.py --data gsm8k-train.jsonl --folder weir-tiny
"""

import argparse
from pathlib import Path

import torch

from data import TURN_END, load_problems, render, split_problems
from dialogues import Conversation
from export import load_folder

TEMPERATURE = 0.7
TOKENS_MAX = 200
HELD_BACK = 7  # the first so many of the held-back problems

PROMPTS: list[Conversation] = [
    [("user", "Hello")],
    [("user", "Who are you?")],
    [("user", "What can you do?")],
    [("user", "What is Weir?")],
    [("user", "What is 7 + 5?")],
    [("user", "What is 38 + 47?")],
    [("user", "What is the capital of France?")],
    [("user", "List three fruits.")],
    [("user", "Write a JSON object with name Alice and age 30.")],
    [("user", "Tell me a story about a dragon.")],
    [("user", "Explain how a combustion engine works.")],
    [("system", "Answer in capital letters."), ("user", "What is the opposite of hot?")],
    [("user", "My name is Robert."), ("assistant", "Nice to meet you, Robert!"),
     ("user", "What is my name?")],
]  # fmt: skip


def quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="GSM8K's training set, JSON lines")
    parser.add_argument("--folder", required=True, type=Path, help="folder that export.py wrote")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model, tokenizer = load_folder(arguments.folder)
    stop = tokenizer.token_to_id(TURN_END)
    _, _, test = split_problems(load_problems(arguments.data))
    prompts = PROMPTS + [[("user", question)] for question, _ in test[:HELD_BACK]]
    for number, conversation in enumerate(prompts, start=1):
        prompt = render(conversation) + "<|im_start|>assistant\n"
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        made = model.generate(ids, stop, TOKENS_MAX, TEMPERATURE, seed=number)
        print(f"**{number}.**")
        for role, text in conversation:
            print(f"*{role}:* {text}\n")
        print(f"{quoted(tokenizer.decode(made))}\n")


if __name__ == "__main__":
    main()
