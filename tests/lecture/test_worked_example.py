"""A 2-2-1 net whose forward pass, gradients and one step of SGD are worked out in the comments.

x = (1, 2), y = 1, relu, squared error, λ = 0.5, lr = 0.1
W1 = [[1, -1], [0.5, 1]]   b1 = (0.5, -0.5)      W2 = [[2, -1]]   b2 = 0.25

z1 = (1·1 - 1·2 + 0.5, 0.5·1 + 1·2 - 0.5)     = (-0.5, 2)
a1 = (max(0, -0.5), max(0, 2))                = (0, 2)
z2 = 2·0 - 1·2 + 0.25                         = -1.75
C  = ½ (-1.75 - 1)²                           = 3.78125
penalty = ½ · 0.5 · (1 + 1 + 0.25 + 1 + 4 + 1) = 2.0625,  J = 5.84375

delta2 = z2 - y                               = -2.75
dC/dW2 = delta2 · a1                          = (0, -5.5)         db2 = -2.75
dC/da1 = delta2 · W2                          = (-5.5, 2.75)
delta1 = dC/da1 ⊙ (0, 1)                      = (0, 2.75)         db1 = (0, 2.75)
dC/dW1 = delta1 xᵀ                            = [[0, 0], [2.75, 5.5]]

dJ/dW  = dC/dW + 0.5 W:  dW1 = [[0.5, -0.5], [3, 6]],  dW2 = (1, -6)
"""

import pytest
import torch

from tests.reference import build
from workbench.nn.builders import mlp
from workbench.nn.check.gradcheck import gradcheck
from workbench.nn.objective import Objective
from workbench.nn.optimizers import sgd
from workbench.nn.params import Params


def _row(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.fixture
def objective() -> Objective:
    """The net's J."""
    return Objective(mlp([2], 2, 1, build("activation", "relu")), build("loss", "squared_error"), _row(0.5))


@pytest.fixture
def params() -> Params:
    """The net's parameters, as a pack of one."""
    row = {
        "l1.W": torch.tensor([[1, -1], [0.5, 1]]),
        "l1.b": torch.tensor([0.5, -0.5]),
        "l2.W": torch.tensor([[2.0, -1.0]]),
        "l2.b": torch.tensor([0.25]),
    }
    return Params.stack([row], torch.float64, torch.device("cpu"))


X = torch.tensor([[[1.0, 2.0]]], dtype=torch.float64)
Y = torch.tensor([[[1.0]]], dtype=torch.float64)
GRADIENTS = {"l1.W": [[0.5, -0.5], [3, 6]], "l1.b": [0, 2.75], "l2.W": [[1, -6]], "l2.b": [-2.75]}


def test_worked_values(objective: Objective, params: Params) -> None:
    """C, J and every gradient are exactly the numbers above: all of them are binary fractions."""
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    assert float(objective.value(params, X, Y)) == 5.84375
    assert float(objective.gradients(params, grads, X, Y)) == 3.78125
    assert {name: gradient[0].tolist() for name, gradient in grads.items()} == GRADIENTS


def test_worked_step(objective: Objective, params: Params) -> None:
    """A step of SGD gives θ - 0.1 dJ/dθ for every parameter."""
    before = {name: value.clone() for name, value in params.items()}
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    objective.gradients(params, grads, X, Y)
    optimizer = sgd(_row(0.1), _row(0.0), _row(0.5))
    optimizer.update(grads, optimizer.init(params), params, optimizer.lr)
    for name, gradient in GRADIENTS.items():
        expected = before[name] - 0.1 * torch.tensor([gradient], dtype=torch.float64)
        torch.testing.assert_close(params[name], expected, rtol=1e-14, atol=0)


def test_worked_gradients_pass_the_check(objective: Objective, params: Params) -> None:
    """Autograd and central differences confirm the numbers above."""
    assert all(row.agrees for row in gradcheck(objective, params, X, Y))
