"""Record of an erratum: what a slide prints, what is correct, and cases that measure the difference."""

from collections.abc import Callable
from dataclasses import dataclass

GRADIENT = "relative error of the gradient"
HARMLESS_BELOW = 1e-8
SHAPES_CLASH = "cannot run: shapes clash"
NOT_THERE = "cannot run: a term it needs does not exist"


@dataclass(frozen=True)
class Case:
    """A measurement of a printed formula: the setting, the measure with its unit, and whether it is harmless there."""

    where: str
    measure: Callable[[], float]
    unit: str = GRADIENT
    harmless: bool = False

    def outcome(self) -> float | str:
        """Return the measured number, or the reason why the formula cannot be run.

        Raises RuntimeError for other errors of torch than shapes that clash.
        """
        try:
            return self.measure()
        except (KeyError, RuntimeError) as error:
            return failure(error)


def failure(error: KeyError | RuntimeError) -> str:
    """Say why a printed formula cannot be run: a layer without this W or delta, or shapes that clash.

    Raises RuntimeError for other errors of torch.
    """
    if isinstance(error, KeyError):
        return NOT_THERE
    if not any(word in str(error) for word in ("shape", "size")):
        raise error
    return SHAPES_CLASH


@dataclass(frozen=True)
class Erratum:
    """An error on a slide: the printed formula, the correct one, and the cases that show the difference.

    A `remark` concerns a formula that is right as printed, but could be read as claiming more than it does. One of
    history has no cases.
    """

    id: str
    slide: str
    printed: str
    correct: str
    cases: tuple[Case, ...]
    remark: bool = False
