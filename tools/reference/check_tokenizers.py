#!/usr/bin/env python3
"""Random tokenizer.json files, by Hugging Face tokenizers and by Weir, compared.

usage: check_tokenizers.py WEIR [--seeds FIRST:END] [--keep FOLDER]
Needs the package tokenizers, 0.22: from 0.23 on it decodes an added token to its normalized text,
which is not what the file says. Each seed draws a model, trains it on a few sentences, and draws the
steps around it: normalizers, pre-tokenizers, post-processor, decoder, added tokens with every flag.
Ids must be equal with and without special tokens, and so must the text of the ids. A file that Weir
refuses is counted and its reason printed.
"""

import argparse
import json
import os
import pickle
import random
import re
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, doesn't it? I'm sure we'll see 12345 of them.",
    "Ein Mädchen aß süße Äpfel; naïve café, Ångström, co\u0301mpose\u0301, ﬁne ½ ① Ⅷ ﷺ.",
    "日本語のテキストと한국어 텍스트, 中文字符。",
    "def f(x):\n    return x  # tab\there\r\n\n\n  two  spaces   three",
    "🙂👩‍👩‍👧‍👦 emoji 🇩🇪 and zero\u200bwidth \u00a0nbsp \u3000wide \ufeffbom",
    "Привет, мир! ДОБРЫЙ день. Γειά σου Κόσμε ΣΑΣ. İstanbul ıI ẞß",
    "https://example.com/a?b=c&d=1e-5 [x] {y} <z> $100 50% a_b-c 3.14 1,000,000",
    "สวัสดี नमस्ते مرحبا שלום \u0000\u0007\u001b control",
    "",
    " ",
    "   leading and trailing   ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "▁▁ literal ▁meta ## hash Ġ </w> Ċ",
]
SPECIAL = ["<|im_start|>", "[MASK]", "<s>", "</s>"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
PATTERNS = [
    r"\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\d",
    r"\s+",
    r"[a-z]+",
    r"[\p{P}\p{S}]",
    r"\p{Han}+",
    r"(?=\d)|_",
    r"\bthe\b|[[:punct:]]",
]


def draw_normalizer(rng, depth=0):
    kinds = ["nfc", "nfd", "nfkc", "nfkd", "lower", "accents", "strip", "prepend", "replace", "regex", "bert", "nmt"]
    if depth == 0:
        kinds += ["none", "none", "sequence", "sequence"]
    kind = rng.choice(kinds)
    flag = lambda: rng.random() < 0.5
    if kind == "sequence":
        return normalizers.Sequence([draw_normalizer(rng, 1) for _ in range(rng.randrange(0, 4))])
    return {
        "none": lambda: None,
        "nfc": normalizers.NFC,
        "nfd": normalizers.NFD,
        "nfkc": normalizers.NFKC,
        "nfkd": normalizers.NFKD,
        "lower": normalizers.Lowercase,
        "accents": normalizers.StripAccents,
        "strip": lambda: normalizers.Strip(flag(), flag()),
        "prepend": lambda: normalizers.Prepend(rng.choice(["▁", "x"])),
        "replace": lambda: normalizers.Replace(rng.choice([" ", "a", "``", "  "]), rng.choice(["▁", "", "bb", " "])),
        "regex": lambda: normalizers.Replace(Regex(rng.choice([r"\s+", " {2,}", r"\d", "[aeiou]"])), rng.choice([" ", "", "#"])),
        "bert": lambda: normalizers.BertNormalizer(flag(), flag(), rng.choice([True, False, None]), flag()),
        "nmt": normalizers.Nmt,
    }[kind]()


def draw_pretokenizer(rng, depth=0):
    kinds = ["bytes", "bytes", "metaspace", "whitespace", "wssplit", "bert", "punct", "digits", "split", "literal", "char", "scripts"]
    if depth == 0:
        kinds += ["none", "sequence", "sequence"]
    kind = rng.choice(kinds)
    flag = lambda: rng.random() < 0.5
    if kind == "sequence":
        return pre_tokenizers.Sequence([draw_pretokenizer(rng, 1) for _ in range(rng.randrange(1, 4))])
    return {
        "none": lambda: None,
        "bytes": lambda: pre_tokenizers.ByteLevel(add_prefix_space=flag(), use_regex=flag()),
        "metaspace": lambda: pre_tokenizers.Metaspace("▁", rng.choice(["always", "first", "never"]), flag()),
        "whitespace": pre_tokenizers.Whitespace,
        "wssplit": pre_tokenizers.WhitespaceSplit,
        "bert": pre_tokenizers.BertPreTokenizer,
        "punct": lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIORS)),
        "digits": lambda: pre_tokenizers.Digits(flag()),
        "split": lambda: pre_tokenizers.Split(Regex(rng.choice(PATTERNS)), rng.choice(BEHAVIORS), flag()),
        "literal": lambda: pre_tokenizers.Split(rng.choice([" ", "e", "the"]), rng.choice(BEHAVIORS), flag()),
        "char": lambda: pre_tokenizers.CharDelimiterSplit(rng.choice([" ", "e", "_"])),
        "scripts": pre_tokenizers.UnicodeScripts,
    }[kind]()


