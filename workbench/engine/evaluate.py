"""Loss, score and unit diagnostics of a pack on a whole part of its data, in chunks, without leaving the device."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from workbench.axes import PerReplicaTensor
from workbench.data.batches import PackData, Part
from workbench.diagnostics.life import Mask
from workbench.diagnostics.units import UnitCounts, count
from workbench.nn.objective import Objective
from workbench.nn.params import Params

Measured = tuple[dict[str, PerReplicaTensor], dict[str, Mask]]

CHUNK_NUMBERS = 2**21  # activations held at once, over replicas and layers: a few megabytes stay in cache
LEAST_EXAMPLES = 256  # in a chunk: fewer would read all weights again for little; large packs go in blocks of replicas


def evaluate(
    objective: Objective, params: Params, data: PackData, part: Part, units: bool = False
) -> dict[str, PerReplicaTensor]:
    """``loss`` and ``accuracy`` (``r2`` for regression), and with `units` rates per layer of units, all [R]."""
    return measure(objective, params, data, part, units)[0]


def measure(
    objective: Objective,
    params: Params,
    data: PackData,
    part: Part,
    units: bool = False,
    counting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Measured:
    """The same, and the dead units by layer; `counting` is entered while units are counted, so that it is timed."""
    replicas = params.flat.shape[0]
    width = sum(fan_in + 3 * fan_out for fan_out, fan_in in objective.model.products())
    blocks = min(replicas, -(-replicas * width * min(LEAST_EXAMPLES, part.size) // CHUNK_NUMBERS))
    if blocks < 2:
        step = max(1, CHUNK_NUMBERS // (replicas * width))
        return _measure(objective, params, data, part, units, step, counting)
    found = []
    for flat, split_of in zip(params.flat.chunk(blocks), data.split_of.chunk(blocks), strict=True):
        own = replace(data, split_of=split_of)
        step = max(1, CHUNK_NUMBERS // (len(flat) * width))
        found.append(_measure(objective, params.with_flat(flat), own, part, units, step, counting))
    metrics, dead = zip(*found, strict=True)
    return _joined(metrics), _joined(dead)


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([one[name] for one in parts]) for name in parts[0]}


def _measure(
    objective: Objective,
    params: Params,
    data: PackData,
    part: Part,
    units: bool,
    step: int,
    counting: Callable[[], AbstractContextManager[None]],
) -> Measured:
    """The same, `step` examples at a time."""
    loss, score = params.flat.new_zeros(2, len(params.flat))
    counts: dict[str, UnitCounts] = {}
    for start in range(0, part.size, step):
        x, y = data.chunk(part, start, start + step)
        z, tape = objective.model.forward(params, x)
        loss += objective.loss.value(z, y) * x.shape[1]
        if data.n_classes is None:
            score += (objective.loss.predict(z) - y).square_().sum((1, 2))
        else:
            right = objective.loss.winner(z) == data.own(part.labels[:, start : start + step])
            score += right.to(z.dtype).sum(1)
        if units:
            with counting():
                for layer in objective.model.units(tape):
                    found = count(layer.activation, layer.slope())
                    counts[layer.name] = counts[layer.name] + found if layer.name in counts else found
    of_score = {"accuracy": score / part.size} if data.n_classes else {"r2": 1 - score / _spread(data, part)}
    with counting() if units else nullcontext():
        rates = {name: rate for layer, found in counts.items() for name, rate in found.rates(layer).items()}
        dead = {layer: found.dead for layer, found in counts.items()}
    return {"loss": loss / part.size, **of_score, **rates}, dead


def _spread(data: PackData, part: Part) -> PerReplicaTensor:
    """Squared deviations of the targets from their mean in this part."""
    spread = (part.y - part.y.mean(1, keepdim=True)).square().sum((1, 2))
    return spread.index_select(0, data.split_of)
