"""Which runs train together."""

from collections.abc import Sequence

from workbench.build import GIB, program_key, replica_bytes
from workbench.config import RunSpec


def group(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Positions of the runs of each pack: one program each, split so that a pack fits its memory budget."""
    programs: dict[str, list[int]] = {}
    for position, spec in enumerate(specs):
        programs.setdefault(program_key(spec), []).append(position)
    packs = []
    for positions in programs.values():
        first = specs[positions[0]]
        largest = max(1, int(first.config.sweep.pack_gib * GIB / replica_bytes(first)))
        parts = -(-len(positions) // largest)
        packs += [positions[part::parts] for part in range(parts)]
    return packs
