"""Run the lecture's backward pass on many random nets at once, against autograd and central differences.

A problem is R nets of one shape with their data: J is the engine's objective, and the reference gradient is torch's
autograd or differences of J. The lecture's forms (`lecture.textbook`), and its formulas as printed in
`printed_formulas`, are written for one net and run on every net by `torch.vmap`.

Error of a net: the worst parameter's ‖formula - reference‖ / max(‖formula‖, ‖reference‖), with a floor under the
denominator of `LEAST_SHARE` of the whole gradient, to which rounding is proportional. For differences, the floor is at
least their `resolution`, which the rounding of J limits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from workbench.lecture import textbook
from workbench.lecture.misprints import Formula
from workbench.lecture.textbook import Gradients, ManyExamples, Net, OneExample, OutputLayer, Scalar
from workbench.nn import activations
from workbench.nn.activations import Activation
from workbench.nn.builders import mlp
from workbench.nn.check.central_differences import TWO_POINTS, around, slopes
from workbench.nn.check.gradcheck import autograd, by_hand, in_precision
from workbench.nn.losses import Loss, binary_nll, softmax_nll, squared_error
from workbench.nn.objective import Objective
from workbench.nn.params import Params

LEAST_SHARE = 0.01
WIDTHS = (1, 2, 3, 4, 5)
EXAMPLES = (1, 2, 33)
PENALTIES = (0.0, 0.1)
LAYERS = (2, 3, 4, 5, 6, 7)
ACTIVATIONS = ("sigmoid", "tanh", "softplus", "relu", "leaky_relu")
LOSSES = ("squared error of f", "squared error of z", "softmax", "logistic")
STEP = 1e-5
ROUNDING_UNITS = 16


@dataclass(frozen=True)
class Shape:
    """Shape shared by R nets: units by layer, input first, names of `ACTIVATIONS` and `LOSSES`, m and λ."""

    sizes: tuple[int, ...]
    activation: str
    loss: str
    m: int
    lam: float

    def __str__(self) -> str:
        units = "-".join(map(str, self.sizes))
        return f"{units}, {self.activation}, {self.loss}, m = {self.m}, λ = {self.lam:g}"


@dataclass(frozen=True)
class Problem:
    """R nets and their data: x [R, m, s_1], y [R, m, K]; `f` and `output` are the lecture's."""

    shape: Shape
    objective: Objective
    params: Params
    x: Tensor
    y: Tensor
    f: Activation
    output: OutputLayer

    def single(self) -> "Problem":
        """Convert to float32."""
        return self._in(torch.float32)

    def double(self) -> "Problem":
        """Convert to float64."""
        return self._in(torch.float64)

    def _in(self, dtype: torch.dtype) -> "Problem":
        objective, params, x, y = in_precision(dtype, self.objective, self.params, self.x, self.y)
        return replace(self, objective=objective, params=params, x=x, y=y)

    def reference(self) -> Params:
        """Compute dJ by torch's autograd through the engine's forward pass."""
        return autograd(self.objective, self.params, self.x, self.y)

    def engine(self) -> Params:
        """Compute dJ by the engine's hand-written backward pass."""
        return by_hand(self.objective, self.params, self.x, self.y)


def activation(name: str) -> Activation:
    """Make an activation of the package with its default constants bound, as a function of z alone."""
    made: Activation = getattr(activations, name)()
    constants = tuple(made.constants.values())
    return replace(
        made,
        forward=lambda z: made.forward(z, *constants),
        derivative=lambda z, a: made.derivative(z, a, *constants),
        constants={},
    )


def _losses(name: str, f: Activation) -> tuple[Loss, OutputLayer]:
    """Return the engine's loss and the lecture's output layer; raises ValueError for a name outside LOSSES."""
    match name:
        case "squared error of f":
            return squared_error(f), textbook.regression(f)
        case "squared error of z":
            return squared_error(), textbook.regression(activations.identity())
        case "softmax":
            return softmax_nll(), textbook.softmax()
        case "logistic":
            return binary_nll(), textbook.logistic()
    raise ValueError(f"loss: must be one of {', '.join(LOSSES)}, got {name!r}")


