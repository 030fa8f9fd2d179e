"""Configuration -> objects: the only file that calls a ``_target_``. Everything wrong is raised here, before step 0.

A node's values are checked against the annotations of the function it names. Parameters marked `PerReplica`, and the
groups ``init`` and ``bias``, may differ within a pack; all else decides which pack a run belongs to.
"""

import inspect
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Annotated, Any, get_args, get_type_hints

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from workbench.axes import PER_REPLICA, is_per_replica
from workbench.config import TARGET, RunSpec, packaged
from workbench.data.batches import choose_target, pack_data
from workbench.data.datasets import Dataset
from workbench.data.splits import Split, split
from workbench.engine.replicas import Pack
from workbench.errors import ConfigError, DataError, closest
from workbench.nn.activations import Activation
from workbench.nn.initializers import BiasInitializer, Initializer, Scheme
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Layout

PER_REPLICA_GROUPS = ("init", "bias")
NOT_IN_PROGRAM = ("seed", "split.seed", "tracking", "sweep")  # of a pack
KINDS = {
    "architecture": Model,
    "activation": Activation,
    "init": Initializer,
    "bias": BiasInitializer,
    "loss": Loss,
    "data": Dataset,
}
GIB = 2**30
BYTES = {torch.float32: 4, torch.float64: 8}


def resolve_target(key: str, target: str) -> Any:
    """The function a ``_target_`` names.

    Raises ConfigError where there is none.
    """
    try:
        bound: partial[Any] = instantiate({TARGET: target, "_partial_": True})
    except InstantiationException as error:
        raise ConfigError(f"{key}: _target_ {target!r} cannot be used: {str(error).splitlines()[0]}") from error
    return bound.func


def call(key: str, node: Mapping[str, Any], **given: Any) -> Any:
    """The object of a node: its checked values, and what the caller gives, to its function."""
    values = checked(key, node, tuple(given))
    made = resolve_target(key, node[TARGET])(**values, **given)
    if key in KINDS and not isinstance(made, KINDS[key]):
        kind = KINDS[key].__name__
        raise ConfigError(f"{key}: {node[TARGET]} must return {kind}, got {type(made).__name__}; name another")
    return made


def checked(key: str, node: Mapping[str, Any], given: Sequence[str] = ()) -> dict[str, Any]:
    """The node's values in the types that its function asks for.

    Raises ConfigError with the key, the rule and the value for an unknown key, a wrong type or a value out of range.
    """
    if not isinstance(node, Mapping) or TARGET not in node:
        raise ConfigError(f"{key}: must name a function in {TARGET}, got {node!r}; choose one of the group's options")
    factory = resolve_target(key, node[TARGET])
    parameters = inspect.signature(factory).parameters
    hints = get_type_hints(factory, include_extras=True)
    open_keys = [name for name in parameters if name not in given]
    values = {}
    for name, value in node.items():
        if name == TARGET:
            continue
        if name not in open_keys:
            near = closest(name, open_keys)
            hint = f"did you mean {key}.{near}? " if near else ""
            raise ConfigError(f"{key}.{name}: unknown key; {hint}keys of {key}: {', '.join(open_keys) or 'none'}")
        values[name] = _checked_value(f"{key}.{name}", value, hints.get(name, Any))
    for name in open_keys:
        if name not in values and parameters[name].default is inspect.Parameter.empty:
            raise ConfigError(f"{key}.{name}: must be given, it has no default{_example(f'{key}.{name}')}")
    return values


def _checked_value(key: str, value: Any, annotation: Any) -> Any:
    if is_per_replica(annotation):
        rules = tuple(rule for rule in get_args(annotation)[1:] if rule is not PER_REPLICA)
        annotation = Annotated[float, *rules]
    try:
        return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = key + "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
        rule = first["msg"].removeprefix("Input should be ")
        raise ConfigError(f"{place}: must be {rule}, got {first['input']!r}{_example(key)}") from error


def _example(key: str) -> str:
    """The first default for this key among the options of its group, as a hint."""
    group, _, name = key.partition(".")
    for file in sorted((packaged("conf") / group).glob("*.yaml")):
        node = OmegaConf.load(file)
        value = OmegaConf.to_container(node).get(name)  # type: ignore[union-attr]
        if value not in (None, "???"):
            return f"; write for example {key}={json.dumps(value).replace(' ', '')}"
    return ""


@lru_cache(maxsize=8)
def _dataset(node: str) -> Dataset:
    dataset: Dataset = call("data", json.loads(node))
    return dataset


def dataset_of(spec: RunSpec) -> Dataset:
    """The run's data set, loaded once for all runs that share it."""
    return _dataset(json.dumps(spec.resolved["data"], sort_keys=True))


@lru_cache(maxsize=256)
def _split(node: str, seed: int, valid: float, test: float, standardize: bool) -> Split:
    return split(_dataset(node), seed, valid, test, standardize)


def split_of(spec: RunSpec) -> Split:
    """The run's training, validation and test part."""
    part = spec.config.split
    return _split(
        json.dumps(spec.resolved["data"], sort_keys=True),
        part.seed,
        part.valid,
        part.test,
        part.standardize,
    )


