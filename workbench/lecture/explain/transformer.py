"""``workbench explain architecture=transformer``: one block of one head (Vaswani et al. 2017), without norms.

Rows are positions. X is the sum of a token's row of E and the position's row of E_pos, and

    Q, K, V = X W_Qᵀ + b_Q, ...     S = Q Kᵀ/√D         A = softmax of S by rows        M = A V
    X₁ = X + M W_Oᵀ + b_O           Z = X₁ W₁ᵀ + b₁     X₂ = X₁ + f(Z) W₂ᵀ + b₂         O = X₂ W₃ᵀ + b₃

Backward, d before a letter is ∂C/∂ of it; that of a row of A through the softmax gives

    dA = dM Vᵀ          dS = A ∘ (dA − row sums of dA ∘ A)          dQ = dS K/√D        dK = dSᵀ Q/√D       dV = Aᵀ dM
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Heading, Matrix, Step, Text, initial, objective_of, rows
from workbench.lecture.explain.positions import Parameter, changed, cost, gradients, output_words, targets
from workbench.lecture.explain.step import SGDStep, take
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.positions import Positions
from workbench.nn.layers.readout import Last
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model

RULE = "a transformer must have one block of one head without norm or dropout, and an output of its own"


@dataclass(frozen=True)
class Block:
    """A step of a transformer of one block and one head; `tapes` are those of the model's layers."""

    spec: RunSpec
    step: SGDStep
    layers: Sequence[Layer]
    tapes: Sequence[Any]

    @cached_property
    def halves(self) -> tuple[tuple[Attention, Any], tuple[Activate, Any]]:
        """Attention and its tape, the activation and the tapes of both affine layers and its own."""
        residual = [
            (layer.inner.children, tape)
            for layer, tape in zip(self.layers, self.tapes, strict=True)
            if isinstance(layer, Residual)
        ]
        ((attention,), (mixing,)), ((_, activate, _), dense) = residual
        assert isinstance(attention, Attention)
        assert isinstance(activate, Activate)
        return (attention, mixing), (activate, dense)

    @cached_property
    def reads_last(self) -> bool:
        """Whether the output reads the last position alone."""
        return isinstance(self.layers[-2], Last)

    @cached_property
    def values(self) -> dict[str, Tensor]:
        """Matrices of the passes by symbol, from tapes and recorder; what these lack is computed from them."""
        (attention, mixing), (activate, (up, units, down)) = self.halves
        recorder, z = self.step.recorder, self.step.recorder.z
        assert z is not None
        Q, K, V = mixing.inputs.z[0].chunk(3, 1)
        ahead = {"X": mixing.inputs.x[0], "Q": Q, "K": K, "V": V, "S": mixing.Q[0] @ K.T, "A": mixing.A[0]}
        ahead |= {"M": mixing.output.x[0], "X₁": up.x[0], "Z": units.z[0], "f(Z)": units.a[0]}
        ahead |= {"X₂": up.x[0] + down.z[0], "O": z.flatten(0, -2), "H": self.step.h.flatten(0, -2)}
        dO, dX1 = self.step.delta.flatten(0, -2), recorder.deltas[f"{attention.name}.out"][0]
        dM, dQKV = dX1 @ self.weights("W_O"), recorder.deltas[attention.name][0]
        dX2 = torch.zeros_like(dX1)
        dX2[-1 if self.reads_last else slice(None)] = dO @ self.weights("W₃")
        dQ, dK, dV = dQKV.chunk(3, 1)
        back = {"Y": self.step.y.flatten(0, -2), "dO": dO, "dX₂": dX2, "dX₁": dX1, "dM": dM, "dA": dM @ V.T}
        back |= {"f′(Z)": next(activate.units(units)).slope()[0], "dZ": recorder.deltas[activate.name][0]}
        back |= {"dS": recorder.scores[attention.name][0], "dQ": dQ, "dK": dK, "dV": dV}
        return ahead | back | {"dX": dX1 + dQKV @ self.step.params[f"{attention.name}.W"][0]}

    def weights(self, symbol: str) -> Tensor:
        """Values [O, I] or [O] of a parameter by its symbol."""
        one = next(one for one in self.parameters if one.symbol == symbol)
        return self.step.params[one.name][0, one.part]

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Parameters with the formulas of their gradients."""
        attention, names = self.halves[0][0], [layer.name for layer in self.layers if isinstance(layer, Dense)]
        first, position, width = self.layers[0], self.layers[1], attention.width
        assert isinstance(first, Embedding)
        table = [Parameter("E", f"{first.name}.W", "dX, each row added to its token's row")]
        if isinstance(position, Positions) and position.learned:
            table.append(Parameter("E_pos", position.table, "dX"))
        for number, letter in enumerate("QKV"):
            part = slice(number * width, (number + 1) * width)
            table += _affine(f"_{letter}", f"d{letter}", "X", attention.name, part)
        up, _, down = self.layers[-3 if self.reads_last else -2].children[0].children
        assert isinstance(up, Dense)
        assert isinstance(down, Dense)
        return [
            *table,
            *_affine("_O", "dX₁", "M", f"{attention.name}.out"),
            *_affine("₁", "dZ", "X₁", up.name),
            *_affine("₂", "dX₂", "f(Z)", down.name),
            *_affine("₃", "dO", "the last row of X₂" if self.reads_last else "X₂", names[-1]),
        ]


def _affine(mark: str, delta: str, inputs: str, name: str, part: slice = slice(None)) -> list[Parameter]:
    return [
        Parameter(f"W{mark}", f"{name}.W", f"({delta})ᵀ {inputs}", part),
        Parameter(f"b{mark}", f"{name}.b", f"sum of the rows of {delta}", part, as_row=True),
    ]


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError for other transformers than one plain block, and as `take` does."""
    model = pack.objective.model
    _refuse_others(model)
    step = take(spec, pack, example)
    title = (
        f"One training step of a transformer of one block, width {spec.resolved['architecture']['width']}, on example "
        f"{example} of {step.examples} of {spec.choices['data']}"
    )
    return title, list(_steps(Block(spec, step, model.layers, step.recorder.tape)))


