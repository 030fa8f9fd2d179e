"""Random hidden units with fitted outer weights, and trained nets in the units of their function."""

import numpy as np
import pytest
import torch
from workbench.experiments.universal_approximation.approximation import TARGETS, make
from workbench.experiments.universal_approximation.least_squares_nets import (
    FITTED,
    GRID,
    against_polynomials,
    largest_errors,
    largest_trained_errors,
    network,
    random_networks,
)
from workbench.experiments.universal_approximation.polynomials import best

import workbench as wb
from workbench.config.prepare import build_pack
from workbench.nn.activations import monomial


@pytest.mark.parametrize("name", ["sigmoid", "relu", "bump"])
def test_few_units_are_fitted_by_least_squares(name: str) -> None:
    """Few units are fitted as numpy fits them by least squares, up to the ridge."""
    fs = [target.f for target in TARGETS.values()]
    for fitted, f in zip(network(np.random.default_rng(3), make(name), 4, fs), fs, strict=True):
        columns, y = fitted.values(GRID[FITTED]), f(GRID[FITTED])
        best = np.linalg.lstsq(columns, y, rcond=None)[0]
        assert columns @ fitted.alpha == pytest.approx(columns @ best, abs=1e-5)


def test_monomials_are_polynomials() -> None:
    """Fifty units of z³ are one cubic polynomial: the fourth difference is 0 but for rounding."""
    (fitted,) = network(np.random.default_rng(0), monomial(3), 50, [np.sin])
    values = fitted(GRID[::64])
    assert np.abs(np.diff(values, 4)).max() < 1e-6 * np.abs(values).max()


def test_largest_error_is_over_the_grid() -> None:
    """Largest errors are over the grid, for each function with its own network."""
    fs = [np.sin, np.cos]
    both = network(np.random.default_rng(0), make("tanh"), 8, fs)
    assert largest_errors(both, fs).tolist() == pytest.approx(
        [np.abs(one(GRID) - f(GRID)).max() for one, f in zip(both, fs, strict=True)]
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("standardize", ["true", "false"])
def test_trained_nets_are_measured_in_the_units_of_f(target: str, standardize: str) -> None:
    """A net that says the mean of what it was trained on errs by the farthest value from it."""
    spec = wb.configure("data=curve", f"data.target={target}", f"split.standardize={standardize}")
    pack = build_pack([spec])
    params = pack.initial_params()
    params.flat.zero_()
    mean = torch.mean(pack.data.train.y)
    list(params.values())[-1].fill_(mean) if hasattr(params, "values") else params.flat[:, -1].fill_(mean)
    f = TARGETS[target].f
    known = f(np.linspace(0, 1, 257)).mean()
    found = largest_trained_errors(pack.objective.model, params, pack.data.train, f)
    assert found.tolist() == pytest.approx([np.abs(f(GRID) - known).max()], abs=1e-5)


def test_random_networks_share_their_draws() -> None:
    """Every activation and size begins the stream anew; each seed takes its own part of it."""
    found = list(random_networks(lambda: np.random.default_rng(5), ["tanh", "z^2"], [4, 8], [0, 1]))
    assert len(found) == 2 * 2 * 2 * len(TARGETS)
    fs = [target.f for target in TARGETS.values()]
    rng = np.random.default_rng(5)
    for seed in (0, 1):
        expected = largest_errors(network(rng, monomial(2), 8, fs), fs)
        own = [one for one in found if (one.activation, one.units, one.seed) == ("z^2", 8, seed)]
        assert [one.target for one in own] == list(TARGETS)
        assert [one.error for one in own] == expected.tolist()


@pytest.mark.parametrize("degree", [1, 3])
def test_no_network_of_monomials_beats_the_best_polynomial(degree: int) -> None:
    """Networks of monomials err by more than the best polynomial, whose error is what the proof says."""
    names = ["tanh", f"z^{degree}", "z^2"]
    networks = list(random_networks(lambda: np.random.default_rng(1), names, [16], [0, 1]))
    ratios, proof = against_polynomials(networks, degree)
    least = {name: best(GRID, target.f(GRID), degree).least for name, target in TARGETS.items()}
    assert ratios == pytest.approx([one.error / least[one.target] for one in networks if one.activation == names[1]])
    assert min(ratios) > 1
    assert proof.startswith(f"alternation: sine ≥ {least['sine']:.4g}, corner")
