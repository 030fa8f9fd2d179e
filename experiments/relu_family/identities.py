"""Identities f(z) = Σ c g(s z) between units, checked on the package's values and hand-written derivatives."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from .maxout_fits import unit

Settings = Mapping[str, float]
ALPHAS = (0.01, 0.3, -0.5)


class Term(NamedTuple):
    """A term c g(s z), g with its settings."""

    c: float
    g: str
    s: float = 1
    settings: Settings = MappingProxyType({})


class Identity(NamedTuple):
    """f with its settings, and the terms whose sum it is claimed to be."""

    f: str
    settings: Settings
    terms: Sequence[Term]


def _leaky(slope: float) -> Settings:
    return {"slope": slope}


IDENTITIES: dict[str, list[Identity]] = {
    "absolute": [Identity("absolute", {}, [Term(1, "relu"), Term(1, "relu", -1)])],
    "relu from absolute": [Identity("relu", {}, [Term(0.5, "identity"), Term(0.5, "absolute")])],
    "leaky": [Identity("leaky_relu", _leaky(a), [Term(1, "relu"), Term(-a, "relu", -1)]) for a in ALPHAS],
    "leaky from relu": [Identity("leaky_relu", _leaky(a), [Term(a, "identity"), Term(1 - a, "relu")]) for a in ALPHAS],
    "leaky from absolute": [
        Identity("leaky_relu", _leaky(a), [Term((1 + a) / 2, "identity"), Term((1 - a) / 2, "absolute")])
        for a in ALPHAS
    ],
    "leaky 0": [Identity("relu", {}, [Term(1, "leaky_relu", 1, _leaky(0.0))])],
    "leaky -1": [Identity("absolute", {}, [Term(1, "leaky_relu", 1, _leaky(-1.0))])],
    "leaky 1": [Identity("identity", {}, [Term(1, "leaky_relu", 1, _leaky(1.0))])],
}


def deviations(name: str, z: Tensor) -> list[float]:
    """Compute the difference of both sides at every z [N], in value or derivative, for all cases of an identity.

    Differences of values are relative to |z| where that exceeds 1.
    """
    found: list[float] = []
    for f, settings, terms in IDENTITIES[name]:
        value, slope = unit(f, z, **settings)
        for c, g, s, own in terms:
            part, part_slope = unit(g, s * z, **own)
            value, slope = value - c * part, slope - c * s * part_slope
        found += torch.maximum(value.abs() / z.abs().clamp(min=1), slope.abs()).tolist()
    return found
