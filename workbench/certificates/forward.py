"""The forward pass against an independent one: which activation, layer or loss computes what it should not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from workbench.config.instantiate import asks_for
from workbench.core.terminal import FittingTable
from workbench.nn.check import reference_forward, reference_recurrent, reference_sequences
from workbench.nn.check.spot_check import GRID, Point
from workbench.nn.layers.base import EVALUATION, Mode, UnitTape, within
from workbench.nn.layers.masked import Masked
from workbench.nn.layers.views import Unflatten
from workbench.nn.losses import l2_penalty

ARCHITECTURES = reference_forward.ARCHITECTURES | reference_sequences.ARCHITECTURES | reference_recurrent.ARCHITECTURES
TOLERANCE = 1e-10
NONE = "none: it has no second form"


@dataclass(frozen=True)
class Forward:
    """A part of the forward pass with its error; None where no independent form of it exists."""

    part: str
    error: float | None

    @property
    def agrees(self) -> bool:
        """Whether the part is confirmed, as far as it can be compared."""
        return self.error is None or self.error < TOLERANCE


@dataclass(frozen=True)
class Nodes:
    """The nodes of a configuration that a forward pass is made of."""

    architecture: Mapping[str, Any]
    activation: Mapping[str, Any]
    norm: Mapping[str, Any]
    loss: Mapping[str, Any]

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> "Nodes":
        """Take the nodes from a resolved configuration."""
        return cls(*(resolved[group] for group in ("architecture", "activation", "norm", "loss")))


def forward_rows(nodes: Nodes, point: Point, stages: Sequence[Point] = ()) -> list[Forward]:
    """Errors of activation, layers in both modes, loss and J at a point, and of the outputs of pretraining stages."""
    errors: dict[str, float | None] = {}
    of_stages = (pair for number, stage in enumerate(stages, start=1) for pair in _stage(nodes, stage, number))
    for part, error in (*_activation(nodes, point), *_layers(nodes, point), *_loss(nodes, point), *of_stages):
        before = errors.get(part, 0.0)
        errors[part] = None if error is None or before is None else max(before, error)
    return [Forward(part, error) for part, error in errors.items()]


def _error(ours: Tensor, theirs: Tensor) -> float:
    """‖ours - theirs‖ / ‖theirs‖ over all entries that are finite in `theirs`."""
    known = theirs.isfinite()
    ours, theirs = ours[known], theirs[known]
    off = float((ours - theirs).norm())
    error = off / max(float(theirs.norm()), 1e-300) if off else 0.0
    return error if isfinite(error) else float("inf")


def _constants(node: Mapping[str, Any], values: Mapping[str, Any], point: Point, replica: int) -> dict[str, Any]:
    """Constants of an activation; per-replica ones are read from the net's buffers."""
    buffers = {name.partition(".")[2]: point.params[name] for name in point.params.layout.buffers}
    return {name: float(buffers[name][replica]) if name in buffers else value for name, value in values.items()}


def _activation(nodes: Nodes, point: Point) -> Iterator[tuple[str, float | None]]:
    _, tape = point.objective.model.forward(point.params, point.x, EVALUATION)
    units = next(point.objective.model.units(tape), None)
    if units is None or not asks_for("architecture", nodes.architecture, "activation"):
        return
    second = reference_forward.second_form(reference_forward.ACTIVATIONS, nodes.activation)
    if second is None:
        yield f"activation ({NONE})", None
        return
    z = GRID.to(point.dtype).expand(len(point.x), 1, -1)
    ours = units.activation.forward(z.clone(), *units.constants)
    for replica in range(len(z)):
        values = _constants(nodes.activation, second[1], point, replica)
        a = second[0](z[replica], **values)
        yield "activation f(z)", float(((ours[replica] - a).abs() / (1 + a.abs())).nan_to_num(torch.inf).max())


def _layers(nodes: Nodes, point: Point) -> Iterator[tuple[str, float | None]]:
    """Yield the errors of z and a of each layer, in training and in evaluation."""
    build = reference_forward.second_form(ARCHITECTURES, nodes.architecture)
    if build is None or reference_forward.second_form(reference_forward.NORMS, nodes.norm) is None:
        yield f"layers ({NONE})", None
        return
    model = point.objective.model
    for mode in (point.mode, EVALUATION):
        z, tape = model.forward(point.params, point.x, mode)
        ours = {(name.removesuffix(".W"), "z"): preactivation for name, preactivation in model.preactivations(tape)}
        ours |= {(name, "a"): a for name, _, a in model.activity(tape)}
        for replica in range(len(point.x)):
            net = _net(nodes, point, replica, mode)
            theirs = build[0](net, point.x[replica], **build[1])
            for part, value in net.seen.items():
                if part in ours:
                    yield f"{part[0]}: {part[1]}", _error(ours[part][replica], value)
            yield "output: z", _error(z[replica], theirs)


