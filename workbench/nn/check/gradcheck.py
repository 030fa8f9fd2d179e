"""Hand-written gradients against autograd and central differences, parameter by parameter, in float64.

Error of a parameter: ‖hand - reference‖ / max(‖hand‖, ‖reference‖) over its entries in all replicas, 0 for 0/0.

Central differences use the five-point stencil, whose error is of order h⁴, on sampled entries. An entry whose
perturbation moves a unit across a kink (of its activation, a maximum, the loss) is set aside and counted: J has no
derivative to compare with there, or none that is smooth enough for the stencil. Over the step h the error is V-shaped,
truncation on one side and rounding on the other: the best of `STEPS` counts, and `difference_curve` shows the V.

Rounding is forgiven by a floor under the denominator: sixteen ε of the whole gradient's norm against autograd (a bias
before batch normalization has the gradient 0, computed as a sum that cancels), and of abs(J)/h against differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.core.axes import Outputs, Units
from workbench.core.seeds import generator
from workbench.nn import vector_norm
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.objective import Objective
from workbench.nn.params import Params

AUTOGRAD_TOLERANCE = 1e-10
DIFFERENCE_TOLERANCE = 1e-7
SINGLE_TOLERANCE = 1e-3
STEPS = (1e-4, 1e-3, 1e-5)  # tried in this order: too large a step leaves the Taylor series, too small a one rounds
CURVE = tuple(10.0**-exponent for exponent in range(1, 9))
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
ROUNDING_UNITS = 16
EPS = torch.finfo(torch.float64).eps
CHUNK_NUMBERS = 8_000_000


@dataclass(frozen=True)
class Agreement:
    """One parameter's errors; `compared` entries met differences, `at_kinks` were set aside.

    `single_error` is that against autograd where both compute in float32.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    autograd_error: float
    difference_error: float
    compared: int
    at_kinks: int
    single_error: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether every reference confirms the hand-written gradient."""
        errors = self.autograd_error, self.difference_error, self.single_error
        return all(
            error < tolerance
            for error, tolerance in zip(
                errors, (AUTOGRAD_TOLERANCE, DIFFERENCE_TOLERANCE, SINGLE_TOLERANCE), strict=True
            )
        )


def gradcheck(
    objective: Objective,
    params: Params,
    x: Units,
    y: Outputs,
    entries: int = 24,
    mode: Mode = EVALUATION,
) -> list[Agreement]:
    """Compare dJ/dparams at `params` [R, P] on one batch (float64) by the three ways.

    `entries` per parameter and replica are perturbed; autograd compares all of them.
    """
    hand, errors = against_autograd(objective, params, x, y, mode)
    _, single = against_autograd(*in_precision(torch.float32, objective, params, x, y), mode)
    compared = _Compared(objective, params, x, y, mode, hand, entries)
    rows = []
    for name, gradient in hand.items():
        tried = []
        for step in STEPS:
            tried.append(compared.error(name, step))
            if tried[-1].error < DIFFERENCE_TOLERANCE:
                break
        best = min(tried)
        norm, shape = _length(gradient), tuple(gradient.shape[1:])
        rows.append(Agreement(name, shape, norm, errors[name], *best, single[name]))
    return rows


def against_autograd(
    objective: Objective, params: Params, x: Units, y: Outputs, mode: Mode = EVALUATION
) -> tuple[Params, dict[str, float]]:
    """The hand-written gradients and, by parameter, their error against autograd, in the precision of `params`."""
    hand, auto = by_hand(objective, params, x, y, mode), autograd(objective, params, x, y, mode)
    eps = torch.finfo(params.flat.dtype).eps
    tolerance = AUTOGRAD_TOLERANCE if params.flat.dtype == torch.float64 else SINGLE_TOLERANCE
    floor = ROUNDING_UNITS * eps * _length(hand.flat) / tolerance
    return hand, {name: relative_error(hand[name], auto[name], floor) for name in hand}


def in_precision(
    dtype: torch.dtype, objective: Objective, params: Params, x: Units, y: Outputs
) -> tuple[Objective, Params, Units, Outputs]:
    """The same problem with every tensor of this type, rounded where it is a narrower one."""
    decay = objective.weight_decay
    own = replace(objective, weight_decay=None if decay is None else decay.to(dtype))
    return own, params.with_flat(params.flat.to(dtype)), x.to(dtype), y.to(dtype)


def difference_curve(
    objective: Objective, params: Params, x: Units, y: Outputs, entries: int = 4, mode: Mode = EVALUATION
) -> dict[float, float]:
    """The error of all parameters together against central differences for each step of `CURVE`, nothing forgiven."""
    hand = by_hand(objective, params, x, y, mode)

    def error(step: float) -> float:
        found = [differences(objective, params, x, y, name, entries, mode, step) for name in hand]
        picked = torch.cat([places for places, _, _ in found])
        return relative_error(hand.flat.flatten()[picked], torch.cat([numeric for _, numeric, _ in found]))

    return {step: error(step) for step in CURVE}


class _DifferenceError(NamedTuple):
    error: float
    compared: int
    at_kinks: int


@dataclass(frozen=True)
class _Compared:
    """Hand-written gradients of a problem, to be held against differences."""

    objective: Objective
    params: Params
    x: Units
    y: Outputs
    mode: Mode
    hand: Params
    entries: int

    @cached_property
    def size(self) -> float:
        """The largest abs(J): rounding of J is in proportion to it."""
        return float(self.objective.value(self.params, self.x, self.y, self.mode).abs().max())

    def error(self, name: str, step: float) -> _DifferenceError:
        """One parameter's error at this step."""
        problem = self.objective, self.params, self.x, self.y
        picked, numeric, at_kinks = differences(*problem, name, self.entries, self.mode, step)
        floor = self.size * ROUNDING_UNITS * EPS / step * len(picked) ** 0.5
        error = relative_error(self.hand.flat.flatten()[picked], numeric, floor / DIFFERENCE_TOLERANCE)
        return _DifferenceError(error, len(picked), at_kinks)


