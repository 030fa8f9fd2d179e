"""Findings by rule: nets that are built to go wrong in a known way, healthy ones, and series worked by hand."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import isfinite

import pytest

import workbench as wb
from tests.outer import Answer, Trained
from workbench.config.instantiate import call
from workbench.config.options import option, options
from workbench.inspect.diagnose import diagnose
from workbench.inspect.logged_run import RunSeries
from workbench.inspect.symptoms import RULES, Finding
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink
from workbench.tracking.reader import ReadRun
from workbench.tracking.stored_run import SATURATING

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
DEEPER = ("architecture.hidden=[64,64,64,64,64,64,64,64]", "optimizer.lr=1e-6")
DEEP = ("architecture.hidden=[16,16,16,16]",)


def made_up(history: Mapping[str, Sequence[float]], tags: Mapping[str, str] | None = None, **params: str) -> ReadRun:
    """A run with these series, ten steps from row to row."""
    rows = {name: [(10 * step, value) for step, value in enumerate(values)] for name, values in history.items()}
    last = {name: values[-1] for name, values in history.items()}
    given = {key.replace("__", "."): value for key, value in params.items()}
    return ReadRun("id", given.get("name", "made up"), "arm", 0, "finished", tags or {}, given, last, rows)


@cache
def trained(*overrides: str) -> ReadRun:
    """A run trained in memory, as the reader would give it."""
    spec = wb.configure("data=digits", "diagnostics=full", "diagnostics.budget=null", *overrides)
    sink = MemorySink()
    done = train_pack([Job(spec, "", "")], sink)
    assert not done.results[0].error
    (kept,) = sink.runs.values()
    history: dict[str, list[tuple[int, float]]] = {}
    for step, _, metrics in kept.rows:
        for name, value in metrics.items():
            history.setdefault(name, []).append((step, value))
    params = {key: str(value) for key, value in spec.settings.items()}
    tags = {**kept.info.tags, **kept.tags}
    return ReadRun(
        "id", " ".join(overrides), "", 0, done.results[0].outcome.value, tags, params, done.results[0].metrics, history
    )


def rows_of(kept: object) -> list[tuple[int, int, dict[str, float]]]:
    """The rows of a run in a sink in memory."""
    return kept.rows  # type: ignore[attr-defined,no-any-return]


def found(run: ReadRun) -> dict[str, list[Finding]]:
    """The findings of a run by rule."""
    by_rule = {rule.name: rule.findings(RunSeries(run)) for rule in RULES}
    return {name: findings for name, findings in by_rule.items() if findings}


@pytest.mark.parametrize(
    "overrides",
    [
        ("activation=relu",),
        ("activation=tanh", "init=glorot"),
        (*DEEP, "norm=batch"),
        ("optimizer=adam", "optimizer.lr=0.003"),
    ],
)
def test_healthy_nets_get_no_finding(overrides: tuple[str, ...]) -> None:
    """Usual nets at usual rates: every rule can judge, and none finds anything."""
    run = trained("train.epochs=6", *overrides)
    assert found(run) == {}
    assert all(rule.can_judge(RunSeries(run)) for rule in RULES)


@pytest.mark.parametrize(
    ("overrides", "rule", "layers", "numbers"),
    [
        (("bias=constant", "bias.value=-50"), "dead units", ["l1", "l2"], "100% of units"),
        (("activation=tanh", "init=normal", "init.std=5"), "saturated units", ["l1", "l2"], "from initialization on"),
        (
            (*DEEP, "activation=sigmoid", "init=normal", "init.std=0.1"),
            "vanishing gradient",
            ["l1"],
            "times smaller than that of l5",
        ),
        (
            (*DEEPER, "activation=tanh", "init=normal", "init.std=1"),
            "exploding gradient",
            ["l1"],
            "times larger than that of l9",
        ),
        (("optimizer.lr=1e30",), "diverged", None, "training stopped at step "),
        (("optimizer.lr=1e-7",), "not learning", [""], "the training loss went from "),
        (("optimizer.lr=1e-7",), "step size", ["l1", "l2", "l3"], "usual is 0.001"),
        (("optimizer.lr=5", "train.epochs=12", "activation=tanh"), "restless loss", [""], "of 12 epochs"),
    ],
)
def test_nets_that_are_built_to_fail(
    overrides: tuple[str, ...], rule: str, layers: list[str] | None, numbers: str
) -> None:
    """The rule that was meant finds it, in the layers where it is, and says the logged number."""
    findings = found(trained("train.epochs=6", *overrides))[rule]
    assert layers is None or [finding.layer for finding in findings] == layers
    assert all(numbers in finding.says for finding in findings), findings


def test_half_of_a_rectifier_s_slopes_are_no_saturation() -> None:
    """A rectifier passes nothing on half of its examples and is well; a tanh that does so is not."""
    series = {"saturation/l1": [0.5, 0.6, 0.7]}
    assert found(made_up(series, activation="relu")) == {}
    assert found(made_up(series, activation="own_function")) == {}
    (finding,) = found(made_up(series, activation="tanh"))["saturated units"]
    assert "70% of units × examples" in finding.says


@pytest.mark.parametrize(("ratio", "finds"), [(0.2, True), (1e-3, False), (1e-7, True), (0.0, False)])
def test_size_of_steps_by_hand(ratio: float, finds: bool) -> None:
    """A fifth of the weights in a step, a thousandth, a ten-millionth; outliers do not decide."""
    run = made_up({"update_ratio/l1": [ratio, ratio, 5.0], "update_ratio/l2": [1e-3]})
    assert [finding.layer for finding in found(run).get("step size", [])] == ["l1"] * finds
    if finds:
        assert f"by {ratio:.2g} of their norm (median)" in found(run)["step size"][0].says


def test_when_units_died_is_the_step_after_which_they_stayed_dead() -> None:
    """Dead at step 10, back at 20, dead from 30 on: since 30."""
    (finding,) = found(made_up({"dead_rate/l1": [0.0, 0.6, 0.1, 0.5, 0.92]}))["dead units"]
    assert finding.says == "92% of units pass no gradient on any training example, at least half since step 30"


@pytest.mark.parametrize(
    ("last", "rule", "first_try"),
    [
        (1.79, None, None),
        (1.81, "not learning", "optimizer.lr=(three times)"),
        (2.09, "not learning", "optimizer.lr=(three times)"),
        (2.11, "risen loss", "optimizer.lr=(a third)"),
    ],
)
def test_a_loss_that_stays_needs_larger_steps_and_one_that_rose_smaller(
    last: float, rule: str | None, first_try: str | None
) -> None:
    """A last loss above 0.9 times the first is not learning (triple the rate), above 1.05 times risen (a third)."""
    run = made_up({"train/loss": [2.0, 1.5, last]})
    assert list(found(run)) == ([rule] if rule else [])
    lines = diagnose("arm", [run]).lines
    assert lines[:1] == ([f"{rule}: the training loss went from 2 to {last} in 2 epochs"] if rule else [])
    assert rule is None or lines[1].startswith(f"  try: {first_try}")


@pytest.mark.parametrize(
    ("valid", "finds"),
    [([2.0, 1.0, 1.6], True), ([2.0, 1.0, 1.49], False), ([2.0, 1.0, 0.9], False)],
)
def test_overfitting_by_hand(valid: list[float], finds: bool) -> None:
    """The last validation loss against the least: half as much again counts."""
    run = made_up({"valid/loss": valid, "train/loss": [2.0, 1.0, 0.1]})
    assert ("overfitting" in found(run)) == finds
    if finds:
        assert found(run)["overfitting"][0].says.startswith(
            "the validation loss was least at step 10 (1) and ended at 1.6"
        )


def test_what_helped_is_named_with_its_numbers() -> None:
    """A run of the same sweep without the finding: what it was made with, and what came of it."""
    dead = {"dead_rate/l1": [0.0, 0.9], "valid/loss": [2.0, 1.9], "train/loss": [2.0, 1.0]}
    alive = {"dead_rate/l1": [0.0, 0.1], "valid/loss": [2.0, 0.5], "train/loss": [2.0, 0.4]}
    ours = made_up(dead, name="bad", bias="zero", bias__value="0", optimizer__lr="0.8", seed="1")
    others = [
        ours,
        made_up(alive, name="good", bias="small_positive", bias__value="0.1", optimizer__lr="0.1", seed="1"),
        made_up(alive, name="other seed", bias="zero", bias__value="0", optimizer__lr="0.1", seed="2"),
    ]
    lines = diagnose("arm", [ours], others).lines
    assert (
        lines[0]
        == "dead units: layer l1: 90% of units pass no gradient on any training example, at least half since step 10"
    )
    assert lines[1].startswith("  try: bias=small_positive")
    assert "  its learning rate 0.8 is 1.78 times the median of its sweep, 0.45" not in lines
    assert lines[-1].startswith("  not found in: good (")
    assert "bias small_positive instead of zero" in lines[-1]
    assert "bias.value" not in lines[-1]
    assert lines[-1].endswith("whose valid/loss is 0.5 instead of 1.9")


def test_what_a_run_has_is_not_proposed() -> None:
    """Advice on saturation names only what the run does not have yet."""
    run = made_up({"saturation/l1": [0.9]}, activation="tanh", init="glorot", norm="batch")
    assert diagnose("arm", [run]).lines[1:] == ["  try: activation=relu"]


def test_an_outlying_learning_rate_is_said() -> None:
    """A learning rate of eight times the sweep's median is named with the median."""
    series = {"train/loss": [1.0, 2.0]}
    runs = [made_up(series, optimizer__lr=lr) for lr in ("0.1", "0.05", "0.8")]
    lines = diagnose("arm", [runs[2]], runs).lines
    assert "  its learning rate 0.8 is 8 times the median of its sweep, 0.1" in lines


