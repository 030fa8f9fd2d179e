"""Configuration -> objects. Every error of a run is raised here, before step 0.

Per-replica values of optimizer, schedule, activation and pretraining, and the groups ``init`` and ``bias`` as a whole,
may differ within a pack; all else decides which pack a run belongs to.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from workbench.config.instantiate import asks_for, call, call_stacked, option, options
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError, DataError
from workbench.core.memory import available, gib, spot_check_bytes
from workbench.data.batches import choose_target, pack_data
from workbench.data.datasets import Dataset
from workbench.data.splits import Change, Split, held_by_float32, inputs_as_targets, split
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.evaluate import CHUNK_NUMBERS, EXAMPLES
from workbench.engine.replicas import Pack
from workbench.nn.initializers import Scheme
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Layout
from workbench.nn.pretraining_stages import stages

REPLICA_GROUPS = ("init", "bias")  # of each replica as a whole
MIXED_GROUPS = ("optimizer", "schedule", "activation", "pretraining")  # of a pack, with per-replica values
STORAGES = 8  # parameters, gradient, optimizer state of two, and the marks of all but the gradient, with room
EVALUATION_COPIES = 2.25  # of a chunk's activations, held at once where units are counted and layers are normalized
FIXED_BYTES = 2**20
GIB = 2**30
LARGE = GIB / 32  # bytes of a data set of whose splits one is kept in memory
RECORD_BYTES = 1000  # of an epoch's numbers in memory, about
BYTES = {torch.float32: 4, torch.float64: 8}


@lru_cache(maxsize=8)
def _dataset(node: str) -> Dataset:
    dataset: Dataset = call("data", json.loads(node))
    return dataset.checked()


def dataset_of(spec: RunSpec) -> Dataset:
    """The run's data set, loaded once for all runs that share it."""
    return _dataset(json.dumps(spec.resolved["data"], sort_keys=True))


def _drawn(
    node: str, seed: int, valid: float, test: float, standardize: bool, change: Change, dtype: torch.dtype
) -> Split:
    parts = split(_dataset(node), seed, valid, test, standardize, change)
    return held_by_float32(_dataset(node), parts, standardize) if dtype is torch.float32 else parts


_split = lru_cache(maxsize=32)(_drawn)
_large_split = lru_cache(maxsize=1)(_drawn)


def split_of(spec: RunSpec) -> Split:
    """Training, validation and test part of the run's data, with the targets that it learns."""
    part = spec.config.split
    node = json.dumps(spec.resolved["data"], sort_keys=True)
    draw = _split if dataset_of(spec).x.nbytes < LARGE else _large_split
    change = Change(part.limit, part.label_noise, part.binarize)
    dtype = getattr(torch, spec.config.dtype.name)
    parts = draw(node, part.seed, part.valid, part.test, part.standardize, change, dtype)
    return inputs_as_targets(parts) if learns_inputs(spec) else parts


def learns_inputs(spec: RunSpec) -> bool:
    """Whether the run learns to reproduce its inputs, not the data set's labels."""
    return spec.config.target.name == "input"


def n_classes_of(spec: RunSpec) -> int | None:
    """Number of classes that the run tells apart; None for regression."""
    return None if learns_inputs(spec) else dataset_of(spec).n_classes


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


def loss_of(spec: RunSpec) -> Loss:
    """The run's loss."""
    loss: Loss = call("loss", spec.resolved["loss"])
    return loss


def target_of(spec: RunSpec, loss: Loss) -> Target:
    """Encoding of this run's targets; raises ConfigError where its loss does not fit its data."""
    classes = n_classes_of(spec)
    target = choose_target(loss.accepts, classes)
    if target is not None:
        return target
    kind = f"{classes} classes" if classes else "real targets"
    source = "target=input" if learns_inputs(spec) else f"data={spec.choices['data']}"
    fitting = [name for name in options("loss") if choose_target(call("loss", option("loss", name)).accepts, classes)]
    fitting.sort(key=lambda name: not name.endswith("_nll"))  # likelihood first, where there is one
    raise ConfigError(
        f"loss: {spec.choices['loss']} needs {' or '.join(loss.accepts)} targets, but {source} has {kind}; "
        f"write loss={fitting[0]}" + (f" (also possible: {', '.join(fitting[1:])})" if fitting[1:] else "")
    )


