"""Hand-written gradients against autograd and central differences, parameter by parameter, in float64.

Error of a parameter: ‖hand - reference‖ / max(‖hand‖, ‖reference‖) over its entries in all replicas, 0 for 0/0.

Central differences use four points, with an error of order h⁴, on sampled entries. An entry whose
perturbation moves a unit across a kink (of its activation, a maximum, the loss) is set aside and counted: J has no
derivative to compare with there, or none that is smooth enough for the stencil. Over the step h the error is V-shaped,
truncation on one side and rounding on the other: the best of `STEPS` counts, and `difference_curve` shows the V.

A floor under the denominator allows for rounding: sixteen ε of the whole gradient's norm against autograd (a bias
before batch normalization has the gradient 0, computed as a sum that cancels), and of abs(J)/h against differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.core.seeds import generator
from workbench.nn import vector_norm
from workbench.nn.check.central_differences import FOUR_POINTS, around, slopes
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.objective import Objective
from workbench.nn.params import Params

AUTOGRAD_TOLERANCE = 1e-10
DIFFERENCE_TOLERANCE = 1e-7
SINGLE_TOLERANCE = 1e-3
STEPS = (1e-4, 1e-3, 1e-5)  # tried in this order: too large a step leaves the Taylor series, too small a one rounds
CURVE = tuple(10.0**-exponent for exponent in range(1, 9))
ENTRIES, CURVE_ENTRIES = 24, 4  # per parameter and replica, compared with differences
ROUNDING_UNITS = 16
EPS = torch.finfo(torch.float64).eps
CHUNK_NUMBERS = 8_000_000


@dataclass(frozen=True)
class Agreement:
    """Errors of one parameter's gradient, `norm` being the gradient's.

    `compared` entries were compared with differences, `at_kinks` more were set aside at kinks. `single_error` is the
    error against autograd with both computed in float32.
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
        """Whether all errors are below their tolerances."""
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
    x: Tensor,
    y: Tensor,
    entries: int = ENTRIES,
    mode: Mode = EVALUATION,
) -> list[Agreement]:
    """Compare the hand-written dJ/dparams at `params` [R, P] on one float64 batch with autograd and differences.

    `entries` per parameter and replica are perturbed for differences, none if 0; autograd compares all entries.
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
    objective: Objective, params: Params, x: Tensor, y: Tensor, mode: Mode = EVALUATION
) -> tuple[Params, dict[str, float]]:
    """Return the hand-written gradients and, by parameter, their error against autograd, in the dtype of `params`."""
    hand, auto = by_hand(objective, params, x, y, mode), autograd(objective, params, x, y, mode)
    eps = torch.finfo(params.flat.dtype).eps
    tolerance = AUTOGRAD_TOLERANCE if params.flat.dtype == torch.float64 else SINGLE_TOLERANCE
    floor = ROUNDING_UNITS * eps * _length(hand.flat) / tolerance
    return hand, {name: relative_error(hand[name], auto[name], floor) for name in hand}


def in_precision(
    dtype: torch.dtype, objective: Objective, params: Params, x: Tensor, y: Tensor
) -> tuple[Objective, Params, Tensor, Tensor]:
    """Convert every tensor of a problem to this dtype."""
    decay = objective.weight_decay
    converted = replace(objective, weight_decay=None if decay is None else decay.to(dtype))
    x = x.to(dtype) if x.is_floating_point() else x  # tokens stay
    return converted, params.with_flat(params.flat.to(dtype)), x, y.to(dtype)


def difference_curve(
    objective: Objective, params: Params, x: Tensor, y: Tensor, entries: int = CURVE_ENTRIES, mode: Mode = EVALUATION
) -> dict[float, float]:
    """Compute the error of the whole gradient against central differences by step h of `CURVE`, without a floor."""
    hand = by_hand(objective, params, x, y, mode)

    def error(step: float) -> float:
        samples = [differences(objective, params, x, y, name, entries, mode, step) for name in hand]
        picked = torch.cat([positions for positions, _, _ in samples])
        return relative_error(hand.flat.flatten()[picked], torch.cat([numeric for _, numeric, _ in samples]))

    return {step: error(step) for step in CURVE}


class _DifferenceError(NamedTuple):
    error: float
    compared: int
    at_kinks: int


@dataclass(frozen=True)
class _Compared:
    """Hand-written gradients of a problem, compared with differences."""

    objective: Objective
    params: Params
    x: Tensor
    y: Tensor
    mode: Mode
    hand: Params
    entries: int

    @cached_property
    def size(self) -> float:
        """The largest abs(J), to which the rounding error of J is proportional."""
        return float(self.objective.value(self.params, self.x, self.y, self.mode).abs().max())

    def error(self, name: str, step: float) -> _DifferenceError:
        """Compute a parameter's error against differences with step h = `step`."""
        if not self.entries:
            return _DifferenceError(0.0, 0, 0)
        problem = self.objective, self.params, self.x, self.y
        picked, numeric, at_kinks = differences(*problem, name, self.entries, self.mode, step)
        floor = self.size * ROUNDING_UNITS * EPS / step * len(picked) ** 0.5
        error = relative_error(self.hand.flat.flatten()[picked], numeric, floor / DIFFERENCE_TOLERANCE)
        return _DifferenceError(error, len(picked), at_kinks)


