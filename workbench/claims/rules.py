"""Rules that turn evidence into a verdict; a claim's yaml chooses one for each of its parts, before any run.

| kind | of | supported | refuted |
|---|---|---|---|
| always | Exact | no counterexample in what was checked | one counterexample |
| exists | Witness | found | not found by an exhaustive search |
| above | a sample | interval wholly above `than` | interval wholly below `absent` |
| below | a sample | interval wholly below `than` | interval wholly above `absent` |
| within | a sample | interval wholly inside `around` ± `margin` | interval wholly outside |

Where neither holds the verdict is inconclusive. For a sample the interval and the one-sided test must agree, both at
half of 1 - `confidence`, for `within` on either side. `absent` is half of `than` if it is not given: an effect below
half of the smallest that counts is absent. Where one cell of several decides alone, it does so at the level divided by
their number. The sign-flip test of n values has no p value below 2⁻ⁿ: a claim with too few for any verdict is refused.

Simulated with the effect exactly at the bound, a rule errs in 2.5 % of studies of ten seeds for normal and heavy-tailed
differences, in up to 4.9 % for exponential ones, but in 8 % where they are as skewed as exp(normal): measure such a
thing by its logarithm. What happens at one seed in ten does not show in ten seeds. Power, for normal differences:

| effect, in spreads beyond the bound | 2 | 1 | 0.67 | 0.5 |
|---|---|---|---|---|
| found with 10 seeds | 98 % | 72 % | 39 % | |
| found with 20 seeds | | 98 % | 79 % | 53 % |
"""

from abc import abstractmethod
from enum import StrEnum
from math import isnan
from statistics import stdev
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.claims.evidence import Evidence, Exact, PerSeed, Sample, Witness, enough, least_p
from workbench.core.stats import Interval, minimum_detectable


class Label(StrEnum):
    """What a verdict says."""

    supported = "supported"
    refuted = "refuted"
    inconclusive = "inconclusive"
    out_of_scope = "out of scope"