def build_model(spec: RunSpec, target: Target) -> Model:
    """Build the run's architecture with the input and output sizes of its data.

    Raises ConfigError where it cannot learn: no gradient passes a unit step, and one example has no batch statistics.
    """
    dataset = dataset_of(spec)
    node, n_in = spec.resolved["architecture"], dataset.x.shape[1]
    n_real = n_in if learns_inputs(spec) else dataset.y.shape[-1]
    n_out = {"binary": 1, "one_hot": n_classes_of(spec), "real": n_real}[target]
    activation, norm = call("activation", spec.resolved["activation"]), call("norm", spec.resolved["norm"])
    model: Model = call("architecture", node, n_in=n_in, n_out=n_out, activation=activation, norm=norm)
    if activation.max_slope == 0 and asks_for("architecture", node, "activation") and len(list(model.products())) > 1:
        raise ConfigError(
            f"activation: must have a slope, but f' of {spec.choices['activation']} is 0 everywhere: no gradient "
            "reaches the layers below it; write activation=sigmoid, or train one such neuron by the perceptron rule "
            "with architecture=perceptron loss=perceptron"
        )
    if spec.config.train.batch_size < model.least_batch:
        raise ConfigError(
            f"train.batch_size: must be at least {model.least_batch} for norm={spec.choices['norm']}, whose statistics "
            f"are those of the batch, got {spec.config.train.batch_size}; write train.batch_size=32 or norm=layer"
        )
    return model


def build_optimizer(specs: Sequence[RunSpec], dtype: torch.dtype, device: torch.device) -> Optimizer:
    """Build one optimizer for a pack: per-replica parameters stacked to [R], all others the first run's."""
    nodes = [spec.resolved["optimizer"] for spec in specs]
    optimizer: Optimizer = call_stacked("optimizer", nodes, lambda row: torch.tensor(row, dtype=dtype, device=device))
    return optimizer


def diagnostics_of(spec: RunSpec) -> Diagnostics:
    """Diagnostics that are measured while the run trains."""
    plan: Diagnostics = call("diagnostics", spec.resolved["diagnostics"])
    return plan


def scheme_of(spec: RunSpec) -> Scheme:
    """Initialization scheme of the run's replica."""
    weights, bias, activation = (call(group, spec.resolved[group]) for group in (*REPLICA_GROUPS, "activation"))
    return Scheme(weights, bias, activation.constants)


def build_pack(specs: Sequence[RunSpec]) -> Pack:
    """Build the pack of runs that share a program; raises ConfigError as its parts do."""
    first = specs[0]
    dtype, device = getattr(torch, first.config.dtype.name), device_of(first)

    def per_replica(row: list[float]) -> Tensor:
        return torch.tensor(row, dtype=dtype, device=device)

    loss = loss_of(first)
    target = target_of(first, loss)
    optimizer = build_optimizer(specs, dtype, device)
    penalized = not optimizer.decoupled and bool((optimizer.weight_decay > 0).any())
    split_seeds = sorted({spec.config.split.seed for spec in specs})
    by_seed = {spec.config.split.seed: split_of(spec) for spec in specs}
    data = pack_data(
        [by_seed[seed] for seed in split_seeds],
        [split_seeds.index(spec.config.split.seed) for spec in specs],
        n_classes_of(first),
        target,
        dtype,
        device,
    )
    clips = [spec.config.train.clip_norm for spec in specs]
    return Pack(
        Objective(build_model(first, target), loss, optimizer.weight_decay if penalized else None),
        optimizer,
        tuple(spec.config.seed for spec in specs),
        tuple(scheme_of(spec) for spec in specs),
        data,
        dtype,
        device,
        call_stacked("schedule", [spec.resolved["schedule"] for spec in specs], per_replica),
        per_replica([float("inf") if clip is None else clip for clip in clips]) if any(clips) else None,
        call_stacked("pretraining", [spec.resolved["pretraining"] for spec in specs], per_replica),
    )


def free_bytes(spec: RunSpec) -> int:
    """Free memory on the run's device, in bytes."""
    device = device_of(spec)
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available()


