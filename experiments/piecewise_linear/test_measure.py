"""Piecewise linear nets: the expected verdicts, and false variants that must be refuted."""

from typing import Any

import pytest

from tests.claim_reference import judged
from workbench.claims.catalog import choose
from workbench.claims.rules import Label

SMALL = {"nets": 12, "seeds": 8, "digits_seeds": 6}
EXACT = {"affine": "unit", "smooth": "unit", "output": "output", "sawtooth": ""}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Any]:
    """Verdicts of the claim as it stands."""
    return judged("piecewise_linear", SMALL)


@pytest.mark.parametrize("part", ["affine", "output", "smooth", "sawtooth"])
def test_what_is_exact_is_supported(verdicts: dict[str, Any], part: str) -> None:
    """Exact parts are supported, with something checked in every cell."""
    assert verdicts[part].label is Label.supported
    assert all(cell.judgment.n > 0 for cell in verdicts[part].cells)


def test_counts_are_near_one_per_unit(verdicts: dict[str, Any]) -> None:
    """Counts of pieces are near 1 per unit, and do not depend on depth, as in wide nets; few seeds need not decide."""
    assert verdicts["pieces_per_unit"].deciding.judgment.effect == pytest.approx(1, abs=0.1)
    assert verdicts["pieces_by_depth"].deciding.judgment.effect == pytest.approx(0, abs=0.03)
    assert 0 < verdicts["typical"].deciding.judgment.effect < 2


def _exact(part: str, *values: str, **module: Any) -> Any:
    """The verdict of a part on nets before training, with these units or outputs; one of each in the other parts."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in EXACT}
        for name, key in EXACT.items():
            cells = node["parts"][name].get("cells", {})
            cells |= {key: list(values) if name == part else cells[key][:1]} if key else {}

    others = {name: lambda study: iter(()) for name in ("at_initialization", "on_digits")}
    return judged("piecewise_linear", SMALL, edit, {**others, **module})[part]


@pytest.mark.parametrize("smooth", ["softplus", "tanh", "gelu"])
def test_a_smooth_unit_among_the_piecewise_linear_ones_is_refuted(smooth: str) -> None:
    """A smooth unit among the piecewise linear units is refuted: the test of straightness is able to fail."""
    found = _exact("affine", "relu", smooth)
    assert found.label is Label.refuted
    assert {cell.at["unit"] for cell in found.cells if cell.judgment.label is Label.refuted} == {smooth}


def test_a_piecewise_linear_unit_among_the_smooth_ones_is_refuted() -> None:
    """A piecewise linear unit in place of tanh is refuted among the smooth units: not all nets are bent."""
    assert _exact("smooth", "tanh", "absolute").label is Label.refuted


def test_logits_are_not_bent() -> None:
    """Logits, without the output's activation, make the second primary part false."""
    assert _exact("output", "sigmoid", "identity").label is Label.refuted


def test_one_more_piece_is_refuted() -> None:
    """A sawtooth said to have 2^L + 1 pieces is refuted."""
    found = _exact("sawtooth", sawtooth_pieces=lambda depth: 2**depth + 1)
    assert found.label is Label.refuted
    assert found.deciding.judgment.effect == 12


def test_two_pieces_per_unit_are_refuted() -> None:
    """Equivalence to two pieces per unit is refuted: the test of equivalence is able to fail."""

    def two(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in ("pieces_per_unit", "pieces_by_depth")}
        node["parts"]["pieces_per_unit"]["role"] = "primary"
        node["parts"]["pieces_per_unit"]["rule"]["around"] = 2

    (entry,) = choose(["piecewise_linear"])
    counted = {"measure": entry.load().at_initialization}
    assert judged("piecewise_linear", SMALL, two, counted)["pieces_per_unit"].label is Label.refuted
