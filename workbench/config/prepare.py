"""Configuration -> objects. Every error of a run is raised here, before step 0.

`prepare` makes what the replicas of a program share, once; `build_pack` adds what each replica has for itself.

Per-replica values of optimizer, schedule, activation and pretraining, and the groups ``init`` and ``bias`` as a whole,
may differ within a pack; all else decides which pack a run belongs to.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workbench.config.data_cache import data_identity
from workbench.config.instantiate import call, call_stacked
from workbench.config.schema import RunSpec
from workbench.config.shared_objects import SharedObjects
from workbench.config.unlabeled import body_text, unlabeled
from workbench.core.memory import available, spot_check_bytes
from workbench.data.batches import pack_data
from workbench.engine.evaluate import CHUNK_NUMBERS, EXAMPLES
from workbench.engine.replicas import Pack
from workbench.nn.footprint import activation_numbers, n_trained
from workbench.nn.initializers import Scheme
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Layout
from workbench.nn.pretraining import Pretraining
from workbench.nn.pretraining_stages import stages

REPLICA_GROUPS = ("init", "bias")  # of each replica as a whole
SHARED_GROUPS = ("architecture", "activation", "norm", "loss", "pretraining", "data", "diagnostics")  # of a program
PREPARED = 64  # programs whose objects are kept
MIXED_GROUPS = ("optimizer", "schedule", "activation", "pretraining")  # of a pack, with per-replica values
STORAGES = 8  # parameters, gradient, optimizer state of two, and the marks of all but the gradient, with room
EVALUATION_COPIES = 2.75  # of a chunk's activations, held at once where units are counted and layers are normalized
FIXED_BYTES = 2**20
GIB = 2**30


class Prepared(SharedObjects):
    """Objects that the runs of a program share, with the memory that they will take."""

    @cached_property
    def products(self) -> list[tuple[int, int]]:
        """(fan out, fan in) of each matrix product of the model."""
        return list(self.model.products())

    @cached_property
    def numbers(self) -> int | None:
        """Numbers that a pass holds of an example; None where the products say it, as the net has no positions."""
        if not self._has_positions:
            return None
        constants = self._call("activation").constants
        nets = [
            self.model,
            *(stage.model for stage in stages(self.model, self._call("pretraining")) if stage.is_language),
        ]
        return max(activation_numbers(net, self.inputs, constants) for net in nets)

    @cached_property
    def n_params(self) -> int:
        """Number of parameters of a replica, about."""
        if self._has_positions:
            return n_trained(self.model, self._call("activation").constants)
        return Layout({f"{number}.W": (up, down + 1) for number, (up, down) in enumerate(self.products)}).size

    @cached_property
    def replica_bytes(self) -> int:
        """Memory of one replica in a pack, in bytes, about, beside its data.

        Counts what is stored per parameter, one batch, and for a pretrained replica the codes of two layers.
        """
        examples = len(self.dataset.x)
        held = 2 * (self.numbers or 0)  # a pass forward, and as much on the way back
        batch = min(self.spec.config.train.batch_size, examples) * (
            held or sum(4 * fan_out + fan_in for fan_out, fan_in in self.products)
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
        width = self.numbers or sum(fan_in + 3 * fan_out for fan_out, fan_in in self.products)
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
    pretraining: Pretraining = stacked("pretraining")
    bodies: tuple[str, ...] = ()
    if pretraining.kind != "autoencoder":
        tokens = {seed: unlabeled(shared, splits[seed], pretraining) for seed in seeds}
        data = replace(data, unlabeled=torch.stack([*map(torch.as_tensor, tokens.values())]).to(shared.device))
        bodies = tuple(body_text(spec, shared.inputs, tokens[spec.config.split.seed]) for spec in specs)
    clips = [spec.config.train.clip_norm for spec in specs]
    return Pack(
        Objective(shared.model, shared.loss, optimizer.weight_decay if penalized else None, shared.numbers),
        optimizer,
        tuple(spec.config.seed for spec in specs),
        tuple(scheme_of(spec) for spec in specs),
        data,
        shared.dtype,
        shared.device,
        stacked("schedule"),
        per_replica([float("inf") if clip is None else clip for clip in clips]) if any(clips) else None,
        pretraining,
        bodies,
    )
