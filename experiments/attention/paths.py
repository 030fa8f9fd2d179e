"""Facts about untrained nets: how far a signal goes in them, and what they know of order.

The path from one position to another is the least number of times that a signal is passed on between positions on its
way (Vaswani et al. 2017, table 1). Where a net passes signals on less often, the Jacobian of its last output by its
first input vector is exactly 0.
"""

import torch
from torch import Tensor

import workbench as wb
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import contains
from workbench.nn.model import Model
from workbench.nn.params import Params

from .nets import blocks

TOLERANCE = 1e-12
STILL = ["dtype=float64", "data.pairs=4", "data.examples=50", "split.seed=0"]  # one small data set for all nets


def least(net: str, positions: int) -> int:
    """Path from the first to the last position: layers of attention, blocks of two convolutions, or recurrent steps."""
    if net == "transformer":
        return 1
    return blocks(positions) if net == "tcn" else positions


def paths(study: wb.Study, net: str, nets: int, positions: int) -> wb.Exact:
    """Compare Jacobians at the path's length and one below it, of so many nets with random weights and inputs."""
    length = least(net, positions)
    below, at = (_jacobians(study, net, passes, study.draws(nets), positions) for passes in (length - 1, length))
    wrong = [f"{below.max():.2g} with {length - 1}"] * bool(below.any()) + [f"0 with {length}"] * bool((at == 0).any())
    failed = int((below != 0).sum() + (at == 0).sum())
    return wb.Exact(2 * nets, failed, float(below.max()), f"{net}: Jacobian {', '.join(wrong)}" if wrong else "")


def _jacobians(study: wb.Study, net: str, passes: int, seeds: range, positions: int) -> Tensor:
    """Largest entry [R] of |d last output / d first input vector| of nets that pass a signal on so many times."""
    depth = {"tcn": f"architecture.blocks={passes}", "transformer": "architecture.blocks=1"}
    limit = depth.get(net, f"architecture.truncate={passes}")
    pack = study.pack(*study.claim.arms[net], *STILL, f"data.length={positions}", limit, seeds=seeds)
    embedding, *layers = pack.objective.model.layers
    if net == "transformer" and passes == 0:
        layers = [layer for layer in layers if not contains(layer, Attention)]
    params = pack.initial_params()
    x, _ = embedding.forward(params, pack.data.chunk(pack.data.train, 0, 1)[0])
    return jacobians(Model(tuple(layers)), params, x)


def jacobians(model: Model, params: Params, x: Tensor) -> Tensor:
    """Largest entry [R] of |d last output / d first input| at x [R, 1, T, U], outputs as examples of one pass back."""
    outputs = model.forward(params, x)[0].shape[-1]
    z, tape = model.forward(params, x.expand(-1, outputs, -1, -1).contiguous())
    grad_out = torch.zeros_like(z)
    grad_out[:, :, -1] = torch.eye(outputs, dtype=z.dtype)
    grad_in = model.backward(params, tape, grad_out, Params.zeros(params.layout.trained, len(x), params.flat))
    assert grad_in is not None
    return grad_in[:, :, 0].abs().amax((1, 2))


def permuted(study: wb.Study, nets: int, *more: str) -> wb.Exact:
    """Compare outputs for tokens in another order with the outputs in that order, without mask and positions."""
    free = ["architecture.causal=false", "architecture.positions=none"]
    pack = study.pack(*study.claim.arms["transformer"], *STILL, *free, *more, seeds=study.draws(nets))
    params, model = pack.initial_params(), pack.objective.model
    x, _ = pack.data.chunk(pack.data.train, 0, 1)
    order = torch.as_tensor(study.rng("order").permutation(x.shape[2]))
    before, after = model.forward(params, x)[0], model.forward(params, x[:, :, order].contiguous())[0]
    deviations = (after - before[:, :, order]).abs().amax((1, 2, 3))
    return wb.Exact.within(deviations.tolist(), TOLERANCE, "tokens in another order have other outputs")
