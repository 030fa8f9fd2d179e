"""The survey: gradients of every activation x layer x loss that the workbench comes with, in small nets."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from workbench.certificates.certificate import printed_table
from workbench.certificates.forward import Nodes, forward_rows
from workbench.config.instantiate import asks_for, call
from workbench.config.options import option, options
from workbench.core.errors import ConfigError
from workbench.nn.activations import IDENTITY, Activation
from workbench.nn.check.gradcheck import gradcheck
from workbench.nn.check.spot_check import Point
from workbench.nn.initializers import Scheme, glorot, uniform_bias
from workbench.nn.inputs import Inputs
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.nn.position_loss import at_positions


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
    for net in _nets():
        wants_activation = asks_for("architecture", net.node, "activation")
        for activation in options("activation") if wants_activation else ["-"]:
            for loss in net.losses(activation):
                yield from _surveyed(net, activation, loss, {})
        if not wants_activation and net.inputs == FEATURES:
            for output in options("activation"):
                inner = {"output": option("activation", output)}
                if inner["output"] != option("loss", "squared_error")["output"] and output != "unit_step":
                    yield from _surveyed(net, "-", "squared_error", inner, f" of {output}")


@dataclass(frozen=True)
class Net:
    """A kind of net in the survey: an architecture with a norm, for inputs of a kind."""

    layer: str
    node: dict[str, Any]
    norm: str
    inputs: Inputs
    per_position: bool = False

    def losses(self, activation: str) -> list[str]:
        """Losses it is combined with: all, but with positions one for most activations, as it knows nothing of them."""
        if self.per_position:
            return ["softmax_nll"]
        return options("loss") if self.inputs == FEATURES or activation in ("-", "tanh") else ["softmax_nll"]


def _nets() -> Iterator[Net]:
    """Yield each kind of net: architectures with norms and dropout, where they have them, for all inputs they take."""
    for architecture in options("architecture"):
        node = option("architecture", architecture)
        node |= {key: value for key, value in SMALL.items() if key in node}
        for inputs, per_position in _takes(node):
            name = architecture + (" at positions" if per_position else "")
            norms = options("norm") if asks_for("architecture", node, "norm") else ["none"]
            if inputs.padding is not None:
                norms = [norm for norm in norms if norm != "batch"]  # refused, as it would count padding
            for norm in sorted(norms, key="none".__ne__):
                layer = name + ("" if norm == "none" else f" + {norm} norm")
                yield Net(layer, node, norm, inputs, per_position)
            if "dropout" in node:
                yield Net(f"{name} + dropout", node | {"dropout": 0.4}, "none", inputs, per_position)


def _takes(node: dict[str, Any]) -> Iterator[tuple[Inputs, bool]]:
    """Yield the inputs that an architecture takes, and whether each position has a target of its own."""
    if not asks_for("architecture", node, "inputs"):
        yield FEATURES, False
        return
    for inputs in (PICTURE, TOKENS):
        for per_position in (False, True) if inputs.kind == "tokens" else (False,):
            with suppress(ConfigError):  # it takes others
                _model(Net("", node, "none", inputs, per_position), "one_hot", IDENTITY)
                yield inputs, per_position


INPUTS = 5
SMALL = {"hidden": [6, 5], "width": 6, "blocks": 2, "depth": 2}
FEATURES, PICTURE = Inputs((INPUTS,)), Inputs((6, 6, 2))
TOKENS = Inputs((INPUTS,), vocabulary=6, padding=0)
SIZES: dict[Target, int] = {"real": INPUTS, "binary": 1, "one_hot": 4, "weighted": 4, "positions": 4}


def _model(net: Net, target: Target, units: Activation) -> Model:
    model: Model = call(
        "architecture",
        net.node,
        n_in=INPUTS,
        n_out=SIZES[target],
        activation=units,
        norm=call("norm", option("norm", net.norm)),
        inputs=net.inputs,
        per_position=net.per_position,
    )
    return model


def _surveyed(net: Net, activation: str, loss: str, inner: dict[str, Any], suffix: str = "") -> Iterator[Surveyed]:
    cost: Loss = call("loss", option("loss", loss) | inner)
    target: Target = "positions" if net.per_position else cost.accepts[0]
    units: Activation = call("activation", option("activation", "identity" if activation == "-" else activation))
    if target != "real" and net.layer.startswith("autoencoder"):
        return  # what it learns is real
    cost = at_positions(cost) if net.per_position else cost
    problem = _problem(_model(net, target, units), net.inputs, units, cost, target)
    rows = gradcheck(*problem, entries=2, mode=_mode())
    chosen = option("activation", "identity" if activation == "-" else activation), option("norm", net.norm)
    nodes = Nodes(net.node, *chosen, option("loss", loss) | inner)
    forward = forward_rows(nodes, Point(*problem, _mode()))
    yield Surveyed(
        activation,
        net.layer,
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


def _problem(
    model: Model, inputs: Inputs, units: Activation, cost: Loss, target: Target
) -> tuple[Objective, Params, Tensor, Tensor]:
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
    x = _inputs(inputs, stream)
    draws: dict[Target, Tensor] = {
        "real": torch.randn(2, 12, size, generator=stream, dtype=torch.float64),
        "binary": torch.randint(2, (2, 12, size), generator=stream).double(),
        "one_hot": torch.nn.functional.one_hot(torch.randint(size, (2, 12), generator=stream), size).double(),
    }
    draws["weighted"] = draws["one_hot"] * torch.arange(1, size + 1)
    labels = torch.randint(size, (2, 12, INPUTS), generator=stream)
    there = x[:, :, :INPUTS].ne(inputs.padding or 0).unsqueeze(3) if target == "positions" else torch.ones(1)
    draws["positions"] = torch.nn.functional.one_hot(labels, size).double() * there
    decay = torch.tensor([0.01, 0.1], dtype=torch.float64)
    return Objective(model, cost, decay), params, x, draws[target]


def _inputs(inputs: Inputs, stream: torch.Generator) -> Tensor:
    """Twelve examples of two replicas; sentences of 1 to T tokens, and padding behind them."""
    if inputs.vocabulary is None:
        return torch.randn(2, 12, inputs.size, generator=stream, dtype=torch.float64)
    words = torch.randint(1, inputs.vocabulary, (2, 12, inputs.size), generator=stream)
    lengths = 1 + torch.arange(12) % inputs.size
    return words * (torch.arange(inputs.size) < lengths.unsqueeze(1))


def survey_table(rows: Sequence[Surveyed]) -> Table:
    """Table of a survey, with a row per activation, layer and loss."""
    table = printed_table(
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
