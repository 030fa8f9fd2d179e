"""Quantities of a step against autograd and numpy in every architecture, and against numbers worked by hand."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import workbench as wb
from tests.reference import blobs, build, make_pack, stems
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.config.prepare import build_pack, prepare
from workbench.diagnostics.observed_step import ObservedStep, Signal
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.epoch_plan import Plan
from workbench.engine.train import Trainer
from workbench.nn.check.torch_twin import copy_into, twin
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model
from workbench.nn.params import Layout, Params

FULL: Diagnostics = call("diagnostics", option("diagnostics", "full"))
LR = 0.1
BY_HAND = {  # quantity -> its number in the example worked by hand
    "act_norm": (25 / 2) ** 0.5,
    "act_mean": 7 / 4,
    "act_var": 25 / 4 - 49 / 16,
    "sparsity": 1 / 2,
    "delta_norm": (5 / 2) ** 0.5,
    "delta_mean": -1 / 4,
    "delta_var": 5 / 4 - 1 / 16,
    "grad_norm": 13,
    "weight_norm": 5,
    "update_ratio": 0.5 / 5,
}
CASES: dict[str, tuple[str, dict[str, Any], str, str]] = {  # name -> architecture, its values, activation, norm
    "mlp": ("mlp", {"hidden": [5, 4]}, "tanh", "none"),
    "relu": ("mlp", {"hidden": [6, 5, 4]}, "relu", "none"),
    "leaky": ("mlp", {"hidden": [5, 4]}, "leaky_relu", "none"),
    "batch norm": ("mlp", {"hidden": [5, 4]}, "relu", "batch"),
    "layer norm": ("mlp", {"hidden": [5, 4]}, "sigmoid", "layer"),
    "perceptron": ("perceptron", {}, "relu", "none"),
    "maxout": ("maxout_mlp", {"hidden": [5, 4], "pieces": 3}, "relu", "none"),
    "residual": ("residual_mlp", {"width": 5, "blocks": 2}, "gelu", "none"),
    "residual, activation first": (
        "residual_mlp",
        {"width": 5, "blocks": 2, "order": "activation_first", "layers_per_block": 2},
        "relu",
        "none",
    ),
    "residual, batch norm": ("residual_mlp", {"width": 5, "blocks": 2, "scale": "sqrt_depth"}, "elu", "batch"),
    "highway": ("highway_mlp", {"width": 5, "depth": 2}, "tanh", "none"),
}
Seen = dict[str, tuple[np.ndarray | None, np.ndarray]]  # layer -> a, delta of one example


def _leaves(layer: Layer, module: Any) -> Iterator[tuple[Layer, Any]]:
    """Layers of units and products beside their modules; a gate is none."""
    if isinstance(layer, Model):
        for inner, own in zip(layer.layers, module, strict=True):
            yield from _leaves(inner, own)
    elif isinstance(layer, Residual):
        yield from _leaves(layer.inner, module.inner[0])
    elif isinstance(layer, Highway):
        yield layer.transform, module.inner[0][0]
        yield layer.activate, module.inner[0][1]
    elif isinstance(layer, Dense | Activate | Maxout):
        yield layer, module


def _hooked(model: Model, net: nn.Module, kept: dict[str, tuple[Tensor | None, Tensor]]) -> None:
    """Keep a and the tensor that delta is the gradient of: f's input, a maxout's output, else a product."""

    def keep(layer: Any) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            of = inputs[0] if isinstance(layer, Activate) else output
            of.retain_grad()
            if not isinstance(layer, Dense) or layer.name not in kept:
                kept[layer.name] = (None if isinstance(layer, Dense) else output, of)

        return hook

    for layer, module in _leaves(model, net):
        if isinstance(layer, Activate):  # a z of its own: delta is what passes the unit, not what passes beside it
            module.register_forward_pre_hook(lambda module, inputs: (inputs[0].clone(),))
        module.register_forward_hook(keep(layer))


@lru_cache
def _step(case: str) -> tuple[dict[str, Tensor], list[tuple[Seen, dict[str, np.ndarray], dict[str, np.ndarray]]]]:
    """Metrics of one step of a pack of two, and by replica what autograd says: signals, weights, gradients."""
    architecture, values, activation, norm = CASES[case]
    parts = {"activation": build("activation", activation), "norm": build("norm", norm)}

    def make(n_in: int, n_out: int) -> Model:
        node = {**option("architecture", architecture), **values}
        made: Model = call("architecture", node, n_in=n_in, n_out=n_out, **parts)
        return made

    pack = make_pack(blobs(60, 7, 3), [0, 1], architecture=make, lr=LR)
    trainer = Trainer(pack, 12, FULL)
    before = trainer.params.with_flat(trainer.params.flat.clone())
    plan = Plan(0, pack.data.epoch_rows(trainer.orders), pack.learning_rates(0, 4, 4))
    batch = next(plan.batches(pack.data, 12))
    _, metrics = trainer.observed_step(batch, 4)
    reference = []
    for r in range(2):
        net = twin(pack.objective.model).double().train()
        copy_into(net, before, r)
        kept: dict[str, tuple[Tensor | None, Tensor]] = {}
        _hooked(pack.objective.model, net, kept)
        nn.functional.cross_entropy(net(batch.x[r]), batch.y[r].argmax(1), reduction="sum").backward()  # type: ignore[no-untyped-call]
        seen: Seen = {}
        for name, (a, z) in kept.items():
            assert z.grad is not None
            seen[name] = (None if a is None else a.detach().numpy(), z.grad.numpy())
        names = list(before.layout.shapes)
        grads = {name: one.grad.numpy() / 12 for name, one in zip(names, net.parameters(), strict=True)}  # type: ignore[union-attr]
        reference.append((seen, {name: before[name][r].numpy() for name in names}, grads))
    return metrics, reference


def _norms(arrays: Mapping[str, np.ndarray], weights: bool) -> dict[str, float]:
    """Return the norms of W, or of W and b, by layer and over all, without gates, gamma and beta."""
    kinds = ("W",) if weights else ("W", "b")
    chosen = {name: array for name, array in arrays.items() if name.partition(".")[2] in kinds}
    layers = sorted({name.partition(".")[0] for name in chosen})
    parts = {layer: [array for name, array in chosen.items() if name.partition(".")[0] == layer] for layer in layers}
    parts["all"] = list(chosen.values())
    return {layer: float(np.sqrt(sum((array**2).sum() for array in own))) for layer, own in parts.items()}


def _expected(quantity: str, seen: Seen, weights: dict[str, np.ndarray], grads: dict[str, np.ndarray]) -> Any:
    if quantity == "grad_norm":
        return _norms(grads, False)
    if quantity in ("weight_norm", "update_ratio"):
        before = _norms(weights, True)
        change = _norms({name: LR * array for name, array in grads.items()}, True)
        return before if quantity == "weight_norm" else {name: change[name] / before[name] for name in before}
    signals = {layer: a if quantity.startswith(("act", "sparsity")) else delta for layer, (a, delta) in seen.items()}
    formulas: dict[str, Any] = {
        "norm": lambda x: np.sqrt((x**2).sum(1).mean()),
        "mean": np.mean,
        "var": np.var,
        "sparsity": lambda x: (x == 0).mean(),
    }
    return {layer: formulas[quantity.split("_")[-1]](x) for layer, x in signals.items() if x is not None}


@pytest.mark.parametrize("quantity", sorted(BY_HAND))
@pytest.mark.parametrize("case", CASES)
def test_quantity_equals_autograd_and_numpy(case: str, quantity: str) -> None:
    """Each quantity equals numpy's value of autograd's signals for every replica, at the expected layers only."""
    metrics, reference = _step(case)
    own = {name.partition("/")[2]: values for name, values in metrics.items() if name.startswith(f"{quantity}/")}
    for r, (seen, weights, grads) in enumerate(reference):
        expected = _expected(quantity, seen, weights, grads)
        assert own.keys() == expected.keys()
        for layer, value in expected.items():
            assert own[layer].shape == (2,)
            assert float(own[layer][r]) == pytest.approx(float(value), rel=1e-6, abs=1e-12), layer


def test_quantities_worked_by_hand() -> None:
    """Two examples, two units: a = (0, 3), (4, 0); deltas (1, 0), (0, -2) as halves; W = (3, 4), then (3, 4.5)"""
    layout = Layout({"l1.W": (2, 1), "l1.b": (2,)})
    before, after, grads = (Params.zeros(layout, 1, torch.empty(0, dtype=torch.float64)) for _ in range(3))
    before["l1.W"][0] = torch.tensor([[3.0], [4.0]])
    after["l1.W"][0] = torch.tensor([[3.0], [4.5]])
    grads["l1.W"][0], grads["l1.b"][0] = torch.tensor([[5.0], [0.0]]), torch.tensor([0.0, 12.0])
    a = torch.tensor([[[0.0, 3.0], [4.0, 0.0]]])
    signal = Signal(a, a, torch.tensor([[[0.5, 0.0], [0.0, -1.0]]]), 2)
    seen = ObservedStep(1, a, before.flat, after, grads, lambda: {"l1": signal})
    found = {name: float(FULL.quantities[name](seen)["l1"]) for name in BY_HAND}
    assert found == pytest.approx(BY_HAND, rel=1e-12)


def test_small_and_large_signals_are_measured_in_single_precision() -> None:
    """Norms of 1e-30 and 1e30 in float32, whose squares it cannot hold, are right."""
    a, delta = torch.full((1, 4, 9), 1e30), torch.full((1, 4, 9), 1e-30)
    params = Params.zeros(Layout({"l1.W": (1, 4)}), 1, torch.empty(0))
    params["l1.W"].fill_(1e-30)
    seen = ObservedStep(1, a, params.flat, params, params, lambda: {"l1": Signal(a, a, delta, a.shape[1])})
    assert float(FULL.quantities["act_norm"](seen)["l1"]) == pytest.approx(3e30, rel=1e-6)
    assert float(FULL.quantities["delta_norm"](seen)["l1"]) == pytest.approx(4 * 3e-30, rel=1e-6)
    assert float(FULL.quantities["grad_norm"](seen)["l1"]) == pytest.approx(2e-30, rel=1e-6)


def test_watching_changes_no_bit() -> None:
    """Weights after two epochs with every diagnostic are those without any."""
    dataset = blobs(200, 16, 16)

    def final(plan: Diagnostics) -> Tensor:
        trainer = Trainer(make_pack(dataset, [0, 1], momentum=0.9), 16, plan)
        list(trainer.run(2))
        return torch.stack([trainer.final[0], trainer.final[1]])

    assert torch.equal(final(FULL), final(call("diagnostics", option("diagnostics", "off"))))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", stems("optimizer"))
def test_gradients_are_measured_without_watching_the_step(optimizer: str) -> None:
    """Light diagnostics read the same gradient norms, bit for bit, as full ones, clipped or not."""

    def norms_of(*overrides: str) -> list[dict[str, list[float]]]:
        settings = ["data=wine", f"optimizer={optimizer}", "optimizer.lr=0.01", "train.clip_norm=0.1", *overrides]
        spec = wb.configure(*settings, "architecture.hidden=[5]", "diagnostics.spacing=1", "diagnostics.budget=null")
        plan = prepare(spec).diagnostics
        assert (plan.of_gradients is None) == plan.tables
        records = Trainer(build_pack([spec]), 16, plan).run(3)
        return [{name: row for name, row in one.metrics.items() if name.startswith("grad_norm")} for one in records]

    light, full = norms_of("diagnostics=light"), norms_of("diagnostics=full")
    assert [sorted(one) for one in light[1:4]] == [["grad_norm/all", "grad_norm/l1", "grad_norm/l2"]] * 3
    assert [one for one in light if one] == [one for one in full if one][-3:]


def test_a_quantity_of_ones_own_needs_no_more_than_a_line() -> None:
    """An override that names a function adds it as a quantity beside those of an option."""
    mine = "+diagnostics.quantities.largest._target_=tests.diagnostics.own.largest"
    plan = prepare(wb.configure("diagnostics=full", mine, "diagnostics.quantities.act_var=null")).diagnostics
    assert sorted(plan.quantities) == sorted({*FULL.quantities, "largest"} - {"act_var"})
    trainer = Trainer(make_pack(blobs(60, 7, 3), [0, 1], hidden=[4]), 12, plan)
    records = list(trainer.run(1))
    assert all(0 < value < 1 for value in records[-2].metrics["largest/l1"])
    assert "largest/l2" not in records[-2].metrics
