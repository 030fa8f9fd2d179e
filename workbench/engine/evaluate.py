"""Loss, score and unit diagnostics of a pack on a whole part of its data, in chunks, without leaving the device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import log

import torch

from workbench.core.axes import PerReplicaTensor
from workbench.data.batches import DataPart, PackData
from workbench.diagnostics.life import Mask
from workbench.diagnostics.units import UnitCounts, count, joined
from workbench.nn.layers.base import EVALUATION
from workbench.nn.objective import Objective
from workbench.nn.params import Params

Measured = tuple[dict[str, PerReplicaTensor], dict[str, Mask]]

CHUNK_NUMBERS = 2**21  # activations in memory at once, over replicas and layers: a few megabytes stay in cache
EXAMPLES = 512  # per chunk for any pack, so that a replica's sums have the same bits; large packs are split into blocks


def evaluate(
    objective: Objective, params: Params, data: PackData, part: DataPart, units: bool = False
) -> dict[str, PerReplicaTensor]:
    """Compute ``loss`` and ``accuracy`` (``r2`` for regression), and with `units` rates by layer of units, all [R].

    Where positions have targets, loss and accuracy are means over targets, and there are ``bits`` = loss/ln 2 and
    ``perplexity`` = exp(loss) of a target, and ``exact``, the share of examples whose targets are all right.
    """
    return measure(objective, params, data, part, units)[0]


def errors(objective: Objective, params: Params, data: PackData, part: DataPart) -> dict[str, PerReplicaTensor]:
    """Compute ``rmse`` and ``mae`` [R] of a single real target in the data's own unit; nothing for other targets."""
    if data.unit is None:
        return {}
    step, block = _sizes(objective, part)
    sums = []
    for flat, split_of in zip(torch.split(params.flat, block), torch.split(data.split_of, block), strict=True):
        some, of_block = params.with_flat(flat), replace(data, split_of=split_of)
        square, absolute = flat.new_zeros(2, len(flat))
        for start in range(0, part.size, step):
            x, y = of_block.chunk(part, start, start + step)
            error = objective.loss.predict(objective.model.forward(some, x)[0]) - y
            square += error.square().sum((1, 2))
            absolute += error.abs().sum((1, 2))
        sums.append(torch.stack([(square / part.size).sqrt(), absolute / part.size]))
    rmse, mae = torch.cat(sums, 1) * data.by_replica(data.unit)
    return {"rmse": rmse, "mae": mae}


def measure(
    objective: Objective,
    params: Params,
    data: PackData,
    part: DataPart,
    units: bool = False,
    counting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Measured:
    """Compute the metrics of `evaluate`, and the masks of dead units [R, U] by layer.

    `counting` makes a context that is entered while units are counted, to time it.
    """
    step, block = _sizes(objective, part)
    timed = counting if units else None
    sums = [
        _sums(objective, params.with_flat(flat), replace(data, split_of=split_of), part, step, timed)
        for flat, split_of in zip(torch.split(params.flat, block), torch.split(data.split_of, block), strict=True)
    ]
    loss, score = torch.cat([block.loss for block in sums]), torch.cat([block.score for block in sums])
    targets = torch.cat([block.targets for block in sums]) if objective.loss.at_positions else part.size
    metrics = {"loss": loss / targets}
    metrics |= {"accuracy": score / targets} if data.n_classes else {"r2": 1 - score / _spread(data, part)}
    if objective.loss.at_positions:
        exact = torch.cat([block.exact for block in sums]) / part.size
        metrics |= {"bits": metrics["loss"] / log(2), "perplexity": metrics["loss"].exp(), "exact": exact}
    if timed is None:
        return metrics, {}
    with timed():
        counts = {layer: joined([block.counts[layer] for block in sums]) for layer in sums[0].counts}
        rates = {name: rate for layer, of_units in counts.items() for name, rate in of_units.rates(layer).items()}
        return {**metrics, **rates}, {layer: of_units.dead for layer, of_units in counts.items()}


def _sizes(objective: Objective, part: DataPart) -> tuple[int, int]:
    """Number of examples and of replicas that are evaluated at once."""
    width = objective.numbers or sum(fan_in + 3 * fan_out for fan_out, fan_in in objective.model.products())
    step = max(1, min(EXAMPLES, CHUNK_NUMBERS // width))
    return step, max(1, CHUNK_NUMBERS // (min(step, part.size) * width))


@dataclass(frozen=True)
class _Sums:
    """Sums over a part's examples: losses [R], right answers or squared residuals [R], and counts of units by layer.

    Where positions have targets, also numbers of `targets` [R] and of examples without a wrong one, `exact` [R].
    """

    loss: PerReplicaTensor
    score: PerReplicaTensor
    targets: PerReplicaTensor
    exact: PerReplicaTensor
    counts: dict[str, UnitCounts]


def _sums(
    objective: Objective,
    params: Params,
    data: PackData,
    part: DataPart,
    step: int,
    counting: Callable[[], AbstractContextManager[None]] | None,
) -> _Sums:
    """Sum over the examples, `step` at a time; without `counting`, units are left out."""
    loss, score, targets, exact = params.flat.new_zeros(4, len(params.flat))
    counts: dict[str, UnitCounts] = {}
    for start in range(0, part.size, step):
        x, y = objective.seen(*data.chunk(part, start, start + step), EVALUATION)
        z, tape = objective.model.forward(params, x)
        n_targets = objective.loss.count(y)
        loss += objective.loss.value(z, y) * n_targets
        if data.n_classes is None:
            score += (objective.loss.predict(z) - y).square_().sum((1, 2))
        else:
            labels = data.by_replica(part.labels[:, start : start + step])
            right = objective.loss.winner(z) == labels
            if objective.loss.at_positions:
                there = y.any(-1)
                targets += n_targets
                exact += (right | ~there).all(2).to(z.dtype).sum(1)
                right &= there
            score += right.to(z.dtype).flatten(1).sum(1)
        if counting:
            with counting():
                for layer in objective.model.units(tape):
                    chunk = count(layer.activation, layer.slope())
                    if layer.name in counts:
                        counts[layer.name] += chunk
                    else:
                        counts[layer.name] = chunk
    return _Sums(loss, score, targets, exact, counts)


def _spread(data: PackData, part: DataPart) -> PerReplicaTensor:
    """Sum the squared deviations of the targets from their mean in this part: [R]."""
    spread = (part.y - part.y.mean(1, keepdim=True)).square().sum((1, 2))
    return spread.index_select(0, data.split_of)
