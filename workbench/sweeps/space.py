"""The space of a search: Hydra's sweeps as Optuna's distributions, and chosen values as runs.

``choice(a,b)`` and ``a,b`` are unordered options, ``range(1,9,2)`` and ``int(interval(1,9))`` whole numbers,
``interval(0.1,1)`` any number; ``tag(log,...)`` makes a scale logarithmic.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from workbench.config.schema import GROUPS
from workbench.core.errors import ConfigError, unknown_name
from workbench.sweeps.pruning import load_optuna
from workbench.sweeps.shapes import Columns, Runs, by_key, columns, grid

Values = Mapping[str, Any]  # what a trial chose: a text of a choice, or a number
DIGITS = 6  # of a chosen number, so that the command that repeats it is readable


@dataclass(frozen=True)
class Space:
    """Distributions of the `searched` keys, and the values of all keys: `fixed` is empty for searched ones."""

    searched: Mapping[str, Any]
    fixed: Columns

    def runs(self, values: Values) -> Runs:
        """The runs of a trial: several where keys that repeat it have several values."""
        return grid({key: fixed or [_text(values[key])] for key, fixed in self.fixed.items()})

    def overrides(self, values: Values) -> list[str]:
        """Chosen values of a trial, as on a command line."""
        return [f"{key}={_text(values[key])}" for key in self.searched]

    def repeats(self) -> list[str]:
        """Lists of values that repeat every trial, as on a command line."""
        return [f"{key}={','.join(fixed)}" for key, fixed in self.fixed.items() if len(fixed) > 1]

    def corners(self) -> Iterator[Values]:
        """Yield the lowest numbers and first choices, then each key's other choices, or highest number, with those."""
        first = {key: _options(distribution)[0] for key, distribution in self.searched.items()}
        yield first
        for key, distribution in self.searched.items():
            yield from (first | {key: value} for value in _options(distribution)[1:])

    def size(self) -> float:
        """Number of different trials; infinite for real numbers."""
        return prod(_count(distribution) for distribution in self.searched.values())

    def every(self) -> Iterator[Values]:
        """Yield all different trials of a finite space."""
        values = (
            [distribution.to_external_repr(value) for value in _steps(distribution)]
            for distribution in self.searched.values()
        )
        return (self.rounded(dict(zip(self.searched, row, strict=True))) for row in product(*values))

    def holds(self, values: Values) -> bool:
        """Whether a trial of this space may have these values."""
        return values.keys() == self.searched.keys() and all(
            value in distribution.choices
            if hasattr(distribution, "choices")
            else _is_number(value) and distribution.low <= value <= distribution.high
            for value, distribution in ((values[key], distribution) for key, distribution in self.searched.items())
        )

    def rounded(self, values: Values) -> Values:
        """Round the numbers to few digits, within their bounds."""
        return {key: _brief(self.searched[key], value) for key, value in values.items()}


def make_space(overrides: Iterable[Override], replicate: Sequence[str]) -> Space:
    """Make the space of the swept keys; those in `replicate` repeat each trial instead.

    Raises ConfigError for bounds that hold nothing, and where nothing is swept.
    """
    searched: dict[str, Any] = {}
    fixed: dict[str, Sequence[str]] = {}
    for key, override in by_key(overrides).items():
        if override.is_sweep_override() and key not in replicate:
            searched[key], fixed[key] = _distribution(override), []
        else:
            fixed |= columns([override])
    for key in replicate:
        if key not in fixed and key != "seed":
            raise unknown_name("hydra.sweeper.replicate", key, fixed)
    if not searched:
        raise ConfigError(
            "hydra/sweeper=search: must have something to search, got fixed values; write for example "
            "'optimizer.lr=tag(log,interval(0.001,1))' or activation=relu,tanh"
        )
    return Space(searched, fixed)


def _distribution(override: Override) -> Any:
    """Optuna's distribution of a swept override; raises ConfigError for bounds that hold nothing."""
    distributions = load_optuna().distributions
    value, name = override.value(), f"{override.key_or_group}: {str(override.input_line).partition('=')[2]}"
    log = "log" in value.tags if isinstance(value, IntervalSweep | RangeSweep) else False
    if not override.is_choice_sweep() and override.key_or_group in GROUPS:
        raise ConfigError(f"{name} must be options to choose from; write for example activation=relu,tanh")
    if override.is_choice_sweep():
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    try:
        if isinstance(value, IntervalSweep):
            is_whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = distributions.IntDistribution if is_whole else distributions.FloatDistribution
            return kind(value.start, value.end, log=log)
        numbers: list[Any] = sorted(override.sweep_iterator())
        is_whole = all(isinstance(number, int) for number in numbers)
        step = None if len(numbers) < 2 else numbers[1] - numbers[0]
        if is_whole:
            return distributions.IntDistribution(numbers[0], numbers[-1], log=log, step=step or 1)
        return distributions.FloatDistribution(numbers[0], numbers[-1], log=log, step=step)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{name} must hold numbers, the lower bound first: {error}") from error


def _options(distribution: Any) -> list[Any]:
    """The choices, or the lowest and highest number."""
    return list(getattr(distribution, "choices", None) or (distribution.low, distribution.high))


def _count(distribution: Any) -> float:
    if hasattr(distribution, "choices"):
        return len(distribution.choices)
    return (
        1
        if distribution.single()
        else float("inf")
        if distribution.step is None
        else round((distribution.high - distribution.low) / distribution.step) + 1
    )


def _steps(distribution: Any) -> Iterable[Any]:
    """Internal representations of all values."""
    if hasattr(distribution, "choices"):
        return range(len(distribution.choices))
    return [distribution.low + number * (distribution.step or 0) for number in range(int(_count(distribution)))]


def _brief(distribution: Any, value: Any) -> Any:
    return (
        min(max(float(f"{value:.{DIGITS}g}"), distribution.low), distribution.high)
        if isinstance(value, float)
        else value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