def _refuse_others(model: Model) -> None:
    inner = [
        part
        for layer in model.layers
        for part in (layer.inner.children if isinstance(layer, Residual) else (layer,))
        if not isinstance(layer, Positions | Last)
    ]
    kinds = [type(layer) for layer in inner]
    heads = max(layer.heads for layer in inner if isinstance(layer, Attention))
    if kinds != [Embedding, Attention, Dense, Activate, Dense, Dense] or heads > 1:
        got = ", ".join(kind.__name__ for kind in kinds)
        raise ConfigError(
            f"explain: {RULE}, got {got} with {heads} heads; write architecture=transformer architecture.blocks=1 "
            "architecture.heads=1 architecture.readout=last architecture.tied=false architecture.dropout=0 norm=none"
        )


def _steps(of: Block) -> Iterator[Step]:
    yield from _net(of)
    yield from _forward(of)
    yield from cost(of.spec, of.step, len(targets(of.step)) or 1)
    yield from _backward(of)
    yield from gradients(of.step, of.parameters)
    yield from changed(of.step, of.parameters)


def _net(of: Block) -> Iterator[Step]:
    words, tokens = output_words(of.spec), of.step.x[0, 0].tolist()
    yield Heading("The net")
    yield Text(
        f"Rows are positions. f = {of.spec.choices['activation']}, D = {of.halves[0][0].width} is the width. Where the "
        f"output is o, h = {words.h}, and the cost of one target is {words.cost}; {objective_of(of.step)}. d before a "
        "letter is ∂C/∂ of it. A bias is added to each row."
    )
    yield initial(of.spec)
    yield Text(f"The tokens are {', '.join(map(str, tokens))}. A position without a target has a row of 0 in Y.")
    yield Equation("Y", "", rows(of.values["Y"]))
    for one in of.parameters:
        yield Equation(one.symbol, "", one.of(of.step.params[one.name]))
    if isinstance(of.layers[1], Positions) and not of.layers[1].learned:
        yield Equation("E_pos", "sines and cosines", rows(of.step.params[of.layers[1].table][0]))


