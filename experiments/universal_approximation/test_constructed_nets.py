"""Constructed networks measured: sizes that are named suffice, and rows are those of the construction."""

import numpy as np
import pytest
from workbench.experiments.universal_approximation import approximation, constructed_nets
from workbench.experiments.universal_approximation.least_squares_nets import GRID


@pytest.mark.parametrize("activation", ["tanh", "relu", "bump"])
def test_named_sizes_suffice(activation: str) -> None:
    """The sizes named in the proof have errors on the grid below eps."""
    errors, proof = constructed_nets.named(activation, 0.05)
    way = approximation.construction(activation)
    for name, target in approximation.TARGETS.items():
        network = way.build(target.f, way.intervals(target, 0.05))
        assert errors[name] == pytest.approx(np.abs(network(GRID) - target.f(GRID)).max())
        assert f"{name} N = {len(network)}" in proof
    assert 0 < max(errors.values()) < 0.05


def test_rows_by_size_skip_what_is_too_small() -> None:
    """No bump network has fewer units than its knots outside [0, 1]; no row exceeds its bound or its size."""
    rows = list(constructed_nets.by_size("bump", [2, 16, 64]))
    assert [row.units for row in rows] == [16, 64] * 3
    assert list(dict.fromkeys(row.target for row in rows)) == list(approximation.TARGETS)
    assert all(0 < row.error <= row.bound for row in rows)
    assert [row.units for row in constructed_nets.by_size("relu", [2, 3])] == [2, 3] * 3
