"""Loss, score and unit diagnostics of a pack on a whole part of its data, in chunks, without leaving the device."""

from collections import defaultdict
from dataclasses import replace

import torch
from torch import Tensor

from workbench.axes import Outputs, PerReplicaTensor
from workbench.data.batches import PackData, Part
from workbench.diagnostics.units import UNIT_DIAGNOSTICS
from workbench.nn.layers.base import UnitTape
from workbench.nn.objective import Objective
from workbench.nn.params import Params

CHUNK_NUMBERS = 2**20  # activations held at once, over replicas and layers: a few megabytes stay in cache
LEAST_EXAMPLES = 64  # in a chunk: fewer would read all weights again for little; large packs go in blocks of replicas


def evaluate(
    objective: Objective, params: Params, data: PackData, part: Part, units: bool = False
) -> dict[str, PerReplicaTensor]:
    """``loss`` and ``accuracy`` (``r2`` for regression), and with `units` a rate per layer of units, all [R]."""
    replicas = params.flat.shape[0]
    width = sum(fan_in + 3 * fan_out for fan_out, fan_in in objective.model.products())
    blocks = min(replicas, -(-replicas * width * min(LEAST_EXAMPLES, part.size) // CHUNK_NUMBERS))
    if blocks < 2:
        return _evaluate(objective, params, data, part, units, max(1, CHUNK_NUMBERS // (replicas * width)))
    found = []
    for flat, split_of in zip(params.flat.chunk(blocks), data.split_of.chunk(blocks), strict=True):
        own = replace(data, split_of=split_of)
        step = max(1, CHUNK_NUMBERS // (len(flat) * width))
        found.append(_evaluate(objective, params.with_flat(flat), own, part, units, step))
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def _evaluate(
    objective: Objective, params: Params, data: PackData, part: Part, units: bool, step: int
) -> dict[str, PerReplicaTensor]:
    """The same, `step` examples at a time."""
    replicas = params.flat.shape[0]
    sums: dict[str, Tensor] = defaultdict(lambda: params.flat.new_zeros(replicas))
    counts: dict[str, Tensor] = {}
    for start in range(0, part.size, step):
        x, y = data.chunk(part, start, start + step)
        z, tape = objective.model.forward(params, x)
        sums["loss"] = sums["loss"] + objective.loss.value(z, y) * x.shape[1]
        sums["score"] = sums["score"] + _score(objective.loss.predict(z), y, data.n_classes)
        if units:
            for layer in objective.model.units(tape):
                _count(counts, layer)
    rates = {name: UNIT_DIAGNOSTICS[name.partition("/")[0]].reduce(count, part.size) for name, count in counts.items()}
    if data.n_classes is None:
        return {
            "loss": sums["loss"] / part.size,
            "r2": 1 - sums["score"] / _spread(data, part),
            **rates,
        }
    return {"loss": sums["loss"] / part.size, "accuracy": sums["score"] / part.size, **rates}


def _score(a: Outputs, y: Outputs, n_classes: int | None) -> PerReplicaTensor:
    """Examples that the output a classifies correctly, or the squared residuals of a regression."""
    if n_classes is None:
        return (a - y).square().sum((1, 2))
    right = (
        a.transpose(1, 2).contiguous().max(1)[1] == y.argmax(-1)  # max finds the same place many times faster
        if a.shape[-1] > 1
        else ((a > 0.5) == (y > 0.5)).squeeze(-1)
    )
    return right.to(a.dtype).sum(1)


def _spread(data: PackData, part: Part) -> PerReplicaTensor:
    """Squared deviations of the targets from their mean in this part."""
    spread = (part.y - part.y.mean(1, keepdim=True)).square().sum((1, 2))
    return spread.index_select(0, data.split_of)


def _count(counts: dict[str, Tensor], layer: UnitTape) -> None:
    slope = layer.slope()
    for name, diagnostic in UNIT_DIAGNOSTICS.items():
        key = f"{name}/{layer.name}"
        count = diagnostic.count(slope, layer.activation.max_slope)
        counts[key] = counts[key] + count if key in counts else count
