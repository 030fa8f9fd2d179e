"""Data sets: what they hold, and that their digest is their content."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference import OF_TOKENS, blobs, build, stems
from workbench.core.errors import DataError
from workbench.data.datasets import CURVES, NO_TARGET, Dataset

NAMES = stems("data")

# examples, features, classes as published (scikit-learn's and UCI's pages) or said in the yaml; None for real targets
PUBLISHED = {
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "diabetes": (442, 10, None),
    "xor": (4, 2, 2),
    "curve": (257, 1, None),
    "shifted_digits": (1797, 256, 10),
    "parity": (16, 4, 2),
    "recall": (10_000, 64, 32),
    "copy": (10_000, 32, 16),
    "parity_stream": (10_000, 16, 2),
    "counter": (10_000, 16, 5),
    "agreement": (10_000, 27, 2),
}
OWN = {"idx": "idx", "npz": "arrays", "table": "plain", "openml": "little"}  # named for their files


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_well_formed(name: str) -> None:
    """x [N, I] in float64 (images in float32, tokens in int64), finite; all classes present; real targets [N, K]."""
    dataset: Dataset = build("data", name)
    assert dataset.name == OWN.get(name, name)
    usual = np.int64 if name in OF_TOKENS else np.float64
    assert dataset.x.dtype == (np.float32 if name == "idx" else usual)
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
        assert np.unique(dataset.y[dataset.y != NO_TARGET]).tolist() == list(range(dataset.n_classes))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_sizes_are_the_published_ones(name: str) -> None:
    """Numbers of examples, features or positions, and classes are those."""
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
    """A curve's targets are its function at equidistant points from 0 to 1, both included, and nothing is held out."""
    values = {
        "sine": [0, 1, 0, -1, 0],
        "corner": [0.3, 0.05, 0.2, 0.45, 0.7],
        "runge": [1 / 26, 4 / 29, 1, 4 / 29, 1 / 26],
        "absolute": [0, 0.25, 0.5, 0.75, 1],
        "square": [0, 1 / 16, 1 / 4, 9 / 16, 1],
        "wiggle": [0, 0.25 * 0.9489846194, 0.5 * 0.5984721441, 0.75 * -0.5715613187, -0.9589242747],
        "broken_wiggle": [0, 1.1897969239, 1.1196944288, 0.8856877363, 0.8082151451],
    }
    dataset: Dataset = build("data", "curve", target=target, points=5)
    assert dataset.x.tolist() == [[0], [0.25], [0.5], [0.75], [1]]
    assert dataset.y[:, 0] == pytest.approx(values[target], abs=1e-10)
    assert not dataset.split


def test_digest_is_a_function_of_the_content() -> None:
    """Equal arrays in any memory order have one digest; the name is no part of it."""
    dataset = blobs(40, 3, 4)
    assert len(dataset.digest) == 16
    assert blobs(40, 3, 4).digest == dataset.digest
    assert replace(dataset, x=np.asfortranarray(dataset.x), name="other").digest == dataset.digest


@pytest.mark.parametrize("name", NAMES)
def test_digest_repeats_itself(name: str) -> None:
    """Loading again gives the same digest."""
    assert build("data", name).digest == build("data", name).digest


def test_digests_differ() -> None:
    """No two data sets have one digest."""
    assert len({build("data", name).digest for name in NAMES}) == len(NAMES)


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


def test_shifted_digits_are_the_digits_elsewhere() -> None:
    """Each image lies whole on its canvas; every place is taken equally often, to four standard errors."""
    digits: Dataset = build("data", "digits")
    shifted: Dataset = build("data", "shifted_digits", canvas=10)
    assert np.array_equal(shifted.y, digits.y)
    canvas = shifted.x.reshape(-1, 10, 10)
    windows = np.lib.stride_tricks.sliding_window_view(canvas, (8, 8), axis=(1, 2)).reshape(-1, 9, 64)
    match = (windows == digits.x[:, None]).all(2) & (windows.sum(2) == canvas.sum((1, 2))[:, None])
    assert match.any(1).all()
    sure = match.sum(1) == 1  # an image with an empty border fits several places
    assert np.bincount(match[sure].argmax(1), minlength=9) / sure.sum() == pytest.approx(
        [1 / 9] * 9, abs=4 * np.sqrt(8 / 81 / sure.sum())
    )
    assert len({build("data", "shifted_digits", seed=seed).digest for seed in (0, 0, 1)}) == 2


def test_on_a_canvas_of_their_size_digits_stay() -> None:
    """Digits shifted on a canvas of their own size, with one place only, equal the plain digits."""
    assert np.array_equal(build("data", "shifted_digits", canvas=8).x, build("data", "digits").x)


@pytest.mark.parametrize("classes", [2, 3])
def test_spirals_wind_around_the_center(classes: int) -> None:
    """Spiral points without noise have the angle that their radius and class give; noise adds its own deviation."""
    dataset: Dataset = build("data", "spirals", classes=classes, points=300, turns=2.0, noise=0.0)
    r, angle = np.hypot(*dataset.x.T), np.arctan2(dataset.x[:, 1], dataset.x[:, 0])
    assert (r <= 1).all()
    away = angle / (2 * np.pi) - 2 * r - dataset.y / classes
    np.testing.assert_allclose(away, np.round(away), atol=1e-9)
    assert np.bincount(dataset.y).tolist() == [300 // classes] * classes
    noisy: Dataset = build("data", "spirals", classes=classes, points=300, turns=2.0, noise=0.1)
    assert (noisy.x - dataset.x).std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * 600))


def test_parity_counts_ones() -> None:
    """Two bits are XOR; every pattern occurs, and a flipped bit flips the class."""
    xor: Dataset = build("data", "xor")
    two: Dataset = build("data", "parity", bits=2)
    assert (two.x.tolist(), two.y.tolist(), two.split) == (xor.x.tolist(), xor.y.tolist(), False)
    five: Dataset = build("data", "parity", bits=5)
    classes = {tuple(x): int(y) for x, y in zip(five.x.tolist(), five.y, strict=True)}
    assert len(classes) == 32
    for x, y in classes.items():
        assert classes[1 - x[0], *x[1:]] == 1 - y


def test_copies_of_parity_are_split_and_noisy() -> None:
    """Several copies have noise of their own around their pattern."""
    dataset: Dataset = build("data", "parity", bits=3, copies=50, noise=0.1)
    assert dataset.split
    patterns = dataset.x.round().reshape(8, 50, 3)
    assert np.array_equal(patterns, np.broadcast_to(patterns[:, :1], patterns.shape))
    assert np.array_equal(patterns[:, 0].sum(1) % 2, dataset.y.reshape(8, 50)[:, 0])
    assert (dataset.x - dataset.x.round()).std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * dataset.x.size))


def test_curve_takes_an_interval() -> None:
    """|x| needs both sides of its corner; an empty interval is refused."""
    dataset: Dataset = build("data", "curve", target="absolute", points=5, low=-2.0, high=2.0)
    assert dataset.x[:, 0].tolist() == [-2, -1, 0, 1, 2]
    assert dataset.y[:, 0].tolist() == [2, 1, 0, 1, 2]
    with pytest.raises(DataError, match=r"^data.low: must be below data.high, got 1 and 1; write"):
        build("data", "curve", low=1.0, high=1.0)
