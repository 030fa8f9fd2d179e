"""Errors of constructed networks on the three targets: for sizes that are proved to suffice, and for chosen sizes.

Errors are maxima over the grid of `least_squares_nets`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from . import approximation
from .approximation import TARGETS, Network, Target
from .least_squares_nets import largest_errors


class Named(NamedTuple):
    """Errors by target of the networks whose size follows from an ε, and the proof that it suffices."""

    errors: dict[str, float]
    proof: str


class Measured(NamedTuple):
    """Measured error of a network, and its proved bound."""

    activation: str
    target: str
    units: int
    error: float
    bound: float


def named(activation: str, eps: float) -> Named:
    """Build for each target the network of the size that is proved to suffice for eps, and measure its error."""
    way = approximation.construction(activation)
    networks = {name: way.build(target.f, way.intervals(target, eps)) for name, target in TARGETS.items()}
    sizes = ", ".join(f"{name} N = {len(network)}" for name, network in networks.items())
    slack = max(way.slack(target) for target in TARGETS.values())
    errors = {name: _error(network, TARGETS[name]) for name, network in networks.items()}
    return Named(errors, f"error ≤ {way.spread:g} · Lipschitz constant/intervals + {slack:.2g}: {sizes}")


def by_size(activation: str, sizes: Sequence[int]) -> Iterator[Measured]:
    """Build for each target the largest networks with at most these numbers of units, and measure their errors."""
    way = approximation.construction(activation)
    for name, target in TARGETS.items():
        for n in filter(lambda n: n >= 1, map(way.knots, sizes)):
            network = way.build(target.f, n)
            yield Measured(activation, name, len(network), _error(network, target), way.within(target, n))


def _error(network: Network, target: Target) -> float:
    return float(largest_errors([network], [target.f])[0])
