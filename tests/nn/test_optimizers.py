"""Optimizers against torch's, one torch optimizer per replica, each with its own settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference import stems
from workbench.nn.check.gradcheck import relative_error
from workbench.nn.losses import add_l2_gradient
from workbench.nn.optimizers import Adagrad, Optimizer, adagrad, adam, clip_by_norm, rmsprop, sgd
from workbench.nn.params import Layout, Params
from workbench.nn.vector_norm import norm

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
        lambda: adam(_rows(LR), _rows(BETA1), _rows(BETA2), _rows(EPS), _rows(DECAY), decoupled=True),
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


def test_twins_are_of_optimizers() -> None:
    """The table of torch twins names existing optimizers only; others are tested by their rule written out."""
    assert set(OPTIMIZERS) <= set(stems("optimizer"))


def _theirs(name: str, r: int) -> dict[str, Tensor]:
    """Return replica r's parameters after the same steps by torch."""
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


@dataclass(frozen=True)
class Wrong(Optimizer):
    """An optimizer that something happens to before each step; `before` returns the rate the step then takes."""

    right: Optimizer
    before: Callable[[Params, dict[str, Tensor], Params, Tensor], Tensor]

    @property
    def lr(self) -> Tensor:  # type: ignore[override]
        """Return the right optimizer's learning rates."""
        return self.right.lr

    @property
    def weight_decay(self) -> Tensor:  # type: ignore[override]
        """Return the right optimizer's weight decay."""
        return self.right.weight_decay

    @property
    def decoupled(self) -> bool:  # type: ignore[override]
        """Tell whether the right optimizer's decay is decoupled."""
        return self.right.decoupled

    def init(self, params: Params) -> dict[str, Tensor]:
        """Return the right optimizer's initial state."""
        return self.right.init(params)

    def update(self, grads: Params, state: dict[str, Tensor], params: Params, lr: Tensor) -> None:
        """The mistake, then the step."""
        self.right.update(grads, state, params, self.before(grads, state, params, lr))


def _first(change: Callable[[Params, dict[str, Tensor], Params, Tensor], object]) -> Callable[[Any], Optimizer]:
    """A mistake that leaves the rate as it is."""

    def before(grads: Params, state: dict[str, Tensor], params: Params, lr: Tensor) -> Tensor:
        change(grads, state, params, lr)
        return lr

    return lambda right: Wrong(right, before)


def _rate(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Optimizer]:
    return lambda right: Wrong(right, lambda grads, state, params, lr: change(lr))


OF_ANY: dict[str, Callable[[Any], Optimizer]] = {
    "uphill": _rate(torch.neg),
    "rates of other replicas": _rate(lambda lr: lr.flip(0)),
    "one rate for all": _rate(lambda lr: lr.mean().expand(len(lr))),
    "gradient: sign": _first(lambda grads, state, params, lr: grads.flat.neg_()),
    "gradients of other replicas": _first(lambda grads, state, params, lr: grads.flat.copy_(grads.flat.flip(0))),
    "weight_decay dropped": lambda right: replace(right, weight_decay=0 * right.weight_decay),
    "weight_decay of biases too": _first(
        lambda grads, state, params, lr: grads["l1.b"].add_(params["l1.b"] * _rows(DECAY)[:, None])
    ),
    "weight_decay twice": lambda right: replace(right, weight_decay=2 * right.weight_decay),
}
OF_ONE: dict[tuple[str, str], Callable[[Any], Optimizer]] = {
    ("sgd", "momentum dropped"): lambda right: replace(right, momentum=0 * right.momentum),
    ("sgd", "momentum 1 - momentum"): lambda right: replace(right, momentum=1 - right.momentum),
    ("sgd", "ahead"): lambda right: replace(right, nesterov=True),
    ("sgd", "velocity forgotten"): _first(lambda grads, state, params, lr: state["velocity"].zero_()),
    ("sgd", "dampened"): _first(lambda grads, state, params, lr: grads.flat.mul_(1 - _rows(MOMENTUM)[:, None])),
    ("nesterov", "not ahead"): lambda right: replace(right, nesterov=False),
    ("rmsprop", "decay 1 - decay"): lambda right: replace(right, decay=1 - right.decay),
    ("rmsprop", "eps dropped"): lambda right: replace(right, eps=0 * right.eps),
    ("rmsprop", "square forgotten"): _first(lambda grads, state, params, lr: state["square"].zero_()),
    ("rmsprop", "square of adagrad"): lambda right: Adagrad(right.lr, right.eps, right.weight_decay),
    ("adagrad", "square forgotten"): _first(lambda grads, state, params, lr: state["square"].zero_()),
    ("adagrad", "eps dropped"): lambda right: replace(right, eps=0 * right.eps),
    ("adam", "mean not corrected"): _first(lambda grads, state, params, lr: state["power1"].zero_()),
    ("adam", "square not corrected"): _first(lambda grads, state, params, lr: state["power2"].zero_()),
    ("adam", "powers swapped"): lambda right: replace(right, beta1=right.beta2, beta2=right.beta1),
    ("adam", "eps dropped"): lambda right: replace(right, eps=0 * right.eps),
    ("adam", "mean forgotten"): _first(lambda grads, state, params, lr: state["mean"].zero_()),
    ("adam", "decay decoupled"): lambda right: replace(right, decoupled=True),
    ("adamw", "decay coupled"): lambda right: replace(right, decoupled=False),
    ("adamw", "decay without the rate"): lambda right: replace(right, weight_decay=right.weight_decay / right.lr),
    ("adamw", "decay of all that is trained"): _first(
        lambda grads, state, params, lr: params["l1.b"].mul_(1 - (lr * _rows(DECAY))[:, None])
    ),
}
OPTIMIZER_MISTAKES = {(name, what): wrong for name in OPTIMIZERS for what, wrong in OF_ANY.items()} | OF_ONE


@pytest.mark.parametrize(("name", "what"), OPTIMIZER_MISTAKES, ids=[": ".join(key) for key in OPTIMIZER_MISTAKES])
def test_each_mistake_in_an_update_is_caught(name: str, what: str) -> None:
    """Each mistake in an update ends over 1e-4 of some parameter's norm from torch's result."""
    wrong = OPTIMIZER_MISTAKES[name, what](OPTIMIZERS[name][0]())
    assert _furthest(name, _ours(wrong, STEPS)[0]) > 1e-4


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_clipping_follows_torch(name: str) -> None:
    """50 steps cut to each replica's own norm, which is infinite for one: torch's total norm, without its 1e-6."""
    norms = [0.5, 3.0, float("inf"), 6.0]
    optimizer, params = OPTIMIZERS[name][0](), _start()
    state, grads = optimizer.init(params), Params.zeros(LAYOUT, len(LR), params.flat)
    cut = torch.zeros(len(LR))
    for step in range(STEPS):
        for key, gradient in _gradients(step).items():
            grads[key].copy_(gradient)
        longest = grads.flat.norm(dim=1)
        clipped = clip_by_norm(grads, _rows(norms))
        assert torch.equal(grads.flat.norm(dim=1), longest)  # what is recorded is the whole gradient
        cut += clipped.flat.norm(dim=1) < longest - 1e-9
        optimizer.update(clipped, state, params, optimizer.lr)
    assert cut.tolist()[0] == STEPS
    assert 0 < cut.tolist()[3] < STEPS
    assert cut.tolist()[2] == 0
    for r, longest_of_all in enumerate(norms):
        twins = {key: value[r].clone().requires_grad_() for key, value in _start().items()}
        theirs = OPTIMIZERS[name][1](
            r,
            [twin for key, twin in twins.items() if key.endswith(".W")],
            [twin for key, twin in twins.items() if key.endswith(".b")],
        )
        if not optimizer.decoupled:
            theirs.param_groups[0]["weight_decay"] = 0.0  # which torch would add after the cut
        for step in range(STEPS):
            for key, gradient in _gradients(step).items():
                twins[key].grad = gradient[r].clone()
            total = float(torch.nn.utils.get_total_norm([twin.grad for twin in twins.values()]))
            for twin in twins.values():
                twin.grad *= min(1.0, longest_of_all / total)
            theirs.step()
        for key, twin in twins.items():
            assert relative_error(params[key][r], twin.detach()) < 1e-10


def test_clipping_counts_trained_numbers_and_keeps_directions() -> None:
    """(3, 4) cut to norm 1 is (0.6, 0.8); to norm 6, or to its own, it stays, bit by bit."""
    grads = Params.zeros(Layout({"l1.W": (1, 2)}), 3, torch.empty(0, dtype=torch.float64))
    grads["l1.W"].copy_(torch.tensor([3.0, 4.0]).expand(3, 1, 2))
    grads = clip_by_norm(grads, _rows([1.0, 6.0, 5.0]))
    assert grads["l1.W"][0].flatten().tolist() == pytest.approx([0.6, 0.8], rel=1e-15)
    assert grads["l1.W"][1:].flatten().tolist() == [3.0, 4.0] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_numbers_whose_squares_overflow(dtype: torch.dtype) -> None:
    """(3, 4) times any number has norm 5 times it, cut to 1 is (0.6, 0.8), and is not touched where nothing is cut."""
    largest = torch.finfo(dtype).max
    sizes = torch.tensor([10.0, largest**0.5, largest**0.75, largest / 8, largest / 4], dtype=dtype)
    own = sizes[:, None, None] * torch.tensor([[3.0, 4.0]], dtype=dtype)
    grads = Params.zeros(Layout({"l1.W": (1, 2)}), len(sizes), sizes)
    grads["l1.W"].copy_(own)
    cut = clip_by_norm(grads, torch.ones_like(sizes))["l1.W"]
    torch.testing.assert_close(cut, torch.tensor([[0.6, 0.8]], dtype=dtype).expand_as(own), rtol=1e-5, atol=0)
    assert torch.equal(clip_by_norm(grads, sizes * 0 + inf)["l1.W"], own)
    within = sizes[:-1]  # the last norm is no number of its own type
    torch.testing.assert_close(norm(grads.flat)[:-1], 5 * within.double(), rtol=1e-6, atol=0)


def test_a_gradient_that_is_no_number_is_left_as_it_is_where_nothing_is_cut() -> None:
    """Alone, the replica has no cut and its gradient passes; so it must beside one that has."""
    grads = Params.zeros(Layout({"l1.W": (1, 3)}), 2, torch.empty(0, dtype=torch.float64))
    grads["l1.W"].copy_(torch.tensor([[[1.0, inf, 2.0]], [[1.0, nan, 2.0]]]))
    assert torch.equal(clip_by_norm(grads, _rows([inf, inf])).flat.nan_to_num(7.0), grads.flat.nan_to_num(7.0))


@pytest.mark.parametrize("size", [1.0, 1e200, 1e300])
def test_gradients_are_compared_where_their_squares_overflow(size: float) -> None:
    """The relative error is the same at sizes whose squares overflow."""
    hand = torch.tensor([3.0, 4.0], dtype=torch.float64) * size
    assert relative_error(hand, hand * 1.5) == pytest.approx(1 / 3)
    assert relative_error(hand, hand) == 0


def test_adam_worked_by_hand() -> None:
    """θ = 1, gradients 2 and -1, betas ½ and ¾, lr 0.1: steps 0.1·1, then 0.1·0/√(1.0/(7/16))."""
    params = Params.zeros(Layout({"l1.W": (1, 1)}), 1, torch.empty(0, dtype=torch.float64))
    params["l1.W"].fill_(1)
    grads = Params.zeros(params.layout, 1, params.flat)
    optimizer = adam(*(_rows([value]) for value in (0.1, 0.5, 0.75, 1e-300, 0.0)))
    state, seen = optimizer.init(params), []
    for g in (2.0, -1.0):
        grads["l1.W"].fill_(g)
        optimizer.update(grads, state, params, optimizer.lr)
        seen.append(float(params["l1.W"]))
    # m: 1, then 0.5 - 0.5 = 0; m/(1 - 1/2) = 2, s: 1/4·4 = 1, s/(1 - 3/4) = 4: the first step is 0.1·2/2
    assert seen == pytest.approx([0.9, 0.9], rel=1e-14)


@pytest.mark.parametrize("name", ["nesterov", "rmsprop", "adagrad", "adam", "adamw"])
def test_update_leaves_gradients_alone(name: str) -> None:
    """The gradient's norm is recorded after the step: it must be the gradient still."""
    optimizer, params = OPTIMIZERS[name][0](), _start()
    grads = Params.zeros(LAYOUT, len(LR), params.flat)
    for key, gradient in _gradients(0).items():
        grads[key].copy_(gradient)
    before = grads.flat.clone()
    optimizer.update(grads, optimizer.init(params), params, optimizer.lr)
    assert torch.equal(grads.flat, before)
