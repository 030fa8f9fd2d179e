"""Optimizers against torch's, one torch optimizer per replica, each with its own settings."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference import stems
from workbench.nn.gradcheck import relative_error
from workbench.nn.losses import add_l2_gradient
from workbench.nn.optimizers import Optimizer, adagrad, adam, adamw, rmsprop, sgd
from workbench.nn.params import Layout, Params

LR = [0.3, 0.03, 0.1, 0.01]
MOMENTUM = [0.9, 0.0, 0.5, 0.99]
AHEAD = [0.9, 0.1, 0.5, 0.99]  # torch refuses nesterov without momentum
DECAY = [0.0, 0.1, 0.01, 0.0]
BETA1, BETA2, EPS = [0.9, 0.0, 0.5, 0.99], [0.999, 0.9, 0.99, 0.5], [1e-8, 1e-2, 1e-5, 1e-10]
STEPS = 50
LAYOUT = Layout({"l1.W": (3, 5), "l1.b": (3,), "l2.W": (2, 3), "l2.b": (2,)})


def _rows(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _groups(r: int, weights: list[Tensor], biases: list[Tensor]) -> list[dict[str, Any]]:
    """Weights decay, biases do not."""
    return [{"params": weights, "weight_decay": DECAY[r]}, {"params": biases, "weight_decay": 0.0}]


# name -> (ours from the settings above, torch's for replica r from its weights and biases)
OPTIMIZERS: dict[str, tuple[Callable[[], Optimizer], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (
        lambda: sgd(_rows(LR), _rows(MOMENTUM), _rows(DECAY)),
        lambda r, *params: torch.optim.SGD(_groups(r, *params), lr=LR[r], momentum=MOMENTUM[r]),
    ),
    "nesterov": (
        lambda: sgd(_rows(LR), _rows(AHEAD), _rows(DECAY), nesterov=True),
        lambda r, *params: torch.optim.SGD(_groups(r, *params), lr=LR[r], momentum=AHEAD[r], nesterov=True),
    ),
    "rmsprop": (
        lambda: rmsprop(_rows(LR), _rows(BETA2), _rows(EPS), _rows(DECAY)),
        lambda r, *params: torch.optim.RMSprop(_groups(r, *params), lr=LR[r], alpha=BETA2[r], eps=EPS[r]),
    ),
    "adagrad": (
        lambda: adagrad(_rows(LR), _rows(EPS), _rows(DECAY)),
        lambda r, *params: torch.optim.Adagrad(_groups(r, *params), lr=LR[r], eps=EPS[r]),
    ),
    "adam": (
        lambda: adam(_rows(LR), _rows(BETA1), _rows(BETA2), _rows(EPS), _rows(DECAY)),
        lambda r, *params: torch.optim.Adam(_groups(r, *params), lr=LR[r], betas=(BETA1[r], BETA2[r]), eps=EPS[r]),
    ),
    "adamw": (
        lambda: adamw(_rows(LR), _rows(BETA1), _rows(BETA2), _rows(EPS), _rows(DECAY)),
        lambda r, *params: torch.optim.AdamW(_groups(r, *params), lr=LR[r], betas=(BETA1[r], BETA2[r]), eps=EPS[r]),
    ),
}


def _start() -> Params:
    params = Params.zeros(LAYOUT, len(LR), torch.empty(0, dtype=torch.float64))
    for view in params.values():
        view.copy_(torch.randn(view.shape, generator=torch.Generator().manual_seed(view.numel()), dtype=torch.float64))
    return params


def _gradients(step: int) -> dict[str, Tensor]:
    """Gradients of C that differ from step to step, by name."""
    stream = torch.Generator().manual_seed(step)
    return {
        name: torch.randn(len(LR), *shape, generator=stream, dtype=torch.float64)
        for name, (_, shape) in LAYOUT.slots.items()
    }


def _ours(optimizer: Optimizer, steps: int) -> tuple[Params, dict[str, Tensor]]:
    params = _start()
    state = optimizer.init(params)
    grads = Params.zeros(LAYOUT, len(LR), params.flat)
    for step in range(steps):
        for key, gradient in _gradients(step).items():
            grads[key].copy_(gradient)
        if not optimizer.decoupled:
            add_l2_gradient(grads, params, optimizer.weight_decay)
        optimizer.update(grads, state, params, optimizer.lr)
    return params, state


def test_every_optimizer_has_a_torch_twin() -> None:
    """A new optimizer must name what it is measured against."""
    assert sorted(OPTIMIZERS) == stems("optimizer")


def _theirs(name: str, r: int) -> dict[str, Tensor]:
    """One replica's parameters after the same steps by torch."""
    twins = {key: value[r].clone().requires_grad_() for key, value in _start().items()}
    weights = [twin for key, twin in twins.items() if key.endswith(".W")]
    biases = [twin for key, twin in twins.items() if key.endswith(".b")]
    optimizer = OPTIMIZERS[name][1](r, weights, biases)
    for step in range(STEPS):
        for key, gradient in _gradients(step).items():
            twins[key].grad = gradient[r].clone()
        optimizer.step()
    return {key: twin.detach() for key, twin in twins.items()}