def _stage(nodes: Nodes, stage: Point, number: int) -> Iterator[tuple[str, float | None]]:
    """Yield the error of the reconstruction by a one-layer auto-encoder."""
    norm = reference_forward.second_form(reference_forward.NORMS, nodes.norm)
    if f"d{number}.b" not in stage.params or norm is None:
        return
    z, _ = stage.objective.model.forward(stage.params, stage.x, EVALUATION)
    for replica in range(len(z)):
        theirs = reference_forward.autoencoded(_net(nodes, stage, replica, EVALUATION), stage.x[replica], number)
        yield f"pretraining {number}: output", _error(z[replica], theirs)


def _net(nodes: Nodes, point: Point, replica: int, mode: Mode) -> reference_forward.ReferenceNet:
    """Reference net of one replica; the user's own activation is used as it is, to compare the layers."""
    params = {name: value[replica] for name, value in point.params.items()}
    second = reference_forward.second_form(reference_forward.ACTIVATIONS, nodes.activation)
    norm = reference_forward.second_form(reference_forward.NORMS, nodes.norm)
    assert norm is not None
    if second is not None:
        f = partial(second[0], **_constants(nodes.activation, second[1], point, replica))
    else:
        _, tape = point.objective.model.forward(point.params, point.x, EVALUATION)
        units = next(point.objective.model.units(tape), None)
        f = partial(_as_it_is, units, replica)
    key = 0 if mode.keys is None else int(mode.keys[replica])
    layers = list(within(point.objective.model))  # they tell what an architecture was told of its inputs
    inputs = (
        next((layer.padding for layer in layers if isinstance(layer, Masked)), None),
        point.y.ndim == 4,
        next((layer.shape for layer in layers if isinstance(layer, Unflatten)), ()),
    )
    return reference_forward.ReferenceNet(params, f, norm[0], norm[1].get("eps", 1e-5), mode.training, key, *inputs)


def _as_it_is(units: UnitTape | None, replica: int, z: Tensor) -> Tensor:
    assert units is not None  # the caller has checked
    constants = [constant[replica : replica + 1] for constant in units.constants]
    return units.activation.forward(z.unsqueeze(0), *constants).squeeze(0)


def _loss(nodes: Nodes, point: Point) -> Iterator[tuple[str, float | None]]:
    """Yield the errors of h, C and J at the net's own output and far from it."""
    loss, params = point.objective.loss, point.params
    second = reference_forward.second_form(reference_forward.LOSSES, nodes.loss)
    output = None
    if second is not None:
        output = reference_forward.OUTPUTS.get(str(nodes.loss["_target_"]).rpartition(".")[2])
        if "output" in second[1]:
            output_form = reference_forward.second_form(reference_forward.ACTIVATIONS, second[1].pop("output"))
            output = None if output_form is None else partial(output_form[0], **output_form[1])
    if second is None or output is None:
        yield f"loss ({NONE})", None
    z, _ = point.objective.model.forward(params, point.x, EVALUATION)
    if second is not None and output is not None:
        for scale in (1.0, 10.0):
            ours, h = loss.value(z * scale, point.y), loss.predict(z * scale)
            for replica in range(len(z)):
                at, h_at, y = _with_targets(point.y[replica], z[replica] * scale, h[replica], point.y[replica])
                theirs = output(at)
                yield "output: h(z)", _error(h_at, theirs)
                value = second[0](at, y, theirs, **second[1])
                yield "loss C", _error(ours[replica], value)
    decay = point.objective.weight_decay
    if decay is not None:
        ours = l2_penalty(params, decay)
        weights = [params[name] for name in params.layout.shapes if name.endswith(".W")]
        theirs = sum((W.flatten(1).square().sum(1) for W in weights), torch.zeros_like(ours)) * decay / 2
        yield "penalty λ/2 Σ W²", _error(ours, theirs)
        whole = point.objective.value(params, point.x, point.y, EVALUATION)
        yield "J = C + penalty", _error(whole, loss.value(z, point.y) + theirs)


def _with_targets(y: Tensor, *values: Tensor) -> list[Tensor]:
    """Take the rows of values [B, K], or those of [B, T, K] that have a target."""
    if y.ndim == 2:
        return list(values)
    rows = y.flatten(0, 1).any(1)
    return [each.flatten(0, 1)[rows] for each in values]


def forward_table(rows: Sequence[Forward]) -> Table:
    """Table of the forward pass, with a row per part."""
    table = FittingTable(
        title="forward pass against an independent one",
        caption="relative errors, in training and in evaluation; independent: torch.nn.functional and textbook forms",
    )
    for heading, justify in (("part", "left"), ("error", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for row in rows:
        shown = "-" if row.error is None else f"{row.error:.1e}"
        table.add_row(row.part, shown, "not compared" if row.error is None else "agrees" if row.agrees else "DISAGREES")
    return table
