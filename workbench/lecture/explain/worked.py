"""The numbers of one training step on one example: the engine's, renamed to the lecture's notation."""
# ruff: noqa: E741 - l is the lecture's index of layers

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.config.instantiate import call, option
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
WEIGHT_DIGITS = 2  # initial parameters are rounded, so that a reader starts from the very numbers printed

ByLayer = dict[int, Tensor]


@dataclass(frozen=True)
class Worked:
    """One SGD step. Vectors are [s_l]; W⁽ˡ⁾ [s_{l+1}, s_l] and b⁽ˡ⁾ [s_{l+1}] lead from layer l to l + 1.

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
        """The number of the output layer."""
        return len(self.W) + 1

    @property
    def sizes(self) -> str:
        """Units of each layer: 2-2-1."""
        return "-".join(str(len(a)) for a in self.a.values())


def work(spec: RunSpec, example: int) -> Worked:
    """One SGD step on training example number `example`, the first being 1, in float64 on the CPU.

    Raises ConfigError where the net is too large or no plain chain, the example is out of range, or the optimizer is
    not SGD.
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
        z={l: one.z[0, 0] for l, one in enumerate(units, start=2)} | {last: logits[0, 0]},
        a={1: x[0, 0]}
        | {l: one.a[0, 0] for l, one in enumerate(units, start=2)}
        | {last: objective.loss.predict(logits)[0, 0]},
        slope={l: one.slope()[0, 0] for l, one in enumerate(units, start=2)},
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
    """Raise ConfigError where a step is not W - lr dJ/dW for the whole net."""
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
    """h'(z) of the output, where the loss has an activation for it."""
    if "output" not in spec.resolved["loss"]:
        return None
    output: Activation = call("activation", spec.resolved["loss"]["output"])
    constants = tuple(output.constants.values())
    return output.derivative(z, output.forward(z, *constants), *constants)[0, 0]


def _plain_chain(spec: RunSpec, model: Model) -> list[str]:
    """The names of the affine layers of Dense, Activate, Dense, ..., Dense.

    Raises ConfigError with all that has to be written to have such a chain.
    """
    layers = model.layers
    expected = [Dense if place % 2 == 0 else Activate for place in range(len(layers))]
    wrong = (place for place, kind in enumerate(expected) if not isinstance(layers[place], kind))
    found = next((f"{type(layers[place]).__name__} as layer {place + 1}" for place in wrong), "")
    if not found and len(layers) % 2:
        return [layer.name for layer in layers if isinstance(layer, Dense)]
    has_norm, changes = spec.choices["norm"] != "none", list[str]()
    if all(isinstance(layer, Dense | Activate | BatchNorm | LayerNorm | Dropout) for layer in layers):
        has_norm = any(isinstance(layer, BatchNorm | LayerNorm) for layer in layers)
    else:
        own = [one for one in spec.overrides if one.startswith("architecture.") and not _is_of_mlp(one)]
        sized = any(one.startswith("architecture.hidden=") for one in spec.overrides)
        changes = [
            "architecture=mlp",
            *([] if sized else ["architecture.hidden=[2]"]),
            *(["without", *own] if own else []),
        ]
    if spec.resolved["architecture"].get("dropout"):
        changes.insert(0, "architecture.dropout=0")
    if has_norm:
        changes.insert(0, "norm=none")
    raise ConfigError(
        "explain: architecture must be a plain chain Dense, Activate, ..., Dense, got "
        f"{found or 'no Dense as the last layer'}; write {' '.join(changes) or 'architecture=mlp'}"
    )


def _is_of_mlp(override: str) -> bool:
    return override.partition("=")[0].partition(".")[2] in option("architecture", "mlp")


def _check_sizes(params: Params, example: int, examples: int, data: str) -> None:
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
