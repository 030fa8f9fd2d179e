"""The spot check: is what a trained net learned by its own gradient? Against autograd, wherever rounding has no say.

| what | where | error |
|---|---|---|
| f' of each layer of units | at the net's own z, and over a spread of others | per z |
| delta of the loss | at the net's own outputs, and at others up to 30 times a normal's | per example |
| dJ/dparams | at random weights of usual size, and at the net's own, scaled to this | per parameter and replica |

A saturated, dead, fitted or huge net has gradients of nothing but rounding, which would disagree without a mistake. So
f' and delta, which no weight can scale, are compared at the net's own z; the whole backward pass, which is right or
wrong at any weights, is compared where it is well conditioned, with every second target that of another example. Noise
on inputs and parameters keeps z off kinks, where autograd may take another side. An error is |hand - autograd| over the
larger of both; absolute differences of `ROUNDING` times the size of what is computed with are forgiven.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from workbench.core.axes import Outputs, Units
from workbench.core.seeds import generator
from workbench.nn.activations import Activation
from workbench.nn.check.gradcheck import autograd, by_hand
from workbench.nn.layers.base import Mode, UnitTape
from workbench.nn.losses import Loss
from workbench.nn.objective import Objective
from workbench.nn.params import WEIGHT_SUFFIX, Params

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}  # the second for nets too large for the first
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}
USUAL = (0.3, 3.0)  # std of z, for inputs of variance 1, that own weights are scaled into
NOISE = 1e-6
OWN_Z = 256  # of a layer and replica
FAR = (12.7, 20.3, 33.1, 100.7)
GRID = torch.cat([torch.linspace(-9.97, 9.96, 401), torch.tensor([*FAR, *(-z for z in FAR)])]).double()
SPREADS = (1.0, 5.0, 30.0)


@dataclass(frozen=True)
class Deviation:
    """What is not the derivative that it stands for, in words, and by how much it is off."""

    what: str
    error: float


@dataclass(frozen=True)
class Point:
    """An objective with parameters [R, P] and one batch, all in one precision on the CPU."""

    objective: Objective
    params: Params
    x: Units
    y: Outputs
    mode: Mode

    def at(self, flat: Tensor) -> "Point":
        """The same batch at other parameters."""
        return Point(self.objective, self.params.with_flat(flat), self.x, self.y, self.mode)


def deviations(point: Point) -> tuple[list[Deviation], float]:
    """All that deviates by more than `TOLERANCE`, the parts before the whole, and the largest error of all."""
    stream = generator(0, "noise", "spot check")
    near = _shaken(point)
    found = [*_units(near), *_outputs(near, stream)]
    found += _gradients([near.at(_usual(near.params)), near.at(_random(near.params, stream))])
    worst = max((one.error for one in found), default=0.0)
    return [one for one in found if not one.error < TOLERANCE[point.x.dtype]], worst


def off_kinks(point: Point) -> Point:
    """The point with noise on inputs and trained parameters, so that no z lies on a kink."""
    stream = generator(0, "noise", "off kinks")
    flat = point.params.flat.clone()
    trained = flat[:, : point.params.layout.n_trained]
    trained.add_(_normal(trained, stream) * NOISE * (1 + trained.abs()))
    x = point.x + NOISE * _normal(point.x, stream)
    return Point(point.objective, point.params.with_flat(flat), x, point.y, point.mode)


def _shaken(point: Point) -> Point:
    """The point off kinks, with inputs of a usual size, and every second example with another's target."""
    flat = point.params.flat.nan_to_num(0.0, 1e6, -1e6)
    spread = point.x.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1.0)
    odd = torch.arange(point.x.shape[1]).view(1, -1, 1) % 2 == 1
    y = torch.where(odd, point.y.roll(1, 1), point.y)
    return off_kinks(Point(point.objective, point.params.with_flat(flat), point.x / spread, y, point.mode))


def _usual(params: Params) -> Tensor:
    """The parameters with the weights of each layer scaled into `USUAL`, and all else that is trained cut to it."""
    own = params.with_flat(params.flat.clone())
    for name in params.layout.shapes:
        value = own[name].flatten(1)
        weights = name.endswith(WEIGHT_SUFFIX)
        size = value.square().mean(1).mul(own[name].shape[-1]).sqrt() if weights else value.abs().amax(1)
        least, most = USUAL
        raised = (least / size).clamp(min=1.0) if weights else torch.ones_like(size)
        value.mul_((most / size).clamp(max=1.0).mul(raised).nan_to_num(1.0, 1.0).unsqueeze(1))
    return own.flat


def _random(params: Params, stream: torch.Generator) -> Tensor:
    """Weights that keep the variance of their inputs, all else near its usual start; buffers as they are."""
    own = params.with_flat(params.flat.clone())
    for name in params.layout.shapes:
        noise = _normal(own[name], stream)
        if name.endswith(WEIGHT_SUFFIX):
            own[name].copy_(noise / sqrt(own[name].shape[-1]))
        else:
            own[name].copy_(0.3 * noise + (1.0 if name.endswith(".gamma") else 0.0))
    return own.flat


def _normal(like: Tensor, stream: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=stream, dtype=torch.float64).to(like.dtype)


