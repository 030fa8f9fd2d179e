"""Piecewise linear nets: the expected verdicts, and false variants that must be refuted."""

from typing import Any

import pytest

from tests.claim_reference import judged
from workbench.claims.rules import Label

SMALL = {"nets": 12, "seeds": 8, "digits_seeds": 6}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Any]:
    """Of the claim as it stands."""
    return judged("piecewise_linear", SMALL)


@pytest.mark.parametrize("part", ["affine", "output", "smooth", "sawtooth"])
def test_what_is_exact_is_supported(verdicts: dict[str, Any], part: str) -> None:
    """In every cell, with something checked there."""
    assert verdicts[part].label is Label.supported
    assert all(cell.judgment.n > 0 for cell in verdicts[part].cells)


def test_counts_are_near_one_per_unit(verdicts: dict[str, Any]) -> None:
    """Few seeds need not decide, but the numbers are near those of wide nets."""
    assert verdicts["pieces_per_unit"].deciding.judgment.effect == pytest.approx(1, abs=0.1)
    assert verdicts["pieces_by_depth"].deciding.judgment.effect == pytest.approx(0, abs=0.03)
    assert 0 < verdicts["typical"].deciding.judgment.effect < 2


def _units(node: dict[str, Any], part: str, *units: str) -> None:
    node["parts"][part]["cells"]["unit"] = list(units)


@pytest.mark.parametrize("smooth", ["softplus", "tanh", "gelu"])
def test_a_smooth_unit_among_the_piecewise_linear_ones_is_refuted(smooth: str) -> None:
    """The test of straightness is able to fail."""
    found = judged("piecewise_linear", SMALL, lambda node: _units(node, "affine", "relu", smooth))
    assert found["affine"].label is Label.refuted
    assert {cell.at["unit"] for cell in found["affine"].cells if cell.judgment.label is Label.refuted} == {smooth}


def test_a_piecewise_linear_unit_among_the_smooth_ones_is_refuted() -> None:
    """Nor are all nets bent."""
    found = judged("piecewise_linear", SMALL, lambda node: _units(node, "smooth", "tanh", "absolute"))
    assert found["smooth"].label is Label.refuted


def test_logits_are_not_bent() -> None:
    """Without the output's activation the second primary part is false."""

    def identity(node: dict[str, Any]) -> None:
        node["parts"]["output"]["cells"]["output"] = ["sigmoid", "identity"]

    assert judged("piecewise_linear", SMALL, identity)["output"].label is Label.refuted


def test_one_more_piece_is_refuted() -> None:
    """2^L + 1 pieces."""
    found = judged("piecewise_linear", SMALL, module={"sawtooth_pieces": lambda depth: 2**depth + 1})
    assert found["sawtooth"].label is Label.refuted
    assert found["sawtooth"].deciding.judgment.effect == 12


def test_two_pieces_per_unit_are_refuted() -> None:
    """The equivalence is able to fail."""

    def two(node: dict[str, Any]) -> None:
        node["parts"]["pieces_per_unit"]["rule"]["around"] = 2

    assert judged("piecewise_linear", SMALL, two)["pieces_per_unit"].label is Label.refuted
