#!/usr/bin/env python3
"""A vocabulary of 200,000 as tokenizer.json and as GGUF, to measure loading.

usage: make_large.py RANKS.js FOLDER

RANKS.js is o200k_base.js of the npm package js-tiktoken (dist/ranks/), whose ranks are base64 texts.
Writes FOLDER/o200k/tokenizer.json and FOLDER/o200k.gguf.
"""
import base64
import json
import os
import struct
import sys

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
           "<|start|>", "<|end|>", "<|message|>", "<|call|>"]
PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
           r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
           r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
           r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
           r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read_ranks(path):
    source = open(path, encoding="utf-8").read()
    body = source[source.index("{"):source.rindex("}") + 1]
    ranks = {}
    for line in json.loads(body)["bpe_ranks"].split("\n"):
        _, first, *tokens = line.split(" ")
        for offset, token in enumerate(tokens):
            ranks[base64.b64decode(token)] = int(first) + offset
    return ranks


def halves(token, ranks):
    """What the token was merged from: its bytes, merged by every rank below its own."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best = min((ranks.get(parts[i] + parts[i + 1], 1 << 40), i) for i in range(len(parts) - 1))
        if best[0] >= ranks[token]:
            return None
        i = best[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(0x100 + i) for i, b in enumerate(rest)}}


def write_json(path, tokens, merges):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    added = [{"id": len(tokens) + i, "content": text, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": True}
             for i, text in enumerate(SPECIAL)]
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Removed", "invert": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": False}
    json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
               "normalizer": None,
               "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
               "post_processor": level, "decoder": level,
               "model": {"type": "BPE", "dropout": None, "unk_token": None,
                         "continuing_subword_prefix": "", "end_of_word_suffix": "",
                         "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                         "vocab": {text: i for i, text in enumerate(tokens)},
                         "merges": [list(pair) for pair in merges]}},
              open(path, "w", encoding="utf-8"), ensure_ascii=False, indent=2)


def write_gguf(path, tokens, merges):
    def text(value):
        data = value.encode("utf-8")
        return struct.pack("<Q", len(data)) + data

    def texts(values):
        return struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))

    tokens = tokens + SPECIAL
    types = [1] * (len(tokens) - len(SPECIAL)) + [3] * len(SPECIAL)
    pairs = [("general.architecture", struct.pack("<I", 8) + text("gpt-oss")),
             ("tokenizer.ggml.model", struct.pack("<I", 8) + text("gpt2")),
             ("tokenizer.ggml.pre", struct.pack("<I", 8) + text("gpt-4o")),
             ("tokenizer.ggml.tokens", texts(tokens)),
             ("tokenizer.ggml.token_type",
              struct.pack("<IIQ", 9, 5, len(types)) + struct.pack(f"<{len(types)}i", *types)),
             ("tokenizer.ggml.merges", texts([" ".join(pair) for pair in merges]))]
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)))
        for key, value in pairs:
            out.write(text(key) + value)


def main():
    ranks = read_ranks(sys.argv[1])
    alphabet = byte_alphabet()
    spelled = {token: "".join(alphabet[b] for b in token) for token in ranks}
    ordered = sorted(ranks, key=ranks.get)
    merges = []
    for token in ordered:
        parts = halves(token, ranks) if len(token) > 1 else None
        if parts is not None:
            merges.append([spelled[parts[0]], spelled[parts[1]]])
    tokens = [spelled[token] for token in ordered]
    write_json(os.path.join(sys.argv[2], "o200k", "tokenizer.json"), tokens, merges)
    write_gguf(os.path.join(sys.argv[2], "o200k.gguf"), tokens, merges)
    print(f"{len(tokens)} tokens, {len(merges)} merges")


if __name__ == "__main__":
    main()
