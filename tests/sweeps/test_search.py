"""Searches: what is chosen and told, going on with one, and trials that fail, diverge or are hopeless."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tests.outer import Answer, runs_of, trials_of
from tests.sampling import sampled
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.runs.train_pack import Job, PackResult, train_pack
from workbench.sweeps.search import Search, Trial, make_settings
from workbench.sweeps.space import Space, make_space
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
DEFAULTS = {
    "metric": "valid/loss",
    "direction": None,
    "trials": 30,
    "batch": 10,
    "seed": 0,
    "prune": False,
    "prune_after": 1,
    "prune_least": 5,
}
NET = ("data=wine", "architecture.hidden=[6]", "train.epochs=3")
SEARCH = ("train", "-m", *NET, "hydra/sweeper=search", "hydra.sweeper.batch=4", "hydra.sweeper.trials=8")
RATES = "optimizer.lr=tag(log,interval(0.001,1))"
BOTH = (RATES, "activation=relu,tanh")


def space_of(*overrides: str, replicate: tuple[str, ...] = ("seed",)) -> Space:
    """The space of these overrides."""
    return make_space(OverridesParser.create().parse_overrides(list(overrides)), replicate)


def search_of(*overrides: str, **settings: Any) -> Search:
    """A search without a way to compose runs."""

    def compose(runs: list[list[str]]) -> list[RunSpec]:
        raise AssertionError(runs)

    return Search(space_of(*overrides), make_settings(**{**DEFAULTS, **settings}), compose)


def no_marks(trial: Trial) -> dict[int, float]:
    """Nothing after any epoch."""
    return {}


def searched(search: Search, value: Callable[[Mapping[str, Any]], float], batches: list[int]) -> list[Trial]:
    """Trials chosen in batches of these sizes, told by a function of their values."""
    told: list[Trial] = []
    for count in batches:
        for one in search.choose(told, no_marks, count):
            told.append(Trial(one.number, one.values, "COMPLETE", value(one.values)))
    return told


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("x=a,b", CategoricalDistribution(["a", "b"])),
        ("x=choice([32],[64,64])", CategoricalDistribution(["[32]", "[64,64]"])),
        ("x=choice(0.1,true)", CategoricalDistribution(["0.1", "True"])),
        ("x=interval(0,1)", FloatDistribution(0, 1)),
        ("x=tag(log,interval(0.001,1))", FloatDistribution(0.001, 1, log=True)),
        ("x=int(interval(1,9))", IntDistribution(1, 9)),
        ("x=tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("x=range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("x=range(5,0,-2)", IntDistribution(1, 5, step=2)),
        ("x=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
    ],
)
def test_hydras_grammar_is_the_space(override: str, distribution: object) -> None:
    """Each form of Hydra's sweeps is one distribution of Optuna's."""
    assert space_of(override).searched == {"x": distribution}


def test_space_repeats_trials_and_keeps_what_is_fixed() -> None:
    """Seeds repeat each trial, fixed values stay, and the order is that of the command line."""
    space = space_of("data=wine", "lr=interval(0,1)", "seed=range(2)", "act=relu,tanh")
    assert space.runs({"lr": 0.25, "act": "tanh"}) == [
        ["data=wine", "lr=0.25", "seed=0", "act=tanh"],
        ["data=wine", "lr=0.25", "seed=1", "act=tanh"],
    ]
    assert space.repeats() == ["seed=0,1"]
    assert list(space.corners()) == [
        {"lr": 0.0, "act": "relu"},
        {"lr": 1.0, "act": "relu"},
        {"lr": 0.0, "act": "tanh"},
    ]
    other = space_of("seed=0,1", "lr=0.1,0.2", replicate=("lr",))
    assert (list(other.searched), other.repeats()) == (["seed"], ["lr=0.1,0.2"])


@given(low=st.floats(1e-6, 1e3), width=st.floats(0, 1e3), at=st.floats(0, 1))
def test_rounded_numbers_are_brief_and_within_bounds(low: float, width: float, at: float) -> None:
    """Rounded numbers have at most six digits, unless a bound has more, and stay as they are when rounded again."""
    high = low + width
    space = space_of(f"x=interval({low!r},{high!r})")
    value = space.rounded({"x": min(high, low + at * width)})["x"]
    assert low <= value <= high
    assert value in (low, high) or value == float(f"{value:.6g}")
    assert space.rounded({"x": value}) == {"x": value}


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (("x=a,b", "y=range(3)"), 6),
        (("x=range(0.5,2,0.5)",), 3),
        (("x=int(interval(2,4))", "y=a,b"), 6),
        (("x=interval(1,1)", "y=a,b"), 2),
        (("x=interval(0,1)",), inf),
    ],
)
def test_finite_spaces_are_searched_to_their_end(overrides: tuple[str, ...], size: float) -> None:
    """Finite spaces are searched to their end: every trial once, and no more than there are."""
    search = search_of(*overrides)
    assert search.space.size() == size
    told = searched(search, lambda values: 1.0, [4, 4, 4])
    assert len(told) == min(size, 12)
    assert len({json.dumps(one.values, sort_keys=True) for one in told}) == len(told)
    if size < inf:
        assert len(list(search.space.every())) == size
        assert all(one.values in list(search.space.every()) for one in told)


def test_choices_depend_on_what_was_told_alone() -> None:
    """Same seed, same trials; a search that goes on in another process chooses as one that was never interrupted."""
    search = search_of(RATES, "x=a,b")

    def value(values: Mapping[str, Any]) -> float:
        return float(abs(values["optimizer.lr"] - 0.1))

    whole, again = searched(search, value, [5, 5, 5]), searched(search, value, [5, 5, 5])
    assert whole == again
    kept = [Trial(**json.loads(json.dumps(vars(one)))) for one in whole[:10]]
    assert [one.values for one in search.choose(kept, no_marks, 5)] == [one.values for one in whole[10:]]
    other = searched(search_of(RATES, "x=a,b", seed=1), value, [5])
    assert [one.values for one in other] != [one.values for one in whole[:5]]


def test_later_trials_come_nearer_to_the_best() -> None:
    """The last ten trials on a bowl have at most half of the first ten's median distance."""
    told = searched(search_of("x=interval(-10,10)"), lambda values: float(values["x"] - 3) ** 2, [10, 10, 10, 10])
    away = [abs(one.values["x"] - 3) for one in told]
    assert median(away[-10:]) < median(away[:10]) / 2


