"""Content of ``workbench explain chain``: the lecture's two examples of the chain rule, step by step."""

import re
from collections.abc import Callable, Iterator

from sympy import Expr, Symbol

from workbench.lecture.chain_rule import EXAMPLES, POINTS, Composition, X
from workbench.lecture.explain.content import SUPERSCRIPTS, Equation, Heading, Step, Text

TITLE = "The chain rule, worked for the lecture's two examples"
RULES = {
    "univariate": "f = f ∘ g ∘ h has ∂f/∂x = ∂f/∂g ∂g/∂h ∂h/∂x; the example has two functions, f(g(x))",
    "multivariate": "f = f(g₁(x), g₂(x), …, gₙ(x)) has ∂f/∂x = Σᵢ ∂f/∂gᵢ ∂gᵢ/∂x; the example has two inner functions",
}


def steps() -> Iterator[Step]:
    """Work both examples of the lecture: functions, derivative by the chain rule, check without it."""
    for name, example in EXAMPLES.items():
        yield Heading(name.capitalize())
        yield Text(f"Slide “{example.slide}”: {RULES[name]}.")
        yield from _functions(example)
        yield from _derivative(example)
        yield from _check(example)


def _functions(example: Composition) -> Iterator[Step]:
    yield Equation(f"f({', '.join(map(str, example.inner))})", "", polynomial(example.f))
    for g, expression in example.inner.items():
        yield Equation(f"{g}(x)", "", polynomial(expression))
    for g in example.inner:
        yield Equation(f"∂f/∂{g}", "", polynomial(example.partial(g)))
        yield Equation(f"∂{g}/∂x", "", polynomial(example.slope(g)))


def _derivative(example: Composition) -> Iterator[Step]:
    rule = " + ".join(f"∂f/∂{g} ∂{g}/∂x" for g in example.inner)
    yield Equation("∂f/∂x", rule, _products(example, example.partial))
    inside = ", ".join(f"{g} = {polynomial(expression)}" for g, expression in example.inner.items())
    substituted = _products(example, lambda g: example.in_x(example.partial(g)))
    yield Text(f"With {inside}:")
    yield Equation("∂f/∂x", substituted, polynomial(example.by_chain_rule()))


def _check(example: Composition) -> Iterator[Step]:
    yield Text("Check, without the chain rule: the composition multiplied out, and its derivative.")
    arguments = ", ".join(f"{g}(x)" for g in example.inner)
    yield Equation(f"f({arguments})", "", polynomial(example.in_x(example.f)))
    yield Equation(f"∂/∂x f({arguments})", "", polynomial(example.directly()))
    yield Text(
        "At some points, in rational numbers: by the chain rule, and by the seven-point central difference of f's "
        "values, which is exact for polynomials of degree 6 or less."
    )
    for at in POINTS:
        by_rule = example.by_chain_rule().subs(X, at)
        yield Equation(f"x = {polynomial(at)}: ∂f/∂x", polynomial(by_rule), polynomial(example.by_differences(at)))


def _products(example: Composition, outer: Callable[[Symbol], Expr]) -> str:
    terms = (f"{_factor(outer(g))} · {_factor(example.slope(g))}" for g in example.inner)
    return " + ".join(terms)


def _factor(expression: Expr) -> str:
    text = polynomial(expression)
    return f"({text})" if expression.is_Add or text.startswith("−") else text


def polynomial(expression: Expr) -> str:
    """Write a polynomial as the slides do: 2g² − 3g + 1."""
    powers = re.sub(r"\*\*(\d+)", lambda power: power[1].translate(SUPERSCRIPTS), str(expression))
    return powers.replace("*", "").replace("-", "−")
