"""Both chain rules on polynomials with random whole coefficients: three functions nested, and one of three others."""

from typing import Any

import numpy as np
from sympy import QQ
from sympy.polys.rings import ring

DEGREE = 3
RING, *INNER, X = ring("g1,g2,g3,x", QQ)
Polynomial = Any


def univariate(rng: np.random.Generator) -> tuple[Polynomial, Polynomial]:
    """∂f/∂g ∂g/∂h ∂h/∂x of f(g(h(x))), and the derivative of the composition multiplied out."""
    f, g, h = (_in_x(rng) for _ in range(3))
    inner = g.compose(X, h)
    return f.diff(X).compose(X, inner) * g.diff(X).compose(X, h) * h.diff(X), f.compose(X, inner).diff(X)


def multivariate(rng: np.random.Generator) -> tuple[Polynomial, Polynomial]:
    """Σ_i ∂f/∂g_i ∂g_i/∂x of f(g₁(x), g₂(x), g₃(x)), and the derivative of the composition multiplied out."""
    products = [one * other for one in INNER for other in (*INNER, 1)]
    f = sum((int(c) * term for c, term in zip(rng.integers(-9, 10, len(products)), products, strict=True)), RING(0))
    inner = {g: _in_x(rng) for g in INNER}
    put_in = list(inner.items())
    rule = sum((f.diff(g).compose(put_in) * expression.diff(X) for g, expression in put_in), RING(0))
    return rule, f.compose(put_in).diff(X)


def unequal(rule: str, rng: np.random.Generator, count: int) -> tuple[int, str]:
    """Count compositions whose two derivatives differ, and describe the first of these."""
    several = [{"univariate": univariate, "multivariate": multivariate}[rule](rng) for _ in range(count)]
    wrong = [f"{by_rule} is not {directly}" for by_rule, directly in several if by_rule != directly]
    return len(wrong), f"{[*wrong, ''][0]}"


def _in_x(rng: np.random.Generator) -> Polynomial:
    return sum((int(c) * X**power for power, c in enumerate(rng.integers(-9, 10, DEGREE + 1))), RING(0))
