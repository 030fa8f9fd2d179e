"""``workbench explain architecture=cnn``: one convolution of a gray picture, a pool, the output (LeCun et al. 1998).

For channel k with the kernel W_k, on X surrounded by zeros,

    Z_k[m, n] = Σ_ij W_k[i, j] X[m + i, n + j] + b_k        A_k = f(Z_k)        P_k = the largest number of each window

p has the numbers of all P_k row by row, channels last, and o = V p + c. Backward, d before a letter is ∂C/∂ of it:

    dp = Vᵀ ε       dA_k = dP_k where the largest number was, else 0        dZ_k = dA_k ∘ f′_k      f′_k = f′(Z_k)
    ∂C/∂W_k[i, j] = Σ_mn dZ_k[m, n] X[m + i, n + j]                         ∂C/∂b_k = Σ_mn dZ_k[m, n]
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
from workbench.lecture.explain.positions import Parameter, at, changed, cost, gradients, output_words
from workbench.lecture.explain.step import SGDStep, take
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.pool import MaxPool
from workbench.nn.layers.views import Flatten, Unflatten
from workbench.nn.model import Model

CHAIN = [Unflatten, Conv2d, Activate, MaxPool, Flatten, Dense]
RULE = "a cnn must be one convolution of a gray picture, a pool, and the output, without norm or dropout"


@dataclass(frozen=True)
class Convolved:
    """A step of such a net; `tapes` are those of the model's layers."""

    spec: RunSpec
    step: SGDStep
    layers: Sequence[Any]
    tapes: Sequence[Any]

    @property
    def conv(self) -> Conv2d:
        """The convolution."""
        return self.layers[1]  # type: ignore[no-any-return]

    @property
    def pool(self) -> MaxPool:
        """The pool."""
        return self.layers[3]  # type: ignore[no-any-return]

    @cached_property
    def maps(self) -> dict[str, Tensor]:
        """Maps [H, W, C] by symbol, and the picture X [H, W]; what tapes and recorder lack is computed from them."""
        units = next(self.layers[2].units(self.tapes[2]))
        shape = self.tapes[3].shape[2:]
        dP = self.dp.view(1, 1, *self.pooled.shape)
        dA = self.pool.backward({}, self.tapes[3], dP, {})
        assert dA is not None
        flat = {"Z": units.z, "A": units.a, "f′": units.slope(), "dZ": self.step.recorder.deltas[self.conv.name]}
        maps = {symbol: values[0].view(shape) for symbol, values in flat.items()}
        return maps | {"P": self.pooled, "dP": dP[0, 0], "dA": dA[0, 0]}

    @cached_property
    def picture(self) -> Tensor:
        """X [H, W]."""
        return self.step.x[0, 0].view(self.tapes[1].shape[2:4])

    @cached_property
    def pooled(self) -> Tensor:
        """All P [M, N, C]."""
        side = [length // self.pool.size for length in self.tapes[3].shape[2:4]]
        return self.tapes[5].x[0, 0].view(*side, -1)  # type: ignore[no-any-return]

    @cached_property
    def V(self) -> Tensor:
        """Weights of the output [K, M·N·C]."""
        return self.step.params[f"{self.layers[5].name}.W"][0]

    @cached_property
    def dp(self) -> Tensor:
        """Vᵀ ε [M·N·C]."""
        return self.V.T @ self.step.delta[0, 0]

    def each(self, symbol: str, formula: str = "") -> Iterator[Equation]:
        """A map of every channel, with the channel's number in the place of k in its symbol and formula."""
        for number, values in enumerate(self.maps[symbol].unbind(2), start=1):
            yield Equation(at(symbol, number), formula.replace("k", at("", number)), rows(values))

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Parameters with the formulas of their gradients."""
        conv, output = self.conv.name, self.layers[5].name
        found = []
        for number in range(1, self.conv.channels_out + 1):
            part, window = slice(number - 1, number), "X[m + i, n + j]"
            dZ = at("dZ", number)
            found.append(
                Parameter(at("W", number), f"{conv}.W", f"Σ_mn {dZ}[m, n] {window}", part, side=self.conv.kernel)
            )
            found.append(Parameter(at("b", number), f"{conv}.b", f"Σ_mn {dZ}[m, n]", part))
        return [*found, Parameter("V", f"{output}.W", "ε pᵀ"), Parameter("c", f"{output}.b", "ε")]


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError for other nets of convolutions, and as `take` does."""
    model = pack.objective.model
    _refuse_others(model)
    step = take(spec, pack, example)
    of = Convolved(spec, step, model.layers, step.recorder.tape)
    kernel, channels = " x ".join(map(str, of.conv.kernel)), of.conv.channels_out
    title = (
        f"One training step of a convolutional net, {channels} channel{'s' * (channels > 1)} of {kernel} pixels, on "
        f"example {example} of {step.examples} of {spec.choices['data']}"
    )
    return title, list(_steps(of))


def _refuse_others(model: Model) -> None:
    kinds = [type(layer) for layer in model.layers]
    gray = isinstance(model.layers[1], Conv2d) and model.layers[1].channels_in == 1
    if kinds != CHAIN or not gray:
        got = ", ".join(kind.__name__ for kind in kinds) + ("" if gray else " of colors")
        raise ConfigError(
            f"explain: {RULE}, got {got}; write architecture=cnn architecture.channels=[1] architecture.kernel=3 "
            "architecture.pool=4 architecture.hidden=[] architecture.dropout=0 norm=none data=digits"
        )


def _steps(of: Convolved) -> Iterator[Step]:
    yield from _net(of)
    yield from _forward(of)
    yield from cost(of.spec, of.step, 1)
    yield from _backward(of)
    yield from gradients(of.step, of.parameters)
    yield from _one_weight(of)
    yield from changed(of.step, of.parameters)


def _net(of: Convolved) -> Iterator[Step]:
    words, size, (before, after, _, _) = output_words(of.spec), of.pool.size, of.conv.padding
    yield Heading("The net")
    yield Text(
        "Z_k[m, n] = Σ_ij W_k[i, j] X[m + i, n + j] + b_k for each channel k, where i and j run from "
        f"−{before} to {after} over the rows and columns of W_k, and X is surrounded by zeros. A_k = f(Z_k), f = "
        f"{of.spec.choices['activation']}. P_k has the largest number of each window of {size} x {size}; p has "
        f"those of all channels, row by row. The output is o = V p + c with h = {words.h}. C = {words.cost}; "
        f"{objective_of(of.step)}. d before a letter is ∂C/∂ of it, ε is ∂C/∂o, and f′_k is f′(Z_k)."
    )
    yield initial(of.spec)
    yield Equation("X", "", rows(of.picture))
    yield Equation("y", "", column(of.step.y[0, 0]))
    for one in of.parameters:
        yield Equation(one.symbol, "", one.of(of.step.params[one.name]))


def _forward(of: Convolved) -> Iterator[Step]:
    z = of.step.recorder.z
    assert z is not None
    yield Heading("Forward")
    yield _one_pixel(of)
    yield from of.each("Z")
    yield from of.each("A", "f(Zk)")
    yield from of.each("P")
    p = column(of.pooled.flatten())
    yield Equation("p", "", p)
    V, c = (one.of(of.step.params[one.name]) for one in of.parameters[-2:])
    yield Equation("o", "V p + c", column(z[0, 0]), (V, p, "+", c))
    yield Equation("h", "h(o)", column(of.step.h[0, 0]))


def _one_pixel(of: Convolved) -> Equation:
    """Z of the first channel in the middle of the picture, from the window that it sees."""
    m, n = (length // 2 for length in of.picture.shape)
    before, after, _, _ = of.conv.padding
    window = of.picture[m - before : m + after + 1, n - before : n + after + 1]
    W, b = (of.step.params[one.name][0, 0] for one in of.parameters[:2])
    formula = f"Σ_ij W₁[i, j] X[{m + 1} + i, {n + 1} + j] + b₁"
    filled = rows(W[None]), column(window.flatten()), "+", ((float(b),),)
    return Equation(f"Z₁[{m + 1}, {n + 1}]", formula, ((float(of.maps["Z"][m, n, 0]),),), filled)


def _backward(of: Convolved) -> Iterator[Step]:
    delta = of.step.delta[0, 0]
    yield Heading("Backward")
    if output_words(of.spec).delta == "h − y":
        h, y = (column(values[0, 0]) for values in (of.step.h, of.step.y))
        yield Equation("ε", "h − y", column(delta), (h, "−", y))
    else:
        yield Equation("ε", "∂C/∂o", column(delta))
    yield Equation("dp", "Vᵀ ε", column(of.dp), (rows(of.V.T), column(delta)))
    yield Text("The pool passes each number of dp to the place of the largest number, the first where several are.")
    yield from of.each("dP")
    yield from of.each("dA")
    yield from of.each("f′")
    yield from of.each("dZ", "dAk ∘ f′k")


def _one_weight(of: Convolved) -> Iterator[Step]:
    """The weight of the first channel that stands over X[m, n]: a sum over the places where dZ is not 0."""
    dZ = of.maps["dZ"][..., 0]
    places = dZ.nonzero(as_tuple=True)
    if not len(places[0]):
        return
    middle = of.conv.padding[0] * (of.conv.kernel[1] + 1)
    weight = of.parameters[0].name
    filled: tuple[str | Matrix, ...] = rows(dZ[places][None]), column(of.picture[places])
    formula = "Σ_mn dZ₁[m, n] X[m, n]"
    if of.step.lam:
        formula += " + λ W₁[0, 0]"
        filled += (f"+ {of.step.lam:.4g}", ((float(of.step.params[weight][0, 0, middle]),),))
    yield Text("One of them, W₁[0, 0], which stands over X[m, n], by the places where dZ₁ is not 0:")
    found = ((float(of.step.grads[weight][0, 0, middle]),),)
    yield Equation("∂J/∂W₁[0, 0]", formula, found, filled)
