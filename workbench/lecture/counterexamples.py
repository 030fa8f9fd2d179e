"""Measures for the errata of the lecture beside errors of gradients: angles, output ranges, ties, XOR, slopes.

`workbench.lecture.errata` lists the slides they belong to.
"""

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from workbench.lecture import textbook
from workbench.lecture.misprints import problem
from workbench.lecture.textbook import ManyExamples, Net
from workbench.nn.activations import Activation, unit_step


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


def largest_gradient_of_unit_steps() -> float:
    """Largest derivative that backpropagation computes for a 3-4-2 net of unit steps with errors at its output."""
    _, dW, db = problem(3, 4, 2, f=unit_step, output=textbook.regression(unit_step())).gradients()
    return max(float(one.abs().max()) for one in (*dW.values(), *db.values()))


def wrong_on_and_after_training(f: Activation, steps: int = 1000, lr: float = 10.0) -> float:
    """Number of points of AND that one unit, h > 1/2, has wrong after gradient descent on ½(h - y)² from w = b = 0."""
    x, y = _xor()[0].T, torch.tensor([[0, 0, 0, 1]], dtype=torch.float64)
    W, b = torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for _ in range(steps):
        _, dW, db = textbook.objective(ManyExamples(), Net({1: W}, {1: b}, f, textbook.regression(f)), x, y)
        W, b = W - lr * dW[1], b - lr * db[1]
    return float(((textbook.value(f, W @ x + b[:, None]) > 0.5) != (y > 0.5)).sum())


def one_sided_slope(f: Activation, h: float) -> float:
    """Absolute difference quotient (f(h) - f(0)) / h."""
    ends = textbook.value(f, torch.tensor([0.0, h], dtype=torch.float64))
    return abs(float((ends[1] - ends[0]) / h))


def share_of_largest_slope(f: Activation, z: float) -> float:
    """f'(z) / f'(0), for an f that is steepest at 0."""
    slopes = textbook.slope(f, torch.tensor([z, 0.0], dtype=torch.float64))
    return float(slopes[0] / slopes[1])


def chain_rule_examples_wrong(name: str) -> float:
    """Number of rational points at which a slide's example of the chain rule differs from differences of its values."""
    from workbench.lecture.chain_rule import EXAMPLES

    return float(len(EXAMPLES[name].wrong_at()))


def _xor() -> tuple[Tensor, Tensor]:
    x = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    return x, torch.tensor([0, 1, 1, 0], dtype=torch.float64)
