"""Configuration -> objects. Every error of a run is raised here, before step 0.

`prepare` makes what the replicas of a program share, once; `build_pack` adds what each replica has for itself.

Per-replica values of optimizer, schedule, activation and pretraining, and the groups ``init`` and ``bias`` as a whole,
may differ within a pack; all else decides which pack a run belongs to.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workbench.config.data_cache import data_identity, draw_split, draw_unit, load_dataset
from workbench.config.instantiate import asks_for, call, call_stacked
from workbench.config.options import option, options
from workbench.config.schema import RunSpec, SplitConfig
from workbench.core.errors import ConfigError
from workbench.core.memory import available, spot_check_bytes
from workbench.data.batches import choose_target, pack_data
from workbench.data.datasets import Dataset
from workbench.data.splits import Change, Split, inputs_as_targets
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.evaluate import CHUNK_NUMBERS, EXAMPLES
from workbench.engine.replicas import Pack
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Layout

REPLICA_GROUPS = ("init", "bias")  # of each replica as a whole
SHARED_GROUPS = ("architecture", "activation", "norm", "loss", "pretraining", "data", "diagnostics")  # of a program
PREPARED = 64  # programs whose objects are kept
MIXED_GROUPS = ("optimizer", "schedule", "activation", "pretraining")  # of a pack, with per-replica values
STORAGES = 8  # parameters, gradient, optimizer state of two, and the marks of all but the gradient, with room
EVALUATION_COPIES = 2.25  # of a chunk's activations, held at once where units are counted and layers are normalized
FIXED_BYTES = 2**20
GIB = 2**30
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Prepared:
    """Objects and sizes that the runs of a program share, each made on first use.

    `spec` is the first run that was prepared; its seeds and per-replica values are not read here. A part
    that cannot be made raises ConfigError.
    """

    spec: RunSpec

    def _call(self, group: str, **given: Any) -> Any:
        return call(group, self.spec.resolved[group], **given)

    @cached_property
    def _data(self) -> str:
        return data_identity(self.spec.resolved["data"])

    @property
    def dataset(self) -> Dataset:
        """Data set, loaded once for all runs that share it; kept beside the few that were asked for last."""
        return load_dataset(self._data)

    def split(self, part: SplitConfig) -> Split:
        """Training, validation and test part that these settings draw, with the targets that are learned."""
        change = Change(part.limit, part.label_noise, part.binarize)
        drawn = draw_split(self._data, part.seed, part.valid, part.test, part.standardize, change, self.dtype)
        return inputs_as_targets(drawn) if self.learns_inputs else drawn

    def unit(self, part: SplitConfig) -> float | None:
        """Size of 1 of the real target that is learned, in the data's own unit; None where there is not one such."""
        change = Change(part.limit, part.label_noise, part.binarize)
        if self.learns_inputs:
            return None
        return draw_unit(self._data, part.seed, part.valid, part.test, part.standardize, change)

    @property
    def learns_inputs(self) -> bool:
        """Whether its runs learn to reproduce their inputs, not the data set's labels."""
        return self.spec.config.target.name == "input"

    @property
    def n_classes(self) -> int | None:
        """Number of classes that it tells apart; None for regression."""
        return None if self.learns_inputs else self.dataset.n_classes

    @property
    def dtype(self) -> torch.dtype:
        """Precision of its training."""
        return DTYPES[self.spec.config.dtype.name]

    @cached_property
    def device(self) -> torch.device:
        """Device of training; raises ConfigError where CUDA is asked for and absent."""
        name = self.spec.config.device.name
        if name == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                f"device: cuda must be available, but torch {torch.__version__} sees no CUDA device here; "
                "write device=cpu or device=auto"
            )
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(name)

    @cached_property
    def loss(self) -> Loss:
        """Loss of its runs."""
        loss: Loss = self._call("loss")
        return loss

    @cached_property
    def target(self) -> Target:
        """Encoding of its targets; raises ConfigError where the loss does not fit the data."""
        classes, choices = self.n_classes, self.spec.choices
        target = choose_target(self.loss.accepts, classes)
        if target is not None:
            return target
        kind = f"{classes} classes" if classes else "real targets"
        source = "target=input" if self.learns_inputs else f"data={choices['data']}"
        losses = {name: call("loss", option("loss", name)) for name in options("loss")}
        fitting = [name for name, loss in losses.items() if choose_target(loss.accepts, classes)]
        fitting.sort(key=lambda name: not name.endswith("_nll"))  # likelihood first, where there is one
        raise ConfigError(
            f"loss: {choices['loss']} needs {' or '.join(self.loss.accepts)} targets, but {source} has {kind}; "
            f"write loss={fitting[0]}" + (f" (also possible: {', '.join(fitting[1:])})" if fitting[1:] else "")
        )

    @cached_property
    def model(self) -> Model:
        """Architecture with the input and output sizes of the data.

        Raises ConfigError where it cannot learn: no gradient passes a unit step, and one example has no batch
        statistics.
        """
        target, data, choices = self.target, self.dataset, self.spec.choices
        node, n_in = self.spec.resolved["architecture"], data.x.shape[1]
        n_real = n_in if self.learns_inputs else data.y.shape[-1]
        n_out = {"binary": 1, "real": n_real}.get(target, self.n_classes)
        activation: Activation = self._call("activation")
        model: Model = self._call(
            "architecture", n_in=n_in, n_out=n_out, activation=activation, norm=self._call("norm")
        )
        if (
            activation.max_slope == 0
            and asks_for("architecture", node, "activation")
            and len(list(model.products())) > 1
        ):
            raise ConfigError(
                f"activation: must have a slope, but f' of {choices['activation']} is 0 everywhere: no gradient "
                "reaches the layers below it; write activation=sigmoid, or train one such neuron by the perceptron "
                "rule with architecture=perceptron loss=perceptron"
            )
        batch_size = self.spec.config.train.batch_size
        if batch_size < model.least_batch:
            raise ConfigError(
                f"train.batch_size: must be at least {model.least_batch} for norm={choices['norm']}, whose statistics "
                f"are those of the batch, got {batch_size}; write train.batch_size=32 or norm=layer"
            )
        return model

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """Diagnostics that are measured while its runs train."""
        diagnostics: Diagnostics = self._call("diagnostics")
        return diagnostics

    @cached_property
    def products(self) -> list[tuple[int, int]]:
        """(fan out, fan in) of each matrix product of the model."""
        return list(self.model.products())

    @cached_property
    def n_params(self) -> int:
        """Number of parameters of a replica, about."""
        return Layout({f"{number}.W": (up, down + 1) for number, (up, down) in enumerate(self.products)}).size

    @cached_property
    def replica_bytes(self) -> int:
        """Memory of one replica in a pack, in bytes, about, beside its data.

        Counts what is stored per parameter, one batch, and for a pretrained replica the codes of two layers.
        """
        examples = len(self.dataset.x)
        batch = min(self.spec.config.train.batch_size, examples) * sum(
            4 * fan_out + fan_in for fan_out, fan_in in self.products
        )
        widest = max((fan_in for _, fan_in in self.products[1:]), default=0)
        codes = 2 * examples * widest if self.spec.resolved["pretraining"].get("epochs") else 0
        return (STORAGES * self.n_params + batch + codes) * self.dtype.itemsize

    @property
    def data_bytes(self) -> int:
        """Memory of a split in a pack, in bytes, about; runs with one `split.seed` share it."""
        return (self.dataset.x.size + self.dataset.y.size) * self.dtype.itemsize

    def evaluation_bytes(self, replicas: int) -> int:
        """Memory that evaluating a pack of replicas takes beside the pack, in bytes, about.

        Includes a constant share that a pack of any size takes.
        """
        width = sum(fan_in + 3 * fan_out for fan_out, fan_in in self.products)
        numbers = min(replicas * min(EXAMPLES, len(self.dataset.x)) * width, max(CHUNK_NUMBERS, width))
        return FIXED_BYTES + int(EVALUATION_COPIES * numbers) * self.dtype.itemsize

    def check_bytes(self, replicas: int) -> int:
        """Memory that comparing a trained pack's gradients with autograd takes beside the pack, in bytes, about."""
        return spot_check_bytes(self.n_params, replicas) if self.spec.config.certificate else 0

    def free_bytes(self) -> int:
        """Free memory on its device now, in bytes."""
        return torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else available()


