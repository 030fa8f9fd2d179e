"""Training steps as CUDA graphs: a step is captured once for each size of batch, then replayed with other numbers.

A graph reads the same memory every time, so the inputs of a step are copied there first: its number, which seeds the
noise, the learning rates, and the rows of the batch's examples. The captured step is the same as without a graph.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.engine.epoch_plan import Batch
from workbench.engine.replicas import Pack
from workbench.nn.optimizers import State
from workbench.nn.params import Params

Body = Callable[[], PerReplicaTensor]
Capture = Callable[[Body, Sequence[Tensor]], Body]
WARM_UP = 3  # steps before a capture, in which libraries choose their kernels and take their memory


@dataclass(frozen=True)
class Slots:
    """Memory from which a captured step reads its batch; `number` is a tensor on the device."""

    number: Int64[Tensor, ""]
    lr: PerReplicaTensor
    rows: Int64[Tensor, "R B"]

    @classmethod
    def like(cls, batch: Batch) -> "Slots":
        """Allocate slots for batches of the same size."""
        number = torch.zeros((), dtype=torch.int64, device=batch.rows.device)
        return cls(number, torch.empty_like(batch.lr), batch.rows.clone(memory_format=torch.contiguous_format))

    def load(self, batch: Batch) -> None:
        """Copy the inputs of a step, without waiting for the device."""
        self.number.fill_(batch.number)
        self.lr.copy_(batch.lr)
        self.rows.copy_(batch.rows)


@contextmanager
def undone(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Restore the tensors after the block."""
    before = [tensor.clone() for tensor in tensors]
    yield
    for tensor, original in zip(tensors, before, strict=True):
        tensor.copy_(original)


def capture(body: Body, changed: Sequence[Tensor]) -> Body:
    """Capture `body` as a CUDA graph and return its replay; `changed` lists all tensors that it changes.

    They are restored after the warm-up steps that precede the capture.
    """
    with undone(changed):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                body()
        torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = body()

    def replay() -> PerReplicaTensor:
        graph.replay()
        return loss

    return replay


class GraphedSteps:
    """Takes training steps by replay of CUDA graphs; `step` (pack, params, grads, state, x, y, number, lr) is captured.

    The next step overwrites the loss. Steps are captured again when a pack's tensors are replaced.
    """

    def __init__(self, step: Callable[..., PerReplicaTensor], capture: Capture = capture) -> None:
        self._step = step
        self._capture = capture
        self._of: tuple[object, ...] = ()
        self._graphs: dict[tuple[int, ...], tuple[Slots, Body]] = {}

    def __call__(self, pack: Pack, params: Params, grads: Params, state: State, batch: Batch) -> PerReplicaTensor:
        """Take a step in place; return the batch's loss before it [R]."""
        of = (pack, params.flat, grads.flat, *state.values())
        if len(of) != len(self._of) or any(new is not old for new, old in zip(of, self._of, strict=True)):
            self._of, self._graphs = of, {}
        size = tuple(batch.rows.shape)
        if size not in self._graphs:
            slots = Slots.like(batch)
            slots.load(batch)

            def body() -> PerReplicaTensor:
                x, y = pack.data.batch(slots.rows)
                return self._step(pack, params, grads, state, x, y, slots.number, slots.lr)

            self._graphs[size] = slots, self._capture(body, [params.flat, grads.flat, *state.values()])
        slots, replay = self._graphs[size]
        slots.load(batch)
        return replay()
