"""Spot checks: compare the gradients of every trained pack with autograd, and report what disagrees."""

import logging
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from workbench.config.schema import RunSpec
from workbench.core.memory import CHECK_NUMBERS, CHECKED_IN_FLOAT32
from workbench.data.batches import DataPart, in_dtype, one_hot_table
from workbench.engine.replicas import Pack
from workbench.engine.stages import AnyTrainer, stage_loss, token_targets
from workbench.nn.check.spot_check import Deviation, Point, deviations
from workbench.nn.layers.base import Mode
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.nn.pretraining_stages import stages
from workbench.tracking.base import CERTIFICATE_TAGS, CHECK_TAG, DISAGREES

EXAMPLES, FEWEST = 16, 4
NUMBERS = 50_000  # that a pass may hold of the examples of one replica, where these have positions
SHARE = 0.01  # of training time that more than the first look may take
MOST_DEVIATIONS = 8  # deviations shown
LONGEST_ERROR = 500  # characters of an error
NOT_CHECKED = "not checked"
SEEDS = ("seed=", "split.seed=")
NOT_CHECKED_BY = ("certificate", "tracking", "sweep", "hydra")  # keys that `check` ignores


@dataclass(frozen=True)
class Verdict:
    """Result of a pack's spot check: ``agrees``, `DISAGREES` or ``not checked``, with the deviations or the reason."""

    says: str
    found: tuple[str, ...] = ()
    worst: float = 0.0
    share: float = 0.0

    @property
    def disagreement(self) -> str:
        """The deviations as one text; empty where there are none."""
        return "; ".join(self.found) if self.says == DISAGREES else ""

    @property
    def tags(self) -> dict[str, str]:
        """Tags that are stored with the runs."""
        verdict, where = CERTIFICATE_TAGS
        tags = {verdict: self.says, "certificate.share_of_time": f"{self.share:.2%}"}
        if self.says != NOT_CHECKED:
            tags["certificate.autograd_error"] = f"{self.worst:.1e}"
        return {**tags, where: "; ".join(self.found)} if self.found else tags


@dataclass
class SpotChecks:
    """Checks every trained pack against autograd: some replicas, and more while within `SHARE` of training time."""

    credit: float = 0.0

    def verdict(self, pack: Pack, params: Params, seconds: float) -> Verdict:
        """Check a pack that trained for `seconds` to these parameters, which have one row per replica."""
        self.credit += SHARE * seconds
        start = time.perf_counter()
        try:
            deviating, worst = self._look(pack, params)
        except Exception as error:  # such as autograd failing on a function of the user's: the runs are trained anyway
            logging.getLogger(__name__).warning("gradients could not be checked: %s: %s", type(error).__name__, error)
            return Verdict(NOT_CHECKED, (f"{type(error).__name__}: {error}"[:LONGEST_ERROR],))
        spent = time.perf_counter() - start
        self.credit = max(0.0, self.credit - spent)
        distinct = tuple(dict.fromkeys(deviating))
        if len(distinct) > MOST_DEVIATIONS:
            distinct = (*distinct[:MOST_DEVIATIONS], f"{len(distinct) - MOST_DEVIATIONS} more")
        return Verdict(DISAGREES if distinct else "agrees", distinct, worst, spent / max(seconds, spent))

    def _look(self, pack: Pack, params: Params) -> tuple[list[str], float]:
        """Find deviations and the largest error: of the first replicas always, of others while there is time."""
        late, descriptions, worst = time.perf_counter() + self.credit, list[str](), 0.0
        size = max(
            1, CHECK_NUMBERS // max(params.layout.size, examples(pack.objective) * (pack.objective.numbers or 0))
        )
        for first in range(0, len(pack), size):
            rows = range(first, min(first + size, len(pack)))
            for point in spot_points(pack, params, rows):
                deviating, error = deviations(point)
                descriptions += map(describe, deviating)
                worst = max(worst, error)
            if descriptions or time.perf_counter() > late:
                break
        return descriptions, worst


