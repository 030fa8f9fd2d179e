"""Time of one training step, beside torch's autograd and beside the bare matrix products, in one process.

Each case times three ways of doing the same work on the same shapes, in turn, round after round:

    ours      forward, hand-written backward and SGD of a pack of R replicas, divided by R
    autograd  the same net of `torch.nn` modules, one replica, with `torch.optim.SGD`
    floor     only the matrix products of ours, into buffers that are there already, divided by R

On CUDA ours is a captured graph, with the batch read from the data by its rows, and a pack of 1,024 is timed too.
For the smallest net there is what else torch offers: `vmap` over R stacked nets, and `torch.compile` (see `rivals`).

A figure is the median over rounds, a ratio the median of the rounds' own ratios: what slows the machine for a while
slows both sides of it. One thread computes, so that nothing depends on the number of cores.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import torch
from rich.table import Table
from torch import Tensor, nn

from workbench.bench import rivals
from workbench.bench.environment import environment
from workbench.bench.memory import peak_bytes
from workbench.bench.rivals import Step
from workbench.data.batches import DataPart, PackData
from workbench.engine.epoch_plan import Batch
from workbench.engine.graph import GraphedSteps
from workbench.engine.replicas import Pack
from workbench.engine.threads import one_thread
from workbench.engine.train import step
from workbench.nn.activations import relu
from workbench.nn.builders import maxout_mlp, mlp, residual_mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.batch_norm import batch_norm
from workbench.nn.layers.dense import NARROW
from workbench.nn.layers.layer_norm import layer_norm
from workbench.nn.layers.norms import Norm, none
from workbench.nn.losses import softmax_nll
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.optimizers import sgd
from workbench.nn.params import Params


@dataclass(frozen=True)
class BenchmarkCase:
    """A kind of net, its layers' sizes, a batch and a number of replicas; each way gets `seconds` per round."""

    kind: str
    sizes: tuple[int, ...]
    batch: int
    replicas: int
    seconds: float = 0.05
    rivals: bool = False

    @property
    def name(self) -> str:
        """``mlp 64-64-64-10 B=32 R=1``."""
        return f"{self.kind} {'-'.join(map(str, self.sizes))} B={self.batch} R={self.replicas}"

    @property
    def model(self) -> Model:
        """The net, of relu units."""
        return KINDS[self.kind](self.sizes)


def _plain(norm: Norm) -> Callable[[tuple[int, ...]], Model]:
    return lambda sizes: mlp(list(sizes[1:-1]), sizes[0], sizes[-1], relu(), norm)


KINDS: dict[str, Callable[[tuple[int, ...]], Model]] = {
    "mlp": _plain(none()),
    "batch norm": _plain(batch_norm()),
    "layer norm": _plain(layer_norm()),
    "maxout": lambda sizes: maxout_mlp(list(sizes[1:-1]), 2, sizes[0], sizes[-1]),
    "residual": lambda sizes: residual_mlp(sizes[1], len(sizes) - 3, sizes[0], sizes[-1], relu()),
}


@dataclass(frozen=True)
class Timing:
    """Milliseconds per replica and step, and the ratios that matter; `speedup` is autograd / ours.

    The bytes are those of the tensors that a step makes, at most at once and per replica. None: not measured, or no
    compiler.
    """

    case: str
    ours_ms: float
    autograd_ms: float
    floor_ms: float
    speedup: float
    over_floor: float
    ours_bytes: float = 0.0
    autograd_bytes: float = 0.0
    vmap_ms: float | None = None
    compiled_ms: float | None = None


