"""Labelings of finitely many points by a single neuron, with proofs in rational numbers.

A neuron f(w·x + b) with monotone f decides 1 on a half-space: for rising f, {z : f(z) > t} contains everything above
some z, for falling f everything below, and negating w exchanges both cases. For finitely many points the threshold can
be moved between two of their z, so a labeling is possible exactly when some (w, b) has s_i (w·x_i + b) ≥ 1 for every
point, s_i = 1 for label 1 and -1 for label 0 (the lecture's "Perceptron vs. Logistic Neuron").
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.nn import activations
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.maxout import Maxout
from workbench.nn.model import Model
from workbench.proofs.farkas import Infeasible, Number, Solution, decide

Points = Sequence[Sequence[Number]]
SQUARE = ((0, 0), (0, 1), (1, 0), (1, 1))
XOR, AND = (0, 1, 1, 0), (0, 0, 0, 1)
KINKED = {"relu": (0, 1), "leaky_relu": (Fraction(1, 100), 1), "absolute": (-1, 1)}  # slopes below and above 0


class System(NamedTuple):
    """Inequalities A u ≥ c in u = (w, b), exact."""

    A: list[list[Fraction]]
    c: list[Fraction]


class KinkCell(NamedTuple):
    """An assignment of the points to the two sides of a kink, its system of inequalities, and the answer with proof."""

    above: tuple[bool, ...]
    system: System
    answer: Solution | Infeasible


class Falls(NamedTuple):
    """Number of neighboring pairs of z compared, number of those on which f falls, and the first z of these."""

    places: int
    falls: int
    first: float | None


def half_space(points: Points, labels: Sequence[int]) -> System:
    """Make the system s_i (w·x_i + b) ≥ 1 of a monotone neuron, for points [N, I] with labels [N] in {0, 1}."""
    A = [[(2 * label - 1) * entry for entry in _row(x)] for x, label in zip(points, labels, strict=True)]
    return System(A, [Fraction(1)] * len(A))


def separate(points: Points, labels: Sequence[int]) -> Solution | Infeasible:
    """Find (w, b) of a monotone neuron with this labeling, or the Farkas multipliers that exclude it.

    Raises ArithmeticError as `decide`.
    """
    return decide(*half_space(points, labels))


def labelings(points: Points) -> Iterator[tuple[tuple[int, ...], Solution | Infeasible]]:
    """Yield every labeling of the points in {0, 1} with its proof."""
    for labels in product((0, 1), repeat=len(points)):
        yield labels, separate(points, labels)


def best_agreement(points: Points, wanted: Sequence[int]) -> Fraction:
    """Return the largest share of the points that one monotone neuron can label as wanted."""
    possible = (labels for labels, proof in labelings(points) if isinstance(proof, Solution))
    return max(
        Fraction(sum(one == other for one, other in zip(labels, wanted, strict=True)), len(points))
        for labels in possible
    )


def kinked_regression(points: Points, values: Sequence[Number], below: Number, above: Number) -> Iterator[KinkCell]:
    """Yield all cells in which f(w·x_i + b) = y_i might hold, f(z) = above · z for z ≥ 0 and below · z for z ≤ 0.

    ReLU has below 0 and above 1, leaky ReLU its slope and 1, the absolute value -1 and 1. In a cell each point is on a
    fixed side of the kink, so that f is linear and the cell is a system in (w, b).
    """
    for sides in product((False, True), repeat=len(points)):
        system = System([], [])
        for x, y, side in zip(points, values, sides, strict=True):
            slope, sign = Fraction(above if side else below), 1 if side else -1
            z = _row(x)
            for factor, bound in ((Fraction(sign), Fraction(0)), (slope, Fraction(y)), (-slope, -Fraction(y))):
                system.A.append([factor * entry for entry in z])
                system.c.append(bound)
        yield KinkCell(sides, system, decide(*system))


def _row(x: Sequence[Number]) -> list[Fraction]:
    return [*(Fraction(entry) for entry in x), Fraction(1)]


def falls(activation: str, reach: float = 40.0, places: int = 1_000_000) -> Falls:
    """Find where the package's f falls between neighbors, for z in equal steps from -reach to reach, in float64.

    Decreases below four units of the last place are rounding and do not count.
    """
    z = torch.linspace(-reach, reach, places + 1, dtype=torch.float64)
    f = _activation(activation)
    a = f.forward(z, *(torch.tensor(value, dtype=z.dtype) for value in f.constants.values()))
    room = 4 * torch.finfo(z.dtype).eps * a[1:].abs().clamp(min=1)
    found = (a[1:] < a[:-1] - room).nonzero().flatten()
    return Falls(places, len(found), float(z[found[0]]) if len(found) else None)


def absolute_neuron(x: Tensor) -> Tensor:
    """Compute |x₁ - x₂| by one neuron made of the package's layers; x [B, 2], result [B]."""
    params = {"l1.W": x.new_tensor([[[1, -1]]]), "l1.b": x.new_zeros(1, 1)}
    return _output(Model((Dense("l1", 2, 1), Activate("l1", activations.absolute()))), params, x)


def maxout_neuron(x: Tensor) -> Tensor:
    """Compute max(x₁ - x₂, x₂ - x₁) by one maxout unit with two pieces; x [B, 2], result [B]."""
    params = {"l1.W": x.new_tensor([[[1, -1], [-1, 1]]]), "l1.b": x.new_zeros(1, 2)}
    return _output(Model((Maxout("l1", 2, 1, 2),)), params, x)


SINGLE_UNITS = {"absolute": absolute_neuron, "maxout": maxout_neuron}


def two_hidden_units(activation: str, x: Tensor, steepness: float = 20.0) -> Tensor:
    """Compute the logit of a net with two hidden units, above 0 exactly on XOR's ones; x [B, 2], result [B].

    With s = x₁ + x₂ and k the steepness: a unit that saturates computes f(k(s - ½)) - f(k(s - 3/2)) - ½, a unit that
    grows without bound f(ks) - 2 f(k(s - 1)) - k/2.
    """
    f = _activation(activation)
    bounded = f.bounds[1] < float("inf")
    shifts, outer, output = ((0.5, 1.5), (1.0, -1.0), 0.5) if bounded else ((0.0, 1.0), (1.0, -2.0), steepness / 2)
    params = {
        "l1.W": x.new_full((1, 2, 2), steepness),
        "l1.b": x.new_tensor([[-steepness * shift for shift in shifts]]),
        "l2.W": x.new_tensor([[outer]]),
        "l2.b": x.new_tensor([[-output]]),
    }
    params |= {f"l1.{name}": x.new_tensor([value]) for name, value in f.constants.items()}
    return _output(Model((Dense("l1", 2, 2), Activate("l1", f), Dense("l2", 2, 1))), params, x)


def _activation(name: str) -> activations.Activation:
    activation: activations.Activation = getattr(activations, name)()
    return activation


def _output(model: Model, params: dict[str, Tensor], x: Tensor) -> Tensor:
    a, _ = model.forward(params, x.unsqueeze(0))
    return a.flatten()
