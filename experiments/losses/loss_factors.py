"""Factors of losses: delta of the output for likelihood and squared error, the L2 penalty, and R² of bounded outputs.

With a = f(z) and δ = dC/dz of one example: behind a logistic output the likelihood gives a - y, the squared error
(a - y) f'(z), at most a quarter of it. Behind a softmax with J = diag(a) - aaᵀ, its Jacobian, the likelihood gives
a - y and the mean squared error (2/K) J (a - y), at most 1/K of it: as Σ_j |J_ij| = 2 a_i (1 - a_i) ≤ 1/2, no
eigenvalue of J is above 1/2 (Gershgorin).
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.data.batches import PackData
from workbench.data.datasets import diabetes
from workbench.nn.activations import sigmoid
from workbench.nn.builders import mlp
from workbench.nn.initializers import Scheme, he, uniform_bias
from workbench.nn.losses import Loss, binary_nll, softmax_mse, softmax_nll, squared_error
from workbench.nn.objective import Objective
from workbench.nn.params import Params

Array = NDArray[np.float64]


class Factor(NamedTuple):
    """Results by example: `off`, the squared error's δ minus its formula, and `share`, its size over likelihood's δ."""

    off: Array
    share: Array


def logistic_factor(z: Array) -> Factor:
    """Compare both losses for a logistic output, at every z [N] with both labels."""
    logits = np.concatenate([z, z])
    y = np.repeat([0.0, 1.0], len(z))
    likelihood, squares = (
        _delta(loss, logits[:, None], y[:, None]) for loss in (binary_nll(), squared_error(sigmoid()))
    )
    a = 1 / (1 + np.exp(-logits))
    formula = (a - y) * a * (1 / (1 + np.exp(logits)))
    return Factor(np.abs(squares[:, 0] - formula), np.abs(squares[:, 0]) / np.abs(likelihood[:, 0]))


def softmax_factor(z: Array) -> Factor:
    """Compare both losses for a softmax output, at every z [N, K] with every label."""
    classes = z.shape[1]
    logits, y = np.repeat(z, classes, 0), np.tile(np.eye(classes), (len(z), 1))
    likelihood, squares = (_delta(loss, logits, y) for loss in (softmax_nll(), softmax_mse()))
    a = np.exp(logits - logits.max(1, keepdims=True))
    a /= a.sum(1, keepdims=True)
    jacobian = a[:, :, None] * (np.eye(classes) - a[:, None, :])
    formula = 2 / classes * np.einsum("nij,nj->ni", jacobian, a - y)
    share = np.linalg.norm(squares, axis=1) / np.linalg.norm(likelihood, axis=1)
    return Factor(np.abs(squares - formula).max(1), share)


def _delta(loss: Loss, z: Array, y: Array) -> Array:
    """Compute δ [N, K], with each example as a replica, so that no mean is taken."""
    delta = loss.delta(torch.as_tensor(z).unsqueeze(1), torch.as_tensor(y).unsqueeze(1))
    return delta.squeeze(1).numpy()


class Penalty(NamedTuple):
    """Deviations of J, of its gradient for weights and of that for biases from the lecture's J(W, b)."""

    value: float
    weights: float
    biases: float


def penalty(weight_decay: float, seed: int) -> Penalty:
    """Compare J and its gradients with and without λ on a random net with λ/2 Σ W², λW, and 0 for biases."""
    model = mlp([6, 5], 4, 3, sigmoid())
    params = Params.stack([model.init(seed, Scheme(he(), uniform_bias()))], torch.float64, torch.device("cpu"))
    stream = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(1, 7, size, generator=stream, dtype=torch.float64) for size in (4, 3))
    found: list[tuple[Tensor, Params]] = []
    for decay in (torch.tensor([weight_decay], dtype=torch.float64), None):
        objective, grads = Objective(model, squared_error(), decay), Params.zeros(params.layout.trained, 1, params.flat)
        objective.gradients(params, grads, x, y)
        found.append((objective.value(params, x, y), grads))
    (value, grads), (plain, without) = found
    by_name = {name: grads[name] - without[name] for name in grads}
    squares = sum(float(params[name].square().sum()) for name in grads if name.endswith(".W"))
    return Penalty(
        abs(float(value - plain) - weight_decay / 2 * squares),
        max(float((by_name[name] - weight_decay * params[name]).abs().max()) for name in grads if name.endswith(".W")),
        max(float(by_name[name].abs().max()) for name in grads if name.endswith(".b")),
    )


def best_r2(low: int, high: int) -> Fraction:
    """Compute the largest R² on the diabetes data of any h from `low` to `high`, that of h = y clamped; exact."""
    y = [Fraction(int(value)) for value in diabetes().y[:, 0]]
    mean = sum(y, Fraction(0)) / len(y)
    missed = sum(((value - min(max(value, Fraction(low)), Fraction(high))) ** 2 for value in y), Fraction(0))
    return 1 - missed / sum(((value - mean) ** 2 for value in y), Fraction(0))


def least_squares_accuracies(data: PackData) -> list[float]:
    """Test accuracy, by replica, of the affine map with the least squared error on the training part: no budget."""
    (x, y), (seen, answers) = (data.chunk(part, 0, part.size) for part in (data.train, data.test))

    def with_one(several: Tensor) -> Tensor:
        return torch.cat([several.double(), torch.ones(*several.shape[:2], 1, dtype=torch.float64)], 2)

    weights = torch.linalg.pinv(with_one(x)) @ y.double()
    right = (with_one(seen) @ weights).argmax(2) == answers.argmax(2)
    return [float(share) for share in right.double().mean(1)]
