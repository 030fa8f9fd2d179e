"""Time of one training step of small nets of positions, beside torch's own modules and autograd, in one process.

Digits of 8 x 8 pixels are read by a cnn; texts of 32 tokens, of which each has a target, by the others, 32 units wide.
Ways and figures are those of `steps`; the floor is the step's own products, run again on the same tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

from workbench.bench import rivals, steps
from workbench.bench.environment import environment
from workbench.bench.products import products_alone
from workbench.bench.steps import LR, Timing
from workbench.data.batches import DataPart, one_hot_table
from workbench.engine.threads import one_thread
from workbench.nn.activations import relu, tanh
from workbench.nn.inputs import Inputs
from workbench.nn.layers.layer_norm import layer_norm
from workbench.nn.losses import softmax_nll
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.picture_builders import cnn
from workbench.nn.position_loss import at_positions
from workbench.nn.recurrent_builder import elman, gru, lstm
from workbench.nn.sequence_builders import tcn
from workbench.nn.transformer_builder import transformer

BATCH, CLASSES, WIDTH = 32, 10, 32
DIGITS, TEXT = Inputs((8, 8, 1)), Inputs((32,), CLASSES)
NETS: dict[str, Callable[[], Model]] = {
    "cnn": lambda: cnn([16, 32], 3, 2, [64], DIGITS, CLASSES, relu()),
    "tcn": lambda: tcn(WIDTH, None, 3, TEXT, CLASSES, True, relu()),
    "elman": lambda: elman(WIDTH, 1, TEXT, CLASSES, True, tanh()),
    "gru": lambda: gru(WIDTH, 1, TEXT, CLASSES, True),
    "lstm": lambda: lstm(WIDTH, 1, TEXT, CLASSES, True),
    "transformer": lambda: transformer(WIDTH, 2, 2, 4 * WIDTH, TEXT, CLASSES, True, relu(), layer_norm()),
}
REPLICAS = (1, 16)
ROUNDS, QUICK_ROUNDS = 15, 3
SECONDS = 0.1  # of each way in a round


@dataclass(frozen=True)
class PositionsCase:
    """A net of `NETS` and a number of replicas."""

    net: str
    replicas: int
    batch: int = BATCH

    @property
    def name(self) -> str:
        """``lstm B=32 R=16``."""
        return f"{self.net} B={self.batch} R={self.replicas}"


CASES = tuple(PositionsCase(net, replicas) for net in NETS for replicas in REPLICAS)


def bench(cases: Sequence[PositionsCase] = CASES, rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Timing]:
    """Time every case on one thread of the processor."""
    device = torch.device("cpu")
    with one_thread():
        return [steps.timing(case.name, ways(case), case.replicas, seconds, rounds, device) for case in cases]


def ways(case: PositionsCase) -> dict[str, rivals.Step]:
    """Make the steps that are timed: ours, autograd, and the floor."""
    model, (x, labels) = NETS[case.net](), _examples(case)
    loss = softmax_nll() if case.net == "cnn" else at_positions(softmax_nll())
    table = one_hot_table(CLASSES, torch.float32, x.device)
    part = DataPart(x, table[labels]) if case.net == "cnn" else DataPart(x, labels, table)
    ours = steps.packed_step(Objective(model, loss), part, CLASSES, case.replicas)
    return {"ours": ours, "autograd": rivals.eager(model, x[0], labels[0], LR), "floor": products_alone(ours)}


def _examples(case: PositionsCase) -> tuple[Tensor, Tensor]:
    """Draw inputs [1, B, ...] and their labels."""
    stream = torch.Generator().manual_seed(0)
    if case.net == "cnn":
        x = torch.randn(1, case.batch, DIGITS.size, generator=stream)
        return x, torch.randint(CLASSES, (1, case.batch), generator=stream)
    tokens, labels = torch.randint(CLASSES, (2, 1, case.batch, TEXT.size), generator=stream)
    return tokens, labels


def table(timings: Sequence[Timing]) -> Table:
    """Table for a terminal."""
    where = environment()
    caption = f"medians, processor time; {where['device']}, torch {where['torch']}, one thread; KiB as in bench step"
    shown = Table(title="one training step of nets of positions, ms and KiB per replica", caption=caption)
    for heading in ("net", "ours", "autograd", "floor", "autograd / ours", "ours / floor", "KiB", "KiB of autograd"):
        shown.add_column(heading, justify="left" if heading == "net" else "right")
    for timing in timings:
        times = (f"{time:.3f}" for time in (timing.ours_ms, timing.autograd_ms, timing.floor_ms))
        sizes = (f"{size / 1024:.0f}" for size in (timing.ours_bytes, timing.autograd_bytes))
        shown.add_row(timing.case, *times, f"{timing.speedup:.2f}", f"{timing.over_floor:.2f}", *sizes)
    return shown
