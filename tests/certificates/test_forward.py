"""The independent forward pass agrees with every option, and disagrees with each that a test breaks."""

from dataclasses import replace
from inspect import signature
from typing import Any

import pytest
from torch import Tensor

import workbench as wb
from tests.outer import replace_target
from workbench.certificates.certificate import certify
from workbench.certificates.forward import ARCHITECTURES, Forward, Nodes, forward_rows
from workbench.certificates.trained import spot_points
from workbench.config.options import options
from workbench.config.prepare import build_pack
from workbench.nn import activations, builders, losses
from workbench.nn.check import reference_forward
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.pool import MaxPool
from workbench.nn.layers.readout import Last
from workbench.nn.layers.recurrent import Recurrent
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.tied import Tied

DATA = {"squared_error": "diabetes", "binary_nll": "breast_cancer", "perceptron": "breast_cancer"}
SMALL = [f"architecture.{size}" for size in ("width=4", "blocks=1", "feed_forward=5")]
SMALL = ["architecture=transformer", *SMALL, "data.examples=60", "data.pairs=1", "data.length=4"]
NETS: dict[str, list[str]] = {
    "perceptron": ["architecture=perceptron"],
    "mlp": ["architecture.hidden=[4,3]", "architecture.dropout=0.3", "optimizer.weight_decay=0.1"],
    "maxout_mlp": ["architecture=maxout_mlp", "architecture.hidden=[4,3]"],
    "residual_mlp": ["architecture=residual_mlp", "architecture.width=4", "architecture.scale=sqrt_depth"],
    "highway_mlp": ["architecture=highway_mlp", "architecture.width=4", "architecture.depth=2"],
    "autoencoder": ["architecture=autoencoder", "architecture.hidden=[4,3]", "target=input", "loss=squared_error"],
    "elman": ["architecture=elman", "architecture.width=4", "architecture.readout=mean"],
    "gru": ["architecture=gru", "architecture.width=4", "architecture.layers=2", "architecture.dropout=0.3"],
    "lstm": [
        *("data=agreement", "data.examples=60", "architecture=lstm", "architecture.width=4"),
        *("architecture.layers=2", "architecture.bidirectional=true"),
    ],
    "transformer": [*SMALL, "architecture.dropout=0.3"],
    "transformer of the other kind": [
        *(*SMALL, "architecture.placement=post", "architecture.causal=false", "architecture.positions=sinusoidal"),
    ],
    "cnn": ["data=digits", "architecture=cnn", "architecture.channels=[2,3]", "architecture.hidden=[4]"],
    "cnn, even kernel": ["data=digits", "architecture=cnn", "architecture.channels=[3]", "architecture.kernel=4"],
    "tcn": ["data=agreement", "split.seed=0", "architecture=tcn", "architecture.width=4", "architecture.dropout=0.2"],
    "tcn at positions": ["data=parity_stream", "split.seed=0", "architecture=tcn", "architecture.width=4"],
}


def _rows(*overrides: str, data: str = "wine") -> list[Forward]:
    """Compare the forward pass of two replicas of an untrained net."""
    specs = [wb.configure(f"data={data}", *overrides, f"seed={seed}") for seed in (0, 1)]
    pack = build_pack(specs)
    whole, *before = spot_points(pack, pack.initial_params(), range(2))
    return forward_rows(Nodes.of(specs[0].resolved), whole, before)


def _wrong(rows: list[Forward]) -> list[str]:
    return [row.part for row in rows if not row.agrees]


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("net", NETS)
def test_every_architecture_agrees(net: str, norm: str) -> None:
    """Each layer of each architecture agrees with the independent pass for each norm, in training and evaluation."""
    if norm == "batch" and "data=agreement" in NETS[net]:
        norm = "none"  # as it would count padding
    rows = _rows(*NETS[net], f"norm={norm}", data="recall" if "transformer" in net else "wine")
    assert not _wrong(rows)
    assert all(row.error is not None for row in rows)
    assert {"output: z", "output: h(z)", "loss C"} <= {row.part for row in rows}


