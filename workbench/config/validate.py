"""Checks of configured runs before step 0."""

import json
from collections.abc import Sequence

import torch

from workbench.config.instantiate import call_stacked
from workbench.config.prepare import prepare, scheme_of
from workbench.config.schema import RunSpec
from workbench.config.unlabeled import unlabeled
from workbench.core.errors import ConfigError, DataError
from workbench.core.memory import gib
from workbench.nn.pretraining import Pretraining
from workbench.nn.pretraining_stages import stages

RECORD_BYTES = 1000  # of an epoch's numbers in memory, about


def refuse_too_large(spec: RunSpec) -> None:
    """Raise ConfigError where a run needs more memory than is free, computed from shapes: nothing is allocated."""
    shared = prepare(spec)
    net, free = shared.replica_bytes, shared.free_bytes()
    needs = {
        "architecture": (net + shared.evaluation_bytes(1), "write a smaller net, such as architecture.hidden=[64,64]"),
        "train.epochs": (spec.config.train.epochs * RECORD_BYTES, "write for example train.epochs=30"),
        "certificate": (net + shared.check_bytes(1), "write certificate=false, or choose a smaller net"),
        "data": (shared.data_bytes, "take fewer examples: smaller data.points, or a smaller file"),
    }
    for key, (count, way) in needs.items():
        if count > free:
            raise ConfigError(f"{key}: one run would take {gib(count)} of memory, but {gib(free)} is free; {way}")


def validate(spec: RunSpec) -> None:
    """Raise ConfigError for whatever would stop this run before step 0."""
    shared = prepare(spec)
    try:
        refuse_too_large(spec)
        pretraining: Pretraining = call_stacked("pretraining", [spec.resolved["pretraining"]], torch.tensor)
        stages(shared.model, pretraining)
        unlabeled(shared, spec.config.split, pretraining)
        _ = shared.diagnostics, scheme_of(spec)  # made, to see that they can be
        for group in ("optimizer", "schedule"):
            call_stacked(group, [spec.resolved[group]], torch.tensor)
        examples, least = len(shared.split(spec.config.split).train.x), shared.model.least_batch
        if examples < least:
            raise ConfigError(
                f"norm: {spec.choices['norm']} needs {least} training examples or more, for its statistics "
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
