"""Checks ngram.py against a slow Kneser-Ney written straight from its definition.

python -m unittest ngram_test
"""

import math
import random
import unittest
from collections import Counter, defaultdict

import numpy as np

from ngram import KneserNey, discounts_of

ORDER, VOCABULARY, BEGIN = 5, 12, 0


def random_text(rng: random.Random) -> list[int]:
    row, token = [BEGIN], rng.randint(1, VOCABULARY - 1)
    for _ in range(rng.randint(1, 25)):
        token = (token * 3 + rng.choice([0, 0, 0, 1, 2, 5])) % (VOCABULARY - 1) + 1
        row.append(token)
    return row


class SlowKneserNey:
    def __init__(self, rows: list[list[int]]):
        grams = {n: Counter(tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1))
                 for n in range(1, ORDER + 1)}  # fmt: skip
        self.counts = {ORDER: dict(grams[ORDER])}
        for n in range(1, ORDER):
            before = defaultdict(set)
            for gram in grams[n + 1]:
                before[gram[1:]].add(gram[0])
            counts = {gram: len(kinds) for gram, kinds in before.items()}
            counts |= {g: c for g, c in grams[n].items() if g[0] == BEGIN and n > 1}
            self.counts[n] = counts
        self.discounts = {n: discounts_of(np.array(list(c.values())))
                          for n, c in self.counts.items()}  # fmt: skip

    def probability(self, history: tuple[int, ...], token: int) -> float:
        n = len(history) + 1
        lower = self.probability(history[1:], token) if history else 1 / (VOCABULARY - 1)
        following = {g[-1]: c for g, c in self.counts[n].items() if g[:-1] == history}
        if not following:
            return lower
        discount = {t: self.discounts[n][min(c, 3)] for t, c in following.items()}
        own = following[token] - discount[token] if token in following else 0.0
        return (own + sum(discount.values()) * lower) / sum(following.values())


class KneserNeyTest(unittest.TestCase):
    def setUp(self):
        rng = random.Random(0)
        rows = [random_text(rng) for _ in range(300)]
        self.unseen = [random_text(rng) for _ in range(20)]
        self.model = KneserNey(ORDER, VOCABULARY, BEGIN)
        self.model.fit(rows)
        self.slow = SlowKneserNey(rows)

    def test_equals_the_definition(self):
        for row in self.unseen:
            for i, bits in enumerate(self.model.bits(row), start=1):
                history = tuple(row[max(0, i - ORDER + 1) : i])
                self.assertAlmostEqual(bits, -math.log2(self.slow.probability(history, row[i])))

    def test_probabilities_of_all_tokens_sum_to_one(self):
        tokens = np.arange(1, VOCABULARY)
        for row in self.unseen:
            history = row[: ORDER - 1]
            padded = [0] * (ORDER - 1 - len(history)) + history
            contexts = np.tile(np.array(padded), (len(tokens), 1))
            lengths = np.full(len(tokens), len(history))
            found = self.model.probabilities(contexts, lengths, tokens)
            self.assertAlmostEqual(float(found.sum()), 1.0)


if __name__ == "__main__":
    unittest.main()
