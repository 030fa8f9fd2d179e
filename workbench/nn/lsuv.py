"""Layer-sequential unit variance (Mishkin and Matas 2016, algorithm 1), for one replica and its own data."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from workbench.nn.model import Model
from workbench.nn.params import Params

TOLERANCE = 0.01
TRIES = 10
LARGE = 1e100  # z beyond this is scaled down, as its squares would overflow and W become 0
FLAT = 1e-20  # a variance below this share of the mean square is taken for rounding of a constant z


def to_unit_variance(
    model: Model, weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Shaped[Tensor, "1 B I"]
) -> None:
    """Divide each W, from the input on, by the standard deviation of its layer's z on `x`, in place.

    Repeated up to `TRIES` times until z has variance 1 within `TOLERANCE`, as biases are not divided. W stays where z
    is constant.
    """
    params = Params.stack([weights], torch.float64, x.device, [buffers])
    _, tape = model.forward(params, x)
    for name, _ in list(model.preactivations(tape)):
        for _ in range(TRIES):
            _, tape = model.forward(params, x)
            z = dict(model.preactivations(tape))[name]
            scale = max(1.0, float(z.abs().max()) / LARGE)
            z = z / scale
            variance = float(z.var(correction=0))
            if variance <= FLAT * float(z.square().mean()) or (scale == 1 and abs(variance - 1) < TOLERANCE):
                break
            params[name].div_(variance**0.5 * scale)
        weights[name] = params[name][0].clone()