class FrozenModel(BaseModel):
    """A value read from yaml or JSON: unknown keys are errors, nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Judgment(FrozenModel):
    """A label with its numbers; None where there is no such number.

    `p` is that of the test behind the label, and `level` what it had to stay below.
    """

    label: Label
    found: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    p: float | None = None
    level: float | None = None
    reason: str = ""


class Rule(FrozenModel):
    """What all rules have in common."""

    @abstractmethod
    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        """The verdict of one of several cells, of which any one decides where its label is `alone`.

        Such a label is given at the level divided by the number of cells, as chance has as many tries (Bonferroni).
        Raises TypeError for evidence of another form than the rule's.
        """

    @property
    @abstractmethod
    def says(self) -> str:
        """The rule in words."""


class Always(Rule):
    """One counterexample refutes."""

    kind: Literal["always"] = "always"

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if not isinstance(evidence, Exact):
            raise _wrong_form(self.kind, "Exact", evidence)
        failed, checked = evidence.counterexamples, evidence.checked
        found = (
            f"{failed:,} of {checked:,} fail" if failed or checked > 1 else "holds" if checked else "nothing checked"
        )
        label = Label.refuted if failed else Label.supported if checked else Label.inconclusive
        reason = evidence.example if failed else evidence.certificate
        return Judgment(label=label, found=found, effect=float(failed), n=checked, reason=reason)

    @property
    def says(self) -> str:
        return "supported if nothing that is checked contradicts it; one counterexample refutes"


class Exists(Rule):
    """One witness supports."""

    kind: Literal["exists"] = "exists"

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if not isinstance(evidence, Witness):
            raise _wrong_form(self.kind, "Witness", evidence)
        absent = Label.refuted if evidence.exhaustive else Label.inconclusive
        label = Label.supported if evidence.found else absent
        found = "found" if evidence.found else "not found"
        return Judgment(label=label, found=found, effect=evidence.value, reason=evidence.what)

    @property
    def says(self) -> str:
        return "supported by one example; refuted only where a search of everything finds none"


class OfASample(Rule):
    """What is judged by a sample, at a level."""

    confidence: float = Field(0.95, gt=0.5, lt=1)

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if isinstance(evidence, Exact | Witness):
            raise _wrong_form(type(self).__name__.lower(), "a sample", evidence)
        alpha = 1 - self.confidence
        shown = evidence.interval(1 - alpha)
        label, p, level = self._label(evidence, shown, alpha)
        if label is alone and cells > 1:
            alpha /= cells
            shown = evidence.interval(1 - alpha)
            label, p, level = self._label(evidence, shown, alpha)
        if isnan(shown.low):
            reason = self.too_few(shown.n)
            return Judgment(
                label=Label.inconclusive, found=f"{shown.mean:.4g}", effect=shown.mean, n=shown.n, reason=reason
            )
        label, reason = self._reservation(evidence, label, alpha, cells, alone)
        found = f"{shown.mean:.4g} [{shown.low:.4g}, {shown.high:.4g}]"
        return Judgment(
            label=label,
            found=found,
            effect=shown.mean,
            low=shown.low,
            high=shown.high,
            n=shown.n,
            p=p,
            level=level,
            reason=reason,
        )

    def too_few(self, n: int, cells: int = 1) -> str:
        """Why n values, one per seed, can only leave it open, in words that name how many it takes; else empty.

        With several `cells`, why one of them cannot decide alone.
        """
        level = (1 - self.confidence) / 2 / cells
        if n > 1 and least_p(n) <= level:
            return ""
        needed = enough(level)
        takes = f"it takes at least {needed}" if needed else "no number of values does, so lower the confidence"
        return f"the tests of {n} values have no p value below {least_p(n):.3g}, the level is {level:.3g}: {takes}"

    def _reservation(self, sample: Sample, label: Label, alpha: float, cells: int, alone: Label) -> tuple[Label, str]:
        """The label that is left where learning rates were not found, and what would have been found."""
        if not isinstance(sample, PerSeed):
            return label, ""
        if sample.at_edge:
            return Label.inconclusive, f"best learning rate on the grid's edge: {', '.join(sample.at_edge)}"
        if label is not Label.inconclusive:
            return label, ""
        if few := self.too_few(len(sample.values)):
            return label, few
        least = minimum_detectable(stdev(sample.values), len(sample.values), 1 - alpha)
        reason = f"at this spread and number of seeds a t test finds {least:.2g} beyond a bound with 80 % power"
        few = self.too_few(len(sample.values), cells)
        return label, f"{reason}; one of {cells} cells cannot make it {alone}: {few}" if few else reason

    @abstractmethod
    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        """The label, the p value that stands behind it, and the level of that test."""


class Above(OfASample):
    """The effect is larger than the smallest that counts."""

    kind: Literal["above"] = "above"
    than: float
    absent: float | None = None

    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        absent = self.than / 2 if self.absent is None else self.absent
        p, against = sample.p_above(self.than), sample.p_below(absent)
        if interval.low > self.than and p <= alpha / 2:
            return Label.supported, p, alpha / 2
        if interval.high < absent and against <= alpha / 2:
            return Label.refuted, against, alpha / 2
        return Label.inconclusive, p, alpha / 2

    @property
    def says(self) -> str:
        absent = self.than / 2 if self.absent is None else self.absent
        return (
            f"supported if the {self.confidence:.0%} interval lies above {self.than:g}, refuted if it lies below "
            f"{absent:g}, the one-sided test agreeing"
        )


class Below(OfASample):
    """The effect is smaller than a bound."""

    kind: Literal["below"] = "below"
    than: float
    absent: float

    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        p, against = sample.p_below(self.than), sample.p_above(self.absent)
        if interval.high < self.than and p <= alpha / 2:
            return Label.supported, p, alpha / 2
        if interval.low > self.absent and against <= alpha / 2:
            return Label.refuted, against, alpha / 2
        return Label.inconclusive, p, alpha / 2

    @property
    def says(self) -> str:
        return (
            f"supported if the {self.confidence:.0%} interval lies below {self.than:g}, refuted if it lies above "
            f"{self.absent:g}, the one-sided test agreeing"
        )


class Within(OfASample):
    """The effect is as good as `around`: equivalence by two one-sided tests."""

    kind: Literal["within"] = "within"
    margin: float = Field(gt=0)
    around: float = 0.0

    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        low, high = self.around - self.margin, self.around + self.margin
        p = max(sample.p_above(low), sample.p_below(high))
        if low < interval.low and interval.high < high and p <= alpha / 2:
            return Label.supported, p, alpha / 2
        against = min(sample.p_below(low), sample.p_above(high))
        if (interval.high < low or interval.low > high) and against <= alpha / 2:
            return Label.refuted, against, alpha / 2
        return Label.inconclusive, p, alpha / 2

    @property
    def says(self) -> str:
        return (
            f"supported if the {self.confidence:.0%} interval lies within {self.around:g} ± {self.margin:g}, "
            "refuted if it lies outside, the one-sided tests agreeing"
        )


AnyRule = Annotated[Always | Exists | Above | Below | Within, Field(discriminator="kind")]


def _wrong_form(rule: str, needed: str, evidence: Evidence) -> TypeError:
    return TypeError(f"rule {rule}: needs {needed} as evidence, got {type(evidence).__name__}")
