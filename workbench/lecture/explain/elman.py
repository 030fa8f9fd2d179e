"""``workbench explain architecture=elman``: backpropagation through time (Rumelhart et al. 1986), one layer.

    z_t = W x_t + U a_{t-1} + b         a_t = f(z_t)        a_0 = 0         o_t = V a_t + c         h_t = h(o_t)

    ε_t = ∂C/∂o_t       e_t = ∂C/∂a_t = Vᵀ ε_t + Uᵀ δ_{t+1}         δ_t = ∂C/∂z_t = e_t ∘ f′(z_t)

x_t is a feature, or the row of E for a token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Heading, Matrix, Step, Text, column, initial, objective_of, rows
from workbench.lecture.explain.positions import Parameter, at, changed, cost, gradients, output_words, targets
from workbench.lecture.explain.step import SGDStep, take
from workbench.nn.layers.base import Layer, within
from workbench.nn.layers.cells import Elman
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.readout import Mean
from workbench.nn.layers.recurrent import Recurrent
from workbench.nn.model import Model

RULE = "a recurrent net must be one layer of elman units, read forward to the last"


@dataclass(frozen=True)
class Unrolled:
    """A step of a net of one Elman layer: values by position, each [T, ...], and its parameters."""

    spec: RunSpec
    step: SGDStep
    layers: Sequence[Layer]
    tapes: Sequence[Any]

    @cached_property
    def hidden(self) -> Recurrent:
        """The recurrent layer."""
        return next(layer for layer in self.layers if isinstance(layer, Recurrent))

    @cached_property
    def tape(self) -> Any:
        """Tape of the recurrent layer."""
        return self.tapes[self.layers.index(self.hidden)]

    @cached_property
    def tokens(self) -> list[int]:
        """The tokens; empty where inputs are features."""
        return self.step.x[0, 0].tolist() if isinstance(self.layers[0], Embedding) else []

    @cached_property
    def steps(self) -> int:
        """Number of positions T."""
        return len(self.tape.saved[0])

    @cached_property
    def read(self) -> list[int]:
        """Positions, from 1, at which there is an output with a target."""
        return targets(self.step) or [self.steps]

    def output(self, values: Tensor, t: int) -> Tensor:
        """Values [K] of the output at a position that is read."""
        return values.flatten(0, -2)[t - 1 if values.ndim == 4 else 0]

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Parameters with the formulas of their gradients."""
        inner, last = self.hidden.name, self.layers[-1]
        assert isinstance(last, Dense)
        over = " over the t with a target"
        first = self.layers[0]
        return [
            *([Parameter("E", f"{first.name}.W", "Σ Wᵀ δ_t in token t's row")] if isinstance(first, Embedding) else []),
            Parameter("W", f"{inner}.W", "Σ δ_t x_tᵀ"),
            Parameter("U", f"{inner}.state.W", "Σ δ_t a_{t−1}ᵀ"),
            Parameter("b", f"{inner}.b", "Σ δ_t"),
            Parameter("V", f"{last.name}.W", f"Σ ε_t a_tᵀ{over if len(self.read) > 1 else ''}"),
            Parameter("c", f"{last.name}.b", f"Σ ε_t{over if len(self.read) > 1 else ''}"),
        ]


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError for other recurrent nets than one Elman layer, and as `take` does."""
    model = pack.objective.model
    _refuse_others(model)
    step = take(spec, pack, example)
    unrolled = Unrolled(spec, step, model.layers, step.recorder.tape)
    title = (
        f"Backpropagation through {unrolled.steps} steps of time: one training step of an elman net of "
        f"{unrolled.hidden.width} units on example {example} of {step.examples} of {spec.choices['data']}"
    )
    return title, list(_steps(unrolled))


def _refuse_others(model: Model) -> None:
    layers = list(within(model))
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    found = {
        f"{len(recurrent)} layers, of both directions perhaps": len(recurrent) > 1,
        f"units of kind {type(recurrent[0].cell).__name__}": not isinstance(recurrent[0].cell, Elman),
        "truncated gradients": recurrent[0].truncate is not None,
        "a mean over positions": any(isinstance(layer, Mean) for layer in layers),
    }
    if got := [words for words, is_so in found.items() if is_so]:
        raise ConfigError(
            f"explain: {RULE}, got {' and '.join(got)}; write architecture=elman architecture.layers=1 "
            "architecture.bidirectional=false architecture.truncate=null architecture.readout=last"
        )


def _steps(of: Unrolled) -> Iterator[Step]:
    yield from _net(of)
    yield from _forward(of)
    yield from cost(of.spec, of.step, len(of.read))
    yield from _backward(of)
    yield from gradients(of.step, of.parameters)
    yield from changed(of.step, of.parameters)


def _net(of: Unrolled) -> Iterator[Step]:
    words = output_words(of.spec)
    yield Heading("The net")
    yield Text(
        "At each step t, z_t = W x_t + U a_{t−1} + b and a_t = f(z_t), f = "
        f"{of.spec.choices['activation']}, from a₀ = 0. The output is o_t = V a_t + c and h_t = {words.h}, "
        + ("at positions with a target. " if of.step.y.ndim == 4 else "at the last step. ")
        + f"The cost of one target is {words.cost}; {objective_of(of.step)}."
    )
    yield initial(of.spec)
    if of.tokens:
        yield Text(f"The tokens are {', '.join(map(str, of.tokens))}; x_t is the row of E for token t, from 0.")
    for t in of.read:
        yield Equation(at("y", t), "", column(of.output(of.step.y, t)))
    for one in of.parameters:
        yield Equation(one.symbol, "", one.of(of.step.params[one.name]))


def _forward(of: Unrolled) -> Iterator[Step]:
    yield Heading("Forward, step by step")
    W, U, b, V, c = (parameter.of(of.step.params[parameter.name]) for parameter in of.parameters[-5:])
    x, states, z = of.tape.inputs[0], of.tape.states[0][:, 0, 0], of.tape.saved[0][:, 0, 0]
    o = of.step.recorder.z
    assert o is not None
    for t in range(1, of.steps + 1):
        before, now = column(states[t - 1]), column(states[t])
        source = f"row {of.tokens[t - 1]} of E" if of.tokens else ""
        yield Equation(at("x", t), source, column(x[t - 1]))
        filled = (W, column(x[t - 1]), "+", U, before, "+", b)
        yield Equation(at("z", t), f"W {at('x', t)} + U {at('a', t - 1)} + b", column(z[t - 1]), filled)
        yield Equation(at("a", t), f"f({at('z', t)})", now)
        if t in of.read:
            yield Equation(at("o", t), f"V {at('a', t)} + c", column(of.output(o, t)), (V, now, "+", c))
            yield Equation(at("h", t), f"h({at('o', t)})", column(of.output(of.step.h, t)))


def _backward(of: Unrolled) -> Iterator[Step]:
    yield Heading("Backward, from the last step to the first")
    recorder, name = of.step.recorder, of.hidden.name
    delta, e = recorder.deltas[name][0], recorder.states[name][:, 0, 0]
    slope = next(of.hidden.units(of.tape)).slope()[0]
    transposed = {one.symbol: rows(of.step.params[one.name][0].T) for one in of.parameters if one.symbol in "UV"}
    for t in range(of.steps, 0, -1):
        terms: list[str] = []
        filled: list[str | Matrix] = []
        if t in of.read:
            yield _output_delta(of, t)
            terms.append(f"Vᵀ {at('ε', t)}")
            filled += [transposed["V"], column(of.output(of.step.delta, t))]
        if t < of.steps:
            terms.append(f"Uᵀ {at('δ', t + 1)}")
            filled += ["+"] if filled else []
            filled += [transposed["U"], column(delta[t])]
        yield Equation(at("e", t), " + ".join(terms) or "0", column(e[t - 1]), tuple(filled))
        yield Equation(f"f′({at('z', t)})", "", column(slope[t - 1]))
        factors = column(e[t - 1]), "∘", column(slope[t - 1])
        yield Equation(at("δ", t), f"{at('e', t)} ∘ f′({at('z', t)})", column(delta[t - 1]), factors)


def _output_delta(of: Unrolled, t: int) -> Equation:
    """ε at a position, by the loss's formula where that is h − y."""
    value, count = column(of.output(of.step.delta, t)), len(of.read)
    if output_words(of.spec).delta != "h − y":
        return Equation(at("ε", t), f"∂C/∂{at('o', t)}", value)
    h, y = (column(of.output(values, t)) for values in (of.step.h, of.step.y))
    if count == 1:
        return Equation(at("ε", t), f"{at('h', t)} − {at('y', t)}", value, (h, "−", y))
    return Equation(at("ε", t), f"1/{count} ({at('h', t)} − {at('y', t)})", value)