_prepared: OrderedDict[str, Prepared] = OrderedDict()


def prepare(spec: RunSpec) -> Prepared:
    """Objects that the run shares with others of its program; those of the last 64 programs are kept.

    Runs share it that differ in seeds, in how a replica starts and is updated, and in where they are kept.
    """
    config = spec.config
    own = (config.target.name, config.dtype.name, config.device.name, config.train.batch_size, config.certificate)
    nodes = [spec.resolved[group] for group in SHARED_GROUPS]
    names = [spec.choices.get(group) for group in SHARED_GROUPS]
    key = json.dumps([own, nodes, names, data_identity(spec.resolved["data"])], sort_keys=True)
    found = _prepared[key] = _prepared.pop(key) if key in _prepared else Prepared(spec)
    while len(_prepared) > PREPARED:
        _prepared.popitem(last=False)
    return found


def scheme_of(spec: RunSpec) -> Scheme:
    """Initialization scheme of the run's replica."""
    weights, bias, activation = (call(group, spec.resolved[group]) for group in (*REPLICA_GROUPS, "activation"))
    return Scheme(weights, bias, activation.constants)


def build_pack(specs: Sequence[RunSpec]) -> Pack:
    """Build the pack of runs that share a program; raises ConfigError as its parts do."""
    shared = prepare(specs[0])

    def per_replica(row: list[float]) -> Tensor:
        return torch.tensor(row, dtype=shared.dtype, device=shared.device)

    def stacked(group: str) -> Any:
        return call_stacked(group, [spec.resolved[group] for spec in specs], per_replica)

    optimizer: Optimizer = stacked("optimizer")
    penalized = not optimizer.decoupled and bool((optimizer.weight_decay > 0).any())
    splits = {spec.config.split.seed: spec.config.split for spec in specs}
    seeds = sorted(splits)
    data = pack_data(
        [shared.split(splits[seed]) for seed in seeds],
        [seeds.index(spec.config.split.seed) for spec in specs],
        shared.n_classes,
        shared.target,
        shared.dtype,
        shared.device,
        [shared.unit(splits[seed]) for seed in seeds],
    )
    clips = [spec.config.train.clip_norm for spec in specs]
    return Pack(
        Objective(shared.model, shared.loss, optimizer.weight_decay if penalized else None),
        optimizer,
        tuple(spec.config.seed for spec in specs),
        tuple(scheme_of(spec) for spec in specs),
        data,
        shared.dtype,
        shared.device,
        stacked("schedule"),
        per_replica([float("inf") if clip is None else clip for clip in clips]) if any(clips) else None,
        stacked("pretraining"),
    )
