"""Hand-written gradients against autograd and central differences, parameter by parameter, in float64.

Error of a parameter: ‖hand - reference‖ / max(‖hand‖, ‖reference‖) over its entries in all replicas, 0 for 0/0.

Central differences use the five-point stencil, whose error is of order h⁴, on sampled entries. An entry whose
perturbation moves a unit across a kink of its activation is set aside and counted: J has no derivative to compare with
there. The denominator has a floor: rounding leaves differences of size ε·abs(J)/h, and that much is forgiven.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.axes import Outputs, Units
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.seeds import generator

AUTOGRAD_TOLERANCE = 1e-10
DIFFERENCE_TOLERANCE = 1e-7
STEP = 1e-4
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
ROUNDING = 16 * torch.finfo(torch.float64).eps / STEP
CHUNK_NUMBERS = 8_000_000


@dataclass(frozen=True)
class Agreement:
    """One parameter's errors; `compared` entries met differences, `at_kinks` were set aside."""

    name: str
    shape: tuple[int, ...]
    norm: float
    autograd_error: float
    difference_error: float
    compared: int
    at_kinks: int

    @property
    def agrees(self) -> bool:
        """Whether both references confirm the hand-written gradient."""
        return self.autograd_error < AUTOGRAD_TOLERANCE and self.difference_error < DIFFERENCE_TOLERANCE


def gradcheck(objective: Objective, params: Params, x: Units, y: Outputs, entries: int = 24) -> list[Agreement]:
    """Compare dJ/dparams at `params` [R, P] on one batch (float64) by the three ways.

    `entries` per parameter and replica are perturbed; autograd compares all of them.
    """
    hand = Params.zeros(params.layout, params.flat.shape[0], params.flat)
    objective.gradients(params, hand, x, y)
    auto = autograd(objective, params, x, y)
    rows = []
    for name, gradient in hand.items():
        picked, numeric, at_kinks = differences(objective, params, x, y, name, entries)
        floor = float(objective.value(params, x, y).abs().max()) * ROUNDING * len(picked) ** 0.5
        rows.append(
            Agreement(
                name,
                tuple(gradient.shape[1:]),
                float(gradient.norm()),
                relative_error(gradient, auto[name]),
                relative_error(hand.flat.flatten()[picked], numeric, floor / DIFFERENCE_TOLERANCE),
                len(picked),
                at_kinks,
            )
        )
    return rows


def autograd(objective: Objective, params: Params, x: Units, y: Outputs) -> Params:
    """dJ/dparams by torch's autograd through the same forward pass."""
    leaf = params.flat.clone().requires_grad_()
    with torch.enable_grad():
        total = objective.value(params.with_flat(leaf), x, y).sum()
        (flat,) = torch.autograd.grad(total, leaf)
    return params.with_flat(flat)


def differences(
    objective: Objective, params: Params, x: Units, y: Outputs, name: str, entries: int
) -> tuple[Tensor, Tensor, int]:
    """(positions in the flattened storage, dJ/dθ there, entries set aside) for sampled entries of one parameter.

    Perturbed copies of one replica are evaluated together, as replicas.
    """
    start, _ = params.layout.slots[name]
    per_replica_size = params[name][0].numel()
    picks: list[Tensor] = []
    slopes: list[Tensor] = []
    for replica in range(params.flat.shape[0]):
        order = torch.randperm(per_replica_size, generator=generator(replica, "noise", name))[:entries]
        for chunk in torch.split(order, max(1, CHUNK_NUMBERS // (len(STENCIL) * params.layout.size))):
            slope, crosses = _stencil(objective, params, x, y, replica, start + chunk)
            picks.append(replica * params.layout.size + start + chunk[~crosses])
            slopes.append(slope[~crosses])
    picked = torch.cat(picks)
    total = params.flat.shape[0] * min(entries, per_replica_size)
    return picked, torch.cat(slopes), total - len(picked)


def _stencil(
    objective: Objective, params: Params, x: Units, y: Outputs, replica: int, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """dJ/dθ of one replica at `columns` of its storage, and whether each perturbation crossed a kink."""
    offsets = torch.tensor([offset for offset, _ in STENCIL], dtype=torch.float64)
    weights = torch.tensor([weight for _, weight in STENCIL], dtype=torch.float64)
    copies = len(columns) * len(offsets)
    flat = params.flat[replica].repeat(copies, 1)
    flat[torch.arange(copies), columns.repeat_interleave(len(offsets))] += STEP * offsets.repeat(len(columns))
    if objective.weight_decay is not None:
        objective = replace(objective, weight_decay=objective.weight_decay[replica].repeat(copies))
    own_x, own_y = x[replica : replica + 1], y[replica : replica + 1]
    values = objective.value(params.with_flat(flat), own_x.expand(copies, -1, -1), own_y.expand(copies, -1, -1))
    here = _regions(objective, params.with_flat(params.flat[replica : replica + 1]), own_x)
    there = _regions(objective, params.with_flat(flat), own_x.expand(copies, -1, -1))
    moved = torch.zeros(copies, dtype=torch.bool)
    for region, base in zip(there, here, strict=True):
        moved |= (region != base).flatten(1).any(1)
    slope = (values.view(-1, len(offsets)) @ weights) / STEP
    return slope, moved.view(-1, len(offsets)).any(1)


def _regions(objective: Objective, params: Params, x: Units) -> Iterator[Tensor]:
    """For each layer of units, which smooth piece of its activation each z lies on."""
    _, tape = objective.model.forward(params, x)
    for units in objective.model.units(tape):
        kinks = torch.tensor(units.activation.kinks, dtype=x.dtype)
        yield torch.bucketize(units.z, kinks)


def relative_error(hand: Tensor, reference: Tensor, floor: float = 0.0) -> float:
    """‖hand - reference‖ / max(‖hand‖, ‖reference‖, floor); 0 for 0/0, infinite where anything is not finite."""
    error = float((hand - reference).norm())
    if error == 0:
        return 0.0
    scale = max(float(hand.norm()), float(reference.norm()), floor)
    return error / scale if scale < float("inf") else float("inf")
