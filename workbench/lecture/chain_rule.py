"""Examples of the slides on the chain rule, in polynomials with rational coefficients: nothing is rounded.

Slides "Univariate Chain Rule for Differentiation" and "Multivariate Chain Rule for Differentiation".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr, Integer, Rational, Symbol, diff, expand, symbols

X = Symbol("x")
POINTS = tuple(Rational(*pair) for pair in ((-2, 1), (-1, 2), (0, 1), (1, 3), (7, 5)))
STEP = Rational(1, 2)
SEVEN_POINTS = {1: Rational(3, 4), 2: Rational(-3, 20), 3: Rational(1, 60)}  # weights by distance in steps


@dataclass(frozen=True)
class Composition:
    """f(g₁(x), ..., g_n(x)): `f` in the symbols of its inner functions, each of which is given in x."""

    slide: str
    f: Expr
    inner: Mapping[Symbol, Expr]

    def partial(self, g: Symbol) -> Expr:
        """∂f/∂g, in the inner functions' symbols."""
        return diff(self.f, g)

    def slope(self, g: Symbol) -> Expr:
        """∂g/∂x, in x."""
        return diff(self.inner[g], X)

    def in_x(self, expression: Expr) -> Expr:
        """Put the inner functions into an expression, and multiply out."""
        return expand(expression.subs(self.inner))

    def by_chain_rule(self) -> Expr:
        """Σ_i ∂f/∂g_i ∂g_i/∂x as a polynomial in x; with one inner function, the univariate rule."""
        return expand(sum((self.in_x(self.partial(g)) * self.slope(g) for g in self.inner), Integer(0)))

    def directly(self) -> Expr:
        """Differentiate the composition multiplied out, without the chain rule."""
        return diff(self.in_x(self.f), X)

    def value(self, at: Rational) -> Rational:
        """f(g₁(x), ..., g_n(x)) at a point, first the inner functions, then f."""
        return self.f.subs({g: expression.subs(X, at) for g, expression in self.inner.items()})

    def by_differences(self, at: Rational) -> Rational:
        """Seven-point central difference of the values, which is exact for polynomials of degree 6 or less."""
        pairs = ((weight, self.value(at + k * STEP) - self.value(at - k * STEP)) for k, weight in SEVEN_POINTS.items())
        return sum((weight * difference for weight, difference in pairs), Integer(0)) / STEP

    def wrong_at(self) -> list[Rational]:
        """List the points of `POINTS` at which the chain rule and the differences of the values are apart."""
        derivative = self.by_chain_rule()
        return [at for at in POINTS if derivative.subs(X, at) != self.by_differences(at)]


_g, _g1, _g2 = symbols("g g₁ g₂")
UNIVARIATE = Composition(
    "Univariate Chain Rule for Differentiation", 2 * _g**2 - 3 * _g + 1, {_g: X**3 + 2 * X}
)  # df/dx = (4x³ + 8x - 3)(3x² + 2)
MULTIVARIATE = Composition(
    "Multivariate Chain Rule for Differentiation", 2 * _g1**2 - 3 * _g1 * _g2 + 1, {_g1: 3 * X, _g2: X**2 + 2 * X}
)  # df/dx = -27x²
EXAMPLES = {"univariate": UNIVARIATE, "multivariate": MULTIVARIATE}
