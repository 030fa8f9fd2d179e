"""`workbench explain architecture=cnn`: every number against torch's convolution and autograd, and what is refused."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from tests.lecture.explained import compare, made, tensor
from tests.outer import Answer
from workbench.core.errors import ConfigError

pytest_plugins = ["tests.outer_fixtures"]


@pytest.mark.parametrize(
    ("overrides", "example"),
    [
        ([], 2),
        (["architecture.channels=[3]", "activation=tanh", "optimizer.weight_decay=0.1"], 1),
        (["architecture.kernel=2", "architecture.pool=2", "split.standardize=true"], 5),
        (["architecture.kernel=5", "loss=squared_error"], 3),
    ],
    ids=str,
)
def test_a_convolutional_net_s_step_is_autograd_s(overrides: list[str], example: int) -> None:
    """Each map ahead and each back, the winners of the pool among them, each gradient and each new parameter."""
    equations, pack = made("architecture=cnn", *overrides, example=example)
    lam, lr = float(pack.optimizer.weight_decay), float(pack.optimizer.lr)
    shown = {one.symbol: tensor(one.value) for one in reversed(equations) if isinstance(one.value, tuple)}
    channels = [mark for mark in "₁₂₃" if f"W{mark}" in shown]
    of = {
        symbol: shown[symbol].clone().requires_grad_()
        for symbol in ("V", "c", *(f"{s}{m}" for s in "Wb" for m in channels))
    }
    x, y = (part[0, 0] for part in pack.data.chunk(pack.data.train, example - 1, example))
    X, size = x.view(8, 8), 2 if "architecture.pool=2" in overrides else 4
    k = of["W₁"].shape[0]
    before, after = (k - 1) // 2, k // 2
    padded, f = F.pad(X, (before, after, before, after)), torch.tanh if "activation=tanh" in overrides else torch.relu
    values = {}
    for m in channels:
        Z = F.conv2d(padded[None, None], of[f"W{m}"][None, None], of[f"b{m}"].view(1))[0, 0]
        A = f(Z)
        values |= {f"Z{m}": Z, f"A{m}": A, f"P{m}": F.max_pool2d(A[None, None], size)[0, 0]}
    values["p"] = torch.stack([values[f"P{m}"] for m in channels], -1).flatten()
    values["o"] = of["V"] @ values["p"] + of["c"].flatten()
    squared = "loss=squared_error" in overrides
    h = values["o"] if squared else values["o"].softmax(0)
    C = (h - y).square().sum() / 2 if squared else F.cross_entropy(values["o"][None], y[None])
    for value in values.values():
        value.retain_grad()
    C.backward()
    expected = {f"d{symbol}": value.grad for symbol, value in values.items() if symbol[0] != "o"}
    expected |= {"ε": values["o"].grad, "h": h, "y": y, "X": X, **of, **values}
    for m in channels:
        A = values[f"A{m}"]
        expected[f"f′{m}"] = 1 - A**2 if f is torch.tanh else (A > 0).double()
    for symbol, one in of.items():
        assert one.grad is not None
        gradient = one.grad + (lam * one if symbol[0] in "WV" else 0)
        expected |= {f"∂J/∂{symbol}": gradient, f"new {symbol}": one - lr * gradient}
    penalty = lam / 2 * sum(one.detach().square().sum() for symbol, one in of.items() if symbol[0] in "WV")
    expected |= {"C": C, "J": C + penalty, "J before": C + penalty} | ({"P": C * 0 + penalty} if lam else {})
    expected |= {"Z₁[5, 5]": values["Z₁"][4, 4], "∂J/∂W₁[0, 0]": expected["∂J/∂W₁"][before, before]}
    compare(equations, {symbol: one.detach() for symbol, one in expected.items()})


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["norm=batch"],
        ["architecture.channels=[2,2]", "architecture.pool=2", "architecture.hidden=[3]"],
        ["architecture.pool=1", "architecture.dropout=0.3"],
    ],
    ids=str,
)
def test_other_nets_are_refused_with_what_to_write(overrides: list[str]) -> None:
    """What the error says to write, in the place of what was written, is explained."""
    with pytest.raises(ConfigError, match="explain: a cnn must be one convolution") as refused:
        made("architecture=cnn", *overrides)
    advised = str(refused.value).rpartition("; write ")[2].split()
    equations, _ = made(*advised)
    assert {"J before", "J after"} <= {one.symbol for one in equations}


def test_the_page_of_a_convolutional_net_is_printed(cli: Callable[..., Answer]) -> None:
    """Lines that a pocket calculator confirms: the gradient of a weight is a sum of four products."""
    page = cli("explain", "architecture=cnn")
    assert (page.code, page.err) == (0, "")
    assert "P₁ = ⎡ 12.19   8.89 ⎤" in page.out
    line = next(one for one in page.out.splitlines() if one.startswith("∂J/∂W₁[0, 0]"))
    assert line.startswith("∂J/∂W₁[0, 0] = Σ_mn dZ₁[m, n] X[m, n] = [0.2756  0.5648  −0.06935  −0.17]")
    assert line.endswith("= 3.246")
    assert sum([0.2756 * 10, 0.5648 * 4, -0.06935 * 1, -0.17 * 10]) == pytest.approx(3.246, abs=1e-3)
