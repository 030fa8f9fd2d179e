"""Find the quantity and layer that became non-finite first, by repeating an epoch's steps and checking every tensor."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.core.axes import Flags
from workbench.engine.epoch_plan import Batch, Plan
from workbench.engine.replicas import Pack
from workbench.nn.layers.base import Recorder
from workbench.nn.optimizers import State
from workbench.nn.params import Params, layer_of


class Failure(NamedTuple):
    """The first non-finite quantity of a replica: step within the epoch, from 1, layer and quantity."""

    step: int
    layer: str
    quantity: str


def first_failures(
    pack: Pack, params: Params, state: State, plan: Plan, sizes: int | Sequence[int]
) -> dict[int, Failure]:
    """Repeat an epoch from the state before it and its plan; return failures by position in the pack.

    Overwrites `params` and `state`. Slow, as it reads every quantity back from the device.
    """
    failures: dict[int, Failure] = {}
    grads = Params.zeros(params.layout.trained, len(pack), params.flat)
    for number, batch in enumerate(plan.batches(pack.data, sizes), start=1):
        for layer, quantity, bad in _look(pack, params, grads, state, batch):
            for position in bad.nonzero().flatten().tolist():
                failures.setdefault(position, Failure(number, layer, quantity))
        if len(failures) == len(pack):
            break
    return failures


def _look(pack: Pack, params: Params, grads: Params, state: State, batch: Batch) -> Iterator[tuple[str, str, Flags]]:
    """Take a step; yields, in the order of computation, layer, quantity, and replicas with a non-finite number [R]."""
    mode = pack.mode(batch.number)
    model = pack.objective.model
    _, tape = model.forward(params, batch.x, mode)
    units = {name: (z, a) for name, z, a in model.activity(tape)}
    for name, z in model.preactivations(tape):
        yield layer_of(name), "z", _not_finite(z)
        for quantity, values in zip("za", units.get(layer_of(name), ()), strict=False):
            yield layer_of(name), quantity, _not_finite(values)
    recorder = Recorder()
    loss = pack.objective.gradients(params, grads, batch.x, batch.y, mode, recorder)
    yield layer_of(next(reversed(grads))), "loss", _not_finite(loss)
    for name, delta in recorder.deltas.items():
        yield layer_of(name), "delta", _not_finite(delta)
    for name in reversed(grads):
        yield layer_of(name), "gradient", _not_finite(grads[name])
    pack.apply(grads, state, params, batch.lr)
    for name in params:
        yield layer_of(name), "parameters", _not_finite(params[name])


def _not_finite(values: Tensor) -> Flags:
    return torch.logical_not(values.isfinite().flatten(1).all(1)) if values.ndim > 1 else ~values.isfinite()
