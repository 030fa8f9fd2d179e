"""A step of plain gradient descent on one example, taken by the engine in float64, with all that it computed."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.config.prepare import build_pack
from workbench.config.schema import Device, Dtype, RunSpec
from workbench.config.validate import validate_all
from workbench.core.errors import ConfigError
from workbench.engine.replicas import Pack
from workbench.nn.layers.base import Recorder, contains
from workbench.nn.layers.masked import Masked
from workbench.nn.model import Model
from workbench.nn.optimizers import SGD
from workbench.nn.params import Params

MOST_PARAMETERS = 200
WEIGHT_DIGITS = 2  # initial parameters are rounded, so that a reader can compute with the printed numbers


@dataclass(frozen=True)
class SGDStep:
    """Parameters before and after the step, their gradients, and what the passes recorded.

    x and y are the example with axes R and B of length 1, h is the net's answer and `delta` = dC/dz of its output z. C
    is the cost of the example, J = C + (λ/2) Σ W², each before the step unless it says after.
    """

    params: Params
    grads: Params
    moved: Params
    x: Tensor
    y: Tensor
    h: Tensor
    delta: Tensor
    recorder: Recorder
    C: float
    J: float
    J_after: float
    lam: float
    lr: float
    example: int
    examples: int


def exact_pack(spec: RunSpec) -> Pack:
    """Build the pack of a run in float64 on the CPU; raises ConfigError where the run could not be trained."""
    validate_all([spec])
    exact = replace(spec.config, device=Device["cpu"], dtype=Dtype["float64"])
    return build_pack([replace(spec, config=exact)])


def take(spec: RunSpec, pack: Pack, example: int) -> SGDStep:
    """Take an SGD step on training example number `example`, the first being 1.

    Raises ConfigError where the net is too large, the example is out of range, or a step is not plain SGD on the whole
    net.
    """
    objective, optimizer = pack.objective, pack.optimizer
    _refuse_more_than_one_line(spec, pack)
    params = _rounded(pack.initial_params())
    _check_sizes(params, example, pack.data.train.size, spec.choices["data"])
    x, y = pack.data.chunk(pack.data.train, example - 1, example)
    recorder, grads = Recorder(), Params.zeros(params.layout.trained, 1, params.flat)
    C = objective.gradients(params, grads, x, y, recorder=recorder)
    z = recorder.z
    assert z is not None
    moved = params.with_flat(params.flat.clone())
    lr = pack.learning_rates(0, 1, 1)[0]
    optimizer.update(grads, optimizer.init(params), moved, lr)
    return SGDStep(
        params=params,
        grads=grads,
        moved=moved,
        x=x,
        y=y,
        h=objective.loss.predict(z),
        delta=objective.loss.delta(z, y),
        recorder=recorder,
        C=float(C),
        J=float(objective.value(params, x, y)),
        J_after=float(objective.value(moved, x, y)),
        lam=0.0 if objective.weight_decay is None else float(objective.weight_decay),
        lr=float(lr),
        example=example,
        examples=pack.data.train.size,
    )


def refuse_padding(spec: RunSpec, model: Model) -> None:
    """Raise ConfigError for sequences with padding, which the formulas leave out."""
    if contains(model, Masked):
        raise ConfigError(
            f"explain: sequences must have no padding, got data={spec.choices['data']}; "
            "write data=recall data.pairs=1 data.keys=2 data.values=2 data.length=3"
        )


def _refuse_more_than_one_line(spec: RunSpec, pack: Pack) -> None:
    """Raise ConfigError unless a step is W - lr dJ/dW for the whole net."""
    optimizer = pack.optimizer
    if not isinstance(optimizer, SGD) or optimizer.nesterov or pack.clip_norm is not None:
        chosen = spec.choices["optimizer"] + (" with train.clip_norm" if pack.clip_norm is not None else "")
        raise ConfigError(
            f"explain: optimizer must be plain sgd, whose step is one line, got {chosen}; "
            "write optimizer=sgd train.clip_norm=null"
        )
    if pack.pretraining.epochs:
        raise ConfigError(
            "explain: pretraining must be none, or the first step is not the whole net's, got "
            f"{spec.choices['pretraining']}; write pretraining=none"
        )


def _check_sizes(params: Params, example: int, examples: int, data: str) -> None:
    """Raise ConfigError where the net has too many parameters, or the example's number is out of range."""
    count = sum(params[name].numel() for name in params.layout.shapes)
    if count > MOST_PARAMETERS:
        raise ConfigError(
            f"explain: the net must have at most {MOST_PARAMETERS} parameters to be read by eye, got {count}; "
            "write for example architecture.hidden=[2], and data=xor, which has 2 inputs"
        )
    if not 1 <= example <= examples:
        raise ConfigError(
            f"explain: --example must be from 1 to {examples}, the training examples of data={data}, got {example}; "
            "write for example --example 1"
        )


def _rounded(params: Params) -> Params:
    rounded = [[float(f"{value:.{WEIGHT_DIGITS}g}") for value in row] for row in params.trained.tolist()]
    flat = params.flat.clone()
    flat[:, : params.layout.n_trained] = torch.tensor(rounded, dtype=flat.dtype)
    return params.with_flat(flat)
