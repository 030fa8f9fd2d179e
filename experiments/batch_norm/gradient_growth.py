"""How gradients grow toward the input of a net whose layers are normalized over the batch.

Each unit of a wide layer is normal over a large batch once it is normalized, and after some layers two examples are
independent. Back through W, the activation f and the normalization of the layer below, the squared gradient of an
example is then multiplied by

    E f'(n)² / Var f(n),        n ~ N(0, 1)

as W brings fan-in · Var W · Var f(n) into the variance that the normalization divides by, and the same fan-in · Var W
into the gradient. By the Gaussian Poincaré inequality Var f(n) ≤ E f'(n)², with equality for linear f only: without
skips gradients cannot vanish, and must explode (Yang et al. 2019 for ReLU: π/(π - 1)).
"""

from math import pi

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.core.axes import Outputs, Units
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Mode
from workbench.nn.objective import Objective
from workbench.nn.params import Params

FAR, POINTS = 12.0, 200  # of the integrals, on either side of 0


def growth(activation: Activation) -> float:
    """E f'(n)² / Var f(n) by Gauss-Legendre quadrature on either side of 0, where the kinks of the rectifiers are."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    half = (nodes + 1) * FAR / 2
    n = np.concatenate([-half[::-1], half])
    density = np.exp(-(n**2) / 2) / np.sqrt(2 * pi) * np.concatenate([weights[::-1], weights]) * FAR / 2
    z = torch.tensor(n).view(1, 1, -1)
    constants = [torch.tensor(value, dtype=z.dtype) for value in activation.constants.values()]
    a = activation.forward(z, *constants)
    slope, values = activation.derivative(z, a.clone(), *constants).numpy().ravel(), a.numpy().ravel()
    mean = density @ values
    return float(density @ slope**2 / (density @ (values - mean) ** 2))


def measured_growth(objective: Objective, params: Params, x: Units, y: Outputs, settled: int) -> NDArray[np.float64]:
    """ln of the factor by which a layer multiplies the squared gradient on its way to the input, per replica [R].

    One training pass; the mean over the hidden layers after the first `settled`, in which examples become independent.
    """
    grads = Params.zeros(params.layout.trained, len(params.flat), params.flat)
    z, tape = objective.model.forward(params, x, Mode(training=True))
    delta = objective.loss.delta(z, y)
    squares = []
    for layer, own in zip(reversed(objective.model.layers), reversed(tape), strict=True):
        if isinstance(layer, Activate):
            squares.append(delta.double().square().sum((1, 2)))
        after = layer.backward(params, own, delta, grads)
        assert after is not None  # it was asked for
        delta = after
    layers = len(squares) - 1 - settled
    grown: NDArray[np.float64] = torch.log(squares[layers] / squares[0]).div(layers).numpy()
    return grown