def by_hand(objective: Objective, params: Params, x: Units, y: Outputs, mode: Mode = EVALUATION) -> Params:
    """dJ/dparams by the hand-written backward pass; a training pass leaves the buffers of `params` as they are."""
    own = params.with_flat(params.flat.clone())
    hand = Params.zeros(params.layout.trained, params.flat.shape[0], params.flat)
    objective.gradients(own, hand, x, y, mode)
    return hand


def autograd(objective: Objective, params: Params, x: Units, y: Outputs, mode: Mode = EVALUATION) -> Params:
    """dJ/dparams by torch's autograd through the same forward pass."""
    leaf = params.flat.clone().requires_grad_()
    with torch.enable_grad():
        total = objective.value(params.with_flat(leaf), x, y, mode).sum()
        (flat,) = torch.autograd.grad(total, leaf)
    return Params(params.layout.trained, flat[:, : params.layout.n_trained])


def differences(
    objective: Objective,
    params: Params,
    x: Units,
    y: Outputs,
    name: str,
    entries: int,
    mode: Mode = EVALUATION,
    step: float = STEPS[0],
) -> tuple[Tensor, Tensor, int]:
    """(positions in the gradients' flattened storage, dJ/dθ there, entries set aside) for sampled entries of `name`.

    Perturbed copies of one replica are evaluated together, as replicas.
    """
    start, _ = params.layout.slots[name]
    per_replica_size = params[name][0].numel()
    picks: list[Tensor] = []
    slopes: list[Tensor] = []
    for replica in range(params.flat.shape[0]):
        order = torch.randperm(per_replica_size, generator=generator(replica, "noise", name))[:entries]
        one = _Perturbed(objective, params, x, y, replica, mode)
        for chunk in torch.split(order, max(1, CHUNK_NUMBERS // (len(STENCIL) * params.layout.size))):
            slope, crosses = one.slopes(start + chunk, step)
            picks.append(replica * params.layout.n_trained + start + chunk[~crosses])
            slopes.append(slope[~crosses])
    picked = torch.cat(picks)
    total = params.flat.shape[0] * min(entries, per_replica_size)
    return picked, torch.cat(slopes), total - len(picked)


@dataclass(frozen=True)
class _Perturbed:
    """One replica of a pack, to be evaluated at many points near its own."""

    objective: Objective
    params: Params
    x: Units
    y: Outputs
    replica: int
    mode: Mode

    def slopes(self, columns: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """dJ/dθ at `columns` of the replica's storage, and whether a perturbation crossed a kink."""
        offsets = torch.tensor([offset for offset, _ in STENCIL], dtype=torch.float64)
        weights = torch.tensor([weight for _, weight in STENCIL], dtype=torch.float64)
        copies = len(columns) * len(offsets)
        flat = self.params.flat[self.replica].repeat(copies, 1)
        flat[torch.arange(copies), columns.repeat_interleave(len(offsets))] += step * offsets.repeat(len(columns))
        values, there = self._at(flat)
        _, here = self._at(self.params.flat[self.replica : self.replica + 1])
        moved = torch.zeros(copies, dtype=torch.bool)
        for piece, base in zip(there, here, strict=True):
            moved |= (piece != base).flatten(1).any(1)
        return (values.view(-1, len(offsets)) @ weights) / step, moved.view(-1, len(offsets)).any(1)

    def _at(self, flat: Tensor) -> tuple[Tensor, list[Tensor]]:
        """J at each row of parameters, and which smooth piece of each kinked function it lies on."""
        copies, pick = len(flat), slice(self.replica, self.replica + 1)
        x, y = self.x[pick].expand(copies, -1, -1), self.y[pick].expand(copies, -1, -1)
        objective, mode = self.objective, self.mode
        if objective.weight_decay is not None:
            objective = replace(objective, weight_decay=objective.weight_decay[pick].expand(copies))
        if mode.keys is not None:
            mode = mode._replace(keys=mode.keys[pick].expand(copies))
        params = self.params.with_flat(flat)
        z, tape = objective.model.forward(params, x, mode)
        return objective.value(params, x, y, mode), [*objective.model.choices(tape), *_loss_pieces(objective, z)]


def _loss_pieces(objective: Objective, z: Outputs) -> Iterator[Tensor]:
    if objective.loss.kinks:
        yield torch.bucketize(z.contiguous(), torch.tensor(objective.loss.kinks, dtype=z.dtype))


def relative_error(hand: Tensor, reference: Tensor, floor: float = 0.0) -> float:
    """‖hand - reference‖ / max(‖hand‖, ‖reference‖, floor); 0 for 0/0, infinite where anything is not finite."""
    error = _length(hand - reference)
    if error == 0:
        return 0.0
    scale = max(_length(hand), _length(reference), floor)
    return error / scale if scale < float("inf") else float("inf")


def _length(values: Tensor) -> float:
    return float(vector_norm.norm(values.reshape(1, -1))) if values.numel() else 0.0
