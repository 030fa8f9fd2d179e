"""Filters whose orientation is known, and channels whose classes are."""

import numpy as np
import pytest
from workbench.experiments.image_representation import filters, stages

EDGE = np.tile([-1.0, -1.0, 0.0, 1.0, 1.0], (5, 1))
PLACE = np.arange(5) - 2
SPOT = np.exp(-(PLACE[:, None] ** 2 + PLACE**2) / 2.0)


@pytest.mark.parametrize(
    ("name", "filter_", "expected"),
    [
        ("an edge", EDGE, 1.0),
        ("the edge turned by a right angle", EDGE.T, 1.0),
        ("a shifted bar on a gray ground", np.roll(np.eye(5)[2], 1) * np.ones((5, 1)) + 3, 1.0),
        ("a diagonal bar", np.eye(5), 1.0),
        ("a spot", SPOT, 0.0),
        ("no contrast", np.ones((5, 5)), 0.0),
        ("an edge and itself turned", EDGE + EDGE.T, 0.0),
    ],
)
def test_selectivity_is_one_for_edges_and_none_for_spots(name: str, filter_: np.ndarray, expected: float) -> None:
    """Edges and bars, also the diagonal one, have power in one direction; spots and crosses in none."""
    assert filters.selectivity(filter_) == pytest.approx(expected, abs=1e-12), name


def test_two_gratings_by_hand() -> None:
    """Powers 3 and 1 of gratings at right angles: |3 − 1| / 4; at 45 degrees: |3 + i| / 4."""
    x = 2 * np.pi * np.arange(5) / 5
    across, down, diagonal = np.cos(x)[None, :], np.cos(x)[:, None], np.cos(x[:, None] + x)
    assert filters.selectivity(np.sqrt(3) * across + down) == pytest.approx(0.5)
    assert filters.selectivity(np.sqrt(3) * across + diagonal) == pytest.approx(np.sqrt(10) / 4)


def test_redrawn_filters_forget_direction_and_keep_frequency() -> None:
    """Edges lose their orientation, white noise has as much as before, and one low frequency more."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((400, 5, 5))
    drawn = filters.redrawn(white, 20, rng)
    assert drawn.shape == (20, 400)
    assert drawn.mean() == pytest.approx(filters.selectivity(white).mean(), abs=0.01)
    assert filters.redrawn(EDGE, 400, rng).mean() < 0.6
    lowest = np.cos(2 * np.pi * np.arange(5) / 5) * np.ones((5, 1))
    assert filters.redrawn(lowest, 2000, rng).mean() == pytest.approx(0.5, abs=0.03)  # |p − q| / (p + q), p = -log u


def test_channels_that_know_the_class_alone_and_those_that_do_not() -> None:
    """Means 0 and 2 by class, deviations ±1 within: η² = 1/2; channels that do not vary are left out."""
    labels = np.array([0, 0, 1, 1])
    values = np.array([[-1, 1, 1, 3], [0, 0, 2, 2], [-1, 1, -1, 1], [5, 5, 5, 5]]).T
    maps = np.broadcast_to(values[:, None, None, :], (4, 2, 3, 4)).astype(float)
    assert stages.between_classes(maps, labels) == pytest.approx((0.5 + 1 + 0) / 3)
    assert stages.between_classes(maps[..., 3:], labels) == 0
    spread = maps + np.array([1.0, -1.0])[:, None, None]  # over positions, which a mean does not see
    assert stages.between_classes(spread, labels) == pytest.approx(0.5)
