"""How packs end: failures, divergence, a store that stops answering, and what the summary and exit code say."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch

import workbench as wb
from tests.outer import SMALL, Answer, all_runs, client_of, replace_target, runs_of
from workbench.config.prepare import build_pack
from workbench.core.errors import Terminated, TrackingError
from workbench.engine.checkpoint import weights_digest
from workbench.engine.threads import one_thread
from workbench.nn.activations import Activation, tanh
from workbench.runs.train_pack import Job, is_small, train_pack
from workbench.tracking.base import MemorySink, Outcome, Rows
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def breaking_tanh(after: int) -> Callable[[], Activation]:
    """A tanh whose derivative fails after some calls."""
    right, calls = tanh(), 0

    def derivative(z: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > after:
            raise RuntimeError("the derivative broke")
        return right.derivative(z, a)

    return lambda: Activation(right.forward, derivative, right.bounds)


@pytest.mark.slow
def test_exception_in_one_pack_spares_the_others(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failed pack's runs are FAILED with the reason, the others finish, the summary names them, exit code 1."""
    replace_target(monkeypatch, "workbench.nn.activations.tanh", breaking_tanh(after=3))
    answer = cli("train", "-m", *SMALL, "activation=tanh,relu,softplus", "seed=range(2)")
    assert answer.code == 1
    assert "4 finished, 2 failed\n" in answer.out
    for seed in (0, 1):
        assert f"  failed: tanh seed={seed}: RuntimeError: the derivative broke\n" in answer.out
    assert [run.info.status for run in runs_of(store)] == ["FAILED"] * 2 + ["FINISHED"] * 4
    failed = runs_of(store)[0]
    assert failed.data.tags["outcome"] == "failed"
    assert failed.data.tags["error"] == "RuntimeError: the derivative broke"
    assert [row.step for row in client_of(store).get_metric_history(failed.info.run_id, "train/loss")] == [0]
    (own,) = runs_of(store, "sweep")
    assert (own.info.status, own.data.tags["outcome"]) == ("FAILED", "failed")


