"""What explanations of nets of positions share: their output, cost, gradients and update.

The output's z is called o here, at position t with h_t = h(o_t) and ε_t = ∂C/∂o_t. C is the mean over the targets of an
example, of which there may be one at each position, or one for all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.lecture.explain.content import (
    Change,
    Equation,
    Heading,
    Matrix,
    OutputWords,
    Step,
    column,
    costs,
    output_of,
    rows,
    update,
)
from workbench.lecture.explain.step import SGDStep

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Parameter:
    """A parameter's symbol, its name in the net, and the formula of ∂J/∂ of it without the penalty.

    `part` are its rows there; with `side`, the first is shown as a picture of so many rows and columns. A bias is a
    column, or a row where positions are rows.
    """

    symbol: str
    name: str
    formula: str
    part: slice = field(default_factory=lambda: slice(None))
    as_row: bool = False
    side: tuple[int, int] | None = None

    def of(self, source: Tensor) -> Matrix:
        """Show its values in a tensor of the net's parameters."""
        values = source[0, self.part]
        if self.side:
            return rows(values[0].view(self.side))
        if values.ndim == 2:
            return rows(values)
        return rows(values[None]) if self.as_row else column(values)


def at(symbol: str, position: int) -> str:
    """Write a symbol with a position: z₁."""
    return f"{symbol}{str(position).translate(SUBSCRIPTS)}"


def output_words(spec: RunSpec) -> OutputWords:
    """Formulas of the output with o in the place of z."""
    words = output_of(spec)
    return OutputWords(words.h.replace("z", "o"), words.cost.replace("z", "o"), words.delta.replace("z", "o"))


def targets(step: SGDStep) -> list[int]:
    """Positions with a target, from 1; the last alone where the output has none."""
    if step.y.ndim == 3:
        return []
    return [t for t, y in enumerate(step.y[0, 0], start=1) if bool(y.any())]


def cost(spec: RunSpec, step: SGDStep, count: int) -> Iterator[Step]:
    """The cost: a mean over `count` targets."""
    yield Heading("Cost")
    formula = output_words(spec).cost
    yield from costs(formula if count == 1 else f"1/{count} Σ ({formula}), over the {count} targets", step)


def gradients(step: SGDStep, parameters: Sequence[Parameter]) -> Iterator[Step]:
    """The gradient of each parameter."""
    yield Heading("Gradients")
    for parameter in parameters:
        has_penalty = step.lam and parameter.name.endswith(".W")
        formula = f"{parameter.formula} + λ {parameter.symbol}" if has_penalty else parameter.formula
        yield Equation(f"∂J/∂{parameter.symbol}", formula, parameter.of(step.grads[parameter.name]))


def changed(step: SGDStep, parameters: Sequence[Parameter]) -> Iterator[Step]:
    """The update of each parameter."""
    sources = step.params, step.grads, step.moved
    changes: list[Change] = []
    for one in parameters:
        old, gradient, new = (one.of(source[one.name]) for source in sources)
        changes.append((one.symbol, old, gradient, new))
    yield from update(changes, step)