def test_gaps_in_numbers_are_filled() -> None:
    """A trial that was not told leaves its number to the next trial."""
    told = [Trial(number, {"x": 0.1 * number}, "COMPLETE", 1.0) for number in (0, 1, 3)]
    assert [one.number for one in search_of("x=interval(0,1)").choose(told, no_marks, 3)] == [2, 4, 5]


@pytest.mark.parametrize(
    ("metric", "direction", "aim", "worst"),
    [
        ("valid/loss", None, "minimize", inf),
        ("valid/accuracy", None, "maximize", -inf),
        ("train/r2", None, "maximize", -inf),
        ("valid/loss", "maximize", "maximize", -inf),
    ],
)
def test_direction_is_the_metrics_own(metric: str, direction: str | None, aim: str, worst: float) -> None:
    """The direction of a search is its metric's, unless a direction is given."""
    settings = make_settings(**{**DEFAULTS, "metric": metric, "direction": direction})
    assert (settings.aim, settings.worst) == (aim, worst)


@pytest.mark.slow
def test_search_is_one_sweep_judged_by_means_over_seeds(cli: Cli, store: Store) -> None:
    """Values of trials are means of what MLflow has over seeds; the best is the least; its command repeats it."""
    answer = cli(*SEARCH, *BOTH, "seed=0,1,2")
    assert answer.code == 0, answer.err
    sweep = read_sweep(store, None)
    trials = trials_of(store)
    assert (len(sweep.runs), len(trials)) == (24, 8)
    by_number: dict[int, list[float]] = {}
    for run in sweep.runs:
        by_number.setdefault(int(run.tags["trial"]), []).append(run.metrics["valid/loss"])
        trial = trials[int(run.tags["trial"])]
        assert float(run.tags["trial.value"]) == trial["value"]
        assert run.params["activation"] == trial["values"]["activation"]
        assert float(run.params["optimizer.lr"]) == trial["values"]["optimizer.lr"]
    assert [trial["value"] for trial in trials] == [pytest.approx(fmean(by_number[n]), rel=1e-12) for n in range(8)]
    best = min(trials, key=lambda trial: trial["value"])
    lines = answer.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("8 trials: 8 complete"))
    assert lines[at + 1] == f"best: trial {best['number']}, valid/loss {best['value']:.6g} over 3 runs"
    repeated = shlex.split(lines[at + 2])
    assert repeated[0] == "workbench"
    assert "hydra/sweeper=search" not in repeated
    again = cli(*repeated[1:])
    assert "3 of 3 runs were done before" in again.out, (again.out, again.err)


