"""Data sets that are pictures say so, and their numbers and digests are what they were before."""

from pathlib import Path

import numpy as np
import pytest

from tests.data_files import idx_arrays, write_idx_folder
from tests.reference import build
from workbench.data.datasets import Dataset
from workbench.data.files import idx, npz


@pytest.mark.parametrize(
    ("name", "shape", "digest"),
    [("digits", (8, 8, 1), "562232acc926f170"), ("shifted_digits", (16, 16, 1), "04a0d1962587296a")],
)
def test_digits_are_pictures(name: str, shape: tuple[int, ...], digest: str) -> None:
    """H·W·C numbers in rows; the digest, which runs are known by, does not depend on the shape."""
    dataset: Dataset = build("data", name)
    assert (dataset.shape, dataset.inputs.kind, dataset.digest) == (shape, "picture", digest)
    assert dataset.inputs.size == dataset.x.shape[1]


@pytest.mark.parametrize(("pool", "side"), [(1, 4), (2, 2)])
def test_idx_files_are_pictures(tmp_path: Path, pool: int, side: int) -> None:
    """Images have their sides, or those of the pooled ones."""
    dataset = idx(str(write_idx_folder(tmp_path, idx_arrays())), pool=pool)
    assert (dataset.shape, dataset.inputs.size) == ((side, side, 1), dataset.x.shape[1])


@pytest.mark.parametrize(
    ("sides", "shape"), [((4, 3), (4, 3, 1)), ((4, 3, 2), (4, 3, 2)), ((5,), ()), ((1, 2, 3, 4), ())]
)
def test_arrays_with_rows_and_columns_are_pictures(
    tmp_path: Path, sides: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """x [N, H, W] and [N, H, W, C] of an npz file; others are features."""
    file = tmp_path / "own.npz"
    np.savez(file, x=np.zeros((6, *sides)), y=np.arange(6) % 2)
    assert npz(str(file)).shape == shape