def device_of(spec: RunSpec) -> torch.device:
    """The run's device; raises ConfigError where CUDA is asked for and absent."""
    name = spec.config.device.name
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device: cuda must be available, but torch {torch.__version__} sees no CUDA device here; "
            "write device=cpu or device=auto"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def target_of(spec: RunSpec, loss: Loss) -> Target:
    """How this run's targets are encoded; raises ConfigError where its loss does not fit its data."""
    dataset = dataset_of(spec)
    target = choose_target(loss.accepts, dataset.n_classes)
    if target is not None:
        return target
    kind = f"{dataset.n_classes} classes" if dataset.n_classes else "real targets"
    fitting = [
        file.stem
        for file in sorted((packaged("conf") / "loss").glob("*.yaml"))
        if choose_target(call("loss", OmegaConf.load(file)).accepts, dataset.n_classes)  # type: ignore[arg-type]
    ]
    raise ConfigError(
        f"loss: {spec.choices['loss']} needs {' or '.join(loss.accepts)} targets, but data={spec.choices['data']} has "
        f"{kind}; write loss={fitting[0]}" + (f" (also possible: {', '.join(fitting[1:])})" if fitting[1:] else "")
    )


def build_model(spec: RunSpec, target: Target) -> Model:
    """The run's architecture with the input and output sizes of its data."""
    dataset = dataset_of(spec)
    n_out = {"binary": 1, "one_hot": dataset.n_classes, "real": dataset.y.shape[-1]}[target]
    activation = call("activation", spec.resolved["activation"])
    model: Model = call(
        "architecture",
        spec.resolved["architecture"],
        n_in=dataset.x.shape[1],
        n_out=n_out,
        activation=activation,
    )
    return model


def build_optimizer(specs: Sequence[RunSpec], dtype: torch.dtype, device: torch.device) -> Optimizer:
    """One optimizer for a pack: per-replica parameters stacked to [R], the others the first run's."""
    node = specs[0].resolved["optimizer"]
    factory = resolve_target("optimizer", node[TARGET])
    hints = get_type_hints(factory, include_extras=True)
    rows = [checked("optimizer", spec.resolved["optimizer"]) for spec in specs]
    values = {
        name: torch.tensor([row[name] for row in rows], dtype=dtype, device=device)
        if is_per_replica(hints[name])
        else value
        for name, value in rows[0].items()
    }
    optimizer: Optimizer = factory(**values)
    return optimizer


def build_pack(specs: Sequence[RunSpec]) -> Pack:
    """The pack of runs that share a program."""
    first = specs[0]
    dtype, device = getattr(torch, first.config.dtype.name), device_of(first)
    loss: Loss = call("loss", first.resolved["loss"])
    target = target_of(first, loss)
    optimizer = build_optimizer(specs, dtype, device)
    decay: Tensor | None = optimizer.weight_decay if bool((optimizer.weight_decay > 0).any()) else None
    split_seeds = sorted({spec.config.split.seed for spec in specs})
    by_seed = {spec.config.split.seed: split_of(spec) for spec in specs}
    data = pack_data(
        [by_seed[seed] for seed in split_seeds],
        [split_seeds.index(spec.config.split.seed) for spec in specs],
        dataset_of(first).n_classes,
        target,
        dtype,
        device,
    )
    schemes = tuple(Scheme(call("init", spec.resolved["init"]), call("bias", spec.resolved["bias"])) for spec in specs)
    objective = Objective(build_model(first, target), loss, decay)
    return Pack(
        objective,
        optimizer,
        tuple(spec.config.seed for spec in specs),
        schemes,
        data,
        dtype,
        device,
    )


def validate(spec: RunSpec) -> None:
    """Raise what would stop this run before step 0."""
    try:
        build_model(spec, target_of(spec, call("loss", spec.resolved["loss"])))
        for group in PER_REPLICA_GROUPS:
            call(group, spec.resolved[group])
        checked("optimizer", spec.resolved["optimizer"])
        device_of(spec)
        split_of(spec)
    except DataError as error:
        raise ConfigError(
            f"data={spec.choices['data']}: {error}; write for example split.valid=0.1 split.test=0.1"
        ) from error


def program_key(spec: RunSpec) -> str:
    """What two runs must share to train in one pack, as text."""
    varying = {
        f"optimizer.{name}"
        for name, hint in get_type_hints(
            resolve_target("optimizer", spec.resolved["optimizer"][TARGET]), include_extras=True
        ).items()
        if is_per_replica(hint)
    }
    kept = {
        key: value
        for key, value in spec.settings.items()
        if key not in varying
        and key.partition(".")[0] not in (*PER_REPLICA_GROUPS, *NOT_IN_PROGRAM)
        and key not in NOT_IN_PROGRAM
    }
    targets = {
        group: spec.resolved[group][TARGET]
        for group in spec.resolved
        if group not in PER_REPLICA_GROUPS
        and isinstance(spec.resolved[group], Mapping)
        and TARGET in spec.resolved[group]
    }
    return json.dumps([kept, targets], sort_keys=True)


def replica_bytes(spec: RunSpec) -> int:
    """Memory one replica takes in a pack: parameters six times (gradient, velocity, marks), one batch, its data."""
    dataset = dataset_of(spec)
    model = build_model(spec, target_of(spec, call("loss", spec.resolved["loss"])))
    shapes = {
        f"{fan_out}.{fan_in}.{number}.W": (fan_out, fan_in + 1)
        for number, (fan_out, fan_in) in enumerate(model.products())
    }
    batch = spec.config.train.batch_size * sum(4 * fan_out + fan_in for fan_out, fan_in in model.products())
    numbers = 6 * Layout(shapes).size + batch + dataset.x.size + dataset.y.size
    return numbers * BYTES[getattr(torch, spec.config.dtype.name)]
