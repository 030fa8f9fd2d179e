"""Spot checks: every trained pack is held against autograd; what disagrees is said with the command that shows it."""

import logging
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from workbench.config.schema import RunSpec
from workbench.core.memory import CHECK_NUMBERS, CHECKED_IN_FLOAT32
from workbench.engine.replicas import Pack
from workbench.engine.stages import AnyTrainer
from workbench.nn.check.spot_check import Deviation, Point, deviations
from workbench.nn.layers.base import Mode
from workbench.nn.losses import squared_error
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.nn.pretraining_stages import stages
from workbench.tracking.base import CERTIFICATE_TAGS, CHECK_TAG, DISAGREES

EXAMPLES = 16
SHARE = 0.01  # of training time that more than the first look may take
MOST_SAID = 8  # of what deviates
SAID = 500  # characters of an error
NOT_CHECKED = "not checked"
SEEDS = ("seed=", "split.seed=")
NOT_CHECKED_BY = ("certificate", "tracking", "sweep", "hydra")  # keys that `check` does not ask for


@dataclass(frozen=True)
class Verdict:
    """What a spot check says of a pack: ``agrees``, `DISAGREES` or ``not checked``, with what deviates or why not."""

    says: str
    found: tuple[str, ...] = ()
    worst: float = 0.0
    share: float = 0.0

    @property
    def disagreement(self) -> str:
        """What deviates, in words; empty where nothing does."""
        return "; ".join(self.found) if self.says == DISAGREES else ""

    @property
    def tags(self) -> dict[str, str]:
        """What is kept with the runs."""
        verdict, where = CERTIFICATE_TAGS
        tags = {verdict: self.says, "certificate.share_of_time": f"{self.share:.2%}"}
        if self.says != NOT_CHECKED:
            tags["certificate.autograd_error"] = f"{self.worst:.1e}"
        return {**tags, where: "; ".join(self.found)} if self.found else tags


@dataclass
class SpotChecks:
    """Checks every trained pack against autograd: some replicas, and more while `SHARE` of all training time allows."""

    credit: float = 0.0

    def verdict(self, pack: Pack, params: Params, seconds: float) -> Verdict:
        """What is found in a pack that trained for `seconds` to these parameters, one row for each of its replicas."""
        self.credit += SHARE * seconds
        start = time.perf_counter()
        try:
            found, worst = self._look(pack, params)
        except Exception as error:  # such as a function of the user's that autograd cannot follow: the runs are trained
            logging.getLogger(__name__).warning("gradients could not be checked: %s: %s", type(error).__name__, error)
            return Verdict(NOT_CHECKED, (f"{type(error).__name__}: {error}"[:SAID],))
        spent = time.perf_counter() - start
        self.credit = max(0.0, self.credit - spent)
        said = tuple(dict.fromkeys(found))
        if len(said) > MOST_SAID:
            said = (*said[:MOST_SAID], f"{len(said) - MOST_SAID} more")
        return Verdict(DISAGREES if said else "agrees", said, worst, spent / max(seconds, spent))

    def _look(self, pack: Pack, params: Params) -> tuple[list[str], float]:
        """What deviates, and the largest error: the first replicas always, the others while there is time."""
        late, found, worst = time.perf_counter() + self.credit, list[str](), 0.0
        size = max(1, CHECK_NUMBERS // params.layout.size)
        for first in range(0, len(pack), size):
            rows = range(first, min(first + size, len(pack)))
            for point in spot_points(pack, params, rows):
                deviating, error = deviations(point)
                found += map(said, deviating)
                worst = max(worst, error)
            if found or time.perf_counter() > late:
                break
        return found, worst


@dataclass
class Looking:
    """The spot check of a pack as it was given: when the first replica leaves, and at the end."""

    trainer: AnyTrainer
    checks: SpotChecks | None
    pack: Pack
    spec: RunSpec
    start: float = field(default_factory=time.perf_counter)
    last: Verdict | None = None

    def tags(self, anew: bool = False) -> dict[str, str]:
        """What is kept with runs that end now: what the last look found, or a new one."""
        if self.checks is None:
            return {}
        if anew or self.last is None:
            trainer = self.trainer
            rows = trainer.final | dict(zip(trainer.replicas, trainer.params.flat, strict=True))
            params = trainer.params.with_flat(torch.stack([rows[replica] for replica in range(len(self.pack))]))
            self.last = self.checks.verdict(self.pack, params, time.perf_counter() - self.start)
        return {**self.last.tags, **({CHECK_TAG: check_line(self.spec)} if self.last.disagreement else {})}


def said(one: Deviation) -> str:
    """A deviation in words."""
    return f"{one.what} (error {one.error:.1e})".replace(";", ",")


def check_line(spec: RunSpec) -> str:
    """The command that shows a run's gradients parameter by parameter."""
    kept = [word for word in spec.words if word.lstrip("+~").partition("=")[0].partition(".")[0] not in NOT_CHECKED_BY]
    return shlex.join(["workbench", "check", *kept])


def disagreements(results: Iterable[tuple[RunSpec, str, str]]) -> list[str]:
    """What is said of runs, each as (configuration, name, what disagrees): nothing where all agree."""
    alike: dict[str, list[tuple[RunSpec, str, str]]] = {}
    for spec, name, what in results:
        if what:
            no_seed = replace(spec, overrides=tuple(one for one in spec.overrides if not one.startswith(SEEDS)))
            alike.setdefault(check_line(no_seed), []).append((spec, name, what))
    lines = []
    for (spec, name, what), *others in alike.values():
        more = f" and {len(others)} more of other seeds" if others else ""
        lines.append(f"GRADIENTS DISAGREE with autograd: {name}{more} did not follow the gradient of the loss")
        lines += [f"  {part}" for part in (*what.split("; "), f"see {check_line(spec)}")]
    if lines:
        lines.append("mend what is wrong, then give the same command; certificate=off accepts such runs as they are")
    return lines


def spot_points(pack: Pack, params: Params, rows: Sequence[int]) -> Iterator[Point]:
    """Where the gradients of these replicas are looked at: of the whole net, and of the stages of its pretraining."""
    index = torch.tensor(rows, device=params.flat.device)
    dtype = torch.float64 if params.layout.size < CHECKED_IN_FLOAT32 else torch.float32
    own = params.with_flat(params.flat[index].to("cpu", dtype))
    one = replace(pack.select(rows), dtype=dtype, device=torch.device("cpu"))
    x, y = (tensor.to("cpu", dtype) for tensor in one.data.chunk(one.data.train, 0, EXAMPLES))
    mode = Mode(True, pack.keys.cpu()[list(rows)])
    decay = one.objective.weight_decay
    objective = replace(one.objective, weight_decay=None if decay is None else decay.to("cpu", dtype))
    yield Point(objective, own, x, y, mode)
    for stage in stages(objective.model, pack.pretraining):
        code, _ = stage.below.forward(own, x)
        initial = [stage.model.init(seed, scheme) for seed, scheme in zip(one.seeds, one.schemes, strict=True)]
        buffers = [stage.model.buffers(scheme) for scheme in one.schemes]
        learned = Params.stack(initial, dtype, own.flat.device, buffers)
        for name in learned.keys() & own.keys():
            learned[name].copy_(own[name])
        loss, target = (objective.loss, y) if stage.supervised else (squared_error(), code)
        yield Point(Objective(stage.model, loss, objective.weight_decay), learned, code, target, mode)
