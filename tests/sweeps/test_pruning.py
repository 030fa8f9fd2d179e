"""Replicas that a search gives up: what happens to them, to the others, and to sweeps that find them."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.outer import Answer, runs_of, trials_of
from workbench.engine.history import Record
from workbench.runs.train_pack import Job, train_pack
from workbench.sweeps.jobs import make_jobs
from workbench.sweeps.pruning import Pruning
from workbench.tracking.base import MemorySink, Outcome
from workbench.tracking.reader import read_sweep, reusable_runs, series
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
NET = ("data=wine", "architecture.hidden=[6]", "train.epochs=3")
SEARCH = ("train", "-m", *NET, "hydra/sweeper=search", "hydra.sweeper.batch=4", "hydra.sweeper.trials=8")
BOTH = ("optimizer.lr=tag(log,interval(0.001,1))", "activation=relu,tanh")


def pack_of(dtype: str, batch_size: int, hidden: str, seeds: int) -> list[Job]:
    """A pack of seeds on wine."""
    words = ["data=wine", f"dtype={dtype}", f"train.batch_size={batch_size}", f"architecture.hidden={hidden}"]
    specs = [wb.configure(*words, "train.epochs=6", "optimizer.momentum=0.9", f"seed={n}") for n in range(seeds)]
    return [job.tagged({"trial": str(number)}) for number, job in enumerate(make_jobs(specs))]


@pytest.mark.parametrize(
    ("dtype", "batch_size", "hidden", "tolerance"),
    [("float32", 16, "[16,32]", 0.0), ("float64", 16, "[16]", 0.0), ("float64", 13, "[7,5]", 1e-9)],
)
def test_survivors_do_not_feel_what_is_given_up(dtype: str, batch_size: int, hidden: str, tolerance: float) -> None:
    """Replicas 1 and 3 are given up after epoch 2, 0 after epoch 4: the others are what they are without that."""
    jobs = pack_of(dtype, batch_size, hidden, 5)
    leaving = {2: [1, 3], 4: [0]}

    def give_up(record: Record) -> list[int]:
        return leaving.get(record.epoch, [])

    sink = MemorySink()
    whole = train_pack(jobs, MemorySink())
    done = train_pack(jobs, sink, give_up=give_up)
    assert [result.outcome.value for result in done.results] == ["pruned", "pruned", "finished", "pruned", "finished"]
    for replica, result in enumerate(done.results):
        kept, epochs = sink.runs[result.run], {0: 4, 1: 2, 3: 2}.get(replica)
        assert kept.outcome is result.outcome
        assert kept.tags.get("pruned.epoch") == (None if epochs is None else str(epochs))
        assert len(kept.rows) == (
            9 if epochs is None else epochs + 1
        )  # the last two at one step: test part, share of time
        assert "test/loss" in result.metrics or epochs is not None
        for name, value in result.metrics.items():
            steps, values = whole.history.series(name, replica)
            there = [one for step, one in zip(steps, values, strict=True) if step <= kept.rows[-1][0]]
            assert value == pytest.approx(there[-1], rel=tolerance, abs=0.0)
        if epochs is None:
            difference = (done.final[replica] - whole.final[replica]).abs().max()
            assert float(difference) <= tolerance * float(whole.final[replica].abs().max())
    assert sorted(done.final) == [0, 1, 2, 3, 4]


def test_all_replicas_given_up_end_the_pack() -> None:
    """A pack whose replicas are all given up trains and tests nothing more."""
    sink = MemorySink()
    done = train_pack(pack_of("float32", 16, "[16]", 2), sink, give_up=lambda record: record.replicas[: record.epoch])
    assert {result.outcome for result in done.results} == {Outcome.pruned}
    assert done.history.records[-1].epoch == 2


@cache
def two_of_one_trial() -> list[Job]:
    """Two seeds of trial 7."""
    return [job.tagged({"trial": "7"}) for job in pack_of("float32", 16, "[16]", 2)]


VALUES = st.floats(0, 10)


@pytest.mark.slow
@given(
    finished=st.lists(st.lists(VALUES, min_size=5, max_size=5), max_size=6),
    own=st.lists(VALUES, min_size=5, max_size=5),
    least=st.integers(1, 4),
    after=st.integers(1, 4),
    up=st.booleans(),
)
def test_hopeless_is_worse_than_the_median_of_the_finished(
    finished: list[list[float]], own: list[float], least: int, after: int, up: bool
) -> None:
    """A trial is hopeless where its best mean so far is worse than the median of finished trials at the same epoch."""
    marks = tuple(dict(enumerate(values, 1)) for values in finished)
    pruning = Pruning("valid/loss", "maximize" if up else "minimize", marks, least, after)
    watch = pruning.watch(two_of_one_trial())
    for epoch, value in enumerate(own, 1):
        record = Record(10 * epoch, epoch, 0, (0, 1), {"valid/loss": [value - 0.5, value + 0.5]})
        best = max(own[:epoch]) if up else min(own[:epoch])
        hopeless = False
        if len(finished) >= least and epoch >= after:
            middle = median(values[epoch - 1] for values in finished)
            hopeless = best < middle - 1e-9 if up else best > middle + 1e-9
            if abs(best - middle) <= 1e-9:
                return
        assert list(watch(record)) == ([0, 1] if hopeless else [])


def test_nothing_is_given_up_at_the_start_or_the_end() -> None:
    """Nothing is given up before the first epoch, when nothing is known, or after the last, when nothing is saved."""
    marks = tuple(dict.fromkeys(range(7), 0.0) for _ in range(5))
    watch = Pruning("valid/loss", "minimize", marks).watch(pack_of("float32", 16, "[16]", 2))
    for epoch, expected in ((0, []), (1, [0, 1]), (6, [])):
        assert watch(Record(epoch, epoch, 0, (0, 1), {"valid/loss": [1.0, 1.0]})) == expected
    assert watch(Record(6, 6, 0, (0, 1), {"test/loss": [1.0, 1.0]})) == []


PRUNED = ("hydra.sweeper.prune=true", "hydra.sweeper.prune_least=2", "hydra.sweeper.trials=12", "train.epochs=6")


@pytest.mark.slow
def test_pruning_search_stops_hopeless_trials(cli: Cli, store: Store) -> None:
    """Pruned runs have fewer rows, are FINISHED, and were behind; the same search elsewhere prunes the same."""
    answer = cli(*SEARCH, *BOTH, "seed=0,1", *PRUNED)
    assert answer.code == 0, answer.err
    sweep = read_sweep(store, None)
    states = Counter(trial["state"] for trial in trials_of(store))
    assert states["PRUNED"] >= 1
    assert sum(states.values()) == 12
    assert f"{states['PRUNED']} pruned" in answer.out
    for run in sweep.runs:
        rows = run.history["valid/loss"]
        assert len(rows) == (int(run.tags["pruned.epoch"]) + 1 if run.outcome == "pruned" else 7)
        assert (run.tags["trial.value"] == "pruned") == (run.outcome == "pruned")
    assert {run.info.status for run in runs_of(store)} == {"FINISHED"}
    pruned = next(run for run in sweep.runs if run.outcome == "pruned")
    epoch, number = int(pruned.tags["pruned.epoch"]), int(pruned.tags["trial"])
    before = [run for run in sweep.runs if int(run.tags["trial"]) < number - number % 4 and run.outcome == "finished"]
    by_trial: dict[str, list[float]] = {}
    for run in before:
        by_trial.setdefault(run.tags["trial"], []).append(run.history["valid/loss"][epoch][1])
    assert pruned.metrics["valid/loss"] > 0
    own = fmean(run.history["valid/loss"][epoch][1] for run in sweep.runs if run.tags["trial"] == pruned.tags["trial"])
    assert own > median(map(fmean, by_trial.values()))
    assert series(store, [pruned.id], "valid/loss") == [[value for _, value in pruned.history["valid/loss"]]]


@pytest.mark.slow
def test_processes_search_as_this_process_does(cli: Cli, store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    """Two workers, with pruning: the same trials are chosen, pruned and told, up to another pack's rounding."""
    words = (*SEARCH, *BOTH, "seed=0,1", *PRUNED, "hydra.sweeper.trials=8", "train.batch_size=16", "dtype=float64")
    cli(*words)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    answer = cli(*words, "hydra/launcher=packed_processes", "hydra.launcher.executor.workers=2")
    assert answer.code == 0, answer.err
    there = trials_of(find_store(None))
    for one, other in zip(trials_of(store), there, strict=True):
        assert (one["values"], one["state"]) == (other["values"], other["state"])
        assert one["value"] == (None if other["value"] is None else pytest.approx(other["value"], rel=1e-9))
    assert len({run.tags["pid"] for run in read_sweep(find_store(None), None).runs}) == 2  # workers outlive a batch


@pytest.mark.slow
def test_pruned_run_is_no_result_of_another_sweep(cli: Cli, store: Store) -> None:
    """A grid over the same run trains it, whatever ``sweep.rerun`` says; the search keeps its own."""
    cli(*SEARCH, *BOTH, *PRUNED)
    search = read_sweep(store, None)
    pruned = next(run for run in search.runs if run.outcome == "pruned")
    words = [f"optimizer.lr={pruned.params['optimizer.lr']}", f"activation={pruned.params['activation']}"]
    grid = cli("train", "-m", *NET, "train.epochs=6", *words, "seed=0,1", "sweep.rerun=missing")
    assert grid.code == 0
    assert "done before" not in grid.out
    assert reusable_runs(store, "workbench")[pruned.tags["key"]].outcome is Outcome.finished
    assert {run.outcome for run in read_sweep(store, None).runs} == {"finished"}
    assert pruned.id in {run.id for run in read_sweep(store, search.id).runs}
    again = cli(*SEARCH, *BOTH, *PRUNED)
    assert "going on after 12 trials" in again.out
    assert pruned.id in {run.id for run in read_sweep(store, search.id).runs}
