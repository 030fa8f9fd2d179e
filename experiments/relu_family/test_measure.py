"""The relatives of ReLU: the expected verdicts, and false variants that must be refuted."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from workbench.experiments.relu_family import identities, maxout_fits

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"layers": 5, "z": 500, "seeds": 2}
TRAINED = ("same_parameters", "same_width", "same_success")


def _exact(edit: Any = None, **module: Any) -> dict[str, Any]:
    """The verdicts of the parts that need no training."""

    def untrained(node: dict[str, Any]) -> None:
        node["parts"] = {name: part for name, part in node["parts"].items() if name not in TRAINED}
        if edit is not None:
            edit(node)

    return judged("relu_family", SMALL, untrained, {"training": lambda study: iter(()), **module})


@pytest.mark.parametrize("part", ["identities", "contained", "weight_vectors", "square", "convex", "not_monotone"])
def test_what_is_exact_is_supported(part: str) -> None:
    """Exact parts are supported in every cell."""
    assert all(cell.judgment.label is Label.supported for cell in _exact()[part].cells)


def test_one_piece_is_no_absolute_value() -> None:
    """Maxout with k = 1 is affine, so that it does not contain |z|."""
    pieces = {"relu": (1, 0), "absolute": (1,), "leaky_relu": (1, 0.01)}
    found = _exact(PIECES=pieces)["contained"]
    assert found.label is Label.refuted
    assert [cell.at["unit"] for cell in found.cells if cell.judgment.label is Label.refuted] == ["absolute"]


def test_a_smaller_error_of_k_pieces_is_refuted() -> None:
    """An error of 1/(3k²) instead of 1/(2k²) for k pieces is refuted."""
    assert _exact(best_error=lambda k: Fraction(1, 3 * k * k))["square"].label is Label.refuted


def test_a_wrong_sign_in_an_identity_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong sign is refuted: leaky ReLU is not α z + (1 + α) relu z."""
    wrong = identities.Identity(
        "leaky_relu", {"slope": 0.3}, [identities.Term(0.3, "identity"), identities.Term(1.3, "relu")]
    )
    monkeypatch.setitem(identities.IDENTITIES, "leaky from relu", [wrong])
    found = _exact()["identities"]
    assert found.label is Label.refuted
    assert [cell.at["identity"] for cell in found.cells if cell.judgment.label is Label.refuted] == ["leaky from relu"]


def test_one_weight_vector_for_k_pieces_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single weight vector for k pieces, as if maxout shared its weights, is refuted."""
    monkeypatch.setattr(maxout_fits, "weight_vectors", lambda k: Fraction(1))
    assert _exact()["weight_vectors"].label is Label.refuted


def test_a_wrong_law_of_errors_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law of errors with ten percent more curvature than exp x has is refuted."""
    wrong = replace(maxout_fits.CONVEX["exp x"], curvature=1.1 * maxout_fits.CONVEX["exp x"].curvature)
    monkeypatch.setitem(maxout_fits.CONVEX, "exp x", wrong)
    assert _exact()["convex"].label is Label.refuted


def test_a_monotone_unit_does_not_fall_and_rise() -> None:
    """ReLU is not found to fall and rise."""

    def relu(node: dict[str, Any]) -> None:
        node["parts"]["not_monotone"]["cells"]["unit"] = ["relu"]

    assert _exact(relu)["not_monotone"].label is not Label.supported


def test_training_compares_nets_of_equal_size() -> None:
    """All arms are tuned and trained; the parameters of the matched arm are within 2 % of those of relu."""

    def short(node: dict[str, Any]) -> None:
        node["tuning_seeds"] = 1
        node["arms"] = {name: [*overrides, "train.epochs=1"] for name, overrides in node["arms"].items()}

    study, found = studied("relu_family", SMALL, short)
    assert {len(found[part].cells) for part in ("same_parameters", "same_width")} == {2}
    assert len(study.tables["accuracy"]) == 2 * 6
    sizes = {
        arm: sum(value[0].numel() for value in study.pack(*overrides, seeds=[0]).initial_params().values())
        for arm, overrides in study.claim.arms.items()
    }
    assert sizes == {"relu": 3466, "maxout same parameters": 3430, "maxout same width": 6602}