def draw_model(rng, byte_level):
    flag = lambda: rng.random() < 0.5
    size = rng.choice([300, 400, 700])
    kind = rng.choice(["bpe", "bpe", "bpe", "unigram", "wordpiece", "wordlevel"])
    if kind == "bpe":
        options = {"unk_token": rng.choice([None, "<unk>"]), "fuse_unk": flag(), "byte_fallback": flag(), "ignore_merges": flag()}
        prefix = rng.choice([None] * 7 + ["##"])
        suffix = rng.choice([None] * 7 + ["</w>"])
        model = models.BPE(**{name: value for name, value in options.items() if value is not None})
        if prefix:
            model.continuing_subword_prefix = prefix
        if suffix:
            model.end_of_word_suffix = suffix
        alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level or flag() else []
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=["<unk>"],
            initial_alphabet=alphabet,
            show_progress=False,
            **({"continuing_subword_prefix": prefix} if prefix else {}),
            **({"end_of_word_suffix": suffix} if suffix else {}),
        )
    elif kind == "unigram":
        model = models.Unigram()
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    elif kind == "wordpiece":
        model = models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=rng.choice([100, 10]))
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=["[UNK]", "[CLS]", "[SEP]"], continuing_subword_prefix="##", show_progress=False
        )
    else:
        model = models.WordLevel(unk_token="<unk>")
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["<unk>"], show_progress=False)
    return kind, model, trainer


def draw_decoder(rng, depth=0):
    kinds = ["bytes", "bytes", "wordpiece", "wordpiece", "bpe", "metaspace", "metaspace", "fallback", "fuse", "strip", "replace"]
    if depth == 0:
        kinds += ["none", "sequence", "sequence"]
    kind = rng.choice(kinds)
    flag = lambda: rng.random() < 0.5
    if kind == "sequence":
        return decoders.Sequence([draw_decoder(rng, 1) for _ in range(rng.randrange(1, 4))])
    return {
        "none": lambda: None,
        "bytes": decoders.ByteLevel,
        "wordpiece": lambda: decoders.WordPiece("##", flag()),
        "bpe": lambda: decoders.BPEDecoder("</w>"),
        "metaspace": lambda: decoders.Metaspace("▁", rng.choice(["always", "first", "never"])),
        "fallback": decoders.ByteFallback,
        "fuse": decoders.Fuse,
        "strip": lambda: decoders.Strip(rng.choice([" ", "a"]), rng.randrange(3), rng.randrange(3)),
        "replace": lambda: decoders.Replace("▁", " "),
    }[kind]()


def with_byte_tokens(rng, tokenizer):
    """Half of those with byte fallback get the pieces that it falls back to."""
    file = json.loads(tokenizer.to_str())
    if file["model"].get("byte_fallback") and rng.random() < 0.5:
        vocabulary = file["model"]["vocab"]
        first = len(vocabulary)
        vocabulary.update({f"<0x{byte:02X}>": first + byte for byte in range(256)})
    return Tokenizer.from_str(json.dumps(file))


def draw_tokenizer(rng):
    pretokenizer = draw_pretokenizer(rng)
    byte_level = b"ByteLevel" in pickle.dumps(pretokenizer)
    kind, model, trainer = draw_model(rng, byte_level)
    tokenizer = Tokenizer(model)
    if pretokenizer is not None:
        tokenizer.pre_tokenizer = pretokenizer
    if (normalizer := draw_normalizer(rng)) is not None:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    tokenizer = with_byte_tokens(rng, tokenizer)
    flag = lambda: rng.random() < 0.5
    texts = SPECIAL + ["fox", "the", " dog", "é", "日本", "  ", "A", "\n\n", "İ", "ß"]
    for text in rng.sample(texts, rng.randrange(0, 6)):
        # On purpose, Weir never takes a special token from text that is no markup, not even where
        # the model has it as a piece, nor one that only looks like markup; so nothing is both here.
        special = text in SPECIAL
        token = AddedToken(text, single_word=flag(), lstrip=flag(), rstrip=flag(), normalized=flag(), special=special)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    known = [t for t in ("<s>", "</s>", "[CLS]", "[SEP]", "<|im_start|>", "<unk>", "[UNK]") if tokenizer.token_to_id(t) is not None]
    ids = {t: tokenizer.token_to_id(t) for t in known}
    if known:
        first, last = rng.choice(known), rng.choice(known)
        pair = (last, ids[last])
        choices = [
            lambda: processors.TemplateProcessing(
                single=f"{first} $A {last}", pair=f"{first} $A {last} $B:1 {last}:1", special_tokens=sorted(ids.items())
            ),
            lambda: processors.BertProcessing(pair, (first, ids[first])),
            lambda: processors.RobertaProcessing(pair, (first, ids[first]), flag(), flag()),
            lambda: processors.Sequence(
                [processors.ByteLevel(trim_offsets=flag()), processors.TemplateProcessing(single=f"{first} $A", special_tokens=[(first, ids[first])])]
            ),
            lambda: processors.ByteLevel(trim_offsets=flag()),
        ]
        if flag():
            tokenizer.post_processor = rng.choice(choices)()
    if (decoder := draw_decoder(rng)) is not None:
        tokenizer.decoder = decoder
    return kind, tokenizer, texts


