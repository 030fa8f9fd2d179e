"""Numbers of one training step on one example, computed by the engine and renamed to the lecture's notation."""
# ruff: noqa: E741 - l is the lecture's index of layers

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.config.prepare import build_pack
from workbench.config.schema import Device, Dtype, RunSpec
from workbench.config.validate import validate_all
from workbench.core.errors import ConfigError
from workbench.engine.replicas import Pack
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.model import Model
from workbench.nn.optimizers import SGD
from workbench.nn.params import Params

MOST_PARAMETERS = 200
WEIGHT_DIGITS = 2  # initial parameters are rounded, so that a reader can compute with the printed numbers

ByLayer = dict[int, Tensor]


@dataclass(frozen=True)
class Worked:
    """Numbers of an SGD step. Vectors are [s_l]; W⁽ˡ⁾ [s_{l+1}, s_l] and b⁽ˡ⁾ [s_{l+1}] lead from layer l to l + 1.

    Layers are numbered 1 (the input) to `last`; a has all of them, z and delta all but the input, slope (f') the hidden
    ones; `output_slope` is h' of an output with an activation of its own. C is the cost of the example,
    J = C + (λ/2) Σ W², each before the step unless it says after.
    """

    y: Tensor
    W: ByLayer
    b: ByLayer
    z: ByLayer
    a: ByLayer
    slope: ByLayer
    output_slope: Tensor | None
    delta: ByLayer
    dW: ByLayer
    db: ByLayer
    new_W: ByLayer
    new_b: ByLayer
    C: float
    J: float
    J_after: float
    lam: float
    lr: float
    example: int
    examples: int

    @property
    def last(self) -> int:
        """Number of the output layer."""
        return len(self.W) + 1

    @property
    def sizes(self) -> str:
        """Units of each layer, such as 2-2-1."""
        return "-".join(str(len(a)) for a in self.a.values())


def work(spec: RunSpec, example: int) -> Worked:
    """Take an SGD step on training example number `example`, the first being 1, in float64 on the CPU.

    Raises ConfigError where the net is too large or no plain chain, the example is out of range, or a step is not plain
    SGD on the whole net.
    """
    validate_all([spec])
    exact = replace(spec.config, device=Device["cpu"], dtype=Dtype["float64"])
    pack = build_pack([replace(spec, config=exact)])
    objective, optimizer = pack.objective, pack.optimizer
    names = _plain_chain(spec, objective.model)
    _refuse_more_than_one_line(spec, pack)
    params = _rounded(pack.initial_params())
    _check_sizes(params, example, pack.data.train.size, spec.choices["data"])
    x, y = pack.data.chunk(pack.data.train, example - 1, example)
    logits, tape = objective.model.forward(params, x)
    units = list(objective.model.units(tape))
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    C = objective.gradients(params, grads, x, y)
    moved = params.with_flat(params.flat.clone())
    lr = pack.learning_rates(0, 1, 1)[0]
    optimizer.update(grads, optimizer.init(params), moved, lr)

    def by_layer(source: Params, kind: str, shift: int = 0) -> ByLayer:
        return {l + shift: source[f"{name}.{kind}"][0] for l, name in enumerate(names, start=1)}

    last = len(names) + 1
    return Worked(
        y=y[0, 0],
        W=by_layer(params, "W"),
        b=by_layer(params, "b"),
        z={l: tape.z[0, 0] for l, tape in enumerate(units, start=2)} | {last: logits[0, 0]},
        a={1: x[0, 0]}
        | {l: tape.a[0, 0] for l, tape in enumerate(units, start=2)}
        | {last: objective.loss.predict(logits)[0, 0]},
        slope={l: tape.slope()[0, 0] for l, tape in enumerate(units, start=2)},
        output_slope=_output_slope(spec, logits),
        delta=by_layer(grads, "b", shift=1),  # of one example, ∂J/∂b⁽ˡ⁾ = delta⁽ˡ⁺¹⁾
        dW=by_layer(grads, "W"),
        db=by_layer(grads, "b"),
        new_W=by_layer(moved, "W"),
        new_b=by_layer(moved, "b"),
        C=float(C),
        J=float(objective.value(params, x, y)),
        J_after=float(objective.value(moved, x, y)),
        lam=0.0 if objective.weight_decay is None else float(objective.weight_decay),
        lr=float(lr),
        example=example,
        examples=pack.data.train.size,
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


def _output_slope(spec: RunSpec, z: Tensor) -> Tensor | None:
    """Return h'(z) of the output [K], or None where the loss has no output activation as an option."""
    if "output" not in spec.resolved["loss"]:
        return None
    output: Activation = call("activation", spec.resolved["loss"]["output"])
    constants = tuple(output.constants.values())
    return output.derivative(z, output.forward(z, *constants), *constants)[0, 0]


def _plain_chain(spec: RunSpec, model: Model) -> list[str]:
    """Return the names of the affine layers of a chain Dense, Activate, Dense, ..., Dense.

    Raises ConfigError for other models, with the overrides that make such a chain.
    """
    layers = model.layers
    expected = [Dense if index % 2 == 0 else Activate for index in range(len(layers))]
    wrong = (index for index, kind in enumerate(expected) if not isinstance(layers[index], kind))
    got = next((f"{type(layers[index]).__name__} as layer {index + 1}" for index in wrong), "")
    if not got and len(layers) % 2:
        return [layer.name for layer in layers if isinstance(layer, Dense)]
    has_norm, changes = spec.choices["norm"] != "none", list[str]()
    if all(isinstance(layer, Dense | Activate | BatchNorm | LayerNorm | Dropout) for layer in layers):
        has_norm = any(isinstance(layer, BatchNorm | LayerNorm) for layer in layers)
    else:
        of_architecture = [override for override in spec.overrides if override.startswith("architecture.")]
        foreign = [override for override in of_architecture if not _is_of_mlp(override)]
        sized = any(override.startswith("architecture.hidden=") for override in of_architecture)
        changes = [
            "architecture=mlp",
            *([] if sized else ["architecture.hidden=[2]"]),
            *(["without", *foreign] if foreign else []),
        ]
    if spec.resolved["architecture"].get("dropout"):
        changes.insert(0, "architecture.dropout=0")
    if has_norm:
        changes.insert(0, "norm=none")
    raise ConfigError(
        "explain: architecture must be a plain chain Dense, Activate, ..., Dense, got "
        f"{got or 'no Dense as the last layer'}; write {' '.join(changes) or 'architecture=mlp'}"
    )


def _is_of_mlp(override: str) -> bool:
    return override.partition("=")[0].partition(".")[2] in option("architecture", "mlp")


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