@dataclass
class PackCheck:
    """The spot check of one pack: made when the first replica leaves, and again at the end."""

    trainer: AnyTrainer
    checks: SpotChecks | None
    pack: Pack
    spec: RunSpec
    start: float = field(default_factory=time.perf_counter)
    last: Verdict | None = None

    def tags(self, anew: bool = False) -> dict[str, str]:
        """Tags for runs that end now, from the last check; with `anew`, or where there is none, from a new one."""
        if self.checks is None:
            return {}
        if anew or self.last is None:
            trainer = self.trainer
            rows = trainer.final | dict(zip(trainer.replicas, trainer.params.flat, strict=True))
            params = trainer.params.with_flat(torch.stack([rows[replica] for replica in range(len(self.pack))]))
            self.last = self.checks.verdict(self.pack, params, time.perf_counter() - self.start)
        return {**self.last.tags, **({CHECK_TAG: check_line(self.spec)} if self.last.disagreement else {})}


def describe(deviation: Deviation) -> str:
    """A deviation in words."""
    return f"{deviation.what} (error {deviation.error:.1e})".replace(";", ",")


def check_line(spec: RunSpec) -> str:
    """The command that shows a run's gradients parameter by parameter."""
    words = [word for word in spec.words if word.lstrip("+~").partition("=")[0].partition(".")[0] not in NOT_CHECKED_BY]
    last = {word.partition("=")[0]: word for word in words}  # of one key given twice, as Hydra takes it
    return shlex.join(["workbench", "check", *last.values()])


def disagreements(results: Iterable[tuple[RunSpec, str, str]]) -> list[str]:
    """Report lines for runs, each given as (configuration, name, disagreement); none where all agree."""
    alike: dict[str, list[tuple[RunSpec, str, str]]] = {}
    for spec, name, disagreement in results:
        if disagreement:
            no_seed = replace(
                spec, overrides=tuple(override for override in spec.overrides if not override.startswith(SEEDS))
            )
            alike.setdefault(check_line(no_seed), []).append((spec, name, disagreement))
    lines = []
    for (spec, name, disagreement), *alike_runs in alike.values():
        more = f" and {len(alike_runs)} more of other seeds" if alike_runs else ""
        lines.append(f"GRADIENTS DISAGREE with autograd: {name}{more} did not follow the gradient of the loss")
        lines += [f"  {part}" for part in (*disagreement.split("; "), f"see {check_line(spec)}")]
    if lines:
        lines.append("mend what is wrong, then give the same command; certificate=off accepts such runs as they are")
    return lines


def examples(objective: Objective) -> int:
    """Number of examples on which gradients are checked: fewer where each of them has many positions."""
    numbers = objective.numbers
    return EXAMPLES if numbers is None else max(FEWEST, min(EXAMPLES, NUMBERS // numbers))


def spot_points(pack: Pack, params: Params, rows: Sequence[int]) -> Iterator[Point]:
    """Yield points at which these replicas are checked: of the whole net, and of each pretraining stage."""
    index = torch.tensor(rows, device=params.flat.device)
    dtype = torch.float64 if params.layout.size < CHECKED_IN_FLOAT32 else torch.float32
    selected = params.with_flat(params.flat[index].to("cpu", dtype))
    selection = replace(pack.select(rows), dtype=dtype, device=torch.device("cpu"))
    first = selection.data.chunk(selection.data.train, 0, examples(pack.objective))
    x, y = (in_dtype(tensor.cpu(), dtype) for tensor in first)
    mode = Mode(True, pack.keys.cpu()[list(rows)])
    decay = selection.objective.weight_decay
    objective = replace(selection.objective, weight_decay=None if decay is None else decay.to("cpu", dtype))
    yield Point(objective, selected, x, y, mode)
    for stage in stages(objective.model, pack.pretraining):
        code, _ = stage.below.forward(selected, x)
        initial = [
            stage.model.init(seed, scheme) for seed, scheme in zip(selection.seeds, selection.schemes, strict=True)
        ]
        buffers = [stage.model.buffers(scheme) for scheme in selection.schemes]
        learned = Params.stack(initial, dtype, selected.flat.device, buffers)
        for name in learned.keys() & selected.keys():
            learned[name].copy_(selected[name])
        loss, target = (objective.loss, y) if stage.supervised else (stage_loss(stage), code)
        if stage.is_language:
            one_hot = one_hot_table(stage.vocabulary, dtype, selected.flat.device)
            target = DataPart(code, code, one_hot).encoded(token_targets(stage, code))
        learner = Objective(stage.model, loss, objective.weight_decay, masking=stage.masking)
        yield Point(learner, learned, code, target, mode)
