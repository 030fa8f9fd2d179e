"""A step of a net of one recurrent layer, unrolled in time, as pages on backpropagation through time show it.

At step t the net reads x_t, a feature or the row of E for a token, and has a state a_t, with a_0 = 0. Its output is
o_t = V a_t + c, with h_t = h(o_t) and ε_t = ∂C/∂o_t.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.readout import Mean
from workbench.nn.layers.recurrent import Recurrent
from workbench.nn.model import Model

RULE = "a recurrent net must be one layer, read forward to the last"


@dataclass(frozen=True)
class Unrolled:
    """A step of a net of one recurrent layer: values by position, each [T, ...], and its parameters.

    `marks` tell the blocks of W, U and b apart, one for each gate. `inner` names ∂C/∂ of a block's U a where that is
    not its δ.
    """

    spec: RunSpec
    step: SGDStep
    layers: Sequence[Layer]
    tapes: Sequence[Any]
    marks: Sequence[str]
    inner: Mapping[str, str]

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
        first, last = self.layers[0], self.layers[-1]
        assert isinstance(last, Dense)
        over = " over the t with a target" if len(self.read) > 1 else ""
        of_row = " + ".join(f"(W{mark})ᵀ δ{mark}_t" if mark else "Wᵀ δ_t" for mark in self.marks)
        return [
            *(
                [Parameter("E", f"{first.name}.W", f"Σ {of_row} in token t's row")]
                if isinstance(first, Embedding)
                else []
            ),
            *(one for number in range(len(self.marks)) for one in self._block(number)),
            *([Parameter("bᵘ", f"{self.hidden.name}.state.b", "Σ υ_t")] if self.hidden.cell.has_c else []),
            Parameter("V", f"{last.name}.W", f"Σ ε_t a_tᵀ{over}"),
            Parameter("c", f"{last.name}.b", f"Σ ε_t{over}"),
        ]

    def _block(self, number: int) -> Iterator[Parameter]:
        name, mark, width = self.hidden.name, self.marks[number], self.hidden.width
        part = slice(number * width, (number + 1) * width)
        yield Parameter(f"W{mark}", f"{name}.W", f"Σ δ{mark}_t x_tᵀ", part)
        yield Parameter(f"U{mark}", f"{name}.state.W", f"Σ {self._of_state(mark)}_t a_{{t−1}}ᵀ", part)
        yield Parameter(f"b{mark}", f"{name}.b", f"Σ δ{mark}_t", part)

    def _of_state(self, mark: str) -> str:
        return self.inner.get(mark, f"δ{mark}")

    def shown(self, symbol: str) -> Matrix:
        """Initial values of a parameter, or with ᵀ after its symbol its transpose."""
        one = next(one for one in self.parameters if one.symbol == symbol.removesuffix("ᵀ"))
        values = self.step.params[one.name]
        return rows(values[0, one.part].T) if symbol.endswith("ᵀ") else one.of(values)

    def page(self, formulas: str, forward: Iterable[Step], backward: Iterable[Step]) -> Iterator[Step]:
        """Yield the net with its `formulas`, its passes with the cost between them, and what follows from them."""
        yield from self.net(formulas)
        yield from forward
        yield from cost(self.spec, self.step, len(self.read))
        yield from backward
        yield from self.after()

    def net(self, formulas: str) -> Iterator[Step]:
        """The net: its formulas, the targets, and the initial parameters."""
        words = output_words(self.spec)
        yield Heading("The net")
        yield Text(
            f"{formulas} The output is o_t = V a_t + c and h_t = {words.h}, "
            + ("at positions with a target. " if self.step.y.ndim == 4 else "at the last step. ")
            + f"The cost of one target is {words.cost}; {objective_of(self.step)}."
        )
        yield initial(self.spec)
        if self.tokens:
            yield Text(f"The tokens are {', '.join(map(str, self.tokens))}; x_t is the row of E for token t, from 0.")
        for t in self.read:
            yield Equation(at("y", t), "", column(self.output(self.step.y, t)))
        for one in self.parameters:
            yield Equation(one.symbol, "", one.of(self.step.params[one.name]))

    def inputs(self, t: int) -> Equation:
        """x at a step."""
        source = f"row {self.tokens[t - 1]} of E" if self.tokens else ""
        return Equation(at("x", t), source, column(self.tape.inputs[0][t - 1]))

    def state(self, t: int) -> Matrix:
        """a after a step; a₀ before the first."""
        return column(self.tape.states[0][t, 0, 0])

    def before(self, t: int, mark: str, z: Tensor) -> Equation:
        """z of a block at a step [T, U], from its input and the state before it."""
        W, U, b = (f"{letter}{mark}" for letter in "WUb")
        x, a = column(self.tape.inputs[0][t - 1]), self.state(t - 1)
        filled = (self.shown(W), x, "+", self.shown(U), a, "+", self.shown(b))
        formula = f"{W} {at('x', t)} + {U} {at('a', t - 1)} + {b}"
        return Equation(at(f"z{mark}", t), formula, column(z[t - 1]), filled)

    def outputs(self, t: int) -> Iterator[Equation]:
        """The output's o and h at a step that has a target."""
        o = self.step.recorder.z
        assert o is not None
        if t in self.read:
            filled = (self.shown("V"), self.state(t), "+", self.shown("c"))
            yield Equation(at("o", t), f"V {at('a', t)} + c", column(self.output(o, t)), filled)
            yield Equation(at("h", t), f"h({at('o', t)})", column(self.output(self.step.h, t)))

    def back(self, t: int, deltas: Mapping[str, Tensor], carried: Tensor | None = None) -> Iterator[Equation]:
        """ε of a step with a target, and e = ∂C/∂a: from the output, and from the step after it.

        There it is from ∂C/∂ of U a of each block [T, U], and where the state is `carried` by a gate s, from e.
        """
        of_state = self.step.recorder.states[self.hidden.name][:, 0, 0]
        terms: list[str] = []
        filled: list[str | Matrix] = []
        if t in self.read:
            yield self._output_delta(t)
            terms.append(f"Vᵀ {at('ε', t)}")
            filled += [self.shown("Vᵀ"), column(self.output(self.step.delta, t))]
        if carried is not None and t < self.steps:
            terms.append(f"{at('s', t + 1)} ∘ {at('e', t + 1)}")
            filled += ["+"] if filled else []
            filled += [column(carried[t]), "∘", column(of_state[t])]
        for mark, delta in deltas.items() if t < self.steps else ():
            terms.append((f"(U{mark})ᵀ " if mark else "Uᵀ ") + at(self._of_state(mark), t + 1))
            filled += ["+"] if filled else []
            filled += [self.shown(f"U{mark}ᵀ"), column(delta[t])]
        yield Equation(at("e", t), " + ".join(terms) or "0", column(of_state[t - 1]), tuple(filled))

    def _output_delta(self, t: int) -> Equation:
        """ε at a position, by the loss's formula where that is h − y."""
        value, count = column(self.output(self.step.delta, t)), len(self.read)
        if output_words(self.spec).delta != "h − y":
            return Equation(at("ε", t), f"∂C/∂{at('o', t)}", value)
        h, y = (column(self.output(values, t)) for values in (self.step.h, self.step.y))
        if count == 1:
            return Equation(at("ε", t), f"{at('h', t)} − {at('y', t)}", value, (h, "−", y))
        return Equation(at("ε", t), f"1/{count} ({at('h', t)} − {at('y', t)})", value)

    def after(self) -> Iterator[Step]:
        """Gradients and the step of all parameters."""
        yield from gradients(self.step, self.parameters)
        yield from changed(self.step, self.parameters)

    def title(self, kind: str, example: int) -> str:
        """Title of a page on this kind of net."""
        return (
            f"Backpropagation through {self.steps} steps of time: one training step of a net of {self.hidden.width} "
            f"{kind} units on example {example} of {self.step.examples} of {self.spec.choices['data']}"
        )


def unroll(
    spec: RunSpec, pack: Pack, example: int, marks: Sequence[str], inner: Mapping[str, str] | None = None
) -> Unrolled:
    """Take a step; raises ConfigError for other recurrent nets than one layer read to its last, and as `take` does."""
    model = pack.objective.model
    _refuse_others(model)
    step = take(spec, pack, example)
    return Unrolled(spec, step, model.layers, step.recorder.tape, marks, inner or {})


def _refuse_others(model: Model) -> None:
    layers = list(within(model))
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    found = {
        f"{len(recurrent)} layers, of both directions perhaps": len(recurrent) > 1,
        "truncated gradients": recurrent[0].truncate is not None,
        "a mean over positions": any(isinstance(layer, Mean) for layer in layers),
    }
    if got := [words for words, is_so in found.items() if is_so]:
        name = type(recurrent[0].cell).__name__.lower()
        raise ConfigError(
            f"explain: {RULE}, got {' and '.join(got)}; write architecture={name} architecture.layers=1 "
            "architecture.bidirectional=false architecture.truncate=null architecture.readout=last"
        )
