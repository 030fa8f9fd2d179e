"""Interpolated n-grams: worked by hand, counted in dictionaries, summed to 1, and against known entropies."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.reference import build
from workbench.data.datasets import NO_TARGET, Dataset
from workbench.data.ngrams import NGrams, ngrams
from workbench.data.splits import PartArrays, Split, split


def part(*rows: str) -> PartArrays:
    """Make examples of letters: each is to be known from those before it, but before a dot."""
    tokens = np.array([["abcd.".index(letter) for letter in row] for row in rows])
    return PartArrays(tokens[:, :-1] % 4, np.where(tokens[:, 1:] == 4, NO_TARGET, tokens[:, 1:]))


def letters(train: PartArrays, valid: PartArrays, order: int) -> NGrams:
    """Fit n-grams to letters a to d."""
    dataset = Dataset("letters", train.x, train.y, 4, vocabulary=4)
    return ngrams(dataset, Split(train, valid, valid), order)


def test_a_corpus_by_hand() -> None:
    """Of "abab" and "abca", b follows a in 3 of 3 cases, and is 3 of the 6 targets; every λ is 1/2."""
    train = part("abab", "abca")
    model = letters(train, train, 2)
    assert [one.totals.tolist() for one in model.counts] == [[6], [3, 2, 1]]
    assert [one.joint.tolist() for one in model.counts] == [[2, 3, 1], [3, 1, 1, 1]]
    half = replace(model, mixing=np.where(np.arange(model.mixing.shape[1]), 0.5, np.zeros((2, 1))))
    test = part("ab", "bc", "da")
    # p(b) = 1/2 (1/2 3/6 + 1/2 1/4) + 1/2 1;  p(c | b) = 1/2 (1/2 1/6 + 1/2 1/4) + 1/2 1/2;  d never came before
    expected = [3 / 16 + 1 / 2, 5 / 48 + 1 / 4, 1 / 2 * 2 / 6 + 1 / 2 * 1 / 4]
    assert half.probabilities(test) == pytest.approx(expected, rel=1e-12)
    assert half.bits(test) == pytest.approx(-np.log2(expected).mean(), rel=1e-12)
    assert half.guesses(test.x).tolist() == [[1], [0], [1]]


def _counted(train: PartArrays, order: int) -> tuple[Counter[tuple[int, ...]], Counter[tuple[int, ...]]]:
    totals, joint = Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
    for x, y in zip(train.x.tolist(), train.y.tolist(), strict=True):
        for at, target in enumerate(y):
            for length in range(min(order, at + 2) if target != NO_TARGET else 0):
                context = tuple(x[at + 1 - length : at + 1])
                totals[context] += 1
                joint[*context, target] += 1
    return totals, joint


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_recursion(order: int) -> None:
    """Counting in dictionaries and mixing by the recursion gives the same probabilities, targets left out included."""
    draw = np.random.default_rng(order)
    tokens = draw.choice(4, (60, 9), p=[0.5, 0.3, 0.15, 0.05])
    y = np.where(draw.random((60, 8)) < 0.2, NO_TARGET, tokens[:, 1:])
    train, valid = PartArrays(tokens[:40, :-1], y[:40]), PartArrays(tokens[40:, :-1], y[40:])
    model = letters(train, valid, order)
    totals, joint = _counted(train, order)
    expected = []
    for x, targets in zip(valid.x.tolist(), valid.y.tolist(), strict=True):
        for at, target in enumerate(targets):
            p = 1 / 4
            for length in range(min(order, at + 2)):
                context = tuple(x[at + 1 - length : at + 1])
                size = totals[context].bit_length()
                share = model.mixing[length, size] if size else 0.0
                p = share * joint[*context, target] / max(totals[context], 1) + (1 - share) * p
            if target != NO_TARGET:
                expected.append(p)
    assert model.probabilities(valid) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one(order: int) -> None:
    """Over all classes, after contexts that occurred and that did not, at a beginning and later."""
    model = letters(part("abcabca", "bbcacab"), part("abcbcab", "acabbca"), order)
    x = np.random.default_rng(0).integers(0, 4, (50, 6))
    sums = sum(model.probabilities(PartArrays(x, np.full_like(x, number))) for number in range(4))
    assert sums == pytest.approx(np.ones(300), rel=1e-12)
    assert (model.probabilities(PartArrays(x, np.full_like(x, 3))) > 0).all()  # a class that never came


def test_shares_maximize_what_they_are_fitted_to() -> None:
    """No λ that is used, moved up or down, raises the likelihood of the validation part with its one target more."""
    draw = np.random.default_rng(0)
    chain = np.cumsum(draw.integers(0, 2, (90, 20)), 1) % 4
    train, valid = (PartArrays(rows[:, :-1], rows[:, 1:]) for rows in (chain[:30], chain[30:]))
    model = letters(train, valid, 3)

    def gain(changed: NGrams) -> float:
        return float(np.log(changed.probabilities(valid)).sum() + np.log1p(-changed.mixing[:, 1:]).sum())

    fitted = gain(model)
    moved = 0
    for place in np.ndindex(model.mixing.shape):
        for change in (-0.02, 0.02):
            mixing = model.mixing.copy()
            mixing[place] += change
            if place[1] and 0 < mixing[place] < 1:
                moved += 1
                assert gain(replace(model, mixing=mixing)) <= fitted + 0.05  # of 1140 targets: it stops a little before
    assert moved > 10
    assert gain(replace(model, mixing=np.where(np.arange(model.mixing.shape[1]), 0.5, np.zeros((3, 1))))) < fitted - 10


def test_bits_are_the_entropy_of_a_chain() -> None:
    """For a chain of two states, unigrams reach its stationary entropy, bigrams its rate, to four standard errors."""
    stay = np.array([0.9, 0.7])
    draw = np.random.default_rng(0)
    states = np.zeros((1000, 21), np.int64)
    states[:, 0] = draw.random(1000) < 0.25  # stationary: 0.1 π_0 = 0.3 π_1
    for at in range(20):
        now = states[:, at]
        states[:, at + 1] = np.where(draw.random(1000) < stay[now], now, 1 - now)
    dataset = Dataset("chain", states[:, :-1], states[:, 1:], 2, vocabulary=2)
    parts = split(dataset, 0, 0.2, 0.3, False)
    pi, p = np.array([0.75, 0.25]), np.stack([stay, 1 - stay])
    rate = float(pi @ -(p * np.log2(p)).sum(0))
    for order, exact in ((1, float(-(pi * np.log2(pi)).sum())), (2, rate), (3, rate)):
        model = ngrams(dataset, parts, order)
        by_example = -np.log2(model.probabilities(parts.test)).reshape(-1, 20).mean(1)
        assert model.bits(parts.test) == pytest.approx(exact, abs=4 * by_example.std() / np.sqrt(len(by_example)))
    assert (ngrams(dataset, parts, 2).guesses(parts.test.x) == parts.test.x).all()


def test_counting_does_not_recall() -> None:
    """The floor without learning: n-grams find the value of a key no more often than by chance."""
    dataset: Dataset = build("data", "recall", pairs=4, keys=8, values=8, length=16, examples=1500)
    parts = split(dataset, 0, 0.1, 0.4, False)
    at = parts.test.y != NO_TARGET
    right = (ngrams(dataset, parts, 3).guesses(parts.test.x) == parts.test.y)[at]
    assert right.mean() == pytest.approx(1 / 8, abs=4 * np.sqrt(7 / 64 / len(right)))


@pytest.mark.slow
def test_longer_contexts_tell_more_of_a_text() -> None:
    """On held-out topics of the help, each order up to 4 needs at least a quarter of a bit less than the one before."""
    dataset: Dataset = build("data", "text")
    parts = split(dataset, 0, 0.1, 0.1, False)
    small = parts._replace(train=PartArrays(*(array[:2000] for array in parts.train)))
    bits = [ngrams(dataset, small, order).bits(parts.test) for order in (1, 2, 3, 4)]
    assert all(longer < shorter - 0.25 for shorter, longer in pairwise(bits))


@pytest.mark.parametrize(("order", "name"), [(0, "recall"), (2, "wine")])
def test_other_data_are_refused(order: int, name: str) -> None:
    """An order below 1, and data without tokens, are refused."""
    dataset: Dataset = build("data", name)
    with pytest.raises(ValueError, match=f"ngrams: must have an order of 1 or more .* got {order} for {name}"):
        ngrams(dataset, split(dataset, 0, 0.1, 0.1, False), order)
