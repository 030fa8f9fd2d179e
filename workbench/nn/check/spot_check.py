"""Spot check of a trained net's hand-written derivatives against autograd, where rounding does not decide.

| derivative | compared at | error |
|---|---|---|
| f' of each layer of units | the net's own z, and a grid | per z |
| delta of the loss | the net's own outputs, and normal draws with standard deviations 1, 5 and 30 | per example |
| dJ/dparams | random weights of usual size, and the net's own, scaled to it | per parameter and replica |

The gradients of a saturated, dead, fitted or huge net may consist of rounding, and would disagree without a mistake. So
f' and delta, which do not depend on the size of weights, are compared at the net's own z; the whole backward pass,
which is right or wrong at any weights, is compared where it is well conditioned, with every second target taken from
another example. Noise on inputs and parameters keeps z off kinks, where autograd may take the other side. An error is
|hand - autograd| over the larger of both, with a floor of `ROUNDING` times the magnitude of the operands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.core.seeds import generator
from workbench.nn.activations import Activation
from workbench.nn.check.gradcheck import ROUNDING_UNITS, autograd, by_hand
from workbench.nn.layers.base import Mode, UnitTape
from workbench.nn.losses import Loss
from workbench.nn.objective import Objective
from workbench.nn.params import WEIGHT_SUFFIX, Params

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}  # float32 is for nets too large for float64
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}
USUAL = (0.3, 3.0)  # std of z, for inputs of variance 1, into which the net's weights are scaled
LARGE, SHRINK, SCALINGS = 5.0, 0.8, 40
NOISE = 1e-6
OWN_Z = 256  # of the net's own z, compared per layer and replica
FAR = (12.7, 20.3, 33.1, 100.7)
GRID = torch.cat([torch.linspace(-9.97, 9.96, 401), torch.tensor([*FAR, *(-z for z in FAR)])]).double()
SPREADS = (1.0, 5.0, 30.0)


@dataclass(frozen=True)
class Deviation:
    """A derivative that disagrees with autograd: `what` names it and the point, `error` is relative."""

    what: str
    error: float


@dataclass(frozen=True)
class Point:
    """An objective with parameters [R, P] and one batch, all in one precision on the CPU."""

    objective: Objective
    params: Params
    x: Tensor
    y: Tensor
    mode: Mode

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters."""
        return self.params.flat.dtype

    @property
    def problem(self) -> tuple[Objective, Params, Tensor, Tensor, Mode]:
        """Arguments of `by_hand` and `autograd`."""
        return self.objective, self.params, self.x, self.y, self.mode

    def at(self, flat: Tensor) -> "Point":
        """Evaluate the same batch at other parameters `flat` [R, P]."""
        return replace(self, params=self.params.with_flat(flat))


def deviations(point: Point) -> tuple[list[Deviation], float]:
    """Return the deviations above `TOLERANCE`, f' and delta before whole gradients, and the largest error measured."""
    stream = generator(0, "noise", "spot check")
    near = _shaken(point)
    measured = [*_units(near), *_outputs(near, stream)]
    usual = _unsaturated(near.at(_usual(near.params)))
    measured += _gradients([usual, near.at(_random(near.params, stream))])
    worst = max((deviation.error for deviation in measured), default=0.0)
    return [deviation for deviation in measured if not deviation.error < TOLERANCE[point.dtype]], worst


def off_kinks(point: Point) -> Point:
    """Add noise to inputs that are no tokens and to trained parameters, so that no z lies on a kink."""
    stream = generator(0, "noise", "off kinks")
    flat = point.params.flat.clone()
    trained = flat[:, : point.params.layout.n_trained]
    trained.add_(_normal(trained, stream) * NOISE * (1 + trained.abs()))
    x = point.x + NOISE * _normal(point.x, stream) if point.x.is_floating_point() else point.x
    return Point(point.objective, point.params.with_flat(flat), x, point.y, point.mode)


