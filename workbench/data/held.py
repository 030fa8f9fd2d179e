"""Data sets that a program holds in memory, named in configurations by their digest."""

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.core.errors import DataError
from workbench.data.datasets import Dataset

_held: dict[str, Dataset] = {}


@contextmanager
def holding(dataset: Dataset) -> Iterator[dict[str, str]]:
    """Hold a data set while the block runs; yields the node that names it in a configuration."""
    _held[dataset.digest] = dataset
    try:
        yield {"_target_": f"{__name__}._of_digest", "digest": dataset.digest}
    finally:
        _held.pop(dataset.digest, None)


def _of_digest(digest: str) -> Dataset:
    """The data set with this digest; raises DataError where this program does not hold it."""
    if digest not in _held:
        raise DataError(f"data: the arrays with digest {digest} must be in this program's memory; give them again")
    return _held[digest]
