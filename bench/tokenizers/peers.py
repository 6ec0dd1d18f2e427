#!/usr/bin/env python3
"""What others need for the rows of bench_tokenizers, on one thread, from PyPI.

usage: peers.py TEXT [--tiktoken RANKS.js] [--tokenizers tokenizer.json] [--sentencepiece MODEL]

RANKS.js is cl100k_base.js of the npm package js-tiktoken. Best of five rounds each.
"""
import argparse
import os
import random
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
MIB = 1 << 20


def rows(path):
    own = open(path, encoding="utf-8").read()
    letters = random.Random(1)
    return {
        "text": own * (4 * MIB // len(own.encode("utf-8"))),
        "one_letter": "a" * MIB,
        "letters_without_a_space": "".join(letters.choice("abcdefghijklmnopqrstuvwxyz")
                                           for _ in range(MIB)),
        "spaces": " " * MIB,
        "cjk": "\u5929\u5730\u7384\u9EC4\u5B87\u5B99\u6D2A\u8352" * (MIB // 24)}


def measure(name, encode, texts):
    for row, text in texts.items():
        size = len(text.encode("utf-8"))
        best, spent = 1e9, 0
        for _ in range(5):
            begin = time.perf_counter()
            try:
                encode(text)
            except BaseException as error:  # tiktoken panics on what it can not take
                best = None
                print(f"{name:14} {row:24} {type(error).__name__}")
                break
            best = min(best, time.perf_counter() - begin)
            spent += best
            if spent > 10:
                break
        if best is not None:
            print(f"{name:14} {row:24} {best * 1e3:9.1f} ms {size / best / 1e6:7.1f} MB/s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--tiktoken")
    parser.add_argument("--tokenizers")
    parser.add_argument("--sentencepiece")
    asked = parser.parse_args()
    texts = rows(asked.text)
    if asked.tiktoken:
        import tiktoken
        from make_large import read_ranks
        encoding = tiktoken.Encoding(
            "cl100k", mergeable_ranks=read_ranks(asked.tiktoken), special_tokens={},
            pat_str=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
                    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
        measure("tiktoken", encoding.encode_ordinary, texts)
    if asked.tokenizers:
        import tokenizers
        begin = time.perf_counter()
        tokenizer = tokenizers.Tokenizer.from_file(asked.tokenizers)
        print(f"{'tokenizers':14} {'load':24} {(time.perf_counter() - begin) * 1e3:9.1f} ms")
        measure("tokenizers", lambda text: tokenizer.encode(text, add_special_tokens=False), texts)
    if asked.sentencepiece:
        import sentencepiece
        processor = sentencepiece.SentencePieceProcessor(model_file=asked.sentencepiece)
        measure("sentencepiece", processor.encode, texts)


if __name__ == "__main__":
    main()
