"""Pages of `workbench explain` as equations, and their comparison with expected values."""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from workbench.config.compose import configure
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Matrix, Step
from workbench.lecture.explain.defaults import with_defaults
from workbench.lecture.explain.pages import explanation
from workbench.lecture.explain.step import exact_pack

Values = dict[str, Tensor]


def made(*overrides: str, example: int = 2) -> tuple[list[Equation], Pack]:
    """Equations of the page of a small net with these overrides, and its pack."""
    spec = configure(with_defaults(overrides))
    steps: Sequence[Step] = explanation(spec, example)[1]
    return [step for step in steps if isinstance(step, Equation)], exact_pack(spec)


def tensor(value: Matrix | str) -> Tensor:
    """Numbers of an equation."""
    return torch.tensor(value, dtype=torch.float64)


def compare(equations: Sequence[Equation], expected: Values) -> None:
    """Every value is the expected one, none is left out, and formulas filled with numbers give them."""
    names = {one.symbol for one in equations} - {"J after", "change"}
    assert names == set(expected)
    for one in equations:
        value = tensor(one.value)
        if one.symbol in expected:
            wanted = expected[one.symbol]
            torch.testing.assert_close(value.flatten(), wanted.flatten(), rtol=1e-10, atol=1e-14, msg=one.symbol)
        if one.filled:
            torch.testing.assert_close(computed(one.filled), value, rtol=1e-10, atol=1e-14, msg=one.symbol)


def computed(parts: Sequence[str | Matrix]) -> Tensor:
    """Compute a formula of numbers: sums of products, by elements after ∘, with factors such as − 0.5 and 1/√2."""
    total, factor, by_elements, product = torch.zeros(1, dtype=torch.float64), 1.0, False, None
    for part in [*parts, "+"]:
        if not isinstance(part, str):
            matrix = tensor(part)
            product = matrix if product is None else product * matrix if by_elements else product @ matrix
        elif part.startswith("1/√"):
            factor /= sqrt(float(part[3:]))
        elif part == "∘":
            by_elements = True
        else:
            assert part[0] in "+−"
            total = total + factor * (0 if product is None else product)
            factor = (1 if part[0] == "+" else -1) * float(part[1:] or 1)
            by_elements, product = False, None
    return total
