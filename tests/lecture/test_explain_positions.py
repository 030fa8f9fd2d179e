"""`workbench explain` of nets of positions: every number against autograd, and what is refused."""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import workbench as wb
from tests.lecture.explained import Values, compare, made, tensor
from tests.outer import Answer
from workbench.core.errors import ConfigError
from workbench.data.datasets import Dataset
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation

pytest_plugins = ["tests.outer_fixtures"]

BITS = ("data=parity_stream", "data.length=3", "data.examples=40", "loss=softmax_nll")
COPY = ("data=copy", "data.length=2", "data.symbols=2", "data.examples=40", "loss=softmax_nll")


def one_target() -> Dataset:
    """Three tokens, and whether the first is the last."""
    x = np.random.default_rng(0).integers(0, 3, (40, 3))
    return Dataset("one_target", x, (x[:, 0] == x[:, 2]).astype(np.int64), 2, vocabulary=3)


@pytest.fixture
def keyed(registered: None) -> None:
    """An option data=keyed."""
    wb.register("data", "keyed", one_target)


def _sub(symbol: str, t: int) -> str:
    return f"{symbol}{'₀₁₂₃₄₅₆₇₈₉'[t]}"


def _parameters(equations: Sequence[Equation], symbols: Sequence[str]) -> Values:
    """Initial values as they are shown; biases, shown as a row or column, as vectors."""
    shown = {one.symbol: tensor(one.value) for one in reversed(equations)}
    return {
        symbol: (shown[symbol].flatten() if symbol[0] in "bc" else shown[symbol]).requires_grad_()
        for symbol in symbols
        if symbol in shown
    }


def _differentiated(values: Values, C: Tensor, lam: float, lr: float, parameters: Values) -> Values:
    """Gradients by autograd of values, called d and their symbol, and of parameters, with the penalty and the step."""
    for value in values.values():
        value.retain_grad()
    C.backward()
    expected = {f"d{symbol}": value.grad for symbol, value in values.items() if value.grad is not None}
    penalized = {symbol: one for symbol, one in parameters.items() if symbol[0] not in "bc"}
    penalty = lam / 2 * sum(float(one.detach().square().sum()) for one in penalized.values())
    expected |= {"C": C, "J": C + penalty, "J before": C + penalty} | ({"P": C * 0 + penalty} if lam else {})
    for symbol, one in parameters.items():
        assert one.grad is not None
        gradient = one.grad + (lam * one if symbol in penalized else 0)
        expected |= {symbol: one, f"∂J/∂{symbol}": gradient, f"new {symbol}": one - lr * gradient}
    return {symbol: one.detach() for symbol, one in (expected | values).items()}


