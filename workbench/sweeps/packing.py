"""Grouping of runs into packs that train together."""

import json
import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise

from workbench.config.instantiate import per_replica_keys
from workbench.config.prepare import GIB, MIXED_GROUPS, REPLICA_GROUPS, prepare
from workbench.config.schema import RunSpec
from workbench.config.targets import names_in

WORTHWHILE = 32  # replicas: a pack of as many costs a replica little more than any larger one
PACKS_PER_WORKER = 4  # so that workers end together, and one that is lost takes little with it
CACHED_BYTES = 40 * 2**20  # of a pack on a CPU: a step touches a third, which its last cache holds; beyond, 30 % dearer
LEAST_CACHED = 8  # replicas: a pack of fewer gains nothing from the cache

NOT_IN_PROGRAM = ("seed", "split.seed", "train.clip_norm", "certificate", "tracking", "sweep")  # of a pack


def group(specs: Sequence[RunSpec], parallel: int = 1, total: int = 0) -> list[list[int]]:
    """Group runs into packs; returns the positions of each pack's runs, neighbors together.

    A pack is of one program and fits its memory budget, on a CPU also the cache; where several are trained at once, it
    is also at most a worker's share of all runs, as far as packs stay worthwhile. `total` is the number of runs before
    some of their packs were done: with it, the other packs stay the same.
    """
    total = max(total, len(specs))
    share = max(WORTHWHILE, -(-total // (PACKS_PER_WORKER * parallel))) if parallel > 1 else total
    packs = []
    for positions in by_program(specs):
        packs += _fitting(specs, positions, min(share, _cached(specs[positions[0]])), parallel)
    return packs


def program_key(spec: RunSpec) -> str:
    """Everything that two runs must share to train in one pack, as text."""
    varying = {key for group in MIXED_GROUPS for key in per_replica_keys(group, spec.resolved[group])}
    shared = {
        key: value
        for key, value in spec.settings.items()
        if key not in varying
        and key.partition(".")[0] not in (*REPLICA_GROUPS, *NOT_IN_PROGRAM)
        and key not in NOT_IN_PROGRAM
    }
    named = {group: list(names_in(node)) for group, node in spec.resolved.items() if group not in REPLICA_GROUPS}
    return json.dumps([shared, named], sort_keys=True)


def by_program(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Positions of the runs of each program."""
    programs: dict[str, list[int]] = {}
    for position, spec in enumerate(specs):
        programs.setdefault(program_key(spec), []).append(position)
    return list(programs.values())


def _cached(spec: RunSpec) -> int:
    """Number of replicas that a CPU's cache has room for; unlimited on other devices."""
    shared = prepare(spec)
    return max(LEAST_CACHED, CACHED_BYTES // shared.replica_bytes) if shared.device.type == "cpu" else sys.maxsize


def pack_bytes(specs: Sequence[RunSpec], positions: Sequence[int]) -> int:
    """Memory of a pack of the runs at `positions`, in bytes, about."""
    shared, splits = prepare(specs[positions[0]]), {specs[position].config.split.seed for position in positions}
    stored = shared.replica_bytes * len(positions) + shared.data_bytes * len(splits)
    return stored + max(shared.evaluation_bytes(len(positions)), shared.check_bytes(len(positions)))


def _fitting(specs: Sequence[RunSpec], positions: list[int], largest: int, parallel: int) -> list[list[int]]:
    """Fewest parts of even size, none larger than `largest`, that each fit the memory budget or hold one run.

    As many as are trained at once fit the free memory too.
    """
    first = specs[positions[0]]
    budget = max(1.0, min(first.config.sweep.pack_gib * GIB, prepare(first).free_bytes() / parallel))
    while True:
        parts = _even(positions, largest)
        excess = max(pack_bytes(specs, part) for part in parts) / budget
        largest = len(parts[0])
        if excess <= 1 or largest == 1:
            return parts
        largest = max(1, min(largest - 1, int(largest / excess)))


def _even(positions: list[int], largest: int) -> list[list[int]]:
    """Parts of even size, none larger than `largest`."""
    parts = -(-len(positions) // largest)
    sizes = [len(positions) // parts + (part < len(positions) % parts) for part in range(parts)]
    return [positions[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]
