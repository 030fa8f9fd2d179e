"""Data sets and their splits, kept in memory for the runs that share them.

A data set from files is read again where a file changed, or where another file stands at its path.
"""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from workbench.config.instantiate import call
from workbench.data.datasets import Dataset
from workbench.data.splits import Change, Split, held_by_float32, split, target_unit

MOST_FILES = 20  # of a folder whose changes are noticed
LARGE = 2**25  # bytes of a data set of whose splits one is kept in memory


def data_identity(node: Mapping[str, Any]) -> str:
    """Node of a data set, with place, size and time of each file or folder that it names, as text."""
    places = [os.path.realpath(value) for value in node.values() if isinstance(value, str) and os.path.exists(value)]
    files = [file for place in places for file in [place, *map(str, Path(place).glob("*"))][:MOST_FILES]]
    statuses = [(file, os.stat(file)) for file in files if os.path.exists(file)]
    return json.dumps([node, [(file, status.st_size, status.st_mtime_ns) for file, status in statuses]], sort_keys=True)


@lru_cache(maxsize=8)
def load_dataset(identity: str) -> Dataset:
    """Checked data set of a `data_identity`; raises as its function does."""
    dataset: Dataset = call("data", json.loads(identity)[0])
    return dataset.checked()


def _of_split(identity: str, seed: int) -> str:
    """Identity of the data that a split is of: points without a seed of their own are drawn anew for each split."""
    node, files = json.loads(identity)
    return identity if node.get("seed", 0) is not None else json.dumps([{**node, "seed": seed}, files], sort_keys=True)


def _drawn(
    identity: str, seed: int, valid: float, test: float, standardize: bool, change: Change, dtype: torch.dtype
) -> Split:
    dataset = load_dataset(_of_split(identity, seed))
    parts = split(dataset, seed, valid, test, standardize, change)
    return held_by_float32(dataset, parts, standardize) if dtype is torch.float32 else parts


_split = lru_cache(maxsize=32)(_drawn)
_large_split = lru_cache(maxsize=1)(_drawn)


def draw_split(
    identity: str, seed: int, valid: float, test: float, standardize: bool, change: Change, dtype: torch.dtype
) -> Split:
    """Split of a data set by these settings; of a large one, only the last is kept."""
    draw = _split if load_dataset(identity).x.nbytes < LARGE else _large_split
    return draw(identity, seed, valid, test, standardize, change, dtype)


@lru_cache(maxsize=32)
def draw_unit(identity: str, seed: int, valid: float, test: float, standardize: bool, change: Change) -> float | None:
    """Size of 1 of a split's real target in the data's own unit; None for classes and several targets."""
    unit = target_unit(load_dataset(_of_split(identity, seed)), seed, valid, test, change)
    return unit if standardize or unit is None else 1.0
