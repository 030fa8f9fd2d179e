"""Cost of diagnostics: the digits sweep without diagnostics, with the light ones and with all, in turn in one process.

A pack of R replicas of 64-64-64-10 trains for some epochs on one thread. The cost is the share of the processor time
with diagnostics by which the time without them is shorter: the median over rounds of each round's own, which for a few
replicas are more, as they are short. Beside it stands the share that the run itself measured, and how many scheduled
moments came on one that was taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, median_low
from time import thread_time

from rich.table import Table

from workbench.config.compose import configure
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.engine.threads import one_thread
from workbench.engine.train import Trainer

OPTIONS = ("off", "light", "full")
REPLICAS = (1, 32)
EPOCHS, QUICK_EPOCHS = 30, 6
ROUNDS = 7
MORE_ROUNDS = 6  # times, for a single replica
RUN = ("architecture.hidden=[64,64]", "optimizer.lr=0.05", "device=cpu")


@dataclass(frozen=True)
class DiagnosticsCost:
    """Processor milliseconds per replica; `share` of them spent on diagnostics, `measured` by the run itself."""

    option: str
    replicas: int
    ms: float
    share: float
    measured: float
    stride: int


def bench(rounds: int = ROUNDS, quick: bool = False) -> list[DiagnosticsCost]:
    """Time every option of diagnostics at every number of replicas."""
    with one_thread():
        epochs = QUICK_EPOCHS if quick else EPOCHS
        many = {replicas: rounds * min(MORE_ROUNDS, max(REPLICAS) // replicas) for replicas in REPLICAS}
        return [cost for replicas in REPLICAS for cost in _at(replicas, many[replicas], epochs)]


def _at(replicas: int, rounds: int, epochs: int) -> list[DiagnosticsCost]:
    specs = {
        name: [configure([*RUN, f"diagnostics={name}", f"seed={seed}"]) for seed in range(replicas)] for name in OPTIONS
    }
    timed: list[dict[str, tuple[float, Trainer]]] = []
    for number in range(rounds + 1):  # the first warms up
        order = OPTIONS if number % 2 else OPTIONS[::-1]
        timed.append({name: _train(specs[name], epochs) for name in order})
    costs = []
    for name in OPTIONS:
        seconds = [of_round[name][0] for of_round in timed[1:]]
        share = median(1 - of_round["off"][0] / of_round[name][0] for of_round in timed[1:])
        observers = [of_round[name][1].observer for of_round in timed[1:]]
        measured = median(observer.share for observer in observers)
        stride = median_low(max(1, observer.stride) for observer in observers)
        costs.append(DiagnosticsCost(name, replicas, 1000 * median(seconds) / replicas, share, measured, stride))
    return costs


def _train(specs: Sequence[RunSpec], epochs: int) -> tuple[float, Trainer]:
    trainer = Trainer(build_pack(specs), specs[0].config.train.batch_size, prepare(specs[0]).diagnostics)
    begun = thread_time()
    for _ in trainer.run(epochs):
        pass
    return thread_time() - begun, trainer


def table(costs: Sequence[DiagnosticsCost]) -> Table:
    """Table for a terminal."""
    shown = Table(title="what diagnostics cost", caption="digits 64-64-64-10, one thread; processor time")
    for heading in ("replicas", "diagnostics", "ms per replica", "cost %", "measured by the run %", "stride"):
        shown.add_column(heading, justify="left" if heading == "diagnostics" else "right")
    for cost in costs:
        shares = (f"{100 * cost.share:.1f}", f"{100 * cost.measured:.1f}")
        shown.add_row(str(cost.replicas), cost.option, f"{cost.ms:.1f}", *shares, str(cost.stride))
    return shown
