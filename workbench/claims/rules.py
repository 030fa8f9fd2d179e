"""Rules that turn evidence into a verdict; a claim's yaml chooses one for each of its parts, before any run.

| kind | of | supported | refuted | between the bounds |
|---|---|---|---|---|
| always | Exact | no counterexample in what was checked | one counterexample | |
| exists | Witness | found | not found by an exhaustive search | |
| above | a sample | interval wholly above `than` | wholly below `absent` | wholly from `absent` to `than` |
| below | a sample | interval wholly below `than` | wholly above `absent` | wholly from `than` to `absent` |
| within | a sample | interval wholly inside `around` ± `margin` | wholly outside | |

An effect between the bounds is small but real: no number of seeds decides. Where nothing holds the verdict is
inconclusive. For a sample the interval and the one-sided test must agree, both at half of 1 - `confidence`, for
`within` on either side. `absent` is half of `than` if it is not given: an effect below half of the smallest that counts
is absent. Where one cell of several decides alone, it does so at the level divided by their number. The test of n
values has no p value below 2⁻ⁿ: a claim with too few for any verdict is refused.

Of one number per seed the interquartile mean is judged, by the t interval of trimmed means and Wilcoxon's signed ranks.
Where seeds share one data set or learning rates, the widest interval is judged, that for other data and other tuning
(`resampled`); where that leaves the effect open whatever the number of seeds, the reason says so.
A mean cannot be: ten seeds of which none collapsed say nothing of what one run in ten does to it, and in a third of all
studies none has. Where that matters, success rates are compared. A rule about trained nets names `floor`, how far above
chance the better arm's accuracy must be; where it is not, the cell is labeled `never trains`.

Simulated with the effect exactly at the bound, a rule errs in at most 2.5 % of studies, from ten seeds on, whether
differences are normal, skewed as exp(normal), heavy-tailed, or one run in ten has collapsed; 93 to 96 % of intervals
hold the truth. Power, for normal differences of seeds that share neither data nor tuning:

| effect, in spreads beyond the bound | 2 | 1 | 0.67 | 0.5 |
|---|---|---|---|---|
| found with 10 seeds | 99 % | 62 % | 31 % | |
| found with 20 seeds | | 95 % | 67 % | 42 % |
"""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf, isnan
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field

from workbench.claims.evidence import (
    ArmScores,
    Evidence,
    Exact,
    PerSeed,
    Rates,
    Sample,
    Witness,
    enough,
    least_p,
)
from workbench.claims.exact_rules import Always, Exists, Rule, wrong_form
from workbench.claims.judgments import ArmAccuracy, FrozenModel, Judgment, Label
from workbench.core.stats import Interval, middle_interval, minimum_detectable

__all__ = [
    "Above",
    "Always",
    "AnyRule",
    "Below",
    "Exists",
    "FrozenModel",
    "Judgment",
    "Label",
    "OfASample",
    "Rule",
    "Within",
]

HOPELESS = (
    "no number of seeds on these data decides: it is {:.2g} from the nearest bound, and other data like these differ "
    "by up to {:.2g}"
)


