"""Sequences of tokens that are drawn by a rule, each of which asks a net for one ability: to recall, copy or count.

Source of the recall: Arora et al. 2023 (arXiv 2312.04927), "multi-query associative recall"; of the copy: Jelassi et
al. 2024 (arXiv 2402.01032); of the running sums: Deletang et al. 2023 (arXiv 2207.02098), regular languages.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from workbench.core.axes import PositiveInt
from workbench.core.errors import DataError
from workbench.core.seeds import stream_seed
from workbench.data.datasets import NO_TARGET, Array, Dataset, require_numbers

AtLeastTwo = Annotated[int, Ge(2)]


def recall(
    pairs: PositiveInt = 8,
    keys: AtLeastTwo = 32,
    values: AtLeastTwo = 32,
    length: Annotated[int, Ge(3)] = 64,
    examples: Annotated[int, Ge(4)] = 10_000,
    seed: int | None = 0,
) -> Dataset:
    """Multi-query associative recall: pairs of key and value, then each key once more, whose value is the target.

    Positions 0 to 2·pairs - 1 hold key, value, key, value, ...: the keys differ, the values are drawn independently.
    Each key comes once more at one of the other positions, all choices of which are equally likely, and so is any
    order; the target there is its value, a class from 0 to values - 1. All other positions hold the filler and have no
    target. Tokens: keys from 0, values from `keys`, the filler last. Who knows which values there are, but not to
    which keys they belong, is right once in about `pairs` times. (Arora et al. fill with random tokens, draw distinct
    values, and let a power law choose the positions.)

    Without a seed every split draws its own examples, as for `annuli`. Raises DataError where the keys or the length
    are too few for the pairs, and where the examples do not fit into memory.
    """
    if pairs > keys:
        raise DataError(
            f"data.keys: must be at least data.pairs, as keys do not repeat, got {keys} and {pairs}; "
            f"write data.keys={pairs}"
        )
    if length < 3 * pairs:
        raise DataError(
            f"data.length: must be at least 3 data.pairs, for keys, values and queries, got {length} and {pairs}; "
            f"write data.length={3 * pairs}"
        )
    require_numbers("data.examples", examples, 2 * length + keys)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", "recall"))
    key = _orders(stream, examples, keys)[:, :pairs]
    value = stream.integers(0, values, (examples, pairs))
    query = 2 * pairs + _orders(stream, examples, length - 2 * pairs)[:, :pairs]
    x = np.full((examples, length), keys + values)
    x[:, : 2 * pairs : 2], x[:, 1 : 2 * pairs : 2] = key, keys + value
    y = np.full((examples, length), NO_TARGET)
    np.put_along_axis(x, query, key, 1)
    np.put_along_axis(y, query, value, 1)
    names = (*(f"key {n}" for n in range(keys)), *(f"value {n}" for n in range(values)), "filler")
    return Dataset("recall", x, y, values, tokens=names, vocabulary=keys + values + 1)


def _orders(stream: np.random.Generator, rows: int, count: int) -> Array:
    """Draw an order of 0 to count - 1 for each row."""
    return stream.permuted(np.broadcast_to(np.arange(count), (rows, count)), axis=1)


def copy(
    length: PositiveInt = 16,
    symbols: AtLeastTwo = 16,
    examples: Annotated[int, Ge(4)] = 10_000,
    seed: int | None = 0,
) -> Dataset:
    """Symbols s_1 ... s_n, n = `length`, uniform and independent, then a separator, from which they are to be written.

    The inputs are s_1 ... s_n, separator, s_1 ... s_{n-1}, 2n tokens; the targets of the last n positions, which begin
    at the separator, are s_1 ... s_n, as a net that writes them would read what it wrote. A causal net is right at all
    n positions just if it writes all n symbols rightly by itself. The separator is the last token.

    Without a seed every split draws its own examples. Raises DataError where they do not fit into memory.
    """
    require_numbers("data.examples", examples, 4 * length)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", "copy"))
    s = stream.integers(0, symbols, (examples, length))
    x = np.concatenate([s, np.full((examples, 1), symbols), s[:, :-1]], 1)
    return Dataset("copy", x, np.concatenate([np.full_like(s, NO_TARGET), s], 1), symbols, vocabulary=symbols + 1)


def parity_stream(length: PositiveInt = 16, examples: Annotated[int, Ge(4)] = 10_000, seed: int | None = 0) -> Dataset:
    """Bits, uniform and independent; each target is 1 where the number of ones up to its position, included, is odd.

    Equal sequences come into one part. Without a seed every split draws its own examples. Raises DataError where they
    do not fit into memory.
    """
    return _sums("parity_stream", length, 2, examples, seed)


def counter(
    length: PositiveInt = 16,
    modulus: AtLeastTwo = 5,
    examples: Annotated[int, Ge(4)] = 10_000,
    seed: int | None = 0,
) -> Dataset:
    """Bits, uniform and independent; each target is the number of ones up to its position, included, modulo `modulus`.

    Equal sequences come into one part. Without a seed every split draws its own examples. Raises DataError where they
    do not fit into memory.
    """
    return _sums("counter", length, modulus, examples, seed)


def _sums(name: str, length: int, modulus: int, examples: int, seed: int | None) -> Dataset:
    require_numbers("data.examples", examples, 3 * length)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", name))
    bits = stream.integers(0, 2, (examples, length))
    _, groups = np.unique(bits, axis=0, return_inverse=True)
    return Dataset(name, bits, bits.cumsum(1) % modulus, modulus, vocabulary=2, groups=groups.reshape(-1))
