"""The certificate: how far hand-written gradients agree with autograd and central differences.

`certify` checks one composed configuration, and `survey` every activation x layer x loss that the workbench comes with.
Trained packs are checked by `workbench.certificates.trained`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from workbench.certificates.forward import Forward, Nodes, forward_rows
from workbench.certificates.trained import describe, spot_points
from workbench.config.instantiate import asks_for, call
from workbench.config.options import option, options
from workbench.config.prepare import build_pack
from workbench.config.schema import Device, Dtype, RunSpec
from workbench.config.validate import validate_all
from workbench.core.terminal import FittingTable
from workbench.nn.activations import Activation
from workbench.nn.check.gradcheck import Agreement, difference_curve, gradcheck
from workbench.nn.check.spot_check import Point, deviations, off_kinks
from workbench.nn.initializers import Scheme, glorot, uniform_bias
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params


@dataclass(frozen=True)
class Certificate:
    """Agreement by parameter, error of all parameters together against differences by step, and other deviations."""

    rows: list[Agreement]
    curve: dict[float, float]
    spots: list[str] = field(default_factory=list)
    forward: list[Forward] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether the forward pass and every parameter's gradient are confirmed, and a spot check finds nothing."""
        return all(row.agrees for row in self.rows) and all(row.agrees for row in self.forward) and not self.spots


def certify(spec: RunSpec) -> Certificate:
    """Check gradients of a training pass at the run's initial weights on its first training examples, on the CPU.

    Includes the stages of a pretraining, and what a spot check of the trained run would find. Raises ConfigError where
    the run could not be trained.
    """
    validate_all([spec])
    exact = replace(spec.config, device=Device["cpu"], dtype=Dtype["float64"])
    pack = build_pack([replace(spec, config=exact)])
    params = pack.initial_params()
    whole, *before = map(off_kinks, spot_points(pack, params, range(1)))
    problem, mode = (whole.objective, whole.params, whole.x, whole.y), whole.mode
    rows = gradcheck(*problem, mode=mode)
    for number, stage in enumerate(before, start=1):
        agreements = gradcheck(stage.objective, stage.params, stage.x, stage.y, mode=stage.mode)
        rows += [replace(row, name=f"pretraining {number}: {row.name}") for row in agreements]
    spots = [describe(deviation) for point in (whole, *before) for deviation in deviations(point)[0]]
    forward = forward_rows(Nodes.of(spec.resolved), whole, before)
    return Certificate(rows, difference_curve(*problem, mode=mode), spots, forward)


@dataclass(frozen=True)
class Surveyed:
    """A row of the survey: one combination, and the worst errors of all its parameters."""

    activation: str
    layer: str
    loss: str
    autograd_error: float
    difference_error: float
    single_error: float
    at_kinks: int
    agrees: bool
    forward_error: float = 0.0


def survey() -> Iterator[Surveyed]:
    """Check every activation x layer x loss of ``conf/``, as a small net with two replicas in a training pass."""
    for layer, node, norm in _layers():
        wants_activation = asks_for("architecture", node, "activation")
        for activation in options("activation") if wants_activation else ["-"]:
            for loss in options("loss"):
                yield from _surveyed(layer, node, norm, activation, loss, {})
        if not wants_activation:
            for output in options("activation"):
                inner = {"output": option("activation", output)}
                if inner["output"] != option("loss", "squared_error")["output"] and output != "unit_step":
                    yield from _surveyed(layer, node, norm, "-", "squared_error", inner, f" of {output}")