def test_findings_of_several_runs_are_counted() -> None:
    """The worst run of an arm is named, with how many share the finding; rules without numbers are listed."""
    runs = [made_up({"dead_rate/l1": [rate]}, name=f"seed={rate}") for rate in (0.6, 0.1, 0.8)]
    found = diagnose("arm", runs, runs)
    assert "(2 of 3 runs; worst: seed=0.8)" in found.lines[0]
    assert found.silent == [rule.name for rule in RULES if rule.name not in ("diverged", "dead units")]


def test_diagnose_reads_a_sweep_and_a_run(cli: Cli, swept: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """`diagnose` shows a sweep's arms by its id and a run by its name, and names what was not logged."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)
    whole = cli("diagnose", swept.finished.sweep)
    assert (whole.code, whole.err) == (0, "")
    for arm in dict.fromkeys(result.job.arm for result in swept.finished.results):
        assert f"\n{arm}:" in whole.out
    assert "not judged, because it was not logged (diagnostics=full): step size" in whole.out
    one = cli("diagnose", swept.finished.results[0].job.name)
    assert one.out.startswith(f"{swept.finished.results[0].job.name} (")
    missing = cli("diagnose", "nothing")
    assert missing.code == 2
    assert "run: unknown name 'nothing'" in missing.err


def test_saturating_activations_are_those_bounded_on_both_sides() -> None:
    """The names that `diagnose` knows without making activations are those whose range is bounded on both sides."""
    bounds = {name: call("activation", option("activation", name)).bounds for name in options("activation")}
    assert [name for name, ends in bounds.items() if all(map(isfinite, ends))] == [*SATURATING]
