"""Rules on what can go wrong in training: each finds it in the logged numbers and describes it with them.

Thresholds are fixed for all runs: half of a layer; a gradient norm that depth changes a hundredfold; a step that
changes weights by a tenth of their norm or by less than a millionth, where a thousandth is usual.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

from workbench.inspect.logged_run import RunSeries
from workbench.tracking.base import CHECK_TAG, disagreement_of

MOST_DEAD = 0.5  # of a layer's units
MOST_SATURATED = 0.5  # of units and examples
DEPTH_FACTOR = 100.0  # between the gradient norms of the first and the last layer
LARGEST_STEP = 0.1  # |ΔW| / |W| of one step, at the median
SMALLEST_STEP = 1e-6
LEARNED = 0.9  # of the loss before training that a run must get below
RISES = 1 / 3  # of epochs in which the training loss may rise
RISE = 1.05  # factor that counts as one, from epoch to epoch or from the first to the last
OVERFIT = 1.5  # factor between the last validation loss and the least


@dataclass(frozen=True)
class Finding:
    """A finding of a rule: layer, size (larger is worse), and a sentence with its numbers."""

    rule: str
    layer: str
    size: float
    says: str


@dataclass(frozen=True)
class Symptom:
    """A rule: `needs` are the metrics it reads (a quantity means all layers), `finds` yields (layer, size, sentence).

    `tries` are overrides that are known to help, in the order to try them.
    """

    name: str
    needs: tuple[str, ...]
    finds: Callable[[RunSeries], Iterator[tuple[str, float, str]]]
    tries: tuple[str, ...]

    def findings(self, series: RunSeries) -> list[Finding]:
        """Findings in a run; none where the run lacks a metric that the rule needs."""
        return [Finding(self.name, *finding) for finding in self.finds(series)] if self.can_judge(series) else []

    def can_judge(self, series: RunSeries) -> bool:
        """Whether the run logged what the rule reads."""
        return all(series.values(need) if "/" in need else series.layers(need) for need in self.needs)


def _diverged(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    tags = series.run.tags
    if "diverged.step" in tags or series.run.outcome == "diverged":
        layer = tags.get("diverged.layer", "")
        where = f", first in the {tags.get('diverged.quantity', 'numbers')} of {layer}" if layer else ""
        when = f"at step {tags['diverged.step']}" if "diverged.step" in tags else "early"
        norms = series.values("grad_norm/all")
        grew = f"; its last gradient norm was {norms[-1]:.3g}" if norms else ""
        yield layer, 1.0, f"training stopped {when}: a number was not finite{where}{grew}"


def _wrong_gradients(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    disagreement = disagreement_of(series.run.tags)
    if disagreement:
        check = series.run.tags.get(CHECK_TAG, "workbench check, with the overrides of the run")
        yield "", 1.0, f"they DISAGREE with autograd, so that what it learned says nothing: {disagreement}; see {check}"


def _dead(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    for layer in series.layers("dead_rate"):
        name = f"dead_rate/{layer}"
        last = series.values(name)[-1]
        if last >= MOST_DEAD:
            step = series.since(name, MOST_DEAD)
            when = f"since step {step}" if step else "from initialization on"
            yield layer, last, f"{last:.0%} of units pass no gradient on any training example, at least half {when}"


def _saturated(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    for layer in series.layers("saturation") if series.saturates else ():
        name = f"saturation/{layer}"
        last = series.values(name)[-1]
        if last >= MOST_SATURATED:
            step = series.since(name, MOST_SATURATED)
            when = f"since step {step}" if step else "from initialization on"
            yield (
                layer,
                last,
                f"{last:.0%} of units × examples are saturated (|f'| below 5 % of its largest), most {when}",
            )


def _ends(series: RunSeries) -> tuple[str, str, float]:
    """(first layer, last layer, first norm over last norm) of early gradients."""
    layers = series.layers("grad_norm")
    first, last = (series.early(f"grad_norm/{layer}") for layer in (layers[0], layers[-1]))
    return layers[0], layers[-1], first / last if last > 0 else 1.0


def _vanishing(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    first, last, ratio = _ends(series)
    if 0 < ratio < 1 / DEPTH_FACTOR:
        says = f"the gradient of {first} is {1 / ratio:.3g} times smaller than that of {last}, early in training"
        yield first, 1 / ratio, says


def _exploding(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    first, last, ratio = _ends(series)
    if ratio > DEPTH_FACTOR:
        says = f"the gradient of {first} is {ratio:.3g} times larger than that of {last}, early in training"
        yield first, ratio, says


def _unlearned(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    yield from _loss_between(series, LEARNED, RISE)


def _risen(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    yield from _loss_between(series, RISE, inf)


def _loss_between(series: RunSeries, above: float, most: float) -> Iterator[tuple[str, float, str]]:
    """Yield a finding where the training loss ended between these multiples of its first value."""
    values = series.values("train/loss")
    if len(values) > 1 and values[-1] > above * values[0] and not values[-1] > most * values[0]:
        says = f"the training loss went from {values[0]:.4g} to {values[-1]:.4g} in {len(values) - 1} epochs"
        yield "", values[-1] / values[0] if values[0] else 1.0, says


def _restless(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    values = series.values("train/loss")
    rises = sum(after > RISE * before for before, after in pairwise(values))
    epochs = len(values) - 1
    if epochs >= 6 and rises > RISES * epochs:
        yield "", rises / epochs, f"the training loss rose by more than 5 % in {rises} of {epochs} epochs"


def _steps(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    for layer in series.layers("update_ratio"):
        ratio = median(series.values(f"update_ratio/{layer}"))
        if ratio > LARGEST_STEP:
            yield (
                layer,
                ratio,
                f"a step changes the weights by {ratio:.2g} of their norm (median); usual is 0.001",
            )
        elif 0 < ratio < SMALLEST_STEP:  # 0 where no gradient comes at all, which other rules find
            yield (
                layer,
                1 / max(ratio, 1e-30),
                f"a step changes the weights by {ratio:.2g} of their norm (median); usual is 0.001",
            )


def _overfit(series: RunSeries) -> Iterator[tuple[str, float, str]]:
    rows, train = series.run.history["valid/loss"], series.values("train/loss")
    step, least = min(rows, key=lambda row: row[1])
    if least > 0 and rows[-1][1] > OVERFIT * least and train[-1] < train[0]:
        says = f"the validation loss was least at step {step} ({least:.4g}) and ended at {rows[-1][1]:.4g}"
        yield "", rows[-1][1] / least, f"{says}, while the training loss fell to {train[-1]:.4g}"


LESS = "optimizer.lr=(a third)"
STARTS = "init=glorot or he"
GRADIENTS = Symptom("wrong gradients", (), _wrong_gradients, ())  # before all others: what they find follows from it
RULES: Sequence[Symptom] = (
    Symptom("diverged", (), _diverged, (LESS, "train.clip_norm=1", "schedule=warmup")),
    Symptom("dead units", ("dead_rate",), _dead, ("bias=small_positive", LESS, "activation=leaky_relu")),
    Symptom("saturated units", ("saturation",), _saturated, ("init=glorot", "norm=batch", "activation=relu")),
    Symptom("vanishing gradient", ("grad_norm",), _vanishing, (STARTS, "activation=relu", "norm=batch")),
    Symptom("exploding gradient", ("grad_norm",), _exploding, (STARTS, "train.clip_norm=1", "norm=batch")),
    Symptom("not learning", ("train/loss",), _unlearned, ("optimizer.lr=(three times)", "init=he", "optimizer=adam")),
    Symptom("risen loss", ("train/loss",), _risen, (LESS, "train.clip_norm=1", "schedule=warmup")),
    Symptom("restless loss", ("train/loss",), _restless, (LESS, "schedule=cosine")),
    Symptom("step size", ("update_ratio",), _steps, ("optimizer.lr=(toward 0.001 of the weights)", "schedule=warmup")),
    Symptom(
        "overfitting", ("valid/loss", "train/loss"), _overfit, ("optimizer.weight_decay=1e-4", "train.epochs=(fewer)")
    ),
)
