"""Sequences drawn by a rule: what stands where, that targets are right, and that all choices are equally likely."""

from dataclasses import replace

import numpy as np
import pytest

from tests.data.advice import done, refused, ways_out
from tests.reference import DRAWN, build
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.core.errors import DataError
from workbench.data.datasets import NO_TARGET, Dataset


@pytest.mark.parametrize("name", DRAWN)
def test_tokens_and_targets_are_whole_numbers_in_range(name: str) -> None:
    """Tokens and targets are int64 within their bounds, with a target at some position of every example."""
    dataset: Dataset = build("data", name, examples=50)
    assert dataset.checked() is dataset
    assert dataset.at_positions
    assert dataset.inputs.kind == "tokens"
    assert dataset.x.shape == dataset.y.shape == (50, dataset.inputs.size)
    assert (dataset.y != NO_TARGET).any(1).all()
    with pytest.raises(DataError, match="tokens must be int64"):
        replace(dataset, vocabulary=int(dataset.x.max())).checked()


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_draws_other_examples(name: str) -> None:
    """Equal seeds give equal examples, others do not; no seed gives those of seed 0, until a split asks for its own."""
    digests = [build("data", name, examples=10, seed=seed).digest for seed in (1, 1, 2, 0)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert call("data", {**option("data", name), "examples": 10, "seed": None}).digest == digests[3]


def test_generators_do_not_share_a_stream() -> None:
    """Parity and counter draw different bits from one seed."""
    first, second = (build("data", name, examples=10).x for name in ("parity_stream", "counter"))
    assert not np.array_equal(first, second)


def _answers(x: np.ndarray, pairs: int, keys: int) -> np.ndarray:
    """Targets of one sequence [T] of keys, values and filler, by looking each key up."""
    value_of = {int(x[2 * pair]): int(x[2 * pair + 1]) - keys for pair in range(pairs)}
    return np.array(
        [value_of.get(int(token), NO_TARGET) if at >= 2 * pairs else NO_TARGET for at, token in enumerate(x)]
    )


def test_recall_asks_each_key_once_for_its_value() -> None:
    """Pairs come first; each key comes once more, where its value is the target; all else is filler."""
    dataset: Dataset = build("data", "recall", pairs=3, keys=5, values=7, length=12, examples=300)
    assert (dataset.vocabulary, dataset.n_classes) == (13, 7)
    assert _answers(np.array([4, 5, 1, 11, 12, 1, 4, 12]), 2, 5).tolist() == [-1] * 5 + [6, 0, -1]
    for x, y in zip(dataset.x, dataset.y, strict=True):
        keys, rest = x[:6:2], x[6:]
        assert len(set(keys.tolist())) == 3
        assert sorted(rest[rest != 12].tolist()) == sorted(keys.tolist())
        assert ((x[1:6:2] >= 5) & (x[1:6:2] < 12)).all()
        assert np.array_equal(y, _answers(x, 3, 5))


def test_recall_draws_keys_values_and_places_evenly() -> None:
    """First keys, values, the place of the first key's query and its order to the second's: to four standard errors."""
    n = 20_000
    dataset: Dataset = build("data", "recall", pairs=2, keys=4, values=5, length=9, examples=n)
    asked = dataset.x[:, 4:]
    place = (asked == dataset.x[:, :1]).argmax(1)
    second = (asked == dataset.x[:, 2:3]).argmax(1)
    for drawn, count in ((dataset.x[:, 0], 4), (dataset.x[:, 1] - 4, 5), (place, 5)):
        error = 4 * np.sqrt((count - 1) / count**2 / n)
        assert np.bincount(drawn) / n == pytest.approx([1 / count] * count, abs=error)
    assert (place < second).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(n))
    same = dataset.x[:, 1] == dataset.x[:, 3]  # values are independent
    assert same.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / n))


def test_recall_without_filler_is_full() -> None:
    """Three times the pairs is the shortest length: half keys and values, then queries only."""
    dataset: Dataset = build("data", "recall", pairs=4, keys=4, length=12, examples=20)
    assert np.array_equal(np.sort(dataset.x[:, 8:]), np.tile(np.arange(4), (20, 1)))
    assert (dataset.y[:, 8:] != NO_TARGET).all()


@pytest.mark.parametrize(
    ("given", "begin", "advised"),
    [
        ({"pairs": 5, "keys": 4}, "data.keys: must be at least data.pairs", {"data.keys": 5}),
        ({"pairs": 5, "length": 14}, "data.length: must be at least 3 data.pairs", {"data.length": 15}),
    ],
)
def test_recall_needs_room_for_its_pairs(given: dict[str, int], begin: str, advised: dict[str, int]) -> None:
    """Too few keys or positions are refused, with the smallest number that will do."""
    said = refused("recall", **given)
    assert said.startswith(begin)
    assert ways_out(said) == [advised]
    assert done(advised, "recall", **given).name == "recall"


def test_copy_asks_for_the_symbols_again() -> None:
    """Inputs are symbols, separator, symbols but the last; targets from the separator on are the symbols."""
    dataset: Dataset = build("data", "copy", length=3, symbols=4, examples=200)
    assert (dataset.vocabulary, dataset.n_classes, dataset.x.shape) == (5, 4, (200, 6))
    for x, y in zip(dataset.x.tolist(), dataset.y.tolist(), strict=True):
        assert x[3:] == [4, *x[:2]]
        assert y == [NO_TARGET] * 3 + x[:3]
    again: Dataset = build("data", "copy", length=1, symbols=2, examples=4)
    assert again.x[:, 1].tolist() == [2] * 4
    assert np.array_equal(again.y, np.stack([np.full(4, NO_TARGET), again.x[:, 0]], 1))


def test_copy_draws_symbols_evenly() -> None:
    """Each symbol has its share at each position, to five standard errors."""
    dataset: Dataset = build("data", "copy", length=4, examples=20_000)
    shares = np.stack([np.bincount(column, minlength=16) for column in dataset.y[:, 4:].T]) / 20_000
    assert np.abs(shares - 1 / 16).max() < 5 * np.sqrt(15 / 256 / 20_000)


@pytest.mark.parametrize(("name", "modulus"), [("parity_stream", 2), ("counter", 5), ("counter", 3)])
def test_running_sums_count_ones(name: str, modulus: int) -> None:
    """Targets count the ones up to their position, modulo 2, 5 or 3; bits are even, equal sequences one group."""
    given = {"modulus": modulus} if name == "counter" else {}
    dataset: Dataset = build("data", name, length=6, examples=5000, **given)
    state = np.zeros(5000, np.int64)
    for bit, target in zip(dataset.x.T, dataset.y.T, strict=True):
        state = (state + bit) % modulus
        assert np.array_equal(state, target)
        assert bit.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(5000))
    numbers = dataset.x @ (2 ** np.arange(6))
    assert dataset.groups is not None
    pairs = set(zip(numbers.tolist(), dataset.groups.tolist(), strict=True))
    assert len(pairs) == len(set(numbers.tolist())) == len(set(dataset.groups.tolist()))


def test_a_running_sum_by_hand() -> None:
    """Bits 1 1 0 1 1 1 count 1 2 2 3 4 0 modulo 5, and are odd, even, even, odd, even, odd."""
    for name, expected in (("counter", [1, 2, 2, 3, 4, 0]), ("parity_stream", [1, 0, 0, 1, 0, 1])):
        dataset: Dataset = build("data", name, length=6, examples=2000)
        (row, *_) = np.flatnonzero((dataset.x == [1, 1, 0, 1, 1, 1]).all(1))
        assert dataset.y[row].tolist() == expected
