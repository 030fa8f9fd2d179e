"""Deaths and revivals of units, from the masks of dead units at the ends of epochs (marks), on the device.

A unit is dead at a mark when it passes no gradient on any training example. It *dies* at a mark where it is dead and
was not at the mark before, and *revives* the other way round; a unit that is dead at the first mark was born dead.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

NEVER, LATER = -1, 2**62

Mask = Bool[Tensor, "R U"]
Count = Int64[Tensor, "R U"]


class Life(NamedTuple):
    """Deaths and revivals of each unit so far, counted and with their steps; NEVER where there was none."""

    born_dead: Mask
    dead: Mask
    deaths: Count
    first_died: Count
    last_died: Count
    revivals: Count
    first_revived: Count
    last_revived: Count

    def rows(self) -> Int64[Tensor, "R 8 U"]:
        """Stack all fields into one tensor."""
        return torch.stack([field.long() for field in self], 1)

    @classmethod
    def of(cls, rows: Int64[Tensor, "R 8 U"]) -> "Life":
        """Restore a Life from `rows`."""
        born_dead, dead, *others = rows.unbind(1)
        return cls(born_dead.bool(), dead.bool(), *others)


def born(dead: Mask) -> Life:
    """Begin at the first mark, from its mask of dead units."""
    zero = torch.zeros_like(dead, dtype=torch.int64)
    never = torch.full_like(zero, NEVER)
    return Life(dead, dead, zero, never, never, zero, never, never)


def lived(life: Life, dead: Bool[Tensor, "T R U"], steps: Sequence[int]) -> Life:
    """Continue a Life by the masks of dead units at further marks, which ended these steps."""
    before = torch.cat([life.dead.unsqueeze(0), dead[:-1]])
    at = torch.tensor(steps, device=dead.device).view(-1, 1, 1)
    died = _happened(dead & ~before, at, life.deaths, life.first_died, life.last_died)
    revived = _happened(before & ~dead, at, life.revivals, life.first_revived, life.last_revived)
    return Life(life.born_dead, dead[-1], *died, *revived)


def _happened(
    event: Bool[Tensor, "T R U"], at: Int64[Tensor, "T 1 1"], count: Count, first: Count, last: Count
) -> tuple[Count, Count, Count]:
    """Update an event's count and the steps of its first and last occurrence."""
    earliest = torch.where(event, at, LATER).amin(0)
    is_first = (count == 0) & (earliest < LATER)
    latest = torch.where(event, at, NEVER).amax(0)
    return count + event.sum(0), torch.where(is_first, earliest, first), torch.maximum(last, latest)


def unit_rows(rows: Int64[Tensor, "8 U"], layers: dict[str, int]) -> dict[str, list[Any]]:
    """Tabulate a replica's units: columns by name, with None for the step of an event that did not happen.

    `rows` are the fields of a Life, and `layers` the number of units by layer.
    """
    fields = dict(zip(Life._fields, rows.tolist(), strict=True))
    for name in ("born_dead", "dead"):
        fields[name] = [bool(value) for value in fields[name]]
    for name in ("first_died", "last_died", "first_revived", "last_revived"):
        fields[name] = [None if step == NEVER else step for step in fields[name]]
    fields["dead_at_end"] = fields.pop("dead")
    return {
        "layer": [layer for layer, units in layers.items() for _ in range(units)],
        "unit": [unit for units in layers.values() for unit in range(units)],
        **fields,
    }
