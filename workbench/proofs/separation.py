"""Labelings of finitely many points by a single neuron, with proofs in rational numbers.

A neuron f(w·x + b) with monotone f decides 1 on a half-space: for rising f, {z : f(z) > t} contains everything above
some z, for falling f everything below, and negating w exchanges both cases. For finitely many points the threshold can
be moved between two of their z, so a labeling is possible exactly when some (w, b) has s_i (w·x_i + b) ≥ 1 for every
point, s_i = 1 for label 1 and -1 for label 0 (the lecture's "Perceptron vs. Logistic Neuron").
"""

from collections.abc import Iterator, Mapping, Sequence
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
PARITY = {bits: tuple(product((0, 1), repeat=bits)) for bits in (3, 4)}  # points by number of bits
KINKED: Mapping[str, tuple[Number, Number]] = {  # slopes below and above 0
    "relu": (0, 1),
    "leaky_relu": (Fraction(1, 100), 1),
    "absolute": (-1, 1),
}


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


def parity(points: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Label points of zeros and ones by 1 for an odd number of ones."""
    return tuple(sum(x) % 2 for x in points)


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


def parity_units(activation: str, x: Tensor, steepness: float = 20.0) -> Tensor:
    """Compute the logit of a net with a hidden unit per bit, above 0 exactly for odd parity; x [B, n], result [B].

    With s = Σ_i x_i and k the steepness: units that saturate, scaled to the range from 0 to 1, add up to
    S(k(s - ½)) - S(k(s - 3/2)) + ... - ½; units that grow without bound to
    f(ks) - 2 f(k(s - 1)) + 2 f(k(s - 2)) - ... - k/2. For two bits this is XOR.
    """
    f, n = _activation(activation), x.shape[1]
    low, high = f.bounds
    bits, signs = torch.arange(n, dtype=x.dtype), (-1.0) ** torch.arange(n, dtype=x.dtype)
    if high < float("inf"):
        shifts, outer, output = bits + 0.5, signs / (high - low), 0.5 + low * float(signs.sum()) / (high - low)
    else:
        shifts, outer, output = bits, signs * bits.clamp(max=1).add(1), steepness / 2
    params = {
        "l1.W": x.new_full((1, n, n), steepness),
        "l1.b": (-steepness * shifts)[None],
        "l2.W": outer[None, None],
        "l2.b": x.new_tensor([[-output]]),
    }
    params |= {f"l1.{name}": x.new_tensor([value]) for name, value in f.constants.items()}
    return _output(Model((Dense("l1", n, n), Activate("l1", f), Dense("l2", n, 1))), params, x)


def _activation(name: str) -> activations.Activation:
    activation: activations.Activation = getattr(activations, name)()
    return activation


def _output(model: Model, params: dict[str, Tensor], x: Tensor) -> Tensor:
    a, _ = model.forward(params, x.unsqueeze(0))
    return a.flatten()