SMALL, LARGE = (64, 64, 64, 10), (784, 1024, 1024, 1024, 10)
CASES = (
    BenchmarkCase("mlp", SMALL, 32, 1, rivals=True),
    BenchmarkCase("mlp", SMALL, 32, 32, rivals=True),
    BenchmarkCase("mlp", LARGE, 256, 1, seconds=0.3),
    BenchmarkCase("mlp", LARGE, 256, 4, seconds=0.6),
    *(BenchmarkCase(kind, SMALL, 32, replicas) for kind in KINDS if kind != "mlp" for replicas in (1, 32)),
)
ROUNDS = 15
QUICK_ROUNDS = 3
LR = 0.01
ALONE = ("autograd", "compiled")  # ways that train one net


ON_CUDA = BenchmarkCase("mlp", SMALL, 32, 1024, rivals=True)


def bench(
    cases: Sequence[BenchmarkCase] = CASES,
    rounds: int = ROUNDS,
    device: torch.device | None = None,
    compiling: bool = False,
) -> list[Timing]:
    """Time every case on one thread; `compiling` takes half a minute more."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and cases is CASES:
        cases = (*CASES, ON_CUDA)
    with one_thread():
        return [_time(case, rounds, device, compiling) for case in cases]


def _time(case: BenchmarkCase, rounds: int, device: torch.device, compiling: bool = False) -> Timing:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(1, case.batch, case.sizes[0], generator=stream).to(device)
    labels = torch.randint(case.sizes[-1], (1, case.batch), generator=stream).to(device)
    one_net = case.model, x[0], labels[0], LR
    ways = {"ours": _ours(case, x, labels), "autograd": rivals.eager(*one_net), "floor": floor(case, device)}
    if case.rivals:
        ways["vmap"] = rivals.vmapped(*one_net, case.replicas)
    if case.rivals and compiling and (compiled := rivals.compiled(*one_net)):
        ways["compiled"] = compiled
    return timing(case.name, ways, case.replicas, case.seconds, rounds, device)


def timing(
    name: str, ways: Mapping[str, Step], replicas: int, seconds: float, rounds: int, device: torch.device
) -> Timing:
    """Time the ways in turn, each for `seconds` per round; those but torch's for one net step `replicas` at once."""
    repeats = {way: _repeats(run_step, seconds, device) for way, run_step in ways.items()}
    per_replica: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run_step in ways.items():
            at_once = 1 if way in ALONE else replicas
            per_replica[way].append(_clock(run_step, repeats[way], device) / at_once)

    def ratio(above: str, below: str) -> float:
        pairs = zip(per_replica[above], per_replica[below], strict=True)
        return median(one / other for one, other in pairs)

    ms = {way: 1000 * median(row) for way, row in per_replica.items()}
    return Timing(
        name,
        ms["ours"],
        ms["autograd"],
        ms["floor"],
        ratio("autograd", "ours"),
        ratio("ours", "floor"),
        peak_bytes(ways["ours"]) / replicas,
        peak_bytes(ways["autograd"]),
        ms.get("vmap"),
        ms.get("compiled"),
    )


def _ours(case: BenchmarkCase, x: Tensor, labels: Tensor) -> Step:
    """The engine's own step, on a pack of `case.replicas` replicas."""
    y = nn.functional.one_hot(labels, case.sizes[-1]).to(x)
    return packed_step(Objective(case.model, softmax_nll()), DataPart(x, y), case.sizes[-1], case.replicas)


def packed_step(objective: Objective, part: DataPart, n_classes: int, replicas: int) -> Step:
    """Make the engine's own step of SGD in float32, on a pack whose replicas all take the whole part as their batch."""
    device = part.x.device
    lr = torch.full((replicas,), LR, device=device)
    pack = Pack(
        objective,
        sgd(lr, torch.zeros_like(lr), torch.zeros_like(lr)),
        tuple(range(replicas)),
        (Scheme(he(), constant(0.0)),) * replicas,
        PackData(part, part, part, torch.zeros(replicas, dtype=torch.int64, device=device), n_classes),
        lr.dtype,
        device,
    )
    params = pack.initial_params()
    grads = Params.zeros(params.layout.trained, replicas, params.flat)
    state = pack.optimizer.init(params)
    rows = torch.arange(part.size, device=device).expand(replicas, -1)
    if device.type == "cuda":  # as the trainer does it there
        batch, steps = Batch(0, lr, rows, pack.data), GraphedSteps(step)
        return lambda: steps(pack, params, grads, state, batch)
    x, y = pack.data.batch(rows)
    return lambda: step(pack, params, grads, state, x, y)