def refuse_too_large(spec: RunSpec) -> None:
    """Raise ConfigError where a run needs more memory than is free, computed from shapes: nothing is allocated."""
    config, free = spec.config, free_bytes(spec)
    net = replica_bytes(spec)
    needs = {
        "architecture": (net + evaluation_bytes(spec, 1), "write a smaller net, such as architecture.hidden=[64,64]"),
        "train.epochs": (config.train.epochs * RECORD_BYTES, "write for example train.epochs=30"),
        "certificate": (net + check_bytes(spec, 1), "write certificate=false, or choose a smaller net"),
        "data": (data_bytes(spec), "write split.limit=1000, or name a smaller file"),
    }
    for key, (count, way) in needs.items():
        if count > free:
            raise ConfigError(f"{key}: one run would take {gib(count)} of memory, but {gib(free)} is free; {way}")


def validate(spec: RunSpec) -> None:
    """Raise ConfigError for whatever would stop this run before step 0."""
    try:
        refuse_too_large(spec)
        model = build_model(spec, target_of(spec, loss_of(spec)))
        stages(model, call_stacked("pretraining", [spec.resolved["pretraining"]], torch.tensor))
        scheme_of(spec)
        diagnostics_of(spec)
        for group in ("optimizer", "schedule"):
            call_stacked(group, [spec.resolved[group]], torch.tensor)
        device_of(spec)
        examples = len(split_of(spec).train.x)
        if examples < model.least_batch:
            raise ConfigError(
                f"norm: {spec.choices['norm']} needs {model.least_batch} training examples or more, for its statistics "
                f"are those of a batch, got {examples}; write norm=layer, or a larger split.limit"
            )
    except DataError as error:
        raise ConfigError(f"data={spec.choices['data']}: {error}") from error


def validate_all(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for whatever would stop one of these runs before step 0.

    Runs that differ in seeds alone are checked once: a seed alone cannot stop a run, unless its split leaves a class of
    two or three examples out of a part.
    """
    distinct: dict[str, RunSpec] = {}
    for spec in specs:
        part = {key: value for key, value in spec.resolved["split"].items() if key != "seed"}
        rest = {key: value for key, value in spec.resolved.items() if key not in ("seed", "split")}
        distinct.setdefault(json.dumps([part, rest], sort_keys=True), spec)
    for spec in distinct.values():
        validate(spec)


def replica_bytes(spec: RunSpec) -> int:
    """Memory of one replica in a pack, in bytes, about, beside its data.

    Counts what is stored per parameter, one batch, and for a pretrained replica the codes of two layers.
    """
    products, size = _net(spec)
    batch = min(spec.config.train.batch_size, len(dataset_of(spec).x)) * sum(
        4 * fan_out + fan_in for fan_out, fan_in in products
    )
    widest = max((fan_in for _, fan_in in products[1:]), default=0)
    codes = 2 * len(dataset_of(spec).x) * widest if spec.resolved["pretraining"].get("epochs") else 0
    return (STORAGES * size + batch + codes) * BYTES[getattr(torch, spec.config.dtype.name)]


def _net(spec: RunSpec) -> tuple[list[tuple[int, int]], int]:
    """(fan out, fan in) of each product, and the number of parameters."""
    products = list(build_model(spec, target_of(spec, loss_of(spec))).products())
    return products, Layout({f"{number}.W": (up, down + 1) for number, (up, down) in enumerate(products)}).size


def check_bytes(spec: RunSpec, replicas: int) -> int:
    """Memory that comparing a trained pack's gradients with autograd takes beside the pack, in bytes, about."""
    return spot_check_bytes(_net(spec)[1], replicas) if spec.config.certificate else 0


def evaluation_bytes(spec: RunSpec, replicas: int) -> int:
    """Memory that evaluating a pack of replicas takes beside the pack, in bytes, about.

    Includes a constant share that a pack of any size takes.
    """
    width = sum(fan_in + 3 * fan_out for fan_out, fan_in in _net(spec)[0])
    numbers = min(replicas * min(EXAMPLES, len(dataset_of(spec).x)) * width, max(CHUNK_NUMBERS, width))
    return FIXED_BYTES + int(EVALUATION_COPIES * numbers) * BYTES[getattr(torch, spec.config.dtype.name)]


def data_bytes(spec: RunSpec) -> int:
    """Memory of a run's split in a pack, in bytes, about; runs with one `split.seed` share it."""
    dataset = dataset_of(spec)
    return (dataset.x.size + dataset.y.size) * BYTES[getattr(torch, spec.config.dtype.name)]
