"""Measures for the errata of the lecture that do not concern gradients: angles, output ranges, ties, and XOR.

`workbench.lecture.errata` lists the slides they belong to.
"""

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from workbench.nn.activations import Activation


def folded_angle_error() -> float:
    """Largest |atan|y/x| - atan2(y, x)| over 360 points of the unit circle, in radians."""
    x, y = _circle()
    return float(((y / x).abs().atan() - torch.atan2(y, x)).abs().max())


def folded_angle_best_accuracy() -> float:
    """Best accuracy of a rule on (r, atan|y/x|) in telling y > 0 for points of the unit circle.

    Points with the same angle get the same decision: the more frequent half among them.
    """
    x, y = _circle()
    angle = (y / x).abs().atan().mul(1e6).round()
    right = 0
    for one in set(angle.tolist()):
        upper = (y[angle == one] > 0).sum()
        right += int(torch.maximum(upper, (angle == one).sum() - upper))
    return right / len(x)


def _circle() -> tuple[Tensor, Tensor]:
    turn = (torch.arange(360, dtype=torch.float64) + 0.5) * pi / 180
    return turn.cos(), turn.sin()


def best_r2(f: Activation, low: float, high: float) -> float:
    """Largest R² that h = f(z) can reach on 101 evenly spaced targets, with each h clamped to f's range."""
    y = torch.linspace(low, high, 101, dtype=torch.float64)
    h = y.clamp(*f.bounds)
    return float(1 - (y - h).square().sum() / (y - y.mean()).square().sum())


def step_and_rule_disagree(b: float, off_ties: bool = False) -> float:
    """Share of pairs (w, x) on which step(w·x + b) and the rule w·x > 0 differ.

    The pairs are all w and x with two integer entries from -2 to 2. With `off_ties`, pairs with w·x = 0 do not count.
    """
    w1, w2, x1, x2 = torch.cartesian_prod(*[torch.arange(-2.0, 3.0)] * 4).T
    z = w1 * x1 + w2 * x2
    apart = (z + b >= 0) != (z > 0)
    return float((apart & (z != 0) if off_ties else apart).double().mean())


def sup_error(sigma: Callable[[Tensor], Tensor], alpha: Tensor, w: Tensor, b: Tensor) -> float:
    """Compute max |Σ alpha_i σ(w_i x + b_i) - sin 2πx| over 10,001 points of [0, 1]; alpha, w and b are [units]."""
    x = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    return float((sigma(x[:, None] * w + b) @ alpha - (2 * pi * x).sin()).abs().max())


def relu_approximation(units: int) -> float:
    """Error of the interpolant of sin 2πx at `units` + 1 points, a sum of relu units, which are unbounded."""
    knots = torch.linspace(0, 1, units + 1, dtype=torch.float64)
    slopes = (2 * pi * knots).sin().diff() * units
    alpha = slopes.diff(prepend=torch.zeros(1, dtype=torch.float64))
    return sup_error(torch.relu, alpha, torch.ones_like(alpha), -knots[:-1])


def bump_approximation(units: int) -> float:
    """Error of the interpolant of sin 2πx as a sum of bumps max(0, 1 - |z|), which are not monotone."""
    knots = torch.linspace(0, 1, units, dtype=torch.float64)
    w = torch.full_like(knots, units - 1)
    return sup_error(lambda z: (1 - z.abs()).relu(), (2 * pi * knots).sin(), w, -w * knots)


def absolute_value_wrong_on_xor() -> float:
    """Number of XOR points that one unit |x₁ - x₂| decides wrongly."""
    x, y = _xor()
    return float(((x[:, 0] - x[:, 1]).abs() != y).sum())


def monotone_wrong_on_xor() -> float:
    """Least number of XOR points that a thresholded monotone unit decides wrongly, over a grid of 9³ (w, b)."""
    x, y = _xor()
    w1, w2, b = torch.cartesian_prod(*[torch.linspace(-2, 2, 9, dtype=torch.float64)] * 3).T
    decided = x[:, :1] * w1 + x[:, 1:] * w2 + b > 0
    return float((decided != (y[:, None] > 0)).sum(0).min())


def _xor() -> tuple[Tensor, Tensor]:
    x = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    return x, torch.tensor([0, 1, 1, 0], dtype=torch.float64)