def _forward(of: Block) -> Iterator[Step]:
    tokens = of.step.x[0, 0].tolist()
    causal = of.halves[0][0].causal
    source = f"rows {', '.join(map(str, tokens))} of E" + (" + E_pos" if isinstance(of.layers[1], Positions) else "")
    last = " for the last row" if of.reads_last else ""
    yield Heading("Forward")
    yield _equation(of, "X", source)
    for letter in "QKV":
        yield _equation(of, letter, f"X W_{letter}ᵀ + b_{letter}", "X", f"W_{letter}ᵀ", "+", f"b_{letter}")
    yield _equation(of, "S", "Q Kᵀ/√D", f"1/√{of.values['K'].shape[1]}", "Q", "Kᵀ")
    yield _equation(of, "A", "softmax of the rows of S" + (", over keys up to the diagonal" if causal else ""))
    yield _equation(of, "M", "A V", "A", "V")
    yield _equation(of, "X₁", "X + M W_Oᵀ + b_O", "X", "+", "M", "W_Oᵀ", "+", "b_O")
    yield _equation(of, "Z", "X₁ W₁ᵀ + b₁", "X₁", "W₁ᵀ", "+", "b₁")
    yield _equation(of, "f(Z)", "")
    yield _equation(of, "X₂", "X₁ + f(Z) W₂ᵀ + b₂", "X₁", "+", "f(Z)", "W₂ᵀ", "+", "b₂")
    yield _equation(of, "O", f"X₂ W₃ᵀ + b₃{last}")
    yield _equation(of, "H", "h(O)")


def _backward(of: Block) -> Iterator[Step]:
    count, scale = len(targets(of.step)) or 1, f"1/√{of.values['K'].shape[1]}"
    share = f"1/{count} " if count > 1 else ""
    where = " at rows with a target, else 0" if of.step.y.ndim == 4 else ""
    is_difference = output_words(of.spec).delta == "h − y"
    yield Heading("Backward")
    yield _equation(of, "dO", f"{share}(H − Y){where}" if is_difference else "∂C/∂O")
    yield _equation(of, "dX₂", "dO W₃ in the last row, else 0" if of.reads_last else "dO W₃")
    yield _equation(of, "f′(Z)", "")
    yield _equation(of, "dZ", "(dX₂ W₂) ∘ f′(Z)")
    yield _equation(of, "dX₁", "dX₂ + dZ W₁", "dX₂", "+", "dZ", "W₁")
    yield _equation(of, "dM", "dX₁ W_O", "dX₁", "W_O")
    yield _equation(of, "dA", "dM Vᵀ", "dM", "Vᵀ")
    yield _equation(of, "dS", "A ∘ (dA − sums of the rows of dA ∘ A)")
    yield _equation(of, "dQ", "dS K/√D", scale, "dS", "K")
    yield _equation(of, "dK", "(dS)ᵀ Q/√D", scale, "dSᵀ", "Q")
    yield Text(
        "Rows of dS sum to 0, as a number added to a whole row of S changes no weight. b_K adds such numbers, so the "
        "rows of dK sum to 0, but for rounding."
    )
    yield _equation(of, "dV", "Aᵀ dM", "Aᵀ", "dM")
    yield _equation(of, "dX", "dX₁ + dQ W_Q + dK W_K + dV W_V")


def _equation(of: Block, symbol: str, formula: str, *parts: str) -> Equation:
    """Write symbol = formula = the parts with numbers, where a part is a symbol, perhaps with ᵀ, or a sign."""
    return Equation(symbol, formula, rows(of.values[symbol]), tuple(_filled(of, part) for part in parts))


def _filled(of: Block, part: str) -> str | Matrix:
    if part == "+" or part.startswith("1"):
        return part
    symbol = part.removesuffix("ᵀ")
    values = of.values[symbol] if symbol in of.values else of.weights(symbol)
    values = values if values.ndim == 2 else values[None]
    return rows(values.T if part.endswith("ᵀ") else values)
