"""The claim on universal approximation with false variants, which must be refuted."""

from collections.abc import Mapping
from typing import Any

import pytest
from workbench.experiments.universal_approximation import approximation, greedy_nets, polynomials

from tests.claim_reference import judged as judged_at_size
from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict

SMALL = {"seeds": 8, "steps": 2, "points": 256, "candidates": 128}
FEW: dict[str, Any] = {"SIZES": [2, 16, 64], "SEVERAL": {2: [64], 3: [64]}}
MEASURED = {
    "constructed": ("density", "bound", "not_needed", "recommended"),
    "random_units": ("random_units", "polynomial"),
    "more_inputs": ("two_inputs", "three_inputs"),
    "trained": ("trained",),
    "rates": ("barron_bound", "random_directions"),
}


def judged(of: str, edit: Any = None, **module: Any) -> Mapping[str, PartVerdict]:
    """The verdicts of one of the claim's measurements, with few seeds, points and units."""

    def only(node: dict[str, Any]) -> None:
        if edit is not None:
            edit(node)
        node["parts"] = {name: {**node["parts"][name], "role": "primary"} for name in MEASURED[of]}

    others = {name: lambda study: iter(()) for name in MEASURED if name != of}
    return judged_at_size("universal_approximation", SMALL, only, {**FEW, **others, **module})


def changed(part: str, **cells: Any) -> Any:
    """An edit that puts other cells into a part's map."""
    return lambda node: node["parts"][part]["cells"].update(cells)


@pytest.fixture(scope="module")
def verdicts() -> Mapping[str, PartVerdict]:
    """The claim as it is, small."""
    return judged_at_size("universal_approximation", SMALL, None, FEW)


@pytest.mark.parametrize("part", ["density", "bound", "not_needed", "recommended", "polynomial", "barron_bound"])
def test_what_is_proved_is_supported(verdicts: Mapping[str, PartVerdict], part: str) -> None:
    """Proved parts are supported at any size of the profile."""
    assert verdicts[part].label is Label.supported


def test_untrained_nets_are_not_within_eps(verdicts: Mapping[str, PartVerdict]) -> None:
    """Nets trained for two steps are not within eps."""
    assert all(cell.judgment.effect == 0 for cell in verdicts["trained"].cells)


def test_a_polynomial_said_to_approximate_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A polynomial said to approximate is refuted: the interpolant of |z| built of z² is far off."""
    way = approximation.construction("absolute")
    square = approximation.make("monomial")

    def build(f: approximation.Function, n: int) -> approximation.Network:
        network = way.build(f, n)
        return approximation.Network(square, network.alpha, network.w, network.b)

    known = approximation.construction
    false = approximation.Construction(build, way.spread, way.slack, way.knots)
    monkeypatch.setattr(approximation, "construction", lambda name: false if name == "monomial" else known(name))
    found = judged("constructed", changed("density", activation=["sigmoid", "monomial"]))
    assert found["density"].label is Label.refuted
    assert found["density"].deciding.at["activation"] == "monomial"


def test_a_bound_that_is_too_small_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The knots of bump lie 0.6233 h away on average; 0.6 is too small."""
    monkeypatch.setattr(approximation, "BUMP_SPREAD", 0.6)
    found = judged("constructed")
    assert [cell.at["activation"] for cell in found["bound"].cells if cell.judgment.label is Label.refuted] == ["bump"]
    assert found["bound"].label is Label.refuted


def test_a_unit_that_meets_the_hypotheses_is_no_contradiction() -> None:
    """Sigmoid, which meets the theorem's hypotheses, refutes the contradiction."""
    found = judged("constructed", changed("recommended", activation=["relu", "sigmoid"]))
    assert found["recommended"].label is Label.refuted
    assert found["recommended"].deciding.at == {"activation": "sigmoid"}


def test_a_polynomial_error_that_is_too_large_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best polynomial of one degree less is beaten by networks of this degree."""
    best = polynomials.best
    monkeypatch.setattr(polynomials, "best", lambda x, y, degree: best(x, y, degree - 1))
    found = judged("random_units", changed("polynomial", degree=[2, 5]))
    assert found["polynomial"].label is Label.refuted


def test_barrons_bound_with_too_small_a_constant_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Barron's bound with a thousandth of (2C)² is refuted."""
    bound = greedy_nets.Wave.bound
    monkeypatch.setattr(greedy_nets.Wave, "bound", lambda wave, n: bound(wave, n) / 1000)
    assert judged("rates")["barron_bound"].label is Label.refuted


def test_no_network_of_several_inputs_is_no_witness(verdicts: Mapping[str, PartVerdict]) -> None:
    """No network of up to 64 units is within 0.01, which leaves the part open and refutes nothing."""
    for part in ("two_inputs", "three_inputs"):
        assert verdicts[part].label is Label.inconclusive
        assert "no N up to 64" in verdicts[part].deciding.judgment.reason


def test_a_network_of_two_inputs_is_a_witness() -> None:
    """Sigmoids are within 0.1 from 256 units on, which is the first size, so that the part is supported."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"]["two_inputs"]["cells"] = {"activation": ["sigmoid"], "eps": [0.1]}

    found = judged("more_inputs", edit, SEVERAL={2: [16, 256, 512], 3: [64]})["two_inputs"]
    assert (found.label, found.deciding.judgment.effect) == (Label.supported, 256)


def test_a_slope_that_is_too_flat_is_refuted() -> None:
    """A threshold of 30 for the slope in ten dimensions is refuted, as no slope is above."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"]["random_directions"]["rule"].update(than=30, absent=20)

    assert judged("rates", edit)["random_directions"].label is Label.refuted