def _shaken(point: Point) -> Point:
    """Move the point off kinks, scale inputs to variance 1 at most, and change the targets of every second example.

    It gets those of the example before, or where positions have targets other classes: padding keeps none.
    """
    flat, x = point.params.flat.nan_to_num(0.0, 1e6, -1e6), point.x
    if x.is_floating_point():
        x = x / x.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1.0)
    odd = torch.arange(x.shape[1]).view(1, -1, *(1,) * (point.y.ndim - 2)) % 2 == 1
    y = torch.where(odd, point.y.roll(1, 1 if point.y.ndim == 3 else 3), point.y)
    return off_kinks(Point(point.objective, point.params.with_flat(flat), x, y, point.mode))


def _usual(params: Params) -> Tensor:
    """Scale each layer's weights into `USUAL`, and scale other trained parameters down to its upper end."""
    scaled = params.with_flat(params.flat.clone())
    for name in params.layout.shapes:
        value = scaled[name].flatten(1)
        weights = name.endswith(WEIGHT_SUFFIX)
        size = value.square().mean(1).mul(scaled[name].shape[-1]).sqrt() if weights else value.abs().amax(1)
        least, most = USUAL
        raised = (least / size).clamp(min=1.0) if weights else torch.ones_like(size)
        value.mul_((most / size).clamp(max=1.0).mul(raised).nan_to_num(1.0, 1.0).unsqueeze(1))
    return scaled.flat


def _unsaturated(point: Point) -> Point:
    """Scale trained parameters down until no layer's z exceeds `LARGE` in root mean square.

    Weights that training has aligned make larger z than their size says. Where all units are saturated, f' = a - a²
    has few digits, and so has the gradient.
    """
    flat = point.params.flat.clone()
    for _ in range(SCALINGS):
        outputs, tape = point.objective.model.forward(point.at(flat).params, point.x, point.mode)
        layers = [outputs, *(units.z for units in point.objective.model.units(tape))]
        large = torch.stack([z.flatten(1).square().mean(1).sqrt() > LARGE for z in layers]).any(0)
        if not bool(large.any()):
            break
        flat[large, : point.params.layout.n_trained] *= SHRINK
    return point.at(flat)


def _random(params: Params, stream: torch.Generator) -> Tensor:
    """Draw weights that preserve variance, and other trained parameters near their usual start; buffers stay."""
    drawn = params.with_flat(params.flat.clone())
    for name in params.layout.shapes:
        noise = _normal(drawn[name], stream)
        if name.endswith(WEIGHT_SUFFIX):
            drawn[name].copy_(noise / sqrt(drawn[name].shape[-1]))
        else:
            drawn[name].copy_(0.3 * noise + (1.0 if name.endswith(".gamma") else 0.0))
    return drawn.flat


def _normal(like: Tensor, stream: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=stream, dtype=torch.float64).to(like.dtype)


def _units(point: Point) -> Iterator[Deviation]:
    """Compare f' of each distinct activation at the z of all layers that use it, and over GRID."""
    _, tape = point.objective.model.forward(point.params, point.x, point.mode)
    alike: dict[int, list[UnitTape]] = {}
    for units in point.objective.model.units(tape):
        alike.setdefault(id(units.activation), []).append(units)
    for layers in alike.values():
        activation, constants = layers[0].activation, layers[0].constants
        z = torch.cat([*map(_sampled, layers), GRID.to(point.dtype).expand(len(point.x), -1)], 1).unsqueeze(1)
        hand = activation.derivative(z.clone(), activation.forward(z.clone(), *constants), *constants)
        auto, a = _slope(activation, z, constants)
        error = _errors(hand, auto, (1 + a.abs()) * (1 + z.abs()))
        error[..., -len(GRID) :].masked_fill_(~hand[..., -len(GRID) :].isfinite(), 0.0)  # f' may overflow far out
        for kink in activation.kinks:
            error.masked_fill_((z - kink).abs() < NOISE, 0.0)
        near = torch.where(error >= error.max() / 2, z.abs(), torch.inf)  # among the worst, the smallest z is reported
        index, names = int(near.argmin()), ", ".join(tape.name for tape in layers[:3]) + ", ..." * (len(layers) > 3)
        by = f"{_number(hand, index)} by its derivative, {_number(auto, index)} by autograd"
        yield Deviation(f"f'(z) of the units of {names} at z = {_number(z, index)}: {by}", _number_of(error, index))


