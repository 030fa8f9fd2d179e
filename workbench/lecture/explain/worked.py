"""Numbers of one training step on one example, computed by the engine and renamed to the lecture's notation."""
# ruff: noqa: E741 - l is the lecture's index of layers

from dataclasses import dataclass

from torch import Tensor

from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.engine.replicas import Pack
from workbench.lecture.explain.step import take
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.model import Model
from workbench.nn.params import Params

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


def work(spec: RunSpec, pack: Pack, example: int) -> Worked:
    """Take an SGD step on training example number `example`, the first being 1, with a pack in float64 on the CPU.

    Raises ConfigError where the net is no plain chain, and as `take` does.
    """
    model = pack.objective.model
    names = _plain_chain(spec, model)
    step = take(spec, pack, example)
    units, z = list(model.units(step.recorder.tape)), step.recorder.z
    assert z is not None

    def by_layer(source: Params, kind: str, shift: int = 0) -> ByLayer:
        return {l + shift: source[f"{name}.{kind}"][0] for l, name in enumerate(names, start=1)}

    last = len(names) + 1
    return Worked(
        y=step.y[0, 0],
        W=by_layer(step.params, "W"),
        b=by_layer(step.params, "b"),
        z={l: tape.z[0, 0] for l, tape in enumerate(units, start=2)} | {last: z[0, 0]},
        a={1: step.x[0, 0]} | {l: tape.a[0, 0] for l, tape in enumerate(units, start=2)} | {last: step.h[0, 0]},
        slope={l: tape.slope()[0, 0] for l, tape in enumerate(units, start=2)},
        output_slope=_output_slope(spec, z),
        delta=by_layer(step.grads, "b", shift=1),  # of one example, ∂J/∂b⁽ˡ⁾ = delta⁽ˡ⁺¹⁾
        dW=by_layer(step.grads, "W"),
        db=by_layer(step.grads, "b"),
        new_W=by_layer(step.moved, "W"),
        new_b=by_layer(step.moved, "b"),
        C=step.C,
        J=step.J,
        J_after=step.J_after,
        lam=step.lam,
        lr=step.lr,
        example=step.example,
        examples=step.examples,
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