def shapes(
    rng: np.random.Generator,
    activations: Sequence[str] = ACTIVATIONS,
    losses: Sequence[str] = LOSSES,
    layers: Sequence[int] = LAYERS,
    examples: Sequence[int] = EXAMPLES,
    penalties: Sequence[float] = PENALTIES,
    equal: bool = False,
    outputs: int | None = None,
) -> Iterator[Shape]:
    """Yield every combination once, with widths drawn for each: neighbors differ, or all are `equal`.

    A logistic output has one unit, others at least two, or `outputs`.
    """
    for f, loss, n, m, lam in product(activations, losses, layers, examples, penalties):
        last = outputs or (1 if loss == "logistic" else int(rng.choice(WIDTHS[1:])))
        sizes = [last]
        while len(sizes) < n:
            others = [width for width in WIDTHS if width != sizes[-1]]
            sizes.append(last if equal else int(rng.choice(others)))
        yield Shape(tuple(reversed(sizes)), f, loss, m, lam)


def problem(rng: np.random.Generator, shape: Shape, nets: int) -> Problem:
    """Draw R = `nets` with W ~ N(0, 1/fan_in), b ~ N(0, 1/4), x ~ N(0, 1), and targets as the loss needs; in float64.

    Raises ValueError for a loss outside LOSSES.
    """
    f = activation(shape.activation)
    loss, output = _losses(shape.loss, f)
    model = mlp(list(shape.sizes[1:-1]), shape.sizes[0], shape.sizes[-1], f)

    def normal(*size: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((nets, *size)))

    rows: dict[str, Tensor] = {}
    for layer, (fan_out, fan_in) in enumerate(model.products(), start=1):
        rows[f"l{layer}.W"] = normal(fan_out, fan_in) / fan_in**0.5
        rows[f"l{layer}.b"] = normal(fan_out) / 2
    params = Params.stack(
        [{name: value[net] for name, value in rows.items()} for net in range(nets)], torch.float64, torch.device("cpu")
    )
    x, y = normal(shape.m, shape.sizes[0]), normal(shape.m, shape.sizes[-1])
    if shape.loss == "softmax":
        y = torch.nn.functional.one_hot(y.argmax(2), shape.sizes[-1]).double()
    elif shape.loss == "logistic":
        y = (y > 0).double()
    decay = torch.full((nets,), shape.lam, dtype=torch.float64) if shape.lam else None
    return Problem(shape, Objective(model, loss, decay), params, x, y, f, output)


def formula(form: OneExample) -> Formula:
    """Make the formula of all steps of a form on one net: x [s_1, m] and y [K, m] give J(W, b) and its gradient."""
    return partial(textbook.objective, form)