@pytest.mark.slow
def test_experiment_may_hold_the_space(cli: Cli, store: Store) -> None:
    """An experiment's intervals are searched where that is asked for, and the best trial's command replaces them."""
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/rates.yaml").write_text(
        "# @package _global_\n"
        "hydra: {sweeper: {trials: 2, params: {optimizer.lr: 'tag(log,interval(0.01,1))', seed: range(2)}}}\n"
    )
    words = ("train", "-m", "--config-dir", "mine", *NET, "experiment=rates")
    grid = cli(*words)
    assert (grid.code, grid.err.count("add hydra/sweeper=search")) == (2, 1)
    answer = cli(*words, "hydra/sweeper=search")
    assert (answer.code, len(trials_of(store))) == (0, 2), answer.err
    lines = answer.out.splitlines()
    at = max(number for number, line in enumerate(lines) if line.startswith("best: "))
    again = cli(*shlex.split(lines[at + 1])[1:])
    assert "2 of 2 runs were done before" in again.out, again.err


@pytest.mark.slow
def test_same_command_goes_on_and_ends_as_if_never_interrupted(
    cli: Cli, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search interrupted in its second batch, repeated and lengthened has trials bit-equal to a search in one go."""
    packs = []

    def interrupted(jobs: list[Job], *others: Any) -> PackResult:
        packs.append(len(jobs))
        if len(packs) == 4:
            raise KeyboardInterrupt
        return train_pack(jobs, *others)

    with monkeypatch.context() as patch:
        patch.setattr("workbench.sweeps.executors.base.train_pack", interrupted)
        first = cli(*SEARCH, *BOTH, "seed=0,1")
    assert first.code == 130
    assert first.err.endswith("; repeat the command to go on: 4 of 8 trials are done\n")
    assert len(trials_of(store)) == 4
    second = cli(*SEARCH, *BOTH, "seed=0,1")
    assert "going on after 4 trials" in second.out
    third = cli(*SEARCH, *BOTH, "seed=0,1")
    assert (second.code, third.code) == (0, 0)
    assert "going on after 8 trials" in third.out
    assert len(runs_of(store, "sweep")) == 1
    assert len({run.data.tags["key"] for run in runs_of(store)}) == len(read_sweep(store, None).runs) == 16
    longer = cli(*SEARCH, *BOTH, "seed=0,1", "hydra.sweeper.trials=12")
    assert "12 trials: 12 complete" in longer.out

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    cli(*SEARCH, *BOTH, "seed=0,1", "hydra.sweeper.trials=12")
    assert trials_of(find_store(None)) == trials_of(store)


@pytest.mark.slow
def test_other_space_is_another_search_and_shares_runs(cli: Cli, store: Store) -> None:
    """Another space is another search; a grid over the same choices finds all 4 trials done."""
    cli(*SEARCH, "activation=relu,tanh", "optimizer.lr=0.1,0.2")
    cli(*SEARCH, "activation=relu,tanh", "optimizer.lr=0.1,0.2,0.3", "hydra.sweeper.trials=3")
    assert len(runs_of(store, "sweep")) == 2
    grid = cli("train", "-m", *NET, "activation=relu,tanh", "optimizer.lr=0.1,0.2")
    assert "4 of 4 runs were done before" in grid.out


@pytest.mark.slow
def test_diverged_trial_is_the_worst(cli: Cli, store: Store) -> None:
    """A diverged trial has an infinite value, so that the sampler keeps away from it, and is never the best."""
    answer = cli(*SEARCH, "optimizer.lr=0.1,1e30", "seed=0,1")
    told = {trial["values"]["optimizer.lr"]: trial for trial in trials_of(store)}
    assert told["1e+30"]["value"] == inf
    assert (told["1e+30"]["state"], told["0.1"]["state"]) == ("COMPLETE", "COMPLETE")
    assert f"best: trial {told['0.1']['number']}," in answer.out
    assert answer.code == 0


@pytest.mark.slow
def test_failed_trials_are_tried_again_by_rerun(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed trials stay failed by rerun ``missing``; ``failed`` trains them with their numbers, and no other again."""

    def fails(jobs: list[Job], *others: Any) -> PackResult:
        if jobs[0].spec.choices["activation"] == "tanh":
            with monkeypatch.context() as inner:
                inner.setattr("workbench.runs.train_pack._append", lambda *_: 1 / 0)
                return train_pack(jobs, *others)
        return train_pack(jobs, *others)

    words = (*SEARCH, "activation=relu,tanh,elu", "seed=0,1")
    with monkeypatch.context() as patch:
        patch.setattr("workbench.sweeps.executors.base.train_pack", fails)
        first = cli(*words)
    before = {trial["values"]["activation"]: trial for trial in trials_of(store)}
    assert first.code == 1
    assert {name: trial["state"] for name, trial in before.items()} == {
        "relu": "COMPLETE",
        "tanh": "FAIL",
        "elu": "COMPLETE",
    }
    assert f"trial {before['tanh']['number']} failed: ZeroDivisionError" in first.out
    missing = cli(*words, "sweep.rerun=missing")
    assert "3 trials: 2 complete, 1 failed" in missing.out
    again = cli(*words)
    after = {trial["values"]["activation"]: trial for trial in trials_of(store)}
    assert again.code == 0
    assert "3 trials: 3 complete" in again.out
    assert {name: trial["number"] for name, trial in after.items()} == {n: t["number"] for n, t in before.items()}
    assert after["relu"] == before["relu"]
    assert Counter(run.outcome for run in read_sweep(store, None).runs) == {"finished": 6}


@pytest.mark.slow
def test_first_failure_ends_the_search_where_asked(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sweep.on_error=stop``: no further batch, and what was not begun is not told."""
    with monkeypatch.context() as patch:
        patch.setattr("workbench.runs.train_pack._append", lambda *_: 1 / 0)
        answer = cli(*SEARCH, *BOTH, "sweep.on_error=stop")
    assert answer.code == 1
    told = trials_of(store)
    assert {trial["state"] for trial in told} == {"FAIL"}
    assert len(told) < 4
    assert len({trial["values"]["activation"] for trial in told}) == 1
    assert "best: none" in answer.out
    again = cli(*SEARCH, *BOTH, "sweep.on_error=stop")
    assert (again.code, len(trials_of(store))) == (0, 8)


@pytest.mark.slow
def test_values_that_do_not_go_together_fail_alone(cli: Cli, store: Store) -> None:
    """A trial of batch norm on one example is told as failed with the reason, and the others are trained."""
    answer = cli(*SEARCH, "norm=none,batch", "train.batch_size=16,1")
    assert answer.code == 0
    failed = [trial for trial in trials_of(store) if trial["state"] == "FAIL"]
    assert [trial["values"] for trial in failed] == [{"norm": "batch", "train.batch_size": "1"}]
    assert failed[0]["error"].startswith("train.batch_size: must be at least 2 for norm=batch")
    assert "4 trials: 3 complete, 1 failed" in answer.out


def test_search_without_optuna_says_what_to_install(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search without Optuna gives exit code 2, says what to install and writes nothing."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = cli(*SEARCH, *BOTH)
    assert answer.code == 2
    assert answer.err.endswith("needs Optuna, which is not installed; write pip install 'workbench[search]'\n")
    assert list(folder.iterdir()) == []


REFUSED = [
    ("hydra.sweeper.trials=0", "hydra.sweeper.trials: must be greater than or equal to 1, got 0"),
    ("hydra.sweeper.batch=many", "hydra.sweeper.batch: must be a valid integer, got 'many'"),
    ("hydra.sweeper.direction=up", "hydra.sweeper.direction: must be 'minimize' or 'maximize', got 'up'"),
    ("hydra.sweeper.trails=3", "hydra.sweeper.trails: unknown key; did you mean hydra.sweeper.trials? *"),
    (
        "hydra.sweeper.metric=valid/acc",
        "hydra.sweeper.metric: unknown name 'valid/acc'; did you mean 'valid/accuracy'*",
    ),
    ("hydra.sweeper.metric=test/loss", "hydra.sweeper.metric: unknown name 'test/loss'; *options: train/accuracy, *"),
    ("hydra.sweeper.metric=valid/r2", "hydra.sweeper.metric: unknown name 'valid/r2'; *"),
    ("hydra.sweeper.replicate=[sed]", "hydra.sweeper.replicate: unknown name 'sed'; did you mean 'seed'? *"),
    ("seed=interval(0,9)", "seed: interval(0,9) must be searched, *"),
    ("optimizer.lr=interval(1,0.1)", "optimizer.lr: interval(1,0.1) must hold numbers, the lower bound first: *"),
    ("optimizer.lr=tag(log,interval(0,1))", "optimizer.lr: tag(log,interval(0,1)) must hold numbers, *"),
    ("optimizer.lr=interval(-1,1)", "optimizer.lr: must be greater than 0, got -1.0; *"),
    ("activation=relu,rellu", "activation: unknown name 'rellu'; did you mean 'relu'? *"),
    ("activation=interval(0,1)", "activation: interval(0,1) must be options to choose from; *"),
    ("loss=softmax_nll,softmax_mse", "hydra.sweeper.metric: must mean the same in all trials, *=valid/accuracy"),
    ("sweep.pack_gib=1,2", "sweep.pack_gib: *, got 1.0, 2.0; write sweep.pack_gib=1.0"),
    ("hydra/launcher=basic", "hydra/launcher: must be one of packed, packed_..., to search; drop the override"),
    ("optimizer.lr=0.1", "hydra/sweeper=search: must have something to search, got fixed values; *"),
]


@pytest.mark.parametrize(("words", "message"), sampled(REFUSED, 3), ids=[words for words, _ in REFUSED])
def test_refusal(cli: Cli, folder: Path, words: str, message: str) -> None:
    """Wrong settings of a search give exit code 2 and one line, and nothing is written."""
    answer = cli(*SEARCH, *(() if words == "optimizer.lr=0.1" else (RATES,)), "seed=0,1", *words.split(" "))
    assert answer.code == 2
    assert fnmatchcase(answer.err.replace("[", "("), f"workbench: {message}\n".replace("[", "(")), answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_check_takes_no_search(cli: Cli, folder: Path) -> None:
    """`check` refuses a search, as it refuses a sweep."""
    answer = cli("check", "-m", "hydra/sweeper=search", "activation=relu,tanh", "seed=0,1")
    assert (answer.code, answer.err) == (2, "workbench: check: takes one configuration, got 60; drop -m\n")


def test_completion_offers_sweepers_and_their_keys(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tab key offers sweepers and their keys."""
    for line, offered in (
        ("workbench train hydra/sweeper=se", ["hydra/sweeper=search"]),
        ("workbench train hydra/sweeper=search hydra.sweeper.tri", ["hydra.sweeper.trials="]),
        ("workbench train hydra/sweeper=zip hydra.sweeper.c", ["hydra.sweeper.cross."]),
    ):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        assert cli("-sc", "query=bash").out.split() == offered


def test_trial_without_values_is_refused() -> None:
    """Settings of a search are checked as a whole, and the missing key is named."""
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.trials: must be"):
        make_settings(**{key: value for key, value in DEFAULTS.items() if key != "trials"})


@pytest.mark.slow
def test_dry_run_says_what_a_search_may_take(cli: Cli, folder: Path) -> None:
    """A search's dry run tells trials, the runs of each, and the rows of as many runs in a plain sweep."""
    answer = cli(*SEARCH, *BOTH, "seed=0,1", "sweep.dry_run=true")
    assert answer.code == 0, answer.err
    assert "search: at most 8 trials of 2 runs, chosen 4 at a time\n" in answer.out
    swept = cli("train", "-m", *NET, "seed=range(16)", "sweep.dry_run=true").out.split()
    assert answer.out.split()[-7:] == ["and", "at", "most", *swept[-4:]]
    assert list(folder.iterdir()) == []
