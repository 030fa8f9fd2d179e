"""What a run of the sweep that `bench sweep` times is made of: composing, building, training, evaluating, and the rest.

The four are timed in this process, by the processor's clock; building is that of a pack, of which drawing splits is
most. What is left of one more run's processor time is tracking. The floor is the time of the matrix products of
training and evaluating alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

import torch
from rich.table import Table

from workbench.bench.steps import LR, Case, floor
from workbench.build import build_pack
from workbench.compose import configure_each
from workbench.config import RunSpec
from workbench.engine.evaluate import evaluate
from workbench.engine.plan import Plan
from workbench.engine.threads import one_thread
from workbench.engine.train import Trainer, step
from workbench.sweeps.jobs import make_jobs
from workbench.sweeps.packs import group

EPOCHS, REPLICAS, ROUNDS = 20, 100, 5
SETTINGS = ["architecture.hidden=[64,64]", f"optimizer.lr={LR}", f"train.epochs={EPOCHS}", "device=cpu"]
CHUNK = 256  # examples of a product in evaluation


@dataclass(frozen=True)
class Parts:
    """Milliseconds of the processor for one run; `floor` is that of the products in `train` and `evaluate`."""

    compose: float
    build: float
    train: float
    evaluate: float
    track: float
    floor: float


def parts(one_more_ms: float, runs: int = REPLICAS, rounds: int = ROUNDS) -> Parts:
    """The parts of a run whose marginal cost, in a sweep, is `one_more_ms`."""
    composing = 1000 * _seconds(lambda: make_jobs(configure_each(SETTINGS, [{"seed": seed} for seed in range(runs)])))
    specs = configure_each(SETTINGS, [{"seed": seed} for seed in range(runs)])
    specs = [specs[position] for position in group(specs)[0]]
    with one_thread():
        building = 1000 * _seconds(lambda: _trainer(specs)) / len(specs)
        trainer = _trainer(specs)
        pack, data, count = trainer.pack, trainer.pack.data, len(specs)
        plan = Plan(0, data.epoch_rows(trainer.orders), pack.learning_rates(0, trainer.steps_per_epoch, 1))

        def train() -> None:
            for one in plan.batches(data, trainer.batch_size):
                step(pack, trainer.params, trainer.grads, trainer.state, one.x, one.y, one.number, one.lr)

        def measure() -> None:
            evaluate(pack.objective, trainer.params, data, data.train, units=True)
            evaluate(pack.objective, trainer.params, data, data.valid)

        training, evaluating = (1000 * median(_seconds(one) for _ in range(rounds)) / count for one in (train, measure))
        products = _floor(count, trainer.batch_size, trainer.steps_per_epoch, data.train.size + data.valid.size, rounds)
    composed, trained, measured = composing / runs, EPOCHS * training, (EPOCHS + 1) * evaluating
    tracking = one_more_ms - composed - building - trained - measured
    return Parts(composed, building, trained, measured, tracking, products)


def _trainer(specs: Sequence[RunSpec]) -> Trainer:
    return Trainer(build_pack(specs), specs[0].config.train.batch_size)


def _floor(replicas: int, batch: int, steps: int, examples: int, rounds: int) -> float:
    """Milliseconds for the products of one run."""
    sizes = (64, 64, 64, 10)
    training = floor(Case("mlp", sizes, batch, replicas), torch.device("cpu"))
    evaluating = floor(Case("mlp", sizes, CHUNK, max(1, 2048 // CHUNK)), torch.device("cpu"), backward=False)
    per_step = median(_seconds(training) for _ in range(10 * rounds)) / replicas
    per_chunk = median(_seconds(evaluating) for _ in range(10 * rounds)) / max(1, 2048 // CHUNK)
    return 1000 * (EPOCHS * steps * per_step + (EPOCHS + 1) * examples / CHUNK * per_chunk)


def _seconds(do: Callable[[], object]) -> float:
    start = process_time()
    do()
    return process_time() - start


def table(found: Parts) -> Table:
    """The figures for a terminal."""
    shown = Table(title="what one more run is made of, ms of the processor", caption="floor: the matrix products alone")
    for heading in ("compose", "build", "train", "evaluate", "track", "floor of train and evaluate"):
        shown.add_column(heading, justify="right")
    values = found.compose, found.build, found.train, found.evaluate, found.track, found.floor
    shown.add_row(*(f"{value:.1f}" for value in values))
    return shown