def floor(case: BenchmarkCase, device: torch.device, backward: bool = True) -> Step:
    """Forward, weight-gradient and input-gradient products of every layer; the first has no input gradient."""
    replicas, batch = case.replicas, case.batch
    tensors = []
    for fan_out, fan_in in case.model.products():
        W, grad_W = torch.randn(2, replicas, fan_out, fan_in, device=device)
        a, grad_a = torch.randn(2, replicas, batch, fan_in, device=device)
        z, delta = torch.randn(2, replicas, batch, fan_out, device=device)
        tensors.append((W, grad_W, a, grad_a, z, delta))

    def run_products() -> None:
        for W, _, a, _, z, _ in tensors:
            if W.shape[1] < NARROW:
                torch.bmm(W, a.transpose(1, 2), out=z.view(replicas, -1, batch))
            else:
                torch.bmm(a, W.transpose(1, 2), out=z)
        for index, (W, grad_W, a, grad_a, _, delta) in reversed(list(enumerate(tensors if backward else ()))):
            torch.bmm(delta.transpose(1, 2), a, out=grad_W)
            if index:
                torch.bmm(delta, W, out=grad_a)

    return run_products


def _repeats(run_step: Step, seconds: float, device: torch.device) -> int:
    """Number of calls per round, after warming up."""
    _clock(run_step, 3, device)
    return max(1, round(seconds / _clock(run_step, 3, device)))


def _clock(run_step: Step, repeats: int, device: torch.device) -> float:
    """Seconds per call: the processor's, which other programs do not lengthen, or on a GPU those of the clock."""
    now = time.perf_counter if device.type == "cuda" else time.thread_time
    start = now()
    for _ in range(repeats):
        run_step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (now() - start) / repeats


def as_json(timings: Sequence[Timing]) -> str:
    """Figures as JSON, with the environment."""
    cases = [asdict(timing) for timing in timings]
    return json.dumps({"environment": environment(), "unit": "ms per replica and step", "cases": cases}, indent=2)


def as_table(timings: Sequence[Timing]) -> Table:
    """Table of times for a terminal."""
    where = environment()
    caption = f"medians; {where['device']}, torch {where['torch']}, one thread; floor: the matrix products alone"
    table = _table("one training step, ms per replica", caption)
    for heading in ("ours", "autograd", "floor", "autograd / ours", "ours / floor"):
        table.add_column(heading, justify="right")
    for timing in timings:
        row = f"{timing.ours_ms:.4f}", f"{timing.autograd_ms:.4f}", f"{timing.floor_ms:.4f}"
        table.add_row(timing.case, *row, f"{timing.speedup:.2f}", f"{timing.over_floor:.2f}")
    return table


def rivals_table(timings: Sequence[Timing]) -> Table:
    """Table of memory and of torch's alternatives for a terminal."""
    caption = "KiB: tensors that a step makes, at most at once, per replica; -: not measured, or no compiler"
    table = _table("the same step, ms per replica and KiB", caption)
    for heading in ("ours", "vmap", "torch.compile", "KiB of ours", "KiB of autograd"):
        table.add_column(heading, justify="right")
    for timing in timings:
        times = (
            "-" if time is None else f"{time:.4f}" for time in (timing.ours_ms, timing.vmap_ms, timing.compiled_ms)
        )
        table.add_row(
            timing.case, *times, *(f"{size / 1024:.0f}" for size in (timing.ours_bytes, timing.autograd_bytes))
        )
    return table


def _table(title: str, caption: str) -> Table:
    table = Table(title=title, caption=caption)
    table.add_column("net")
    return table