def _cost(o: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cost of the targets and the answers h; one output is logistic, more are a softmax."""
    if o.shape[-1] == 1:
        return F.binary_cross_entropy_with_logits(o, y), o.sigmoid()
    there = y.any(-1)
    return F.cross_entropy(o[there], y[there]), o.softmax(-1)


@pytest.mark.parametrize(
    ("overrides", "example"),
    [
        ([], 2),
        (["activation=sigmoid", "optimizer.weight_decay=0.1", "data.bits=4"], 7),
        ([*BITS], 3),
        ([*BITS, "optimizer.weight_decay=0.01", "architecture.width=3"], 1),
    ],
    ids=str,
)
def test_backpropagation_through_time_is_autograd_s(overrides: list[str], example: int) -> None:
    """Each z, a, o, h, each ε, e and δ, each gradient and new parameter, for one target and for one at each step."""
    equations, pack = made("architecture=elman", *overrides, example=example)
    parameters = _parameters(equations, "EWUbVc")
    x, y = (part[0, 0] for part in pack.data.chunk(pack.data.train, example - 1, example))
    f = torch.sigmoid if "activation=sigmoid" in overrides else torch.tanh
    inputs = parameters["E"][x] if "E" in parameters else x.unsqueeze(1)
    a: Tensor = torch.zeros(len(parameters["b"]), dtype=torch.float64)
    values: Values = {}
    for t, x_t in enumerate(inputs, start=1):
        z = parameters["W"] @ x_t + parameters["U"] @ a + parameters["b"]
        a = f(z)
        values |= {_sub("z", t): z, _sub("a", t): a}
    expected = _through_time(values, {}, inputs, y, pack, parameters)
    for t in range(1, len(inputs) + 1):
        a = values[_sub("a", t)].detach()
        expected[f"f′({_sub('z', t)})"] = 1 - a**2 if f is torch.tanh else a * (1 - a)
    compare(equations, expected)


def _through_time(values: Values, renamed: dict[str, str], inputs: Tensor, y: Tensor, pack: Pack, of: Values) -> Values:
    """Values of unrolled units, outputs, inputs and targets, with autograd's gradients; `renamed` has their letters."""
    read = range(1, len(inputs) + 1) if "E" in of else [len(inputs)]
    outputs = {_sub("o", t): of["V"] @ values[_sub("a", t)] + of["c"] for t in read}
    wanted = y if "E" in of else y.view(1, 1)
    C, h = _cost(torch.stack(list(outputs.values())), wanted)
    lam, lr = float(pack.optimizer.weight_decay), float(pack.optimizer.lr)
    names = {"z": "δ", "a": "e", "o": "ε", **renamed}
    expected = {
        names[name[1]] + name[2:] if name[0] == "d" else name: value
        for name, value in _differentiated(values | outputs, C, lam, lr, of).items()
    }
    answers = zip(read, h.detach(), wanted, strict=True)
    expected |= {_sub(s, t): value for t, *pair in answers for s, value in zip("hy", pair, strict=True)}
    return expected | {_sub("x", t): x_t.detach() for t, x_t in enumerate(inputs, start=1)}


@pytest.mark.parametrize(
    ("overrides", "example"),
    [
        ([], 2),
        (["optimizer.weight_decay=0.1", "data.bits=4"], 7),
        ([*BITS], 3),
        ([*BITS, "optimizer.weight_decay=0.01", "architecture.width=1"], 1),
    ],
    ids=str,
)
def test_gated_units_through_time_are_autograd_s(overrides: list[str], example: int) -> None:
    """Each z, gate, memory and state, each ε, e, κ and δ, each gradient and new parameter of an lstm."""
    equations, pack = made("architecture=lstm", *overrides, example=example)
    of = _parameters(equations, ["E", *(f"{letter}{mark}" for mark in "ⁱᶠᵍᵖ" for letter in "WUb"), "V", "c"])
    x, y = (part[0, 0] for part in pack.data.chunk(pack.data.train, example - 1, example))
    inputs = of["E"][x] if "E" in of else x.unsqueeze(1)
    a = k = torch.zeros(len(of["bⁱ"]), dtype=torch.float64)
    values: Values = {}
    squashed: Values = {}
    for t, x_t in enumerate(inputs, start=1):
        z = {mark: of[f"W{mark}"] @ x_t + of[f"U{mark}"] @ a + of[f"b{mark}"] for mark in "ⁱᶠᵍᵖ"}
        i, f, p = (z[mark].sigmoid() for mark in "ⁱᶠᵖ")
        g = z["ᵍ"].tanh()
        k = f * k + i * g
        a = p * k.tanh()
        values |= {_sub(f"z{mark}", t): one for mark, one in z.items()} | {_sub("k", t): k, _sub("a", t): a}
        gates = zip("ifgp", (i, f, g, p), strict=True)
        squashed |= {_sub(name, t): gate.detach() for name, gate in gates} | {f"tanh {_sub('k', t)}": k.detach().tanh()}
    expected = _through_time(values, {"k": "κ"}, inputs, y, pack, of)
    compare(equations, expected | squashed)


@pytest.mark.parametrize(
    ("overrides", "example"),
    [
        ([], 2),
        (["optimizer.weight_decay=0.1", "data.bits=4"], 7),
        ([*BITS, "optimizer.weight_decay=0.01", "architecture.width=1"], 3),
    ],
    ids=str,
)
def test_reset_units_through_time_are_autograd_s(overrides: list[str], example: int) -> None:
    """Each z, u, gate and state, each ε, e, δ and υ, each gradient and new parameter of a gru."""
    equations, pack = made("architecture=gru", *overrides, example=example)
    of = _parameters(equations, ["E", *(f"{letter}{mark}" for mark in "ʳˢⁿ" for letter in "WUb"), "bᵘ", "V", "c"])
    x, y = (part[0, 0] for part in pack.data.chunk(pack.data.train, example - 1, example))
    inputs = of["E"][x] if "E" in of else x.unsqueeze(1)
    a = torch.zeros(len(of["bʳ"]), dtype=torch.float64)
    values: Values = {}
    gates: Values = {}
    for t, x_t in enumerate(inputs, start=1):
        z = {mark: of[f"W{mark}"] @ x_t + of[f"U{mark}"] @ a + of[f"b{mark}"] for mark in "ʳˢ"}
        r, s = (one.sigmoid() for one in z.values())
        u = of["Uⁿ"] @ a + of["bᵘ"]
        z["ⁿ"] = of["Wⁿ"] @ x_t + of["bⁿ"] + r * u
        n = z["ⁿ"].tanh()
        a = (1 - s) * n + s * a
        values |= {_sub(f"z{mark}", t): one for mark, one in z.items()} | {_sub("u", t): u, _sub("a", t): a}
        gates |= {_sub(name, t): gate.detach() for name, gate in zip("rsn", (r, s, n), strict=True)}
    expected = _through_time(values, {"u": "υ"}, inputs, y, pack, of)
    compare(equations, expected | gates)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [*COPY, "architecture.width=3", "activation=tanh", "optimizer.weight_decay=0.1", "architecture.causal=false"],
        [*COPY, "architecture.positions=sinusoidal"],
        ["data=keyed", "loss=softmax_nll", "architecture.positions=none"],
    ],
    ids=str,
)
@pytest.mark.usefixtures("keyed")
def test_a_transformer_s_step_is_autograd_s(overrides: list[str]) -> None:
    """Each matrix ahead and each back, softmax and scores among them, each gradient and each new parameter."""
    equations, pack = made("architecture=transformer", *overrides)
    lam, lr = float(pack.optimizer.weight_decay), float(pack.optimizer.lr)
    marks = [f"{letter}{mark}" for mark in ("_Q", "_K", "_V", "_O", *"₁₂₃") for letter in "Wb"]
    positions = next((one.partition("=")[2] for one in overrides if "positions" in one), "learned")
    of = _parameters(equations, ["E", *(["E_pos"] if positions == "learned" else []), *marks])
    shown = {one.symbol: tensor(one.value) for one in equations}
    x, y = (part[0, 0] for part in pack.data.chunk(pack.data.train, 1, 2))
    is_tanh = "activation=tanh" in overrides

    def affine(inputs: Tensor, mark: str) -> Tensor:
        return inputs @ of[f"W{mark}"].T + of[f"b{mark}"]

    at = {"learned": of.get("E_pos"), "sinusoidal": shown.get("E_pos"), "none": torch.zeros(1)}[positions]
    assert at is not None
    v: Values = {"X": of["E"][x] + at}
    v |= {letter: affine(v["X"], f"_{letter}") for letter in "QKV"}
    v["S"] = v["Q"] @ v["K"].T / sqrt(len(of["b_Q"]))
    hidden = torch.ones(len(x), len(x)).triu(1).bool() & ("architecture.causal=false" not in overrides)
    v["A"] = v["S"].masked_fill(hidden, -torch.inf).softmax(1)
    v["M"] = v["A"] @ v["V"]
    v["X₁"] = v["X"] + affine(v["M"], "_O")
    v["Z"] = affine(v["X₁"], "₁")
    v["f(Z)"] = v["Z"].tanh() if is_tanh else v["Z"].relu()
    v["X₂"] = v["X₁"] + affine(v["f(Z)"], "₂")
    v["O"] = affine(v["X₂"][-1:] if "data=keyed" in overrides else v["X₂"], "₃")
    C, h = _cost(v["O"], y.view(v["O"].shape))
    expected = _differentiated(v, C, lam, lr, of)
    expected |= {"H": h.detach(), "Y": y, "f′(Z)": (1 - v["f(Z)"].detach() ** 2 if is_tanh else v["Z"] > 0).double()}
    del expected["df(Z)"]
    compare(equations, expected | {"E_pos": shown["E_pos"]} if "E_pos" in shown else expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["architecture=gru", "architecture.truncate=2"],
        ["architecture=lstm", "architecture.layers=2", "architecture.bidirectional=true"],
        ["architecture=elman", "architecture.readout=mean"],
        ["architecture=elman", "architecture.truncate=2"],
        ["architecture=elman", "data=agreement", "loss=softmax_nll"],
        ["architecture=transformer", "architecture.blocks=2"],
        ["architecture=transformer", "architecture.heads=2", "norm=layer"],
        ["architecture=transformer", "architecture.dropout=0.1"],
    ],
    ids=str,
)
def test_other_nets_are_refused_with_what_to_write(overrides: list[str]) -> None:
    """What the error says to write, in the place of what was written, is explained."""
    with pytest.raises(ConfigError, match="explain: ") as refused:
        made(*overrides)
    advised = str(refused.value).rpartition("; write ")[2].split()
    keys = {one.partition("=")[0] for one in advised}
    equations, _ = made(*(one for one in overrides if one.partition("=")[0] not in keys), *advised)
    assert {"J before", "J after"} <= {one.symbol for one in equations}


def test_the_page_of_an_elman_net_is_printed(cli: Callable[..., Answer]) -> None:
    """Lines that a pocket calculator confirms: tanh 0.1 = 0.09967, and Uᵀ δ₃ with the U that is shown."""
    page = cli("explain", "architecture=elman")
    assert (page.code, page.err) == (0, "")
    for line in (
        "z₁ = W x₁ + U a₀ + b = ⎡ 0.91 ⎤ [0] + ⎡  −0.9  0.44 ⎤ ⎡ 0 ⎤ + ⎡ 0.1 ⎤ = ⎡ 0.1 ⎤",
        "ε₃ = h₃ − y₃ = [0.4124] − [1] = −0.5876",
        "e₂ = Uᵀ δ₃ = ⎡ −0.9  −0.44 ⎤ ⎡ −0.1123 ⎤ = ⎡ −0.006461 ⎤",
    ):
        assert line in page.out.splitlines()
