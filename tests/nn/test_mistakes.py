"""Every term of every backward rule, got wrong once: the gradient check sees it, by autograd and by differences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference import build, stems, targets
from workbench.nn.activations import tanh
from workbench.nn.check.gradcheck import Agreement, gradcheck
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.losses import Loss, squared_error
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params

REPLICAS, BATCH, WIDTH = 2, 6, 4
LAYERS: dict[str, Layer] = {
    "dense": Dense("l2", WIDTH, WIDTH),
    "activate": Activate("l2", tanh()),
    "maxout": Maxout("l2", WIDTH, WIDTH, 3),
    "batch norm": BatchNorm("l2", WIDTH),
    "layer norm": LayerNorm("l2", WIDTH),
    "residual": Residual(Model((Dense("l2", WIDTH, WIDTH), Activate("l2", tanh()))), 0.5),
    "highway": Highway("l2", WIDTH, tanh()),
    "dropout": Dropout("l2", 0.4),
}
LOSSES: dict[str, Loss] = {name: build("loss", name) for name in stems("loss")} | {
    "squared_error of tanh": squared_error(tanh()),
    "smoothed binary_nll": build("loss", "binary_nll", smoothing=0.2),
    "smoothed softmax_nll": build("loss", "softmax_nll", smoothing=0.2),
}


@dataclass(frozen=True)
class Pass:
    """Inputs and results of one backward pass of a layer."""

    layer: Any
    params: Arrays
    tape: Any
    g: Tensor
    grads: Arrays
    grad_in: Tensor

    def of(self, part: str, name: str = "l2") -> Tensor:
        """Return one parameter as [R, 1, U]."""
        return self.params[f"{name}.{part}"].unsqueeze(1)


Mistake = Callable[[Pass], Tensor]


@dataclass(frozen=True)
class Wrong(Layer):
    """A layer whose backward pass is right, and then is not."""

    right: Layer
    mistake: Mistake

    @property
    def is_noisy(self) -> bool:
        """Tell whether the right layer is noisy."""
        return self.right.is_noisy

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Return the right layer's initial parameters."""
        return self.right.init(seed, scheme)

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        """Return the right layer's buffers."""
        return self.right.buffers(scheme)

    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Any]:
        """Run the right layer's forward pass."""
        return self.right.forward(params, x, mode)

    def choices(self, tape: Any) -> Iterator[Tensor]:
        """Yield the right layer's choices."""
        return self.right.choices(tape)

    def backward(
        self,
        params: Arrays,
        tape: Any,
        grad_out: Tensor,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        """The right gradients, then the mistake."""
        grad_in = self.right.backward(params, tape, grad_out, grads, True)
        assert grad_in is not None
        return self.mistake(Pass(self.right, params, tape, grad_out, grads, grad_in))


def _check(layer: Layer, loss: Loss | None = None, objective: type[Objective] = Objective) -> list[Agreement]:
    """Dense, the layer, Dense, with noise on every parameter, in training."""
    loss = loss or LOSSES["softmax_nll"]
    n_out = 1 if loss.accepts[0] == "binary" else WIDTH
    model = Model((Dense("l1", WIDTH, WIDTH), layer, Dense("l3", WIDTH, n_out)))
    scheme = Scheme(he(), constant(0.1))
    rows = [model.init(seed, scheme) for seed in range(REPLICAS)]
    params = Params.stack(rows, torch.float64, torch.device("cpu"), [model.buffers(scheme)] * REPLICAS)
    stream = torch.Generator().manual_seed(1)
    for view in params.values():
        view.add_(torch.randn(view.shape, generator=stream, dtype=torch.float64).mul_(0.3))
    x = torch.randn(REPLICAS, BATCH, WIDTH, generator=stream, dtype=torch.float64)
    y = targets(loss.accepts, (REPLICAS, BATCH, n_out), stream)
    decay = torch.tensor([0.1, 0.3], dtype=torch.float64)
    mode = Mode(True, torch.tensor([5, 6]))
    return gradcheck(objective(model, loss, decay), params, x, y, 16, mode)


def _both_see(rows: list[Agreement]) -> bool:
    """Whether autograd alone and differences alone would have found the mistake."""
    return max(row.autograd_error for row in rows) > 1e-4 < max(row.difference_error for row in rows)


def _change(part: str, change: Callable[[Tensor], Tensor], name: str = "l2") -> Mistake:
    """A mistake in one parameter's gradient."""

    def mistake(p: Pass) -> Tensor:
        gradient = p.grads[f"{name}.{part}"]
        gradient.copy_(change(gradient.clone()))
        return p.grad_in

    return mistake


def _affine(p: Pass, delta: Tensor) -> Tensor:
    """A maxout layer's gradients from another delta [R, B, P, O]."""
    grad_in = p.layer.affine.backward(p.params, p.tape.affine, delta.flatten(2), p.grads)
    assert isinstance(grad_in, Tensor)
    return grad_in


def _won(p: Pass, winner: Tensor) -> Tensor:
    shape = (*p.g.shape[:2], 3, WIDTH)
    return torch.zeros(shape, dtype=p.g.dtype).scatter_(2, winner, p.g.unsqueeze(2))


def _batch_scale(p: Pass) -> Tensor:
    return p.tape.inverse * p.of("gamma")


def _layer_terms(p: Pass) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms of layer norm's grad_in."""
    g, n = p.g * p.of("gamma"), p.tape.n
    return g * p.tape.inverse, g.mean(2, True) * p.tape.inverse, n * (g * n).mean(2, True) * p.tape.inverse


def _highway_terms(p: Pass) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms of a highway layer's grad_in: carried, from H, from T."""
    T, tape = p.tape.T, p.tape
    delta_h, delta_t = p.g * T * tape.units.a.square().neg().add(1), p.g * tape.change * T * (1 - T)
    return p.g * (1 - T), torch.bmm(delta_h, p.params["l2.W"]), torch.bmm(delta_t, p.params["l2.gate.W"])


def _in_gate(p: Pass, delta: Tensor) -> Tensor:
    p.layer.gate.backward(p.params, p.tape.gate, delta, p.grads)
    return p.grad_in


def _in_transform(p: Pass, delta: Tensor) -> Tensor:
    p.layer.transform.backward(p.params, p.tape.transform, delta, p.grads)
    return p.grad_in


MISTAKES: dict[str, dict[str, Mistake]] = {
    "dense": {
        "dW: sign": _change("W", torch.neg),
        "dW: transposed": _change("W", lambda dW: dW.transpose(1, 2)),
        "dW: mean over examples": _change("W", lambda dW: dW / BATCH),
        "db: sign": _change("b", torch.neg),
        "db: dropped": _change("b", torch.zeros_like),
        "db: of the other replica": _change("b", lambda db: db.flip(0)),
        "grad_in: sign": lambda p: -p.grad_in,
        "grad_in: W transposed": lambda p: torch.bmm(p.g, p.params["l2.W"].transpose(1, 2)),
        "grad_in: W of the other replica": lambda p: torch.bmm(p.g, p.params["l2.W"].flip(0)),
    },
    "activate": {
        "sign": lambda p: -p.grad_in,
        "f' dropped": lambda p: p.g,
        "f' of a, not of z": lambda p: p.g * (1 - torch.tanh(p.tape.a) ** 2),
        "f' squared": lambda p: p.grad_in * (1 - p.tape.a**2),
    },
    "maxout": {
        "sign": lambda p: _affine(p, -_won(p, p.tape.winner)),
        "to every piece": lambda p: _affine(p, p.g.unsqueeze(2).expand(-1, -1, 3, -1)),
        "to another piece": lambda p: _affine(p, _won(p, (p.tape.winner + 1) % 3)),
        "to the first piece": lambda p: _affine(p, _won(p, torch.zeros_like(p.tape.winner))),
        "shared by the pieces": lambda p: _affine(p, _won(p, p.tape.winner) / 3),
        "unit by unit, not piece by piece": lambda p: _affine(p, _won(p, p.tape.winner).transpose(2, 3)),
    },
    "batch norm": {
        "first term: sign": lambda p: p.grad_in - 2 * _batch_scale(p) * p.g,
        "first term: gamma dropped": lambda p: p.grad_in + (p.tape.inverse - _batch_scale(p)) * p.g,
        "mean term: sign": lambda p: p.grad_in + 2 * _batch_scale(p) * p.g.mean(1, True),
        "mean term: dropped": lambda p: p.grad_in + _batch_scale(p) * p.g.mean(1, True),
        "mean term: over units": lambda p: p.grad_in + _batch_scale(p) * (p.g.mean(1, True) - p.g.mean(2, True)),
        "variance term: sign": lambda p: p.grad_in + 2 * _batch_scale(p) * p.tape.n * (p.g * p.tape.n).mean(1, True),
        "variance term: dropped": lambda p: p.grad_in + _batch_scale(p) * p.tape.n * (p.g * p.tape.n).mean(1, True),
        "statistics held constant": lambda p: _batch_scale(p) * p.g,
        "1/√v dropped": lambda p: p.grad_in / p.tape.inverse,
        "dgamma: sign": _change("gamma", torch.neg),
        "dgamma: mean over examples": _change("gamma", lambda dgamma: dgamma / BATCH),
        "dbeta: dropped": _change("beta", torch.zeros_like),
        "dbeta: sign": _change("beta", torch.neg),
    },
    "layer norm": {
        "first term: sign": lambda p: p.grad_in - 2 * _layer_terms(p)[0],
        "mean term: sign": lambda p: p.grad_in + 2 * _layer_terms(p)[1],
        "mean term: dropped": lambda p: p.grad_in + _layer_terms(p)[1],
        "mean term: gamma dropped": lambda p: p.grad_in + _layer_terms(p)[1] - p.tape.inverse * p.g.mean(2, True),
        "variance term: sign": lambda p: p.grad_in + 2 * _layer_terms(p)[2],
        "variance term: dropped": lambda p: p.grad_in + _layer_terms(p)[2],
        "1/√v dropped": lambda p: p.grad_in / p.tape.inverse,
        "dgamma: sign": _change("gamma", torch.neg),
        "dgamma: n dropped": lambda p: [p.grads["l2.gamma"].copy_(p.g.sum(1)), p.grad_in][1],
        "dbeta: sign": _change("beta", torch.neg),
    },
    "residual": {
        "carried term: sign": lambda p: p.grad_in - 2 * p.g,
        "carried term: dropped": lambda p: p.grad_in - p.g,
        "inner term: sign": lambda p: 2 * p.g - p.grad_in,
        "inner term: dropped": lambda p: p.g.clone(),
        "inner term: scale dropped": lambda p: p.g + (p.grad_in - p.g) / p.layer.scale,
        "inner gradients: scale dropped": _change("W", lambda dW: dW / 0.5),
    },
    "highway": {
        "carried term: sign": lambda p: p.grad_in - 2 * _highway_terms(p)[0],
        "carried term: all of it": lambda p: p.grad_in + p.g * p.tape.T,
        "term of H: sign": lambda p: p.grad_in - 2 * _highway_terms(p)[1],
        "term of H: dropped": lambda p: p.grad_in - _highway_terms(p)[1],
        "term of T: sign": lambda p: p.grad_in - 2 * _highway_terms(p)[2],
        "term of T: dropped": lambda p: p.grad_in - _highway_terms(p)[2],
        "delta_h: T dropped": lambda p: _in_transform(p, p.g * (1 - p.tape.units.a**2)),
        "delta_h: f' dropped": lambda p: _in_transform(p, p.g * p.tape.T),
        "delta_t: T (1 - T) dropped": lambda p: _in_gate(p, p.g * p.tape.change),
        "delta_t: x dropped": lambda p: _in_gate(p, p.g * p.tape.units.a * p.tape.T * (1 - p.tape.T)),
        "dW of the gate: sign": _change("W", torch.neg, "l2.gate"),
        "db of the gate: dropped": _change("b", torch.zeros_like, "l2.gate"),
    },
    "dropout": {
        "sign": lambda p: -p.grad_in,
        "mask dropped": lambda p: p.g.clone(),
        "1/(1 - rate) dropped": lambda p: p.grad_in * 0.6,
        "mask turned round": lambda p: p.g * (p.tape == 0) / 0.6,
        "mask of the other replica": lambda p: p.g * p.tape.flip(0),
    },
}
CASES = [(kind, name) for kind, rules in MISTAKES.items() for name in rules]


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_right_layers_agree(kind: str) -> None:
    """Every layer without a mistake agrees with both references, and has mistakes to test."""
    assert all(row.agrees for row in _check(LAYERS[kind]))
    assert kind in MISTAKES


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_each_mistake_in_a_layer_is_caught(kind: str, name: str) -> None:
    """Autograd and differences both disagree by more than 1e-4 with each mistake in a layer's backward pass."""
    assert _both_see(_check(Wrong(LAYERS[kind], MISTAKES[kind][name])))


LOSS_MISTAKES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sign": lambda delta, z: -delta,
    "1/B dropped": lambda delta, z: delta * BATCH,
    "1/B twice": lambda delta, z: delta / BATCH,
    "1/R too many": lambda delta, z: delta / REPLICAS,
    "of the other replica": lambda delta, z: delta.flip(0),
    "of another example": lambda delta, z: delta.roll(1, 1),
    "off by a thousandth": lambda delta, z: delta * 1.001,
}
OWN_MISTAKES: dict[str, tuple[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "softmax_mse: factor 2 dropped": ("softmax_mse", lambda delta, z, y: delta / 2),
    "softmax_mse: 1/K dropped": ("softmax_mse", lambda delta, z, y: delta * WIDTH),
    "softmax_mse: as if matched": ("softmax_mse", lambda delta, z, y: (z.softmax(-1) - y) / BATCH),
    "softmax_mse: Σ a e dropped": (
        "softmax_mse",
        lambda delta, z, y: 2 / (WIDTH * BATCH) * z.softmax(-1) * (z.softmax(-1) - y),
    ),
    "squared_error: f' dropped": ("squared_error of tanh", lambda delta, z, y: (z.tanh() - y) / BATCH),
    "squared_error: y dropped": ("squared_error", lambda delta, z, y: z / BATCH),
    "binary_nll: a (1 - a) too many": ("binary_nll", lambda delta, z, y: delta * z.sigmoid() * (1 - z.sigmoid())),
    "binary_nll: smoothing dropped": ("smoothed binary_nll", lambda delta, z, y: (z.sigmoid() - y) / BATCH),
    "softmax_nll: smoothing dropped": ("smoothed softmax_nll", lambda delta, z, y: (z.softmax(-1) - y) / BATCH),
    "softmax_nll: y dropped": ("softmax_nll", lambda delta, z, y: z.softmax(-1) / BATCH),
    "perceptron: y dropped": ("perceptron", lambda delta, z, y: (z >= 0).to(z) / BATCH),
    "perceptron: of the logistic": ("perceptron", lambda delta, z, y: (z.sigmoid() - y) / BATCH),
}
LOSS_CASES = [
    (f"{loss}: {name}", loss, lambda delta, z, y, wrong=wrong: wrong(delta, z))
    for loss in LOSSES
    for name, wrong in LOSS_MISTAKES.items()
] + [(name, *rest) for name, rest in OWN_MISTAKES.items()]


@pytest.mark.parametrize(("name", "loss", "wrong"), LOSS_CASES, ids=[case[0] for case in LOSS_CASES])
def test_each_mistake_in_a_delta_is_caught(
    name: str, loss: str, wrong: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    """Autograd and differences both disagree by more than 1e-4 with each mistake in a loss's delta."""
    right = LOSSES[loss]

    def measure(z: Tensor, y: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        value, delta = right.measure(z, y)
        return value, lambda: wrong(delta(), z, y)

    rows = _check(LAYERS["activate"], replace(right, measure=measure))
    assert _both_see(rows)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_right_losses_agree(loss: str) -> None:
    """Every loss without a mistake agrees with both references."""
    assert all(row.agrees for row in _check(LAYERS["activate"], LOSSES[loss]))


def _penalized(change: Callable[[Params, Params, Tensor], object]) -> type[Objective]:
    """J with its penalty, whose gradient is changed."""

    class Changed(Objective):
        def gradients(
            self,
            params: Params,
            grads: Params,
            x: Tensor,
            y: Tensor,
            mode: Mode = EVALUATION,
            recorder: Recorder | None = None,
        ) -> Tensor:
            value = super().gradients(params, grads, x, y, mode)
            assert self.weight_decay is not None
            change(params, grads, self.weight_decay.view(-1, 1))
            return value

    return Changed


PENALTY_MISTAKES: dict[str, Callable[[Params, Params, Tensor], object]] = {
    "sign": lambda params, grads, decay: grads.weights.sub_(2 * decay * params.weights),
    "dropped": lambda params, grads, decay: grads.weights.sub_(decay * params.weights),
    "factor 2": lambda params, grads, decay: grads.weights.add_(decay * params.weights),
    "λ of the other replica": lambda params, grads, decay: grads.weights.add_((decay.flip(0) - decay) * params.weights),
    "biases too": lambda params, grads, decay: grads["l3.b"].add_(decay * params["l3.b"]),
    "gains too": lambda params, grads, decay: grads["l2.gamma"].add_(decay * params["l2.gamma"]),
    "not in the first layer": lambda params, grads, decay: grads["l1.W"].sub_(decay.unsqueeze(2) * params["l1.W"]),
}


@pytest.mark.parametrize("name", sorted(PENALTY_MISTAKES))
def test_each_mistake_in_the_penalty_is_caught(name: str) -> None:
    """Autograd and differences both disagree by more than 1e-4 with each mistake in the penalty."""
    assert _both_see(_check(LAYERS["batch norm"], objective=_penalized(PENALTY_MISTAKES[name])))