def mean_of_one_example(form: OneExample) -> Formula:
    """Make the formula of the mean over examples of a form for one example, with the penalty's λW."""

    def gradient(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
        each: Gradients = torch.vmap(lambda one, target: textbook.gradients(form, net, one, target))(x.T, y.T)
        return Gradients(
            each.J.mean() + textbook.penalty(net, lam),
            {layer: dW.mean(0) + lam * net.W[layer] for layer, dW in each.dW.items()},
            {layer: db.mean(0) for layer, db in each.db.items()},
        )

    return gradient


SUMS = mean_of_one_example(Scalar())
VECTORS = mean_of_one_example(OneExample())
MATRICES = formula(ManyExamples())


def gradient(given: Problem, by: Formula) -> Params:
    """Compute the gradient of every net by a formula, in the layout of the reference.

    Raises what the formula raises where it cannot be computed, KeyError or RuntimeError; smaller shapes are broadcast.
    """
    layers = range(1, len(given.shape.sizes))

    def one_net(W: dict[int, Tensor], b: dict[int, Tensor], x: Tensor, y: Tensor) -> Gradients:
        return by(Net(W, b, given.f, given.output), x.T, y.T, given.shape.lam)

    W = {layer: given.params[f"l{layer}.W"] for layer in layers}
    b = {layer: given.params[f"l{layer}.b"] for layer in layers}
    found: Gradients = torch.vmap(one_net)(W, b, given.x, given.y)
    result = Params.zeros(given.params.layout.trained, len(given.x), given.params.flat)
    for layer in layers:
        result[f"l{layer}.W"].copy_(found.dW[layer])
        result[f"l{layer}.b"].copy_(found.db[layer])
    return result


def lecture(given: Problem) -> Params:
    """Compute the gradient by the slides for m examples, corrected, with λW."""
    return gradient(given, MATRICES)


def errors(got: Params, want: Params, compared: Tensor | None = None, least: Tensor | float = 0.0) -> Tensor:
    """Compute the error of every net, [R]; entries of the storage [R, P] that are not `compared` count as equal.

    `least` [R] is a floor under the denominator.
    """
    difference = got.flat - want.flat
    apart = Params(got.layout, difference if compared is None else torch.where(compared, difference, 0))
    whole = torch.maximum(got.flat.norm(dim=1), want.flat.norm(dim=1))
    floor = torch.clamp(LEAST_SHARE * whole, min=torch.as_tensor(least, dtype=whole.dtype))
    worst = torch.zeros_like(whole)
    for name in got:
        error, *sizes = (one[name].flatten(1).norm(dim=1) for one in (apart, got, want))
        worst = torch.maximum(worst, torch.where(error == 0, 0, error / torch.stack([*sizes, floor]).amax(0)))
    return worst.nan_to_num(nan=float("inf"))


def resolution(given: Problem, step: float, tolerance: float) -> Tensor:
    """Compute the norm, [R], below which differences do not resolve gradients to a tolerance: 16 ε abs(J) / h."""
    J: Tensor = given.objective.value(given.params, given.x, given.y).abs()
    eps = torch.finfo(J.dtype).eps
    return J * (ROUNDING_UNITS * eps / step / tolerance * sqrt(given.params.flat.shape[1]))


def differences(given: Problem, step: float = STEP) -> tuple[Params, Tensor]:
    """Compute (J(θ + h) - J(θ - h)) / 2h for every entry θ, and whether no unit crosses a kink in between, [R, P].

    All perturbed copies of all nets are evaluated together.
    """
    nets, size = given.params.flat.shape
    copies = around(given.params.flat, torch.arange(size), step, TWO_POINTS)

    def repeated(one: Tensor) -> Tensor:
        return one.repeat_interleave(2 * size, 0)

    params = given.params.with_flat(copies.view(-1, size))
    decay = given.objective.weight_decay
    objective = replace(given.objective, weight_decay=None if decay is None else repeated(decay))
    x, y = repeated(given.x), repeated(given.y)
    z, tape = objective.model.forward(params, x)
    J = objective.value(params, x, y).view(nets, size, 2)
    smooth = torch.ones(nets, size, dtype=torch.bool)
    kinks = torch.tensor(objective.loss.kinks, dtype=z.dtype)
    for piece in (*objective.model.choices(tape), torch.bucketize(z.contiguous(), kinks)):
        sides = piece.reshape(nets, size, 2, -1)
        smooth &= (sides[:, :, 0] == sides[:, :, 1]).all(2)
    return Params(given.params.layout.trained, slopes(J, step, TWO_POINTS)), smooth


def difference_curve(given: Problem, got: Params, steps: Sequence[float]) -> Tensor:
    """Compute ‖gradient - differences‖ / max(‖gradient‖, ‖differences‖) of every net for each step, [R, steps].

    There is no floor: for large h the error is the Taylor series', of order h², for small h rounding, ε J / h.
    """
    curve = []
    for step in steps:
        numeric, _ = differences(given, step)
        norms = torch.maximum(got.flat.norm(dim=1), numeric.flat.norm(dim=1))
        curve.append((got.flat - numeric.flat).norm(dim=1) / norms)
    return torch.stack(curve, 1)