def _furthest(name: str, params: Params) -> float:
    """The largest relative distance of a parameter of any replica from torch's."""
    return max(relative_error(params[key][r], twin) for r in range(len(LR)) for key, twin in _theirs(name, r).items())


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_replicas_follow_their_torch_twins(name: str) -> None:
    """50 steps of four replicas with their own settings and decay (of weights only) end where torch's end."""
    params, _ = _ours(OPTIMIZERS[name][0](), STEPS)
    assert _furthest(name, params) < 1e-10


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_update_leaves_the_gaps_of_the_storage_zero(name: str) -> None:
    """No state leaks into the numbers between parameters, which norms over the storage would count."""
    params, state = _ours(OPTIMIZERS[name][0](), 3)
    used = Params.zeros(LAYOUT, len(LR), params.flat)
    for view in used.values():
        view.fill_(1)
    for storage in (params.flat, *(tensor for tensor in state.values() if tensor.ndim == 2)):
        assert not storage[used.flat == 0].any()


def test_sgd_worked_by_hand() -> None:
    """θ = 1, gradients 2 and 2, lr 0.1, momentum 0.5: v = 2 then 3, so θ = 0.8 then 0.5."""
    params = Params.zeros(Layout({"l1.W": (1, 1)}), 1, torch.empty(0, dtype=torch.float64))
    params["l1.W"].fill_(1)
    grads = params.with_flat(torch.zeros_like(params.flat))
    grads["l1.W"].fill_(2)
    optimizer = sgd(_rows([0.1]), _rows([0.5]), _rows([0.0]))
    state = optimizer.init(params)
    seen = []
    for _ in range(2):
        optimizer.update(grads, state, params, optimizer.lr)
        seen.append(float(params["l1.W"]))
    assert seen == pytest.approx([0.8, 0.5], rel=1e-14)


def test_sgd_keeps_no_velocity_without_momentum() -> None:
    """Plain gradient descent costs no memory for a state, and leaves the gradients as they were."""
    params = _start()
    zeros = _rows([0.0] * len(LR))
    optimizer = sgd(_rows(LR), zeros, zeros)
    state = optimizer.init(params)
    assert state == {}
    grads = params.with_flat(torch.ones_like(params.flat))
    before = params.flat.clone()
    optimizer.update(grads, state, params, optimizer.lr)
    assert torch.equal(grads.flat, torch.ones_like(params.flat))
    torch.testing.assert_close(params.flat, before - _rows(LR)[:, None], rtol=1e-14, atol=0)


def test_sgd_velocity_adapts_to_the_lr_given() -> None:
    """The rate is an argument of each update, so that a schedule can change it; the optimizer's own is a default."""
    params = _start()
    optimizer = sgd(_rows(LR), _rows([0.0] * 4), _rows([0.0] * 4))
    before = params.flat.clone()
    grads = params.with_flat(torch.ones_like(params.flat))
    optimizer.update(grads, optimizer.init(params), params, _rows([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(before - params.flat, _rows([1.0, 2.0, 3.0, 4.0])[:, None].expand_as(before))