def _sampled(units: UnitTape) -> Tensor:
    """Take about OWN_Z evenly spaced entries of a layer's z: [R, Z]."""
    z = units.z.flatten(1)
    return z[:, :: max(1, z.shape[1] // OWN_Z)].nan_to_num(0.0, 1e6, -1e6)


def _slope(activation: Activation, z: Tensor, constants: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return f'(z) by autograd, and f(z)."""
    leaf = z.clone().requires_grad_()
    with torch.enable_grad():
        a = activation.forward(leaf.clone(), *constants)
        slope = torch.autograd.grad(a.sum(), leaf)[0] if a.requires_grad else torch.zeros_like(z)
    return slope, a.detach()


def _outputs(point: Point, stream: torch.Generator) -> Iterator[Deviation]:
    """Compare delta of the loss at the net's outputs, and at normal draws with the standard deviations SPREADS."""
    loss, y = point.objective.loss, point.y
    outputs = point.objective.model.forward(point.params, point.x, point.mode)[0].nan_to_num(0.0, 1e6, -1e6)
    z = torch.cat([outputs, *(spread * _normal(outputs, stream) for spread in SPREADS)], 1)
    targets = torch.cat([y] * (1 + len(SPREADS)), 1)
    examples = z.shape[1]
    hand, auto = loss.delta(z.clone(), targets) * examples, _delta(loss, z, targets) * examples
    size = 1 + z.abs().amax(-1) + targets.abs().amax(-1)
    error = _errors(hand, auto, size, over=-1)
    index = int(error.argmax())
    row = z.flatten(0, -2)[index, :3].tolist()
    at = ", ".join(f"{value:.4g}" for value in row) + (", ..." if z.shape[-1] > 3 else "")
    yield Deviation(f"delta of the loss at z = ({at})", _number_of(error, index))


def _delta(loss: Loss, z: Tensor, y: Tensor) -> Tensor:
    leaf = z.clone().requires_grad_()
    with torch.enable_grad():
        value = loss.value(leaf.clone(), y).sum()
        return torch.autograd.grad(value, leaf)[0] if value.requires_grad else torch.zeros_like(z)


def _gradients(points: Sequence[Point]) -> Iterator[Deviation]:
    """Compare dJ/dparams; yields each parameter's largest error over points and replicas."""
    worst: dict[str, float] = {}
    for point in points:
        hand, auto = by_hand(*point.problem), autograd(*point.problem)
        size, rounding = auto.flat.norm(dim=1).mul(10), _rounding(point)
        overflows = ~point.objective.value(*point.problem[1:]).isfinite()
        for name in hand:
            error = _errors(hand[name].flatten(1), auto[name].flatten(1), size, over=1)
            error.masked_fill_(overflows | ((hand[name] - auto[name]).flatten(1).norm(dim=1) <= rounding), 0.0)
            worst[name] = max(worst.get(name, 0.0), float(error.max()))
    yield from (Deviation(f"dJ/d {name}", error) for name, error in worst.items())


def _rounding(point: Point) -> PerReplicaTensor:
    """Rounding of a gradient [R] whose examples cancel, as in a net that has stopped at a plateau."""
    x, y = point.objective.seen(point.x, point.y, point.mode)
    delta = point.objective.loss.delta(point.objective.model.forward(point.params, x, point.mode)[0], y)
    return delta.abs().flatten(1).sum(1).nan_to_num(0.0, 0.0).mul(ROUNDING_UNITS * torch.finfo(delta.dtype).eps)


def _errors(hand: Tensor, auto: Tensor, size: Tensor, over: int | None = None) -> Tensor:
    """Compute relative errors, entry by entry, or of norms over the axis `over`.

    `size` is the magnitude of the numbers computed with, to which rounding is proportional. The error is 0 where
    autograd's gradient is not finite, and infinite where only the hand-written one is not.
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


def _number(values: Tensor, index: int) -> str:
    return f"{_number_of(values, index):.6g}"


def _number_of(values: Tensor, index: int) -> float:
    return float(values.flatten()[index])
