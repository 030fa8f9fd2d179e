"""Which quantity of which layer went non-finite first: the steps of one epoch again, with every number looked at."""

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
    """The first non-finite quantity: step within the epoch from 1, layer and kind."""

    step: int
    layer: str
    quantity: str


def first_failures(
    pack: Pack, params: Params, state: State, plan: Plan, sizes: int | Sequence[int]
) -> dict[int, Failure]:
    """Failures by position in the pack, from its state before an epoch and the epoch's plan.

    Overwrites `params` and `state`; reads every quantity back from the device, so it belongs after a failure only.
    """
    found: dict[int, Failure] = {}
    grads = Params.zeros(params.layout.trained, len(pack), params.flat)
    for number, batch in enumerate(plan.batches(pack.data, sizes), start=1):
        for layer, quantity, bad in _look(pack, params, grads, state, batch):
            for position in bad.nonzero().flatten().tolist():
                found.setdefault(position, Failure(number, layer, quantity))
        if len(found) == len(pack):
            break
    return found


def _look(pack: Pack, params: Params, grads: Params, state: State, batch: Batch) -> Iterator[tuple[str, str, Flags]]:
    """One step, and after each part of it which replicas hold a number that is not finite."""
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
