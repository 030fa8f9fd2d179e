"""Content of an explanation: headings, sentences and equations with their numbers, for any renderer.

It follows the slide "Backpropagation Algorithm: Vectorization for 1 Example": forward, delta of the output, delta of
the hidden layers, partial derivatives. The penalty is from "Learning: Backpropagation for Regression".
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.lecture.explain.step import WEIGHT_DIGITS, SGDStep
from workbench.lecture.explain.worked import Worked

LOSSES = "workbench.nn.losses."
LOGISTIC = "1/(1 + exp(−z))"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Matrix = tuple[tuple[float, ...], ...]
Change = tuple[str, Matrix, Matrix, Matrix]


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Equation:
    """An equation symbol = formula = filled = value, empty parts left out; `filled` is the formula with numbers.

    The value is numbers, or a text where the equation is one of symbols.
    """

    symbol: str
    formula: str
    value: str | Matrix
    filled: tuple[str | Matrix, ...] = ()


@dataclass(frozen=True)
class Movie:
    """A drawing of the net through which the numbers of the equations flow, for HTML; other formats leave it out.

    `data` computes what the page's script draws, as values for JSON.
    """

    data: Callable[[], dict[str, Any]]


Step = Heading | Text | Equation | Movie


def title(spec: RunSpec, worked: Worked) -> str:
    """Write the title of the explanation."""
    data = spec.choices["data"]
    return f"One training step of a {worked.sizes} net on example {worked.example} of {worked.examples} of {data}"


def steps(spec: RunSpec, worked: Worked) -> Iterator[Step]:
    """The whole explanation."""
    yield from _net(spec, worked)
    yield from _forward(worked)
    yield from _cost(spec, worked)
    yield from _backward(spec, worked)
    yield from _gradients(worked)
    yield from _update(worked)


@dataclass(frozen=True)
class OutputWords:
    """Formulas of the output layer as texts: h(z), the cost of one example, delta, and smoothed `targets`, if any."""

    h: str
    cost: str
    delta: str
    targets: str = ""
    smoothing: float = 0.0


def output_of(spec: RunSpec) -> OutputWords:
    """Choose the lecture's formulas for the run's loss; for a user's own loss, only the symbols."""
    node, name = spec.resolved["loss"], spec.choices["loss"]
    kind, smoothing = str(node["_target_"]).removeprefix(LOSSES), float(node.get("smoothing", 0.0))
    y = "ỹ" if smoothing else "y"
    match kind if kind == name else "":
        case "squared_error":
            f = str(spec.settings.get("loss.output", "identity"))
            shapes = {"identity": "z", "sigmoid": LOGISTIC}
            delta = "h − y" if f == "identity" else "(h − y) ∘ h′(z)"
            return OutputWords(shapes.get(f, f"{f}(z)"), "½‖h − y‖²", delta)
        case "softmax_mse":
            return OutputWords("softmax(z)", "1/K ‖h − y‖²", "2/K h ∘ (e − Σ h e)")
        case "binary_nll":
            targets = "(1 − s) y + s/2" if smoothing else ""
            return OutputWords(LOGISTIC, f"−[{y} ln h + (1 − {y}) ln(1 − h)]", f"h − {y}", targets, smoothing)
        case "softmax_nll":
            targets = "(1 − s) y + s/K" if smoothing else ""
            return OutputWords("softmax(z)", f"−Σ {y} ln h", f"h − {y}", targets, smoothing)
        case "perceptron":
            return OutputWords("1 if z ≥ 0 else 0", "(h − y) z", "h − y")
    return OutputWords("h(z)", f"{name}(z, y)", "")


def _net(spec: RunSpec, worked: Worked) -> Iterator[Step]:
    yield Heading("The net")
    output = output_of(spec)
    yield Text(
        f"Layer 1 is the input, layer {worked.last} the output with h = {output.h}; "
        + (f"hidden units have f = {spec.choices['activation']}. " if worked.last > 2 else "there is no hidden layer. ")
        + f"The cost of one example is C = {output.cost}, and {objective_of(worked)}."
    )
    yield initial(spec)
    yield Equation("x", "", column(worked.a[1]))
    yield Equation("y", "", column(worked.y))
    for l, W in worked.W.items():
        yield Equation(at_layer("W", l), "", rows(W))
        yield Equation(at_layer("b", l), "", column(worked.b[l]))


def objective_of(step: Worked | SGDStep) -> str:
    """J in words."""
    return f"J = C + P with P = λ/2 Σ W², λ = {step.lam:.4g}" if step.lam else "J = C, as λ = 0"


def initial(spec: RunSpec) -> Text:
    """Say where the initial parameters come from, and how numbers are shown."""
    return Text(
        f"Initial parameters: seed={spec.config.seed}, init={spec.choices['init']}, bias={spec.choices['bias']}, "
        f"rounded to {WEIGHT_DIGITS} digits. Everything after them is computed in float64 and shown to 4 digits."
    )


def _forward(worked: Worked) -> Iterator[Step]:
    yield Heading("Forward")
    yield Equation(at_layer("a", 1), "x", column(worked.a[1]))
    for l, W in worked.W.items():
        z, f = at_layer("z", l + 1), "f" if l + 1 < worked.last else "h"
        filled = (rows(W), column(worked.a[l]), "+", column(worked.b[l]))
        yield Equation(
            z, f"{at_layer('W', l)} {at_layer('a', l)} + {at_layer('b', l)}", column(worked.z[l + 1]), filled
        )
        yield Equation(at_layer("a", l + 1), f"{f}({z})", column(worked.a[l + 1]))
    yield Equation("h", at_layer("a", worked.last), column(worked.a[worked.last]))


