"""Data sets: what they hold, and that their digest is their content."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference import blobs, build, stems
from workbench.data.datasets import CURVES, Dataset

NAMES = stems("data")

# examples, features, classes as published (scikit-learn's and UCI's pages); None for real targets
PUBLISHED = {
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "diabetes": (442, 10, None),
    "xor": (4, 2, 2),
    "curve": (257, 1, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_well_formed(name: str) -> None:
    """x [N, I] in float64, finite; labels are 0 … classes - 1, each present; real targets are [N, K]."""
    dataset: Dataset = build("data", name)
    assert dataset.name == name
    assert dataset.x.dtype == np.float64
    assert dataset.x.ndim == 2
    assert np.isfinite(dataset.x).all()
    assert len(dataset.x) == len(dataset.y)
    if dataset.n_classes is None:
        assert dataset.task == "regression"
        assert dataset.y.dtype == np.float64
        assert dataset.y.ndim == 2
        assert np.isfinite(dataset.y).all()
    else:
        assert dataset.task == "classification"
        assert dataset.y.dtype == np.int64
        assert np.unique(dataset.y).tolist() == list(range(dataset.n_classes))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_sizes_are_the_published_ones(name: str) -> None:
    """Examples, features and classes."""
    dataset: Dataset = build("data", name)
    assert (*dataset.x.shape, dataset.n_classes) == PUBLISHED[name]


def test_xor_is_xor() -> None:
    """Class 1 where exactly one input is 1."""
    dataset: Dataset = build("data", "xor")
    table = {tuple(x): int(y) for x, y in zip(dataset.x.astype(int).tolist(), dataset.y, strict=True)}
    assert table == {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}
    assert not dataset.split


@pytest.mark.parametrize("target", CURVES)
def test_curve_is_its_function_at_equidistant_points(target: str) -> None:
    """From 0 to 1, both included; nothing is held out."""
    values = {
        "sine": [0, 1, 0, -1, 0],
        "corner": [0.3, 0.05, 0.2, 0.45, 0.7],
        "runge": [1 / 26, 4 / 29, 1, 4 / 29, 1 / 26],
    }
    dataset: Dataset = build("data", "curve", target=target, points=5)
    assert dataset.x.tolist() == [[0], [0.25], [0.5], [0.75], [1]]
    assert dataset.y[:, 0] == pytest.approx(values[target], abs=1e-15)
    assert not dataset.split


def test_digest_is_a_function_of_the_content() -> None:
    """Equal arrays in any memory order have one digest; the name is no part of it."""
    dataset = blobs(40, 3, 4)
    assert len(dataset.digest) == 16
    assert blobs(40, 3, 4).digest == dataset.digest
    assert replace(dataset, x=np.asfortranarray(dataset.x), name="other").digest == dataset.digest


@pytest.mark.parametrize("name", NAMES)
def test_digest_repeats_itself(name: str) -> None:
    """Loading again gives the same digest, different for every data set."""
    assert build("data", name).digest == build("data", name).digest
    assert len({build("data", other).digest for other in NAMES}) == len(NAMES)


def test_digest_changes_with_any_part_of_the_content() -> None:
    """The last bit of one input, one label, the order of examples, the shape and the type all count."""
    dataset = blobs(40, 3, 4)
    nudged, relabeled = dataset.x.copy(), dataset.y.copy()
    nudged[-1, -1] = np.nextafter(nudged[-1, -1], np.inf)
    relabeled[0] = (relabeled[0] + 1) % 4
    others = [
        replace(dataset, x=nudged),
        replace(dataset, y=relabeled),
        replace(dataset, x=dataset.x[::-1]),
        replace(dataset, x=dataset.x.reshape(3, 40)),
        replace(dataset, x=dataset.x.view(np.int64)),
    ]
    assert len({one.digest for one in [dataset, *others]}) == 6
