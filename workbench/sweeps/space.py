"""What a search chooses from: Hydra's sweeps as Optuna's distributions, and chosen values as runs.

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
    """`searched` keys with their distributions; `given` is what each trial gets for all others, and empty for those."""

    searched: Mapping[str, Any]
    given: Columns

    def runs(self, values: Values) -> Runs:
        """The runs of a trial: several where keys that repeat it have several values."""
        return grid({key: given or [_text(values[key])] for key, given in self.given.items()})

    def overrides(self, values: Values) -> list[str]:
        """What a trial chose, as on a command line."""
        return [f"{key}={_text(values[key])}" for key in self.searched]

    def repeats(self) -> list[str]:
        """The lists that repeat every trial, as on a command line."""
        return [f"{key}={','.join(given)}" for key, given in self.given.items() if len(given) > 1]

    def corners(self) -> Iterator[Values]:
        """Lowest numbers and first choices, then each key's other choices, or highest number, with those."""
        first = {key: _options(one)[0] for key, one in self.searched.items()}
        yield first
        for key, one in self.searched.items():
            yield from (first | {key: value} for value in _options(one)[1:])

    def size(self) -> float:
        """How many different trials there are."""
        return prod(_count(one) for one in self.searched.values())

    def every(self) -> Iterator[Values]:
        """All different trials of a finite space."""
        values = ([one.to_external_repr(value) for value in _steps(one)] for one in self.searched.values())
        return (self.rounded(dict(zip(self.searched, row, strict=True))) for row in product(*values))

    def holds(self, values: Values) -> bool:
        """Whether a trial may have chosen these."""
        return values.keys() == self.searched.keys() and all(
            value in one.choices if hasattr(one, "choices") else _is_number(value) and one.low <= value <= one.high
            for value, one in ((values[key], one) for key, one in self.searched.items())
        )

    def rounded(self, values: Values) -> Values:
        """The same choice with numbers that are brief, within their bounds."""
        return {key: _brief(self.searched[key], value) for key, value in values.items()}


def make_space(overrides: Iterable[Override], replicate: Sequence[str]) -> Space:
    """The space of what is swept, but for the keys that repeat each trial.

    Raises ConfigError for bounds that hold nothing, and where nothing is swept.
    """
    searched: dict[str, Any] = {}
    given: dict[str, Sequence[str]] = {}
    for key, one in by_key(overrides).items():
        if one.is_sweep_override() and key not in replicate:
            searched[key], given[key] = _distribution(one), []
        else:
            given |= columns([one])
    for key in replicate:
        if key not in given and key != "seed":
            raise unknown_name("hydra.sweeper.replicate", key, given)
    if not searched:
        raise ConfigError(
            "hydra/sweeper=search: must have something to search, got fixed values; write for example "
            "'optimizer.lr=tag(log,interval(0.001,1))' or activation=relu,tanh"
        )
    return Space(searched, given)


def _distribution(override: Override) -> Any:
    distributions = load_optuna().distributions
    value, name = override.value(), f"{override.key_or_group}: {str(override.input_line).partition('=')[2]}"
    log = "log" in value.tags if isinstance(value, IntervalSweep | RangeSweep) else False
    if not override.is_choice_sweep() and override.key_or_group in GROUPS:
        raise ConfigError(f"{name} must be options to choose from; write for example activation=relu,tanh")
    if override.is_choice_sweep():
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    try:
        if isinstance(value, IntervalSweep):
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = distributions.IntDistribution if whole else distributions.FloatDistribution
            return kind(value.start, value.end, log=log)
        numbers: list[Any] = sorted(override.sweep_iterator())
        whole = all(isinstance(number, int) for number in numbers)
        step = None if len(numbers) < 2 else numbers[1] - numbers[0]
        if whole:
            return distributions.IntDistribution(numbers[0], numbers[-1], log=log, step=step or 1)
        return distributions.FloatDistribution(numbers[0], numbers[-1], log=log, step=step)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{name} must hold numbers, the lower bound first: {error}") from error


def _options(one: Any) -> list[Any]:
    """The choices, or the ends."""
    return list(getattr(one, "choices", None) or (one.low, one.high))


def _count(one: Any) -> float:
    if hasattr(one, "choices"):
        return len(one.choices)
    return 1 if one.single() else float("inf") if one.step is None else round((one.high - one.low) / one.step) + 1


def _steps(one: Any) -> Iterable[Any]:
    """The internal representations of all values."""
    if hasattr(one, "choices"):
        return range(len(one.choices))
    return [one.low + number * (one.step or 0) for number in range(int(_count(one)))]


def _brief(one: Any, value: Any) -> Any:
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high) if isinstance(value, float) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
