"""Training steps as CUDA graphs: a step is captured once for each size of batch, then replayed with other numbers.

A graph reads the same memory every time, so what differs between steps is copied into place first: the step's number,
which chooses the noise, the learning rates, and which examples the batch has. The step itself is the one that runs
without a graph.
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
    """The memory that a captured step reads its batch from; `number` is a tensor on the device."""

    number: Int64[Tensor, ""]
    lr: PerReplicaTensor
    rows: Int64[Tensor, "R B"]

    @classmethod
    def like(cls, batch: Batch) -> "Slots":
        """Slots for batches of this one's size."""
        number = torch.zeros((), dtype=torch.int64, device=batch.rows.device)
        return cls(number, torch.empty_like(batch.lr), batch.rows.clone(memory_format=torch.contiguous_format))

    def load(self, batch: Batch) -> None:
        """Copy what this step has of its own; the device is not waited for."""
        self.number.fill_(batch.number)
        self.lr.copy_(batch.lr)
        self.rows.copy_(batch.rows)


@contextmanager
def undone(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Put back what is done to the tensors inside."""
    before = [tensor.clone() for tensor in tensors]
    yield
    for tensor, kept in zip(tensors, before, strict=True):
        tensor.copy_(kept)


def capture(body: Body, changed: Sequence[Tensor]) -> Body:
    """What replays `body` on CUDA; all that it changes is in `changed`, and as before afterwards."""
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
    """Takes steps by replaying them; `step` (pack, params, grads, state, x, y, number, lr) runs without a graph.

    The loss is overwritten by the next step. A pack whose tensors are others than before is captured anew.
    """

    def __init__(self, step: Callable[..., PerReplicaTensor], capture: Capture = capture) -> None:
        self._step = step
        self._capture = capture
        self._of: tuple[object, ...] = ()
        self._graphs: dict[tuple[int, ...], tuple[Slots, Body]] = {}

    def __call__(self, pack: Pack, params: Params, grads: Params, state: State, batch: Batch) -> PerReplicaTensor:
        """The batch's loss before the step [R]."""
        of = (pack, params.flat, grads.flat, *state.values())
        if len(of) != len(self._of) or any(one is not other for one, other in zip(of, self._of, strict=True)):
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
