"""Nets of equal size: how many trained parameters each kind has, and the units with which it has as many as a TCN."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workbench.core.errors import ConfigError

TOLERANCE = 0.02  # of the number of parameters
WIDTH = 16  # units of the TCN, whose count is the target, and of transformers
KERNEL = 3  # positions that a convolution sees
EMBEDDINGS = range(WIDTH - 2, WIDTH + 3)  # numbers of a token's vector in recurrent nets: so that counts can be met
GATES = {"elman": 1, "gru": 3, "lstm": 4}


class Sequences(NamedTuple):
    """Sizes of a data set: tokens that there are, positions of an example, and classes of a target."""

    vocabulary: int
    positions: int
    classes: int


def recurrent(data: Sequences, gates: int, width: int, embedding: int) -> int:
    """Count V e + g(u e + u² + u) + (u + 1) K parameters, for GRU u more, of so many gates and u units."""
    cells = gates * width * (embedding + width + 1) + width * (gates == GATES["gru"])
    return data.vocabulary * embedding + cells + (width + 1) * data.classes


def blocks(positions: int) -> int:
    """Least number of blocks of two convolutions, each over twice the distance, that see so many positions."""
    number = 1
    while 2 * (KERNEL - 1) * (2**number - 1) < positions - 1:
        number += 1
    return number


def convolutional(data: Sequences, width: int) -> int:
    """Count V u + 2 b (3 u² + u) + (u + 1) K parameters of b blocks of u units."""
    convolutions = 2 * blocks(data.positions) * width * (KERNEL * width + 1)
    return data.vocabulary * width + convolutions + (width + 1) * data.classes


def transformer(data: Sequences, depth: int, has_positions: bool, feed_forward: int) -> int:
    """Count (V + T) u + depth (4 u² + 4 u + 2 u f + f + u + 4 u) + 2 u + (u + 1) K parameters, f units in between."""
    inner = 4 * WIDTH * (WIDTH + 1) + feed_forward * (2 * WIDTH + 1) + 5 * WIDTH
    tokens = data.vocabulary + data.positions * has_positions
    return tokens * WIDTH + depth * inner + 2 * WIDTH + (WIDTH + 1) * data.classes


def sized(arm: str, data: Sequences) -> list[str]:
    """Overrides of an arm's sizes, with which it has as many parameters as the TCN of 16 units, within 2 %."""
    target = convolutional(data, WIDTH)
    if arm == "tcn":
        return [f"architecture.width={WIDTH}"]
    if arm in GATES:
        width, embedding = matched(lambda *pair: recurrent(data, GATES[arm], *pair), target, EMBEDDINGS)
        return [f"architecture.width={width}", f"architecture.embedding={embedding}"]
    depth, has_positions = 1 if "1 block" in arm else 2, "no positions" not in arm
    feed_forward, _ = matched(lambda units, _: transformer(data, depth, has_positions, units), target, [WIDTH])
    return [f"architecture.width={WIDTH}", f"architecture.feed_forward={feed_forward}"]


def matched(count: Callable[[int, int], int], target: int, others: Sequence[int]) -> tuple[int, int]:
    """Units and second size, one of `others`, for which ``count(units, second size)`` is nearest to the target.

    The count rises with the units. Raises ConfigError where no net is within `TOLERANCE` of the target.
    """
    pairs = [(units, other) for other in others for units in _beside(count, other, target)]
    sizes = min(pairs, key=lambda pair: abs(count(*pair) - target))
    if abs(count(*sizes) - target) > TOLERANCE * target:
        raise ConfigError(
            f"claim attention: nets must have {target} parameters within {TOLERANCE:.0%}, the nearest has "
            f"{count(*sizes)} with {sizes[0]} units; change the sizes of the TCN"
        )
    return sizes


def _beside(count: Callable[[int, int], int], other: int, target: int) -> tuple[int, int]:
    """Greatest number of units whose count is at most the target, at least 1, and the next one."""
    units = 1
    while count(units + 1, other) <= target:
        units += 1
    return units, units + 1
