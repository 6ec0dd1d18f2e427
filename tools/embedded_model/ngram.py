"""The model that the embedded model must beat: interpolated modified Kneser-Ney over tokens.

Chen & Goodman 1998, with the counts of Heafield et al. 2013: the highest order uses how often an
n-gram occurs; a lower order uses how many different tokens stand before it, but an n-gram at a
text's begin, before which nothing can stand, keeps how often it occurs. Each order has its own
three discounts, estimated from its counts of counts. Order 1 is mixed with the uniform
distribution.

An n-gram is one int64 key, its tokens the digits in base V; so V**order must fit.
"""

from dataclasses import dataclass

import numpy as np

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # for an order whose counts of counts are degenerate


@dataclass
class Table:
    """One order: its n-grams, and its contexts (the n-grams without their last token)."""

    keys: np.ndarray  # int64 [n-grams], ascending
    discounted: np.ndarray  # float64 [n-grams]: count less discount
    contexts: np.ndarray  # int64 [contexts], ascending
    totals: np.ndarray  # float64 [contexts]: sum of counts
    left_over: np.ndarray  # float64 [contexts]: sum of discounts


def discounts_of(counts: np.ndarray) -> np.ndarray:
    """Returns the discount of a count of 0, 1, 2, and of 3 or more."""
    n1, n2, n3, n4 = (float(np.count_nonzero(counts == c)) for c in (1, 2, 3, 4))
    if min(n1, n2, n3) == 0:
        return np.array((0.0, *FALLBACK_DISCOUNTS))
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    if any(d < 0 or d > c for c, d in enumerate(found, start=1)):
        found = FALLBACK_DISCOUNTS
    return np.array((0.0, *found))


def build_table(keys: np.ndarray, counts: np.ndarray, vocabulary: int) -> Table:
    discount = discounts_of(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(keys // vocabulary, return_index=True)
    return Table(
        keys=keys,
        discounted=counts - discount,
        contexts=contexts,
        totals=np.add.reduceat(counts, first).astype(np.float64),
        left_over=np.add.reduceat(discount, first),
    )


class KneserNey:
    """Predicts every token of a text but the first, which is `begin` and stands nowhere else."""

    def __init__(self, order: int, vocabulary: int, begin: int):
        assert vocabulary**order < 2**63
        self.order, self.vocabulary, self.begin = order, vocabulary, begin
        self.tables: list[Table] = []

    def windows(self, rows: list[list[int]], length: int) -> np.ndarray:
        """Keys of all n-grams of this length, row after row."""
        keys = []
        for row in rows:
            ids = np.asarray(row, dtype=np.int64)
            key = np.zeros(max(0, len(ids) - length + 1), dtype=np.int64)
            for i in range(length):
                key = key * self.vocabulary + ids[i : i + len(key)]
            keys.append(key)
        return np.concatenate(keys)

    def fit(self, rows: list[list[int]]) -> None:
        assert all(row[0] == self.begin and self.begin not in row[1:] for row in rows)
        raw = [np.unique(self.windows(rows, n), return_counts=True)
               for n in range(1, self.order + 1)]  # fmt: skip
        for n in range(1, self.order):
            keys, counts = raw[n - 1]
            at_begin = keys // self.vocabulary ** (n - 1) == self.begin
            if n == 1:
                at_begin[:] = False  # `begin` itself is never predicted
            longer = raw[n][0]
            after, kinds_before = np.unique(longer % self.vocabulary**n, return_counts=True)
            merged = np.concatenate((keys[at_begin], after))
            merged_counts = np.concatenate((counts[at_begin], kinds_before))
            order = np.argsort(merged)
            self.tables.append(build_table(merged[order], merged_counts[order], self.vocabulary))
        self.tables.append(build_table(*raw[-1], self.vocabulary))

    def probabilities(self, contexts: np.ndarray, lengths: np.ndarray, tokens: np.ndarray):
        """Of tokens [n] after contexts [n, order - 1], of whose ends `lengths` [n] are real."""
        probability = np.full(len(tokens), 1.0 / (self.vocabulary - 1))  # all but `begin`
        context = np.zeros(len(tokens), dtype=np.int64)
        for n, table in enumerate(self.tables, start=1):
            if n > 1:
                column = contexts[:, self.order - n]
                context = column * self.vocabulary ** (n - 2) + context
            where, known = find(table.contexts, context)
            known &= lengths >= n - 1
            total = np.where(known, table.totals[where], 1.0)
            at, seen = find(table.keys, context * self.vocabulary + tokens)
            own = np.where(seen, table.discounted[at], 0.0)
            mixed = (own + table.left_over[where] * probability) / total
            probability = np.where(known, mixed, probability)
        return probability

    def bits(self, row: list[int]) -> np.ndarray:
        """-log2 of the probability of each token after the first."""
        history = self.order - 1
        padded = np.concatenate((np.zeros(history, dtype=np.int64), row))
        contexts = np.stack([padded[i : i + history] for i in range(1, len(row))])
        lengths = np.minimum(np.arange(1, len(row)), history)
        return -np.log2(self.probabilities(contexts, lengths, np.asarray(row[1:])))


def find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each wanted key stands in ascending keys, and whether it does."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted
