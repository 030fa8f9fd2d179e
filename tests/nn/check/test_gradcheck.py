"""The gradient check agrees for every net that it should, sets kinks aside, and catches every mistake planted here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import build, stems, targets
from workbench.nn.activations import Activation
from workbench.nn.builders import mlp
from workbench.nn.check.gradcheck import AUTOGRAD_TOLERANCE, DIFFERENCE_TOLERANCE, Agreement, gradcheck, relative_error
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params


@dataclass(frozen=True)
class Problem:
    """A net with parameters and one batch."""

    objective: Objective
    params: Params
    x: Tensor
    y: Tensor

    def check(self, entries: int = 24) -> list[Agreement]:
        """The comparison of this problem's gradients."""
        return gradcheck(self.objective, self.params, self.x, self.y, entries)


def _problem(
    activation: str = "tanh",
    loss: str = "softmax_nll",
    replicas: int = 2,
    hidden: tuple[int, ...] = (4, 4),
    n_in: int = 4,
    batch: int = 5,
    seed: int = 0,
    decay: float | None = 0.1,
) -> Problem:
    cost = build("loss", loss)
    n_out = 1 if cost.accepts[0] == "binary" else 4
    model = mlp(list(hidden), n_in, n_out, build("activation", activation))
    scheme = Scheme(he(), constant(0.1))
    rows = [model.init(seed + r, scheme) for r in range(replicas)]
    buffers = [model.buffers(scheme) for _ in range(replicas)]
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(replicas, batch, n_in, generator=stream, dtype=torch.float64)
    weight_decay = None if decay is None else decay * torch.arange(1, replicas + 1, dtype=torch.float64)
    params = Params.stack(rows, torch.float64, torch.device("cpu"), buffers)
    return Problem(
        Objective(model, cost, weight_decay), params, x, targets(cost.accepts, (replicas, batch, n_out), stream)
    )


NETS: dict[str, st.SearchStrategy[Any]] = {
    "hidden": st.lists(st.integers(1, 6), max_size=3).map(tuple),
    "n_in": st.integers(1, 6),
    "batch": st.integers(1, 7),
    "seed": st.integers(0, 2**31),
    "decay": st.sampled_from([None, 1e-3, 0.5]),
}


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("loss", stems("loss"))
@pytest.mark.parametrize("activation", stems("activation"))
@settings(max_examples=2)
@given(**NETS)
def test_gradients_agree_with_autograd_and_differences(
    activation: str,
    loss: str,
    replicas: int,
    hidden: tuple[int, ...],
    n_in: int,
    batch: int,
    seed: int,
    decay: float | None,
) -> None:
    """Gradients are within 1e-10 of autograd and 1e-7 of differences for each activation, loss and size."""
    problem = _problem(activation, loss, replicas, hidden, n_in, batch, seed, decay)
    rows = problem.check(entries=6)
    assert [row.name for row in rows] == list(problem.params.layout.trained.slots)
    for row in rows:
        assert row.autograd_error < AUTOGRAD_TOLERANCE == 1e-10, row
        assert row.difference_error < DIFFERENCE_TOLERANCE == 1e-7, row
        assert row.compared + row.at_kinks == replicas * min(6, problem.params[row.name][0].numel())


@pytest.mark.exhaustive
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("loss", stems("loss"))
@pytest.mark.parametrize("activation", stems("activation"))
@settings(max_examples=5)
@given(**NETS)
def test_gradients_agree_whatever_the_sizes(activation: str, loss: str, replicas: int, **net: Any) -> None:
    """Gradients agree for five more random nets of each activation and loss."""
    test_gradients_agree_with_autograd_and_differences.hypothesis.inner_test(activation, loss, replicas, **net)


@pytest.mark.parametrize("activation", stems("activation"))
def test_large_pre_activations_agree(activation: str) -> None:
    """Inputs that are not standardized drive z past 20, where softplus has to stay exact."""
    problem = _problem(activation, "squared_error", decay=None)
    far = replace(problem, x=problem.x * 12)
    _, tape = far.objective.model.forward(far.params, far.x)
    largest = max(float(units.z.abs().max()) for units in far.objective.model.units(tape))
    assert largest > 20
    assert all(row.autograd_error < AUTOGRAD_TOLERANCE for row in far.check())


def _kinked(z_at: float) -> list[Agreement]:
    """1-1-1 net with relu and pre-activation z_at: w = 1, x = 1, b = z_at - 1, all outputs zero-free."""
    model = mlp([1], 1, 1, build("activation", "relu"))
    one = torch.ones(1, 1)
    row = {"l1.W": one, "l1.b": torch.tensor([z_at - 1]), "l2.W": 2 * one, "l2.b": torch.tensor([0.5])}
    params = Params.stack([row], torch.float64, torch.device("cpu"))
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    return gradcheck(Objective(model, build("loss", "squared_error")), params, x, 0 * x)


@pytest.mark.parametrize(("z_at", "set_aside"), [(0.0, 1), (1e-4, 1), (-1e-4, 1), (1e-2, 0), (-1e-2, 0)])
def test_kinks_are_set_aside_and_counted(z_at: float, set_aside: int) -> None:
    """Perturbing l1 moves z across 0 where z is within the stencil's 2e-4; l2 moves no z, so it is always compared."""
    rows = {row.name: row for row in _kinked(z_at)}
    assert {name: row.at_kinks for name, row in rows.items()} == {
        "l1.W": set_aside,
        "l1.b": set_aside,
        "l2.W": 0,
        "l2.b": 0,
    }
    assert {name: row.compared for name, row in rows.items()} == {
        "l1.W": 1 - set_aside,
        "l1.b": 1 - set_aside,
        "l2.W": 1,
        "l2.b": 1,
    }
    assert all(row.agrees for row in rows.values())


def test_one_unit_at_its_kink_for_one_example_is_enough() -> None:
    """An entry that moves a z at its kink, in one unit for one example, is not compared, and every other entry is."""
    model = mlp([2], 1, 1, build("activation", "relu"))
    row = {"l1.W": torch.ones(2, 1), "l1.b": torch.tensor([-1.0, 1]), "l2.W": torch.ones(1, 2), "l2.b": torch.ones(1)}
    params = Params.stack([row], torch.float64, torch.device("cpu"))
    x = torch.tensor([[[1.0], [2.0]]], dtype=torch.float64)
    rows = gradcheck(Objective(model, build("loss", "squared_error")), params, x, 0 * x)
    assert [(row.name, row.compared, row.at_kinks) for row in rows] == [
        ("l1.W", 1, 1),
        ("l2.W", 2, 0),
        ("l1.b", 1, 1),
        ("l2.b", 1, 0),
    ]
    assert all(row.agrees for row in rows)


@pytest.mark.parametrize(
    ("error", "tolerance"), [("autograd_error", 1e-10), ("difference_error", 1e-7), ("single_error", 1e-3)]
)
def test_agreement_ends_at_each_tolerance(error: str, tolerance: float) -> None:
    """Errors just below each tolerance agree, and just above it they do not."""
    right = Agreement("l1.W", (2, 1), 1.0, 0.0, 0.0, 2, 0)
    assert right.agrees
    assert replace(right, **{error: 0.99 * tolerance}).agrees
    assert not replace(right, **{error: 1.01 * tolerance}).agrees


def test_check_leaves_parameters_alone() -> None:
    """Nothing is perturbed in place, and no parameter starts to require a gradient."""
    problem = _problem()
    before = problem.params.flat.clone()
    problem.check()
    assert torch.equal(problem.params.flat, before)
    assert not problem.params.flat.requires_grad


def test_relative_error_worked_by_hand() -> None:
    """‖(3, 4) - (3, 0)‖ / ‖(3, 4)‖ = 4/5; 0 for 0/0; a floor forgives; what is not finite never agrees."""
    hand, reference = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0])
    assert relative_error(hand, reference) == pytest.approx(0.8)
    assert relative_error(hand, reference, floor=40.0) == pytest.approx(0.1)
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
    for bad in (float("nan"), float("inf")):
        assert not relative_error(torch.tensor([bad]), torch.tensor([1.0])) < 1
        assert not relative_error(torch.tensor([1.0]), torch.tensor([bad])) < 1


# Mistakes, each as a function of a right problem.


class WrongDense(Dense):
    """A Dense whose gradients a mistake has gone through."""

    mistake: Callable[[Tensor, Tensor, Tensor | None], Tensor | None]

    def backward(self, *args: Any) -> Any:
        """The right gradients, then the mistake."""
        grad_in, grads = super().backward(*args), args[3]
        return type(self).mistake(grads[f"{self.name}.W"], grads[f"{self.name}.b"], grad_in)


def _in_dense(mistake: Callable[[Tensor, Tensor, Tensor | None], Tensor | None], name: str) -> Any:
    """Plant a mistake into the layer called `name`."""

    class Planted(WrongDense):
        pass

    Planted.mistake = staticmethod(mistake)  # type: ignore[assignment]

    def plant(problem: Problem) -> Problem:
        layers = tuple(
            Planted(layer.name, layer.fan_in, layer.fan_out)
            if isinstance(layer, Dense) and layer.name == name
            else layer
            for layer in problem.objective.model.layers
        )
        return replace(problem, objective=replace(problem.objective, model=Model(layers)))

    return plant


def _negate_dW(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    dW.neg_()
    return grad_in


def _transpose_dW(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    dW.copy_(dW.transpose(1, 2).clone())
    return grad_in


def _forget_db(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    db.zero_()
    return grad_in


def _negate_grad_in(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    return None if grad_in is None else grad_in.neg()


def _mean_db(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    db.div_(5)
    return grad_in


def _swap_replicas(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    dW.copy_(dW.flip(0).clone())
    return grad_in


def _one_entry_slightly_off(dW: Tensor, db: Tensor, grad_in: Tensor | None) -> Tensor | None:
    dW[0, 0, 0] *= 1 + 1e-6
    return grad_in


def _in_loss(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Problem], Problem]:
    """A loss whose delta is changed; its value stays."""

    def plant(problem: Problem) -> Problem:
        right = problem.objective.loss

        def wrong(z: Tensor, y: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
            value, delta = right.measure(z, y)
            return value, lambda: change(delta(), z)

        return replace(problem, objective=replace(problem.objective, loss=replace(right, measure=wrong)))

    return plant


class ForgetsDecay(Objective):
    """J with the penalty, gradients without it."""

    def gradients(
        self,
        params: Params,
        grads: Params,
        x: Tensor,
        y: Tensor,
        *rest: Any,
    ) -> Tensor:
        """dC/dparams."""
        return Objective(self.model, self.loss).gradients(params, grads, x, y, *rest)


class DecaysBiases(Objective):
    """J that spares biases, gradients that do not."""

    def gradients(
        self,
        params: Params,
        grads: Params,
        x: Tensor,
        y: Tensor,
        *rest: Any,
    ) -> Tensor:
        """dJ/dparams with λb too many."""
        assert self.weight_decay is not None
        value = super().gradients(params, grads, x, y, *rest)
        for name in params:
            if name.endswith(".b"):
                grads[name].add_(params[name] * self.weight_decay[:, None])
        return value


def _as(kind: type[Objective]) -> Callable[[Problem], Problem]:
    def plant(problem: Problem) -> Problem:
        right = problem.objective
        return replace(problem, objective=kind(right.model, right.loss, right.weight_decay))

    return plant


def _slightly_wrong(right: Activation) -> Activation:
    """f' off by one part in a million, or by 1e-6 where it is 0 everywhere."""
    shift = 1e-6 if right.max_slope == 0 else 0.0
    return replace(right, derivative=lambda *arguments: right.derivative(*arguments) * (1 + 1e-6) + shift)


def _wrong_slope(problem: Problem) -> Problem:
    """The same net with every activation's derivative slightly wrong."""
    layers = []
    for layer in problem.objective.model.layers:
        if isinstance(layer, Activate):
            layers.append(Activate(layer.name, _slightly_wrong(layer.activation)))
        else:
            layers.append(layer)
    return replace(problem, objective=replace(problem.objective, model=Model(tuple(layers))))


MISTAKES: dict[str, tuple[Callable[[Problem], Problem], set[str]]] = {
    # name: (the mistake, the parameters whose gradients it must show in)
    "dW has the wrong sign": (_in_dense(_negate_dW, "l2"), {"l2.W"}),
    "dW is transposed": (_in_dense(_transpose_dW, "l2"), {"l2.W"}),
    "db is forgotten": (_in_dense(_forget_db, "l3"), {"l3.b"}),
    "db is a mean where a sum belongs": (_in_dense(_mean_db, "l1"), {"l1.b"}),
    "replicas are swapped": (_in_dense(_swap_replicas, "l1"), {"l1.W"}),
    "one entry is off by 1e-6": (_in_dense(_one_entry_slightly_off, "l1"), {"l1.W"}),
    "grad_in has the wrong sign": (_in_dense(_negate_grad_in, "l2"), {"l1.W", "l1.b"}),
    "1/B is dropped": (_in_loss(lambda delta, z: delta * z.shape[1]), {"l1.W", "l2.W", "l3.W", "l3.b"}),
    "1/(B R) stands for 1/B": (_in_loss(lambda delta, z: delta / z.shape[0]), {"l1.W", "l2.W", "l3.W", "l3.b"}),
    "delta has the wrong sign": (_in_loss(lambda delta, z: -delta), {"l1.b", "l2.b", "l3.b"}),
    "λW is dropped": (_as(ForgetsDecay), {"l1.W", "l2.W", "l3.W"}),
    "biases decay": (_as(DecaysBiases), {"l1.b", "l2.b", "l3.b"}),
    "slopes are off by 1e-6": (_wrong_slope, {"l1.W", "l1.b", "l2.W", "l2.b"}),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_planted_mistakes_are_caught(mistake: str) -> None:
    """The right net agrees, the wrong one does not, and the check points at the parameters concerned."""
    right = _problem()
    assert all(row.agrees for row in right.check())
    plant, concerned = MISTAKES[mistake]
    caught = {row.name for row in plant(right).check(entries=1000) if not row.agrees}
    assert concerned <= caught


@pytest.mark.parametrize("mistake", ["dW is transposed", "1/B is dropped", "delta has the wrong sign", "λW is dropped"])
def test_differences_catch_mistakes_without_autograd(mistake: str) -> None:
    """Central differences alone see them: a mistake in the forward pass that autograd repeats would not hide one."""
    plant, concerned = MISTAKES[mistake]
    rows = {row.name: row for row in plant(_problem()).check(entries=1000)}
    assert all(rows[name].difference_error > 1000 * DIFFERENCE_TOLERANCE for name in concerned)


@pytest.mark.parametrize("activation", stems("activation"))
def test_each_activation_with_a_wrong_slope_is_caught(activation: str) -> None:
    """Whatever the activation, an error of 1e-6 in f' shows."""
    rows = _wrong_slope(_problem(activation)).check()
    assert not all(row.agrees for row in rows)