class OfASample(Rule):
    """Base of the rules that judge a sample at a level."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    floor: float | None = Field(None, gt=0, lt=1)

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if isinstance(evidence, Exact | Witness):
            raise wrong_form(type(self).__name__.lower(), "a sample", evidence)
        alpha = 1 - self.confidence
        shown = evidence.interval(1 - alpha)
        label, p, level = self._label(evidence, shown, alpha)
        if label is alone and cells > 1:
            alpha /= cells
            shown = evidence.interval(1 - alpha)
            label, p, level = self._label(evidence, shown, alpha)
        if label is Label.inconclusive and self.gap[0] <= shown.low and shown.high <= self.gap[1]:
            inside = max(evidence.p_above(self.gap[0]), evidence.p_below(self.gap[1]))
            label, p = (Label.between, inside) if inside <= level else (label, p)
        arms = self._arms(evidence)
        numbers = Judgment(label=label, found=f"{shown.mean:.4g}", effect=shown.mean, n=shown.n, arms=arms)
        if untrained := self._untrained(arms):
            return numbers.model_copy(update={"label": Label.never_trains, "reason": untrained})
        if isnan(shown.low):
            return numbers.model_copy(update={"label": Label.inconclusive, "reason": self.too_few(shown.n)})
        label, reason = self._reservation(evidence, shown, label, alpha, cells, alone)
        found = f"{shown.mean:.4g} [{shown.low:.4g}, {shown.high:.4g}]"
        decided = {"label": label, "found": found, "reason": reason, "p": p, "level": level}
        decided |= _of_seeds(evidence, 1 - alpha)
        return numbers.model_copy(update={**decided, "low": shown.low, "high": shown.high})

    def _arms(self, sample: Sample) -> list[ArmAccuracy]:
        """Accuracies of the compared arms; raises TypeError where the rule has a floor and they did not say."""
        found = sample.arms if isinstance(sample, PerSeed) else ()
        if self.floor is not None and not found:
            raise TypeError(
                f"rule {type(self).__name__.lower()}: a floor needs evidence with the accuracies of its arms, got none"
            )
        return [_reached(one, self.floor or 0.0) for one in found]

    def _untrained(self, arms: Sequence[ArmAccuracy]) -> str:
        """Why a comparison says nothing, where not even the better arm reaches the floor; else empty."""
        if self.floor is None or any(one.accuracy >= one.chance + self.floor for one in arms):
            return ""
        shown = ", ".join(f"{one.arm} {one.accuracy:.1%}" for one in arms)
        return f"no arm is {self.floor:.0%} above chance, {arms[0].chance:.1%}: {shown}"

    def too_few(self, n: int, cells: int = 1) -> str:
        """Why n values, one per seed, can only leave it open, in words that name how many it takes; else empty.

        With several `cells`, why one of them cannot decide alone.
        """
        level = (1 - self.confidence) / 2 / cells
        if n > 1 and least_p(n) <= level:
            return ""
        needed = enough(level)
        takes = f"it takes at least {needed}" if needed else "no number of values does, so lower the confidence"
        least = least_p(n)
        return f"the tests of {n} values have no p value below {least:.3g}, the level is {level:.3g}: {takes}"

    def _reservation(
        self, sample: Sample, interval: Interval, label: Label, alpha: float, cells: int, alone: Label
    ) -> tuple[Label, str]:
        """The label that is left where learning rates were not found, and what would have been found."""
        if isinstance(sample, PerSeed | Rates) and sample.at_edge:
            return Label.inconclusive, f"best learning rate on the grid's edge: {', '.join(sample.at_edge)}"
        if isinstance(sample, PerSeed) and sample.cut_off:
            return Label.inconclusive, sample.cut_off
        if label is Label.between:
            return label, "small but real: no number of seeds decides"
        if label is not Label.inconclusive or not isinstance(sample, PerSeed):
            return label, ""
        if few := self.too_few(len(sample.values)):
            return label, few
        away = min(abs(interval.mean - bound) for bound in self.bounds)
        if (lasting := sample.lasting * NormalDist().inv_cdf(1 - alpha / 2)) >= away > 0:
            return label, HOPELESS.format(away, lasting)
        if self.gap[0] <= interval.mean <= self.gap[1]:
            return label, "it lies between the bounds so far, where it would be small but real, and nothing else"
        least = minimum_detectable(*sample.spread(), 1 - alpha)
        reason = f"at this spread and number of seeds a t test finds {least:.2g} beyond a bound with 80 % power"
        few = self.too_few(len(sample.values), cells)
        return label, f"{reason}; one of {cells} cells cannot make it {alone}: {few}" if few else reason

    @abstractmethod
    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        """The label, the p value that stands behind it, and the level of that test."""

    @property
    @abstractmethod
    def gap(self) -> tuple[float, float]:
        """Bounds of the effects that are neither absent nor enough; first above second if there are none."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The numbers that an interval is compared with."""
        return self.gap

    @property
    def _also(self) -> str:
        """Describe the rule's conditions beside its bounds."""
        floor = "" if self.floor is None else f"; never trains if no arm is {self.floor:.0%} above chance"
        widest = "by the widest of the intervals for other seeds, other data like these and other tuning"
        return f"; of one number per seed the interquartile mean is judged, {widest}{floor}"


class Above(OfASample):
    """The effect is larger than the smallest that counts."""

    kind: Literal["above"] = "above"
    than: float
    absent: float | None = None

    def _label(self, sample: Sample, interval: Interval, alpha: float) -> tuple[Label, float, float]:
        absent, _ = self.gap
        p, against = sample.p_above(self.than), sample.p_below(absent)
        if interval.low > self.than and p <= alpha / 2:
            return Label.supported, p, alpha / 2
        if interval.high < absent and against <= alpha / 2:
            return Label.refuted, against, alpha / 2
        return Label.inconclusive, p, alpha / 2

    @property
    def gap(self) -> tuple[float, float]:
        return self.than / 2 if self.absent is None else self.absent, self.than

    @property
    def says(self) -> str:
        absent, _ = self.gap
        return (
            f"supported if the {self.confidence:.0%} interval lies above {self.than:g}, refuted if it lies below "
            f"{absent:g}, the one-sided test agreeing{self._also}"
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
    def gap(self) -> tuple[float, float]:
        return self.than, self.absent

    @property
    def says(self) -> str:
        return (
            f"supported if the {self.confidence:.0%} interval lies below {self.than:g}, refuted if it lies above "
            f"{self.absent:g}, the one-sided test agreeing{self._also}"
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
    def gap(self) -> tuple[float, float]:
        return inf, -inf

    @property
    def bounds(self) -> tuple[float, float]:
        return self.around - self.margin, self.around + self.margin

    @property
    def says(self) -> str:
        return (
            f"supported if the {self.confidence:.0%} interval lies within {self.around:g} ± {self.margin:g}, "
            f"refuted if it lies outside, the one-sided tests agreeing{self._also}"
        )


AnyRule = Annotated[Always | Exists | Above | Below | Within, Field(discriminator="kind")]


def _of_seeds(sample: Sample, confidence: float) -> dict[str, object]:
    """Say what population the interval is for, and give the interval for other seeds beside it."""
    if not isinstance(sample, PerSeed):
        return {"population": getattr(sample, "population", "")}
    seeds = sample.of_seeds(confidence)
    said = {"population": sample.population, "ratio": sample.ratio or 0.0}
    return {**said, "seeds_low": seeds.low, "seeds_high": seeds.high}


def _reached(scores: ArmScores, floor: float) -> ArmAccuracy:
    """The middle of an arm's accuracies, and how many of its runs did not come above chance by the floor."""
    failed = sum(value < scores.chance + floor or value <= scores.chance for value in scores.values)
    accuracy, n = middle_interval(scores.values).mean, len(scores.values)
    return ArmAccuracy(arm=scores.arm, accuracy=accuracy, chance=scores.chance, failed=failed, n=n)