def test_second_forms_are_of_options() -> None:
    """The tables of second forms name existing options only, and a certificate says where an option has none."""
    assert set(reference_forward.ACTIVATIONS) <= set(options("activation"))
    assert set(reference_forward.LOSSES) <= set(options("loss"))
    assert set(ARCHITECTURES) <= set(options("architecture"))
    assert len(reference_forward.NORMS) <= len(options("norm"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(reference_forward.ACTIVATIONS))
def test_a_wrong_activation_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An activation that agrees is named once it is off by a millionth, in a hidden layer or as output."""
    right = getattr(activations, name)
    hidden = ["architecture.hidden=[3]", "loss=squared_error", f"activation={name}"]
    outer = ["architecture=perceptron", "loss=squared_error", f"activation@loss.output={name}"]
    cases = [(one, part) for one, part in ((hidden, "activation f(z)"), (outer, "output: h(z)")) if name != "unit_step"]
    for overrides, _ in cases:
        assert not _wrong(_rows(*overrides, data="diabetes"))

    def wrong(**values: Any) -> activations.Activation:
        made: activations.Activation = right(**values)
        return replace(made, forward=lambda z, *rest: made.forward(z, *rest) + 1e-6 * (1 + z * z))

    monkeypatch.setattr(wrong, "__signature__", signature(right), raising=False)
    monkeypatch.setattr(wrong, "__annotations__", right.__annotations__)
    replace_target(monkeypatch, f"workbench.nn.activations.{name}", wrong)
    for overrides, part in cases:
        assert part in _wrong(_rows(*overrides, data="diabetes")), overrides


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(reference_forward.LOSSES))
def test_a_wrong_loss_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A loss whose value or prediction is off by 1e-6 is named as "loss C" or "output: h(z)"."""
    words = ["architecture=perceptron", f"loss={name}"]
    data = DATA.get(name, "wine")
    assert not _wrong(_rows(*words, data=data))
    pack = build_pack([wb.configure(f"data={data}", *words)])
    spec = wb.configure(f"data={data}", *words)
    (point,) = spot_points(pack, pack.initial_params(), range(1))
    right = point.objective.loss
    scaled = replace(right, measure=lambda z, y: (right.measure(z, y)[0] * 1.000001, right.measure(z, y)[1]))
    turned = replace(right, predict=lambda z: right.predict(z) + 1e-6)
    for loss, part in ((scaled, "loss C"), (turned, "output: h(z)")):
        broken = replace(point, objective=replace(point.objective, loss=loss))
        assert part in _wrong(forward_rows(Nodes.of(spec.resolved), broken))


BROKEN: list[tuple[type, list[str]]] = [
    (Dense, ["architecture.hidden=[3]"]),
    (Activate, ["architecture.hidden=[3]"]),
    (BatchNorm, ["architecture.hidden=[3]", "norm=batch"]),
    (LayerNorm, ["architecture.hidden=[3]", "norm=layer"]),
    (Dropout, ["architecture.hidden=[3]", "architecture.dropout=0.3"]),
    (Highway, NETS["highway_mlp"]),
    (Residual, NETS["residual_mlp"]),
    (Maxout, NETS["maxout_mlp"]),
    (Conv2d, ["data=digits", "architecture=cnn", "architecture.channels=[3]"]),
    (MaxPool, ["data=digits", "architecture=cnn", "architecture.channels=[3]"]),
    (Conv1d, NETS["tcn"]),
    (Recurrent, NETS["gru"]),
    (Last, NETS["gru"]),
    (Tied, ["architecture.hidden=[3]", "pretraining=autoencoder", "pretraining.tied=true"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "overrides"), BROKEN, ids=[kind.__name__ for kind, _ in BROKEN])
def test_a_wrong_layer_is_found(monkeypatch: pytest.MonkeyPatch, kind: Any, overrides: list[str]) -> None:
    """A layer whose output is off by 1e-5 is found, which autograd through the same forward pass would not see."""
    right = kind.forward
    assert not _wrong(_rows(*overrides))

    def wrong(self: Any, params: Any, x: Tensor, *mode: Any) -> Any:
        out, tape = right(self, params, x, *mode)
        return out * 1.00001, tape

    monkeypatch.setattr(kind, "forward", wrong)
    assert _wrong(_rows(*overrides))


@pytest.mark.slow
def test_a_wrong_penalty_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalty of λ in place of λ/2 is found as "J = C + penalty"."""
    words = ["architecture.hidden=[3]", "optimizer.weight_decay=0.1"]
    monkeypatch.setattr("workbench.nn.objective.l2_penalty", lambda params, decay: 2 * losses.l2_penalty(params, decay))
    assert _wrong(_rows(*words)) == ["J = C + penalty"]


def test_a_wrong_architecture_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A net that lacks its first activation disagrees at the next layer, though its gradients agree."""
    right = builders.mlp

    def wrong(**values: Any) -> Any:
        model = right(**values)
        return replace(model, layers=tuple(one for place, one in enumerate(model.layers) if place != 1))

    monkeypatch.setattr(wrong, "__signature__", signature(right), raising=False)
    monkeypatch.setattr(wrong, "__annotations__", right.__annotations__)
    replace_target(monkeypatch, "workbench.nn.builders.mlp", wrong)
    found = certify(wb.configure("data=wine", "architecture.hidden=[4,3]"))
    assert all(row.agrees for row in found.rows)
    assert not found.agrees
    assert "l2: z" in _wrong(found.forward)


def test_what_is_the_users_own_is_said_not_to_be_compared() -> None:
    """A user's own activation is reported as not compared, while the net's layers still are."""
    spec = wb.configure("data=wine", "architecture.hidden=[3]")
    pack = build_pack([spec])
    points = list(spot_points(pack, pack.initial_params(), range(1)))
    nodes = replace(Nodes.of(spec.resolved), activation={"_target_": "mine.relu"})
    found = {row.part: row.error for row in forward_rows(nodes, points[0])}
    assert found["activation (none: it has no second form)"] is None
    assert found["l1: z"] is not None
    assert all(error is None or error < 1e-10 for error in found.values())
