"""What can go wrong in training, as rules, which find it in the logged numbers and say it with them, or are silent.

Thresholds are fixed for all runs: half of a layer; a gradient norm that depth changes a hundredfold; a step that
changes weights by a tenth of their norm or by less than a millionth, where a thousandth is usual.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

from workbench.inspect.logged_run import Course
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
    """What a rule found: where, how bad (larger is worse), and the sentence with its numbers."""

    rule: str
    layer: str
    size: float
    says: str


@dataclass(frozen=True)
class Symptom:
    """`needs` are the metrics it reads (a quantity stands for all its layers), `finds` gives (layer, size, sentence).

    `tries` are overrides that are known to help, in the order to try them.
    """

    name: str
    needs: tuple[str, ...]
    finds: Callable[[Course], Iterator[tuple[str, float, str]]]
    tries: tuple[str, ...]

    def findings(self, course: Course) -> list[Finding]:
        """What it finds in a run; nothing where the run lacks a metric it needs."""
        return [Finding(self.name, *found) for found in self.finds(course)] if self.can_judge(course) else []

    def can_judge(self, course: Course) -> bool:
        """Whether the run logged what the rule reads."""
        return all(course.values(need) if "/" in need else course.layers(need) for need in self.needs)


def _diverged(course: Course) -> Iterator[tuple[str, float, str]]:
    tags = course.run.tags
    if "diverged.step" in tags or course.run.outcome == "diverged":
        layer = tags.get("diverged.layer", "")
        where = f", first in the {tags.get('diverged.quantity', 'numbers')} of {layer}" if layer else ""
        when = f"at step {tags['diverged.step']}" if "diverged.step" in tags else "early"
        norms = course.values("grad_norm/all")
        grew = f"; its last gradient norm was {norms[-1]:.3g}" if norms else ""
        yield layer, 1.0, f"training stopped {when}: a number was not finite{where}{grew}"


def _wrong_gradients(course: Course) -> Iterator[tuple[str, float, str]]:
    what = disagreement_of(course.run.tags)
    if what:
        check = course.run.tags.get(CHECK_TAG, "workbench check, with the overrides of the run")
        yield "", 1.0, f"they DISAGREE with autograd, so that what it learned says nothing: {what}; see {check}"


def _dead(course: Course) -> Iterator[tuple[str, float, str]]:
    for layer in course.layers("dead_rate"):
        name = f"dead_rate/{layer}"
        last = course.values(name)[-1]
        if last >= MOST_DEAD:
            step = course.since(name, MOST_DEAD)
            when = f"since step {step}" if step else "from initialization on"
            yield layer, last, f"{last:.0%} of units pass no gradient on any training example, at least half {when}"


def _saturated(course: Course) -> Iterator[tuple[str, float, str]]:
    for layer in course.layers("saturation") if course.saturates else ():
        name = f"saturation/{layer}"
        last = course.values(name)[-1]
        if last >= MOST_SATURATED:
            step = course.since(name, MOST_SATURATED)
            when = f"since step {step}" if step else "from initialization on"
            yield (
                layer,
                last,
                f"{last:.0%} of units × examples are saturated (|f'| below 5 % of its largest), most {when}",
            )


def _ends(course: Course) -> tuple[str, str, float]:
    """(first layer, last layer, first norm over last norm) of early gradients."""
    layers = course.layers("grad_norm")
    first, last = (course.early(f"grad_norm/{layer}") for layer in (layers[0], layers[-1]))
    return layers[0], layers[-1], first / last if last > 0 else 1.0


def _vanishing(course: Course) -> Iterator[tuple[str, float, str]]:
    first, last, ratio = _ends(course)
    if 0 < ratio < 1 / DEPTH_FACTOR:
        says = f"the gradient of {first} is {1 / ratio:.3g} times smaller than that of {last}, early in training"
        yield first, 1 / ratio, says


def _exploding(course: Course) -> Iterator[tuple[str, float, str]]:
    first, last, ratio = _ends(course)
    if ratio > DEPTH_FACTOR:
        says = f"the gradient of {first} is {ratio:.3g} times larger than that of {last}, early in training"
        yield first, ratio, says


def _unlearned(course: Course) -> Iterator[tuple[str, float, str]]:
    yield from _loss_between(course, LEARNED, RISE)


def _risen(course: Course) -> Iterator[tuple[str, float, str]]:
    yield from _loss_between(course, RISE, inf)


def _loss_between(course: Course, above: float, most: float) -> Iterator[tuple[str, float, str]]:
    """Where the training loss ended between these multiples of what it began with."""
    values = course.values("train/loss")
    if len(values) > 1 and values[-1] > above * values[0] and not values[-1] > most * values[0]:
        says = f"the training loss went from {values[0]:.4g} to {values[-1]:.4g} in {len(values) - 1} epochs"
        yield "", values[-1] / values[0] if values[0] else 1.0, says


def _restless(course: Course) -> Iterator[tuple[str, float, str]]:
    values = course.values("train/loss")
    rises = sum(after > RISE * before for before, after in pairwise(values))
    epochs = len(values) - 1
    if epochs >= 6 and rises > RISES * epochs:
        yield "", rises / epochs, f"the training loss rose by more than 5 % in {rises} of {epochs} epochs"


def _steps(course: Course) -> Iterator[tuple[str, float, str]]:
    for layer in course.layers("update_ratio"):
        ratio = median(course.values(f"update_ratio/{layer}"))
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


def _overfit(course: Course) -> Iterator[tuple[str, float, str]]:
    rows, train = course.run.history["valid/loss"], course.values("train/loss")
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
