"""Growth of gradients toward the input of a net with batch normalization (Yang et al. 2019).

Each normalized unit of a wide layer is normally distributed over a large batch, and after some layers two examples are
independent. Back through W, the activation f and the normalization of the layer below, the squared gradient of an
example is then multiplied by

    E f'(n)² / Var f(n),        n ~ N(0, 1)

as the variance that the normalization divides by is fan-in · Var W · Var f(n), and W multiplies the squared gradient by
the same fan-in · Var W. By the Gaussian Poincaré inequality Var f(n) ≤ E f'(n)², with equality for linear f only:
without skips gradients cannot vanish, and must explode (Yang et al. 2019 for ReLU: π/(π - 1)).
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

FAR, POINTS = 12.0, 200  # limit and nodes of the integrals, on either side of 0


def growth(activation: Activation) -> float:
    """Compute E f'(n)² / Var f(n) by Gauss-Legendre quadrature on either side of 0, the rectifiers' kink."""
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
    """Measure ln of the factor by which a layer multiplies the squared gradient toward the input, per replica [R].

    It is a mean over the hidden layers of one training pass, without the first `settled`, in which examples become
    independent.
    """
    grads = Params.zeros(params.layout.trained, len(params.flat), params.flat)
    z, tape = objective.model.forward(params, x, Mode(training=True))
    delta = objective.loss.delta(z, y)
    squares = []
    for layer, own in zip(reversed(objective.model.layers), reversed(tape), strict=True):
        if isinstance(layer, Activate):
            squares.append(delta.double().square().sum((1, 2)))
        after = layer.backward(params, own, delta, grads)
        assert after is not None  # as need_grad_in is true
        delta = after
    layers = len(squares) - 1 - settled
    grown: NDArray[np.float64] = torch.log(squares[layers] / squares[0]).div(layers).numpy()
    return grown