def draw_texts(rng, added):
    pieces = [word for sentence in SENTENCES for word in re.split(r"(\s+)", sentence)] + added * 3 + [" ", "\n", "x"]
    return SENTENCES + ["".join(rng.choice(pieces) for _ in range(rng.randrange(1, 14))) for _ in range(30)]


class Broken(Exception):
    """Weir's fault, whatever the reference does."""


def ask(program, verb, folder, questions):
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    run = subprocess.run([program, verb, "--model", folder], input=lines, capture_output=True, text=True, timeout=60)
    if run.returncode < 0:
        raise Broken(f"weir {verb} was killed by signal {-run.returncode}")
    try:
        answers = [json.loads(line) for line in run.stdout.split("\n") if line]
    except ValueError as problem:
        raise Broken(f"weir {verb} answered no JSON: {problem}") from problem
    if len(answers) < len(questions):
        return None, run.stderr.strip() or f"status {run.returncode}"
    return answers, ""


def expected_ids(tokenizer, text, parse_special, add_special):
    tokenizer.encode_special_tokens = not parse_special
    try:
        return tokenizer.encode(text, add_special_tokens=add_special).ids
    except Exception:  # a text that the reference itself cannot encode
        return None


def is_refused(answer):
    """Without an unknown token the reference leaves out what has no token; Weir says so instead."""
    return "the vocabulary has no token for" in answer.get("error", "")


def check(seed, program, folder):
    """Texts compared, and the differences; or None and why the file was refused."""
    rng = random.Random(seed)
    _, tokenizer, added = draw_tokenizer(rng)
    path = os.path.join(folder, "tokenizer.json")
    tokenizer.save(path)
    tokenizer = Tokenizer.from_file(path)
    cases = [
        (text, special, around)
        for text in draw_texts(rng, added)
        for special, around in ((False, False), (True, False), (True, True))
    ]
    expected = [expected_ids(tokenizer, *case) for case in cases]
    questions = [{"text": text, "parse_special": special, "add_special": around} for text, special, around in cases]
    answers, why = ask(program, "tokenize", folder, questions)
    if answers is None:
        return None, why
    wrong = [
        (f"{text!r} special {special} around {around}", ids, answer.get("ids", answer))
        for (text, special, around), ids, answer in zip(cases, expected, answers)
        if ids is not None and answer.get("ids") != ids and not is_refused(answer)
    ]
    known = [ids for ids in expected if ids]
    back = [tokenizer.decode(ids, skip_special_tokens=False) for ids in known]
    answers, why = ask(program, "detokenize", folder, [{"ids": ids} for ids in known])
    if answers is None:
        return None, why
    wrong += [
        (f"decode {ids}", text, answer.get("text", answer))
        for ids, text, answer in zip(known, back, answers)
        if answer.get("text") != text
    ]
    return len(cases) + len(known), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir")
    parser.add_argument("--seeds", default="0:200")
    parser.add_argument("--keep", default="")
    args = parser.parse_args()
    first, end = map(int, args.seeds.split(":"))
    agreed, compared, broken, refused, unusable = 0, 0, 0, {}, 0
    for seed in range(first, end):
        with tempfile.TemporaryDirectory() as temporary:
            folder = os.path.join(args.keep, str(seed)) if args.keep else temporary
            os.makedirs(folder, exist_ok=True)
            try:
                count, wrong = check(seed, args.weir, folder)
            except Broken as problem:
                broken += 1
                print(f"WRONG seed {seed}: {problem}")
                continue
            except BaseException as problem:  # the reference panics on some of its own combinations
                if isinstance(problem, (KeyboardInterrupt, SystemExit, subprocess.TimeoutExpired)):
                    raise
                unusable += 1
                continue
        if count is None:
            refused.setdefault(re.sub(r"\d+", "N", wrong)[:200], []).append(seed)
        elif wrong:
            broken += 1
            what, want, got = wrong[0]
            print(f"WRONG seed {seed}: {len(wrong)} of {count}; {what}\n  want {str(want)[:300]}\n  got  {str(got)[:300]}", flush=True)
        else:
            agreed, compared = agreed + 1, compared + count
    print(f"{agreed} tokenizers agree on {compared} texts, {broken} do not; {unusable} the reference cannot use")
    for why, seeds in refused.items():
        print(f"refused, {len(seeds)} (seed {seeds[0]}): {why}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
