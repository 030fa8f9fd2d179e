"""Units as sums of units: the identities hold, and what is no identity does not."""

import pytest
import torch
from workbench.experiments.relu_family.identities import IDENTITIES, Identity, Term, deviations
from workbench.experiments.relu_family.maxout_fits import inputs_away_from_ties


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_hold(name: str) -> None:
    """Identities hold in value and derivative, for every case at every z."""
    found = deviations(name, inputs_away_from_ties(500, 2))
    assert len(found) == 500 * len(IDENTITIES[name])
    assert max(found) < 1e-12


@pytest.mark.parametrize(
    ("f", "terms"),
    [
        ("absolute", [Term(1, "relu"), Term(-1, "relu", -1)]),
        ("relu", [Term(0.5, "identity"), Term(0.5 + 1e-9, "absolute")]),
        ("leaky_relu", [Term(1, "relu")]),
    ],
)
def test_other_sums_differ(f: str, terms: list[Term], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums with a wrong sign, a factor off by 1e-9 or a term too few are no identities."""
    monkeypatch.setitem(IDENTITIES, "wrong", [Identity(f, {}, terms)])
    assert max(deviations("wrong", inputs_away_from_ties(50, 2))) > 1e-10


def test_derivatives_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """|z| and z agree at z = 1 and differ in slope at no z > 0; a step away from 0 has the value of its side only."""
    monkeypatch.setitem(IDENTITIES, "same value", [Identity("unit_step", {}, [Term(1, "relu")])])
    assert deviations("same value", torch.tensor([1.0, -1.0], dtype=torch.float64)) == [1.0, 0.0]
