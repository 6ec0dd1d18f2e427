"""The embedded model's byte-level BPE: trained on the training text, never on held-back problems.

Texts are cut before BPE by Qwen2's rule: words with their leading space, digits one by one (so
that a small model can see the columns of a sum), runs of punctuation, line ends, white space.
"""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from data import SPECIAL_TOKENS, Problem, epoch_texts

VOCABULARY_SIZE = 2048
DIALOGUES = 20_000
SEED = 1
PRE_TOKENIZER = "qwen2"  # the name of this rule in GGUF files
SPLIT_RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(problems: list[Problem]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_RULE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = epoch_texts(problems, SEED, DIALOGUES)
    for token in SPECIAL_TOKENS:
        texts = [text.replace(token, "\n") for text in texts]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode_all(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
