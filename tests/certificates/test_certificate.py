"""The certificate: what it confirms, what it catches, what it costs, and where it is kept."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import workbench as wb
from tests.outer import Answer, replace_target
from workbench.certificates import survey as survey_of
from workbench.certificates.certificate import certify, curve_line
from workbench.certificates.survey import survey
from workbench.config.compose import configure
from workbench.config.options import options
from workbench.nn import activations
from workbench.sweeps.identity import run_key
from workbench.sweeps.packing import program_key

pytest_plugins = ["tests.outer_fixtures"]

CHOICES = ["architecture.hidden=[5]", "norm=batch", "architecture.dropout=0.2", "optimizer.weight_decay=0.1"]


def test_certificate_confirms_a_wide_configuration() -> None:
    """Norm, dropout and penalty in a training pass agree with every reference, in both precisions."""
    found = certify(wb.configure(*CHOICES))
    assert found.agrees
    assert [row.name for row in found.rows] == ["l1.W", "l2.W", "l1.b", "l1.gamma", "l1.beta", "l2.b"]
    assert 1e-8 < max(row.single_error for row in found.rows) < 1e-3


def test_error_over_the_step_is_a_v() -> None:
    """Truncation makes a large step wrong and rounding a tiny one; the best lies between, far below the tolerance."""
    curve = certify(wb.configure("architecture.hidden=[5]", "activation=tanh")).curve
    steps = sorted(curve)
    best = min(steps, key=curve.__getitem__)
    assert steps[0] < best < steps[-1]
    assert curve[best] < 1e-9
    assert curve[steps[0]] > 100 * curve[best] < curve[steps[-1]]


@pytest.mark.parametrize("activation", ["leaky_relu", "hard_tanh", "absolute"])
def test_a_net_that_stands_on_a_kink_agrees(activation: str) -> None:
    """A net whose z lies on a kink (x = 0, b = 0), where torch's autograd takes another side than f', still agrees."""
    words = ["data=xor", "split.standardize=false", "loss=binary_nll", "bias=zero", "architecture.hidden=[4]"]
    assert certify(wb.configure(*words, f"activation={activation}")).agrees


@pytest.mark.slow
def test_a_wrong_slope_is_caught_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivative off by a thousandth fails the certificate and the survey's rows of it alone."""
    right = activations.tanh()
    wrong = replace(right, derivative=lambda z, a: right.derivative(z, a).mul_(1.001))
    replace_target(monkeypatch, "workbench.nn.activations.tanh", lambda: wrong)
    monkeypatch.setattr(survey_of, "options", lambda group: _few(group, options))
    assert not certify(wb.configure("activation=tanh", "architecture.hidden=[5]")).agrees
    rows = list(survey())
    assert {row.activation for row in rows if not row.agrees and row.activation != "-"} == {"tanh"}


def _few(group: str, every: Callable[[str], list[str]]) -> list[str]:
    kept = {"activation": ["relu", "tanh"], "architecture": ["mlp", "maxout_mlp"], "loss": ["softmax_nll"]}
    return kept.get(group) or every(group)


@pytest.mark.slow
def test_survey_has_every_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each activation stands with each architecture that takes one, and each loss with each architecture."""
    kept = {"activation": ["leaky_relu", "relu", "unit_step"], "norm": ["none", "batch"]}  # all take half a minute
    monkeypatch.setattr(survey_of, "options", lambda group: kept.get(group) or options(group))
    rows = list(survey())
    assert all(row.agrees for row in rows)
    assert len(set(rows)) == len(rows) > 100
    plain = {(row.activation, row.loss) for row in rows if row.layer == "mlp"}
    assert plain == {(activation, loss) for activation in kept["activation"] for loss in options("loss")}
    assert {row.layer.partition(" ")[0] for row in rows} == set(options("architecture"))
    assert {"mlp + batch norm", "mlp + dropout", "residual_mlp + batch norm"} <= {row.layer for row in rows}
    assert sum(row.at_kinks for row in rows) > 0


def test_check_all_takes_no_overrides(cli: Callable[..., Answer]) -> None:
    """``--all`` chooses for itself: an override beside it is refused, not ignored."""
    answer = cli("check", "--all", "activation=relu")
    assert answer.code == 2
    assert "--all goes without overrides, got activation=relu" in answer.err


def test_certificate_can_be_turned_off() -> None:
    """``certificate=off`` is a value of the schema and no part of what a run's result depends on."""
    on, off = wb.configure(), wb.configure("certificate=off")
    assert on.config.certificate
    assert not off.config.certificate
    assert program_key(on) == program_key(off)
    assert run_key(on, "d") == run_key(off, "d")


def test_double_is_what_the_reference_computes_in() -> None:
    """The certificate of a float32 run is computed in float64, whose rounding the tolerance supposes."""
    assert certify(wb.configure("dtype=float32", "architecture.hidden=[3]")).rows[0].autograd_error < 1e-14
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.slow
def test_truncated_gradients_are_compared_with_autograd_alone() -> None:
    """Gradients of a truncated net are those of autograd that stops at the same steps, and no differences are tried."""
    overrides = ["data=counter", "architecture=lstm", "architecture.width=3", "architecture.truncate=5"]
    certificate = certify(configure(overrides))
    assert certificate.agrees
    assert {row.compared for row in certificate.rows} == {0}
    assert curve_line(certificate).startswith("differences are not compared: ")