def _layers() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield (name, node, norm) of each kind of layer: architectures with norms and dropout, where they have them."""
    small = {"hidden": [6, 5], "width": 6, "blocks": 2, "depth": 2}
    for architecture in options("architecture"):
        node = option("architecture", architecture)
        node |= {key: value for key, value in small.items() if key in node}
        norms = options("norm") if asks_for("architecture", node, "norm") else ["none"]
        for norm in sorted(norms, key="none".__ne__):
            yield architecture + ("" if norm == "none" else f" + {norm} norm"), node, norm
        if "dropout" in node:
            yield f"{architecture} + dropout", node | {"dropout": 0.4}, "none"


INPUTS = 5
SIZES: dict[Target, int] = {"real": INPUTS, "binary": 1, "one_hot": 4, "weighted": 4}


def _surveyed(
    layer: str, node: dict[str, Any], norm: str, activation: str, loss: str, inner: dict[str, Any], suffix: str = ""
) -> Iterator[Surveyed]:
    cost: Loss = call("loss", option("loss", loss) | inner)
    target = cost.accepts[0]
    units: Activation = call("activation", option("activation", "identity" if activation == "-" else activation))
    if target != "real" and layer.startswith("autoencoder"):
        return  # what it learns is real
    model: Model = call(
        "architecture",
        node,
        n_in=INPUTS,
        n_out=SIZES[target],
        activation=units,
        norm=call("norm", option("norm", norm)),
    )
    problem = _problem(model, units, cost, target)
    rows = gradcheck(*problem, entries=2, mode=_mode())
    chosen = option("activation", "identity" if activation == "-" else activation), option("norm", norm)
    nodes = Nodes(node, *chosen, option("loss", loss) | inner)
    forward = forward_rows(nodes, Point(*problem, _mode()))
    yield Surveyed(
        activation,
        layer,
        loss + suffix,
        max(row.autograd_error for row in rows),
        max(row.difference_error for row in rows),
        max(row.single_error for row in rows),
        sum(row.at_kinks for row in rows),
        all(row.agrees for row in rows) and all(row.agrees for row in forward),
        max(row.error or 0.0 for row in forward),
    )


def _mode() -> Mode:
    return EVALUATION._replace(training=True, keys=torch.tensor([3, 4]))


def _problem(model: Model, units: Activation, cost: Loss, target: Target) -> tuple[Objective, Params, Tensor, Tensor]:
    """Two replicas with random weights and biases, twelve examples, and an L2 penalty."""
    stream = torch.Generator().manual_seed(0)
    scheme = Scheme(glorot(), uniform_bias(), units.constants)
    params = Params.stack(
        [model.init(seed, scheme) for seed in (0, 1)],
        torch.float64,
        torch.device("cpu"),
        [model.buffers(scheme)] * 2,
    )
    size = SIZES[target]
    x = torch.randn(2, 12, INPUTS, generator=stream, dtype=torch.float64)
    draws: dict[Target, Tensor] = {
        "real": torch.randn(2, 12, size, generator=stream, dtype=torch.float64),
        "binary": torch.randint(2, (2, 12, size), generator=stream).double(),
        "one_hot": torch.nn.functional.one_hot(torch.randint(size, (2, 12), generator=stream), size).double(),
    }
    draws["weighted"] = draws["one_hot"] * torch.arange(1, size + 1)
    decay = torch.tensor([0.01, 0.1], dtype=torch.float64)
    return Objective(model, cost, decay), params, x, draws[target]


def _table(title: str, caption: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = FittingTable(title=title, caption=caption)
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    table.add_column("")
    return table


def certificate_table(certificate: Certificate) -> Table:
    """Table of a certificate, with a row per parameter."""
    table = _table(
        "hand-written gradients of a training pass",
        "relative errors; float64 but for the column float32; kinks: entries set aside there",
        ["parameter"],
        ["shape", "‖gradient‖", "vs autograd", "vs differences", "float32", "entries", "kinks"],
    )
    for row in certificate.rows:
        table.add_row(
            row.name,
            "x".join(map(str, row.shape)),
            f"{row.norm:.3g}",
            f"{row.autograd_error:.1e}",
            f"{row.difference_error:.1e}",
            f"{row.single_error:.1e}",
            str(row.compared),
            str(row.at_kinks),
            "agrees" if row.agrees else "DISAGREES",
        )
    return table


def curve_line(certificate: Certificate) -> str:
    """The error against central differences for each step h, in one line."""
    return "all parameters against differences, by step h: " + ", ".join(
        f"{step:.0e}: {error:.0e}" for step, error in certificate.curve.items()
    )


def as_record(certificate: Certificate) -> dict[str, Any]:
    """Certificate for other programs, with what each part and the whole come to."""
    return {
        "agrees": certificate.agrees,
        "forward": [{**asdict(row), "agrees": row.agrees} for row in certificate.forward],
        "parameters": [{**asdict(row), "agrees": row.agrees} for row in certificate.rows],
        "by_step": [{"step": step, "error": error} for step, error in certificate.curve.items()],
        "spots": certificate.spots,
    }


def survey_table(rows: Sequence[Surveyed]) -> Table:
    """Table of a survey, with a row per activation, layer and loss."""
    table = _table(
        f"hand-written gradients: {len(rows)} combinations of activation, layer and loss",
        "the worst parameter's relative error; kinks: entries set aside there",
        ["activation", "layer", "loss"],
        ["forward", "vs autograd", "vs differences", "float32", "kinks"],
    )
    for row in rows:
        all_errors = row.forward_error, row.autograd_error, row.difference_error, row.single_error
        errors = (f"{error:.1e}" for error in all_errors)
        verdict = "agrees" if row.agrees else "DISAGREES"
        table.add_row(row.activation, row.layer, row.loss, *errors, str(row.at_kinks), verdict)
    return table