def _units(point: Point) -> Iterator[Deviation]:
    """f' of every activation that layers of units have, at the z of all of these."""
    _, tape = point.objective.model.forward(point.params, point.x, point.mode)
    alike: dict[int, list[UnitTape]] = {}
    for units in point.objective.model.units(tape):
        alike.setdefault(id(units.activation), []).append(units)
    for layers in alike.values():
        activation, constants = layers[0].activation, layers[0].constants
        z = torch.cat([*map(_own, layers), GRID.to(point.x.dtype).expand(len(point.x), -1)], 1).unsqueeze(1)
        hand = activation.derivative(z.clone(), activation.forward(z.clone(), *constants), *constants)
        auto, a = _slope(activation, z, constants)
        error = _errors(hand, auto, (1 + a.abs()) * (1 + z.abs()))
        error[..., -len(GRID) :].masked_fill_(~hand[..., -len(GRID) :].isfinite(), 0.0)  # f' need not reach so far
        for kink in activation.kinks:
            error.masked_fill_((z - kink).abs() < NOISE, 0.0)
        near = torch.where(error >= error.max() / 2, z.abs(), torch.inf)  # of the worst, the easiest to look up
        place, names = int(near.argmin()), ", ".join(one.name for one in layers[:3]) + ", ..." * (len(layers) > 3)
        by = f"{_number(hand, place)} by its derivative, {_number(auto, place)} by autograd"
        yield Deviation(f"f'(z) of the units of {names} at z = {_number(z, place)}: {by}", _number_of(error, place))


def _own(units: UnitTape) -> Tensor:
    """[R, Z]: of a layer's own z an even choice."""
    own = units.z.flatten(1)
    return own[:, :: max(1, own.shape[1] // OWN_Z)].nan_to_num(0.0, 1e6, -1e6)


def _slope(activation: Activation, z: Tensor, constants: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """f'(z) by autograd, and f(z)."""
    leaf = z.clone().requires_grad_()
    with torch.enable_grad():
        a = activation.forward(leaf.clone(), *constants)
        slope = torch.autograd.grad(a.sum(), leaf)[0] if a.requires_grad else torch.zeros_like(z)
    return slope, a.detach()


def _outputs(point: Point, stream: torch.Generator) -> Iterator[Deviation]:
    """delta of the loss."""
    loss, y = point.objective.loss, point.y
    own = point.objective.model.forward(point.params, point.x, point.mode)[0].nan_to_num(0.0, 1e6, -1e6)
    z = torch.cat([own, *(spread * _normal(own, stream) for spread in SPREADS)], 1)
    targets = torch.cat([y] * (1 + len(SPREADS)), 1)
    examples = z.shape[1]
    hand, auto = loss.delta(z.clone(), targets) * examples, _delta(loss, z, targets) * examples
    size = 1 + z.abs().amax(2) + targets.abs().amax(2)
    error = _errors(hand, auto, size, over=2)
    place = int(error.argmax())
    row = z.flatten(0, 1)[place, :3].tolist()
    at = ", ".join(f"{value:.4g}" for value in row) + (", ..." if z.shape[2] > 3 else "")
    yield Deviation(f"delta of the loss at z = ({at})", _number_of(error, place))


def _delta(loss: Loss, z: Outputs, y: Outputs) -> Tensor:
    leaf = z.clone().requires_grad_()
    with torch.enable_grad():
        value = loss.value(leaf.clone(), y).sum()
        return torch.autograd.grad(value, leaf)[0] if value.requires_grad else torch.zeros_like(z)


def _gradients(points: Sequence[Point]) -> Iterator[Deviation]:
    """dJ/dparams, for each parameter the worst point and replica."""
    worst: dict[str, float] = {}
    for point in points:
        problem = point.objective, point.params, point.x, point.y, point.mode
        hand, auto = by_hand(*problem), autograd(*problem)
        size = auto.flat.norm(dim=1).mul(10)
        overflows = ~point.objective.value(*problem[1:]).isfinite()
        for name in hand:
            error = _errors(hand[name].flatten(1), auto[name].flatten(1), size, over=1)
            error.masked_fill_(overflows, 0.0)
            worst[name] = max(worst.get(name, 0.0), float(error.max()))
    yield from (Deviation(f"dJ/d {name}", error) for name, error in worst.items())


def _errors(hand: Tensor, auto: Tensor, size: Tensor, over: int | None = None) -> Tensor:
    """Errors entry by entry, or of norms over an axis; `size` is that of what they are computed with.

    0 where autograd has no number, infinite where the hand-written gradient alone has none.
    """
    off, scales = hand - auto, (hand, auto)
    if over is None:
        off, scales = off.abs(), (hand.abs(), auto.abs())
    else:
        off, scales = off.norm(dim=over), (hand.norm(dim=over), auto.norm(dim=over))
    floor = size * (ROUNDING[hand.dtype] / TOLERANCE[hand.dtype])
    error = off / torch.maximum(torch.maximum(*scales), floor)
    known = scales[1].isfinite() & floor.isfinite() & (off != 0)
    return torch.where(known, error.nan_to_num(torch.inf, torch.inf), 0.0)


def _number(values: Tensor, place: int) -> str:
    return f"{_number_of(values, place):.6g}"


def _number_of(values: Tensor, place: int) -> float:
    return float(values.flatten()[place])