@pytest.mark.slow
def test_stop_ends_the_sweep_at_the_first_failure(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sweep.on_error=stop`: packs after the failed one are not begun."""
    replace_target(monkeypatch, "workbench.nn.activations.tanh", breaking_tanh(after=0))
    answer = cli("train", "-m", *SMALL, "activation=relu,tanh,softplus", "sweep.on_error=stop")
    assert answer.code == 1
    assert "2 failed, 1 finished" in answer.out
    assert "  failed: softplus seed=0: not begun, because a run before it failed and " in answer.out
    assert {run.info.run_name: run.info.status for run in runs_of(store)} == {
        "relu seed=0": "FINISHED",
        "tanh seed=0": "FAILED",
    }
    assert [run.info.status for run in runs_of(store, "sweep")] == ["FAILED"]


def test_pack_that_cannot_be_built_leaves_no_run(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error before the first step of a single run: exit code 1, its reason, a link that works, no run."""

    def no_pack(specs: object) -> None:
        raise MemoryError("no room for the pack")

    monkeypatch.setattr("workbench.runs.train_pack.build_pack", no_pack)
    answer = cli("train", *SMALL)
    assert answer.code == 1
    assert "MemoryError: no room for the pack" in answer.out
    assert "/#/experiments/1/runs?workflowType=machine_learning" in answer.out
    assert all_runs(store) == []


@pytest.mark.slow
def test_diverged_run_is_finished_with_its_reason(cli: Cli, store: Store) -> None:
    """Divergence is a result: FINISHED, outcome, step and layer as tags, finite rows only, exit code 0."""
    answer = cli("train", "-m", *SMALL, "optimizer.lr=0.1,1e30", "seed=range(2)")
    assert answer.code == 0
    assert "2 finished, 2 diverged" in answer.out
    good, _, bad, _ = runs_of(store)
    assert {run.info.status for run in runs_of(store)} == {"FINISHED"}
    assert [run.info.status for run in runs_of(store, "sweep")] == ["FINISHED"]
    tags = bad.data.tags
    assert (good.data.tags["outcome"], tags["outcome"]) == ("finished", "diverged")
    assert 1 <= int(tags["diverged.step"]) <= 5
    assert tags["diverged.layer"] in ("l1", "l2")
    assert tags["diverged.quantity"] in ("z", "a", "loss", "gradient", "parameters")
    line = f"  diverged: lr=1e+30 seed=0 at step {tags['diverged.step']} in the {tags['diverged.quantity']} of "
    assert line + tags["diverged.layer"] in answer.out
    assert "test/loss" in good.data.metrics
    assert "test/loss" not in bad.data.metrics
    for name in bad.data.metrics:
        for row in client_of(store).get_metric_history(bad.info.run_id, name):
            assert abs(row.value) < 1e300, name


@pytest.mark.slow
def test_runs_beside_a_diverged_one_are_unchanged(store: Store) -> None:
    """A replica's numbers do not depend on the one that left its pack."""
    specs = [wb.configure(*SMALL, "dtype=float64", f"optimizer.lr={lr}") for lr in ("0.1", "1e38", "0.02")]
    together = train_pack([Job(spec, "", "") for spec in specs], MemorySink())
    assert [result.outcome.value for result in together.results] == ["finished", "diverged", "finished"]
    for replica in (0, 2):
        alone = train_pack([Job(specs[replica], "", "")], MemorySink())
        torch.testing.assert_close(together.final[replica], alone.final[0], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_store_that_stops_answering_is_not_silent(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that cannot be kept fail their pack: exit code 1 and the reason, never a run that looks whole."""
    send = MlflowSink.send

    def full(self: MlflowSink, rows: Rows) -> None:
        if rows.step:
            raise TrackingError("tracking: the disk is full")
        send(self, rows)

    monkeypatch.setattr(MlflowSink, "send", full)
    answer = cli("train", "-m", *SMALL, "seed=1,2")
    assert answer.code == 1
    assert "2 failed" in answer.out
    assert "failed: seed=1: TrackingError: tracking: the disk is full" in answer.out
    assert {run.info.status for run in all_runs(store)} == {"FAILED"}


class Interrupted(MemorySink):
    """Raises once at a step, and again while the first run is closed."""

    def __init__(self, error: BaseException, again: bool = False) -> None:
        super().__init__()
        self.error, self.again = error, again

    def send(self, rows: Rows) -> None:
        """Keep, until the first epoch is done."""
        super().send(rows)
        if rows.step:
            raise self.error

    def end(self, run: str, outcome: Outcome, tags: Any = None) -> None:
        """End the run; the signal comes when that is done."""
        super().end(run, outcome, tags)
        if self.again:
            self.again = False
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "outcome"), [(KeyboardInterrupt(), Outcome.interrupted), (Terminated(), Outcome.killed)]
)
@pytest.mark.parametrize("again", [False, True])
def test_interruptions_end_every_run_of_the_pack(error: BaseException, outcome: Outcome, again: bool) -> None:
    """Ctrl-C and SIGTERM are raised again after every run has its end, also with a second Ctrl-C in between."""
    sink = Interrupted(error, again)
    jobs = [Job(wb.configure(*SMALL, f"seed={seed}"), f"{seed}", "") for seed in range(3)]
    with pytest.raises(KeyboardInterrupt if again else type(error)):
        train_pack(jobs, sink)
    assert [run.outcome for run in sink.runs.values()] == [outcome] * 3


def test_second_interruption_of_a_failure_is_raised() -> None:
    """Ctrl-C while a failed pack is closed stops the sweep."""
    sink = Interrupted(RuntimeError("no"), again=True)
    jobs = [Job(wb.configure(*SMALL, f"seed={seed}"), f"{seed}", "") for seed in range(2)]
    with pytest.raises(KeyboardInterrupt):
        train_pack(jobs, sink)
    assert [run.outcome for run in sink.runs.values()] == [Outcome.failed] * 2


def test_debugging_raises_what_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    """WORKBENCH_DEBUG=1 shows the failure's own traceback, after its runs are closed."""
    monkeypatch.setenv("WORKBENCH_DEBUG", "1")
    sink = Interrupted(RuntimeError("no"))
    with pytest.raises(RuntimeError, match="no"):
        train_pack([Job(wb.configure(*SMALL), "", "")], sink)
    assert [run.outcome for run in sink.runs.values()] == [Outcome.failed]


def test_threads_are_given_back() -> None:
    """A small net takes one thread; the number before comes back, also after an error."""
    pack = build_pack([wb.configure(*SMALL)])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(RuntimeError), one_thread(is_small(pack, 32)):
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
        with one_thread(is_small(pack, 10**7)):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_runs_say_what_they_ended_with_and_who_trained_with_them() -> None:
    """The digest of the final weights is a tag, also of a diverged run; `pack` names the pack and the place in it."""
    specs = [wb.configure(*SMALL, f"optimizer.lr={lr}") for lr in ("0.1", "1e30", "0.02")]
    sink = MemorySink()
    result = train_pack([Job(spec, "", "", {"key": f"{number}"}) for number, spec in enumerate(specs)], sink)
    layout = build_pack(specs).initial_params().layout
    runs = list(sink.runs.values())
    digests = [run.tags["weights.digest"] for run in runs]
    assert digests == [weights_digest(layout, result.final[replica]) for replica in range(3)]
    assert len({*digests}) == 3
    packs = [run.info.tags["pack"].partition(":") for run in runs]
    assert len({digest for digest, _, _ in packs}) == 1
    assert [place for _, _, place in packs] == ["0/3", "1/3", "2/3"]
    assert runs[0].info.tags["threads"] == "1"
