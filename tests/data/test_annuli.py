"""Two rings: the same points in both coordinates, with the radii and angles that are asked for."""

import numpy as np
import pytest

from tests.reference import build
from workbench.config.compose import configure, configure_each
from workbench.config.prepare import build_pack, prepare
from workbench.data.datasets import Dataset


def test_both_coordinates_are_the_same_points() -> None:
    """x = r cos θ and y = r sin θ, θ in [-π, π], the labels alike."""
    cartesian: Dataset = build("data", "annuli")
    polar: Dataset = build("data", "annuli", coordinates="polar")
    r, theta = polar.x.T
    np.testing.assert_allclose(cartesian.x, np.stack([r * np.cos(theta), r * np.sin(theta)], 1), atol=1e-12)
    assert np.abs(theta).max() <= np.pi
    assert np.array_equal(cartesian.y, polar.y)
    assert cartesian.n_classes == 2


def test_without_noise_the_points_lie_on_two_circles() -> None:
    """Radius 1 is class 0, radius 2 class 1, half of the points each."""
    dataset: Dataset = build("data", "annuli", noise=0.0, points=100)
    np.testing.assert_allclose(np.hypot(*dataset.x.T), 1 + dataset.y, rtol=1e-12)
    assert np.bincount(dataset.y).tolist() == [50, 50]


def test_noise_and_angles_have_their_distributions() -> None:
    """The radius varies by the noise; each quadrant holds a quarter, to four standard errors."""
    dataset: Dataset = build("data", "annuli", points=20_000, coordinates="polar", noise=0.2)
    deviation = dataset.x[:, 0] - 1 - dataset.y
    assert deviation.std() == pytest.approx(0.2, rel=4 / np.sqrt(2 * 20_000))
    assert abs(deviation.mean()) < 4 * 0.2 / np.sqrt(20_000)
    quadrants = np.histogram(dataset.x[:, 1], bins=4, range=(-np.pi, np.pi))[0] / 20_000
    assert quadrants == pytest.approx([0.25] * 4, abs=4 * np.sqrt(0.25 * 0.75 / 20_000))


def test_a_seed_draws_other_points() -> None:
    """Equal seeds give equal points, others do not."""
    first, again, other = (build("data", "annuli", seed=seed, points=10).digest for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(("valid", "train"), [(0.18995, 50), (0.11995, 400)])
def test_the_claims_splits_have_their_sizes(valid: float, train: int) -> None:
    """50 and 400 points for training, 4000 for the test."""
    spec = configure(["experiment=representation", f"split.valid={valid}"])
    parts = prepare(spec).split(spec.config.split)
    assert (len(parts.train.x), len(parts.test.x)) == (train, 4000)


def test_without_a_seed_every_split_draws_its_own_points() -> None:
    """Two seeds of one pack share no point; the points of a split are those that its seed draws."""
    specs = configure_each(["data=annuli", "data.seed=null", "split.standardize=false"], [{"seed": 3}, {"seed": 4}])
    data = build_pack(specs).data
    train = [data.train.x[split].numpy() for split in data.split_of]
    assert not set(train[0][:, 0].tolist()) & set(train[1][:, 0].tolist())
    known: Dataset = build("data", "annuli", seed=3)
    assert set(train[0][:, 0].tolist()) <= set(known.x[:, 0].astype(np.float32).tolist())