def _cost(spec: RunSpec, worked: Worked) -> Iterator[Step]:
    yield Heading("Cost")
    output = output_of(spec)
    if output.targets:
        yield Equation("ỹ", f"{output.targets}, s = {output.smoothing:.4g}", column(targets_of(worked, output)))
    yield from costs(output.cost, worked)


def costs(formula: str, step: Worked | SGDStep) -> Iterator[Step]:
    """C by its formula, the penalty P where there is one, and J."""
    yield Equation("C", formula, scalar(step.C))
    if step.lam:
        yield Equation("P", "λ/2 Σ W²", scalar(step.J - step.C))
    yield Equation("J", "C + P" if step.lam else "C", scalar(step.J))


def _backward(spec: RunSpec, worked: Worked) -> Iterator[Step]:
    yield Heading("Backward")
    last = worked.last
    yield from _output_delta(output_of(spec), worked)
    for l in range(last - 1, 1, -1):
        slope = column(worked.slope[l])
        yield Equation(f"f′({at_layer('z', l)})", "", slope)
        yield Equation(
            at_layer("δ", l),
            f"({at_layer('W', l)})ᵀ {at_layer('δ', l + 1)} ∘ f′({at_layer('z', l)})",
            column(worked.delta[l]),
            (rows(worked.W[l].T), column(worked.delta[l + 1]), "∘", slope),
        )


def _output_delta(output: OutputWords, worked: Worked) -> Iterator[Step]:
    """Yield delta of the output layer, with numbers filled in where it is a formula of h and y."""
    last = worked.last
    delta, h, y = at_layer("δ", last), worked.a[last], targets_of(worked, output)
    error = (column(h), "−", column(y))
    if output.delta.startswith("2/K"):
        yield Equation("e", "h − y", column(h - y), error)
        yield Equation(delta, output.delta, column(worked.delta[last]))
    elif "h′" in output.delta and worked.output_slope is not None:
        slope = column(worked.output_slope)
        formula = output.delta.replace("(z)", f"({at_layer('z', last)})")
        yield Equation(f"h′({at_layer('z', last)})", "", slope)
        yield Equation(delta, formula, column(worked.delta[last]), (column(h - y), "∘", slope))
    elif output.delta:
        yield Equation(delta, output.delta, column(worked.delta[last]), error)
    else:
        yield Equation(delta, f"∂C/∂{at_layer('z', last)}", column(worked.delta[last]))


def targets_of(worked: Worked, output: OutputWords) -> Tensor:
    """Return the targets, with label smoothing where the loss has it."""
    share = 2 if len(worked.y) == 1 else len(worked.y)
    return worked.y * (1 - output.smoothing) + output.smoothing / share


def _gradients(worked: Worked) -> Iterator[Step]:
    yield Heading("Gradients")
    for l, W in worked.W.items():
        formula = f"{at_layer('δ', l + 1)} ({at_layer('a', l)})ᵀ"
        filled: tuple[str | Matrix, ...] = (column(worked.delta[l + 1]), rows(worked.a[l][None]))
        if worked.lam:
            formula += f" + λ {at_layer('W', l)}"
            filled += (f"+ {worked.lam:.4g}", rows(W))
        yield Equation(f"∂J/∂{at_layer('W', l)}", formula, rows(worked.dW[l]), filled)
        yield Equation(f"∂J/∂{at_layer('b', l)}", at_layer("δ", l + 1), column(worked.db[l]))


def _update(worked: Worked) -> Iterator[Step]:
    changes: list[Change] = []
    for l in worked.W:
        changes.append((at_layer("W", l), rows(worked.W[l]), rows(worked.dW[l]), rows(worked.new_W[l])))
        changes.append((at_layer("b", l), column(worked.b[l]), column(worked.db[l]), column(worked.new_b[l])))
    yield from update(changes, worked)


def update(changes: Iterable[Change], step: Worked | SGDStep) -> Iterator[Step]:
    """The step of each parameter, given as symbol, old values, gradient and new values; J before and after it."""
    yield Heading(f"One step of gradient descent, η = {step.lr:.4g}")
    for symbol, old, gradient, new in changes:
        yield Equation(f"new {symbol}", f"{symbol} − η ∂J/∂{symbol}", new, (old, f"− {step.lr:.4g}", gradient))
    yield Equation("J before", "", scalar(step.J))
    yield Equation("J after", "", scalar(step.J_after))
    yield Equation("change", "J after − J before", scalar(step.J_after - step.J))


def at_layer(symbol: str, layer: int) -> str:
    """Write the symbol with a layer's number: W⁽¹⁾."""
    return f"{symbol}⁽{str(layer).translate(SUPERSCRIPTS)}⁾"


def rows(values: Tensor) -> Matrix:
    """Numbers of a matrix [M, N]."""
    return tuple(tuple(row) for row in values.tolist())


def column(values: Tensor) -> Matrix:
    """A vector [N] as a column."""
    return tuple((value,) for value in values.tolist())


def scalar(value: float) -> Matrix:
    """A number alone."""
    return ((value,),)
