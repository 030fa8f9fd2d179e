"""The claim on universal approximation with false variants, which must be refuted."""

from collections.abc import Mapping
from typing import Any

import pytest
from workbench.experiments.universal_approximation import approximation, greedy_nets, polynomials

from tests.claim_reference import judged as judged_at_size
from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict

SMALL = {"seeds": 8, "steps": 2, "points": 256, "candidates": 128}


def judged(edit: Any = None, **module: Any) -> Mapping[str, PartVerdict]:
    """The claim with few seeds, steps, points and units."""
    return judged_at_size("universal_approximation", SMALL, edit, {"SIZES": [2, 16, 64], **module})


def changed(part: str, **cells: Any) -> Any:
    """An edit that puts other cells into a part's map."""
    return lambda node: node["parts"][part]["cells"].update(cells)


@pytest.fixture(scope="module")
def verdicts() -> Mapping[str, PartVerdict]:
    """The claim as it is, small."""
    return judged()


@pytest.mark.parametrize("part", ["density", "bound", "not_needed", "recommended", "polynomial", "barron_bound"])
def test_what_is_proved_is_supported(verdicts: Mapping[str, PartVerdict], part: str) -> None:
    """At any size of the profile."""
    assert verdicts[part].label is Label.supported


def test_untrained_nets_are_not_within_eps(verdicts: Mapping[str, PartVerdict]) -> None:
    """Two steps are no training."""
    assert all(cell.judgment.effect == 0 for cell in verdicts["trained"].cells)


def test_a_polynomial_said_to_approximate_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpolant of |z| built of z² instead is far off."""
    way = approximation.construction("absolute")
    square = approximation.make("monomial")

    def build(f: approximation.Function, n: int) -> approximation.Network:
        network = way.build(f, n)
        return approximation.Network(square, network.alpha, network.w, network.b)

    known = approximation.construction
    false = approximation.Construction(build, way.spread, way.slack, way.knots)
    monkeypatch.setattr(approximation, "construction", lambda name: false if name == "monomial" else known(name))
    found = judged(changed("density", activation=["sigmoid", "monomial"]))
    assert found["density"].label is Label.refuted
    assert found["density"].deciding.at["activation"] == "monomial"


def test_a_bound_that_is_too_small_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The knots of bump lie 0.6233 h away on average; 0.6 is too small."""
    monkeypatch.setattr(approximation, "BUMP_SPREAD", 0.6)
    found = judged()
    assert [cell.at["activation"] for cell in found["bound"].cells if cell.judgment.label is Label.refuted] == ["bump"]
    assert found["bound"].label is Label.refuted


def test_a_unit_that_meets_the_hypotheses_is_no_contradiction() -> None:
    """The lecture's theorem is about sigmoid."""
    found = judged(changed("recommended", activation=["relu", "sigmoid"]))
    assert found["recommended"].label is Label.refuted
    assert found["recommended"].deciding.at == {"activation": "sigmoid"}


def test_a_polynomial_error_that_is_too_large_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best polynomial of one degree less is beaten by networks of this degree."""
    best = polynomials.best
    monkeypatch.setattr(polynomials, "best", lambda x, y, degree: best(x, y, degree - 1))
    found = judged(changed("polynomial", degree=[2, 5]))
    assert found["polynomial"].label is Label.refuted


def test_barrons_bound_with_too_small_a_constant_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of (2C)²."""
    bound = greedy_nets.Wave.bound
    monkeypatch.setattr(greedy_nets.Wave, "bound", lambda wave, n: bound(wave, n) / 1000)
    assert judged()["barron_bound"].label is Label.refuted


def test_a_rate_that_is_too_fast_is_refuted() -> None:
    """No slope of -0.9 is one of -30."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"]["barron_rate"]["rule"].update(than=-30, absent=-20)

    assert judged(edit)["barron_rate"].label is Label.refuted
