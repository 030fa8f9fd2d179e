"""Facts about untrained nets, and mistakes that must be found."""

import pytest
import torch
from workbench.experiments.attention import paths

from workbench.claims.catalog import choose
from workbench.claims.study import Study
from workbench.nn.layers.attention import Attention
from workbench.nn.model import Model
from workbench.nn.params import Params

(ENTRY,) = choose(["attention"])


@pytest.fixture
def study() -> Study:
    """Study without settings: nets have fixed numbers."""
    return Study(ENTRY, {})


SLOW = (pytest.param(net, marks=pytest.mark.slow) for net in ("elman", "gru", "tcn"))


@pytest.mark.parametrize("net", ["lstm", "transformer", *SLOW])
def test_paths_have_the_lengths_of_the_claim(study: Study, net: str) -> None:
    """The Jacobian is exactly 0 below the path's length, and not at it."""
    found = paths.paths(study, net, 3, 14)
    assert (found.checked, found.counterexamples, found.worst) == (6, 0, 0.0)


@pytest.mark.parametrize(("net", "wrong"), [("lstm", 13), ("lstm", 15), ("tcn", 2), ("tcn", 4)])
@pytest.mark.slow
def test_a_wrong_length_is_found(study: Study, monkeypatch: pytest.MonkeyPatch, net: str, wrong: int) -> None:
    """One less leaves zeros at the length, one more leaves none below it: each of three nets is a counterexample."""
    monkeypatch.setattr(paths, "least", lambda net, positions: wrong)
    assert paths.paths(study, net, 3, 14).counterexamples == 3


def test_a_jacobian_is_that_of_autograd() -> None:
    """The largest entry is that of autograd's Jacobian, for one layer of attention."""
    layer = Attention("l1", 4, 2, True)
    stream = torch.Generator().manual_seed(0)
    shapes = {"l1.W": (12, 4), "l1.b": (12,), "l1.out.W": (4, 4), "l1.out.b": (4,)}
    row = {name: torch.randn(*shape, generator=stream, dtype=torch.float64) for name, shape in shapes.items()}
    params = Params.stack([row], torch.float64, torch.device("cpu"), [{}])
    x = torch.randn(1, 1, 3, 4, generator=stream, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(lambda x: layer.forward(params, x)[0][0, 0, -1], x)
    expected = whole[:, 0, 0, 0].abs().max()
    assert torch.allclose(paths.jacobians(Model((layer,)), params, x), expected, rtol=1e-12)


@pytest.mark.parametrize("more", ["architecture.positions=learned", "architecture.causal=true"])
def test_only_without_mask_and_positions_outputs_permute(study: Study, more: str) -> None:
    """Outputs permute with tokens; with vectors for positions, or with a mask, they do not."""
    assert paths.permuted(study, 3).counterexamples == 0
    assert paths.permuted(study, 3, more).counterexamples == 3