def by_hand(objective: Objective, params: Params, x: Tensor, y: Tensor, mode: Mode = EVALUATION) -> Params:
    """dJ/dparams by the hand-written backward pass; the buffers of `params` stay unchanged, also in training."""
    copied = params.with_flat(params.flat.clone())
    hand = Params.zeros(params.layout.trained, params.flat.shape[0], params.flat)
    objective.gradients(copied, hand, x, y, mode)
    return hand


def autograd(objective: Objective, params: Params, x: Tensor, y: Tensor, mode: Mode = EVALUATION) -> Params:
    """dJ/dparams by torch's autograd through the same forward pass."""
    leaf = params.flat.clone().requires_grad_()
    with torch.enable_grad():
        total = objective.value(params.with_flat(leaf), x, y, mode).sum()
        (flat,) = torch.autograd.grad(total, leaf)
    return Params(params.layout.trained, flat[:, : params.layout.n_trained])


def differences(
    objective: Objective,
    params: Params,
    x: Tensor,
    y: Tensor,
    name: str,
    entries: int,
    mode: Mode = EVALUATION,
    step: float = STEPS[0],
) -> tuple[Tensor, Tensor, int]:
    """Compute central differences of J for sampled entries of the parameter `name`.

    Returns positions in the gradients' flattened storage, dJ/dθ there, and the number of entries set aside at kinks.
    Perturbed copies of a replica are evaluated together, as replicas of a pack.
    """
    start, _ = params.layout.slots[name]
    per_replica_size = params[name][0].numel()
    picks: list[Tensor] = []
    smooth_slopes: list[Tensor] = []
    for replica in range(params.flat.shape[0]):
        order = torch.randperm(per_replica_size, generator=generator(replica, "noise", name))[:entries]
        perturbed = _Perturbed(objective, params, x, y, replica, mode)
        for chunk in torch.split(order, max(1, CHUNK_NUMBERS // (len(FOUR_POINTS) * params.layout.size))):
            slope, crosses = perturbed.slopes(start + chunk, step)
            picks.append(replica * params.layout.n_trained + start + chunk[~crosses])
            smooth_slopes.append(slope[~crosses])
    picked = torch.cat(picks)
    total = params.flat.shape[0] * min(entries, per_replica_size)
    return picked, torch.cat(smooth_slopes), total - len(picked)


@dataclass(frozen=True)
class _Perturbed:
    """A replica of a pack, evaluated at many perturbed copies of its parameters at once."""

    objective: Objective
    params: Params
    x: Tensor
    y: Tensor
    replica: int
    mode: Mode

    def slopes(self, columns: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Return dJ/dθ at `columns` of the replica's storage, and whether a perturbation crossed a kink."""
        copies = around(self.params.flat[self.replica], columns, step, FOUR_POINTS)
        values, there = self._at(copies.flatten(0, 1))
        _, here = self._at(self.params.flat[self.replica : self.replica + 1])
        moved = torch.zeros(len(values), dtype=torch.bool)
        for piece, base in zip(there, here, strict=True):
            moved |= (piece != base).flatten(1).any(1)
        values, moved = (one.view(-1, len(FOUR_POINTS)) for one in (values, moved))
        return slopes(values, step, FOUR_POINTS), moved.any(1)

    def _at(self, flat: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return J at each row of parameters [copies, P], and the smooth piece that each kinked function is on."""
        copies, pick = len(flat), slice(self.replica, self.replica + 1)
        x, y = (values[pick].expand(copies, *values.shape[1:]) for values in (self.x, self.y))
        objective, mode = self.objective, self.mode
        if objective.weight_decay is not None:
            objective = replace(objective, weight_decay=objective.weight_decay[pick].expand(copies))
        if mode.keys is not None:
            mode = mode._replace(keys=mode.keys[pick].expand(copies))
        params = self.params.with_flat(flat)
        x, y = objective.seen(x, y, mode)
        z, tape = objective.model.forward(params, x, mode)
        return objective.of_outputs(params, z, y), [*objective.model.choices(tape), *_loss_pieces(objective, z)]


def _loss_pieces(objective: Objective, z: Tensor) -> Iterator[Tensor]:
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
