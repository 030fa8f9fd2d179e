"""Interpolated n-grams: how well targets are known from the last tokens before them, by counting, without learning.

With h_k the last k tokens up to a position, c(h_k) how often they occur in the training part before a target, and
c(h_k, y) how often before the target y, the probability of y among K classes is p_{n-1}(y | h_{n-1}), where

    p_k(y | h_k) = λ c(h_k, y)/c(h_k) + (1 - λ) p_{k-1}(y | h_{k-1}),    p_{-1} = 1/K,

and λ is 0 where c(h_k) = 0. There is one λ for each k and each ⌊log2 c(h_k)⌋, fitted on the validation part by
expectation maximization. Source: Jelinek and Mercer 1980, in the form of Chen and Goodman 1999, section 2.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.data.datasets import NO_TARGET, Array, Dataset
from workbench.data.splits import PartArrays, Split

MOST_STEPS = 200  # of expectation maximization
ENOUGH = 1e-6  # bits by target that a step must gain


@dataclass(frozen=True)
class Counts:
    """Counts for contexts of one length: their sorted `keys` and `totals`, and sorted `pairs` with a class, `joint`.

    The key of a context is that of the context without its first token, times the vocabulary, plus that token, where
    contexts of one length are numbered in the order of their keys; a pair is context · classes + class.
    """

    keys: Array
    totals: Array
    pairs: Array
    joint: Array


@dataclass(frozen=True)
class NGrams:
    """Interpolated n-grams of a data set with tokens: `counts` by length of context, `mixing` [n, sizes of counts]."""

    vocabulary: int
    classes: int
    counts: tuple[Counts, ...]
    mixing: Array

    def bits(self, part: PartArrays) -> float:
        """Mean bits by target, -log2 p, over the targets of a part."""
        return float(-np.log2(self.probabilities(part)).mean())

    def probabilities(self, part: PartArrays) -> Array:
        """Probabilities of the targets of a part [M], row by row; positions without a target are left out."""
        at = part.y != NO_TARGET
        return self._mixed([found[at] for found in self._contexts(part.x)], part.y[at])

    def guesses(self, x: Array) -> Array:
        """Most probable class at each position [N, T] of tokens x [N, T]; the first of several."""
        contexts = [found.reshape(-1) for found in self._contexts(x)]
        best, guess = np.zeros(x.size), np.zeros(x.size, np.int64)
        for number in range(self.classes):
            p = self._mixed(contexts, np.full(x.size, number))
            guess[p > best] = number
            best = np.maximum(p, best)
        return guess.reshape(x.shape)

    def fitted(self, part: PartArrays) -> "NGrams":
        """Fit the λ to a part by expectation maximization.

        Each λ counts one target more that its own frequencies do not explain, so that it stays below 1 and no
        probability becomes 0.
        """
        at = part.y != NO_TARGET
        contexts = [found[at] for found in self._contexts(part.x)]
        shares, sizes = self._shares(contexts, part.y[at]), self._sizes(contexts)
        mixing, before = self.mixing, np.inf
        for _ in range(MOST_STEPS):
            mixed = _weights(mixing, sizes) * shares
            mixing, now = _stepped(mixing, mixed, sizes), float(-np.log2(mixed.sum(0)).mean())
            if before - now < ENOUGH:
                break
            before = now
        return replace(self, mixing=mixing)

    def _contexts(self, x: Array) -> Iterator[Array]:
        """Number of the context of each position [N, T] by length from 0, or -1 where it does not occur."""
        found = np.zeros_like(x)
        yield found
        for length, counts in enumerate(self.counts[1:], 1):
            found = _indices(counts.keys, _longer(found, x, length, self.vocabulary))
            yield found

    def _shares(self, contexts: Sequence[Array], y: Array) -> Array:
        """Probabilities of targets [M] by 1/K and by the frequencies of each length alone, [n + 1, M]."""
        rows = [np.full(len(y), 1 / self.classes)]
        for found, counts in zip(contexts, self.counts, strict=True):
            pair = _indices(counts.pairs, np.where(found < 0, -1, found * self.classes + y))
            joint = np.where(pair < 0, 0, counts.joint[pair])
            rows.append(joint / np.where(found < 0, 1, counts.totals[found]))
        return np.stack(rows)

    def _sizes(self, contexts: Sequence[Array]) -> Array:
        """Size of the count of each context [n, M]: 0 where it does not occur, else ⌊log2 c⌋ + 1."""
        totals = [
            np.where(found < 0, 0, counts.totals[found]) for found, counts in zip(contexts, self.counts, strict=True)
        ]
        sizes: Array = np.frexp(np.stack(totals))[1].astype(np.int64)
        return sizes

    def _mixed(self, contexts: Sequence[Array], y: Array) -> Array:
        mixed: Array = (_weights(self.mixing, self._sizes(contexts)) * self._shares(contexts, y)).sum(0)
        return mixed


def ngrams(dataset: Dataset, parts: Split, order: int) -> NGrams:
    """Count contexts of up to order - 1 tokens in the training part, and fit the λ to the validation part.

    Contexts do not reach beyond the beginning of an example. Raises ValueError for an order below 1, and data without
    tokens or without targets at positions.
    """
    if order < 1 or dataset.vocabulary is None or dataset.n_classes is None or not dataset.at_positions:
        raise ValueError(
            f"ngrams: must have an order of 1 or more and tokens with targets at positions, got {order} for "
            f"{dataset.name}; take another data set"
        )
    counts = tuple(_counted(parts.train, order, dataset.vocabulary, dataset.n_classes))
    sizes = 1 + max(int(np.frexp(one.totals.max())[1]) for one in counts)
    mixing = np.full((order, sizes), 0.5)
    mixing[:, 0] = 0
    return NGrams(dataset.vocabulary, dataset.n_classes, counts, mixing).fitted(parts.valid)


def _counted(part: PartArrays, order: int, vocabulary: int, classes: int) -> Iterator[Counts]:
    """Count contexts by length, those before a target only."""
    at = part.y != NO_TARGET
    found = np.zeros_like(part.x)
    keys = np.zeros(1, np.int64)
    for length in range(order):
        if length:
            longer = np.where(at, _longer(found, part.x, length, vocabulary), -1)
            keys = np.unique(longer[longer >= 0])
            found = _indices(keys, longer)
        here = at & (found >= 0)
        pairs, joint = np.unique(found[here] * classes + part.y[here], return_counts=True)
        yield Counts(keys, np.bincount(found[here], minlength=len(keys)), pairs, joint)


def _longer(found: Array, x: Array, length: int, vocabulary: int) -> Array:
    """Keys of contexts of this length [N, T], from the numbers of those shorter by one; negative if there is none."""
    longer = np.full_like(x, -1)
    shorter, first = found[:, length - 1 :], x[:, : x.shape[1] - length + 1]
    longer[:, length - 1 :] = shorter * vocabulary + first
    return longer


def _indices(keys: Array, values: Array) -> Array:
    """Places of values among sorted keys, or -1."""
    place = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    found: Array = np.where(keys[place] == values, place, -1)
    return found


def _weights(mixing: Array, sizes: Array) -> Array:
    """Weights of 1/K and of each length's frequencies in the mixture [n + 1, M], for contexts of sizes [n, M]."""
    own = np.take_along_axis(mixing, sizes, 1)
    passed = np.cumprod(1 - own[::-1], 0)[::-1]  # to the lengths below this one
    return np.concatenate([passed[:1], own[:-1] * passed[1:], own[-1:]])


def _stepped(mixing: Array, mixed: Array, sizes: Array) -> Array:
    """Take one step of expectation maximization, from the summands [n + 1, M] of the targets' probabilities."""
    posterior = mixed / mixed.sum(0)
    reached = posterior.cumsum(0)  # this length or one below explains the target
    stepped = mixing.copy()
    for length, size in enumerate(sizes):
        own, all_below = (np.bincount(size, rows[length + 1], mixing.shape[1]) for rows in (posterior, reached))
        stepped[length, 1:] = (own / (all_below + 1))[1:]
    return stepped
