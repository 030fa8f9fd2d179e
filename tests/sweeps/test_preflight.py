"""Compare what is said before a sweep with what the sweep then does. Times are not asserted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer, client_of, runs_of, trained
from workbench.config.compose import configure, configure_each
from workbench.config.prepare import build_pack
from workbench.sweeps.jobs import make_jobs
from workbench.sweeps.preflight import Forecast, forecast, measure, outlook, passes
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ("norm=batch", "diagnostics.spacing=1"),
        ("data=diabetes", "loss=squared_error"),
        ("pretraining=autoencoder", "pretraining.epochs=2"),
        ("diagnostics=full", "diagnostics.budget=null", "train.epochs=7"),
        ("diagnostics=off",),
    ],
)
def test_rows_are_those_that_are_kept(store: Store, more: tuple[str, ...]) -> None:
    """The rows of metrics that are forecast are as many as the runs then have in the store."""
    arguments = [*SMALL, "seed=0,1", *more]
    specs = configure_each([*SMALL, *more], [{"seed": seed} for seed in (0, 1)])
    assert trained("-m", *arguments) is not None
    client = client_of(store)
    kept = [
        sum(len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics)
        for run in runs_of(store)
    ]
    assert kept == [measure(specs).rows] * 2
    assert forecast(specs).rows == sum(kept)


@pytest.mark.slow
def test_a_language_model_counts_by_its_examples() -> None:
    """Three epochs of the net on 40 sentences and two of its language model on 120 are as nine of the net."""
    net = ("architecture=gru", "architecture.width=2", "data=copy", "data.length=2", "data.examples=200")
    few = ("split.limit=40", "train.epochs=3", "pretraining.epochs=2", "pretraining.examples=120")
    spec = configure([*net, "pretraining=next_token", *few])
    assert passes(spec, build_pack([spec]).data) == 9
    plain = configure([*net, "train.epochs=3"])
    assert passes(plain, build_pack([plain]).data) == 3


def test_programs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast of two programs of two runs each, in packs of one, counts four runs and four packs."""
    settings = [{"seed": seed, "train.batch_size": size, "sweep.pack_gib": 1e-9} for size in (8, 16) for seed in (0, 1)]
    found = forecast(configure_each(SMALL, settings))
    assert isinstance(found, Forecast)
    assert (found.runs, found.packs) == (4, 4)
    assert found.seconds > 0
    assert found.bytes > 0


def test_nothing_left_is_said(folder: Path) -> None:
    """A sweep that is done is said to have nothing left to do, and no program is measured."""
    jobs = make_jobs(configure_each(SMALL, [{"seed": seed} for seed in range(3)]))
    assert outlook(jobs, []).lines == ["runs: 3 of 1 arms and 3 seeds; 3 done before, 0 to do"]


def test_dry_run_writes_nothing(cli: Callable[..., Answer], folder: Path) -> None:
    """`sweep.dry_run=true` says what would be trained, makes no store and exits with 0."""
    answer = cli("train", "-m", *SMALL, "seed=range(3)", "activation=relu,tanh", "sweep.dry_run=true")
    assert answer.code == 0, answer.err
    assert "runs: 6 of 2 arms and 3 seeds; 0 done before, 6 to do" in answer.out
    assert "packs: 2, the largest of 0.00 GiB" in answer.out
    assert "rows of metrics" in answer.out
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_dry_run_counts_what_is_done(cli: Callable[..., Answer], store: Store) -> None:
    """Runs of an earlier sweep need not be trained again; the store is left as it is."""
    assert cli("train", "-m", *SMALL, "seed=0,1").code == 0
    before = len(runs_of(store))
    answer = cli("train", "-m", *SMALL, "seed=range(5)", "sweep.dry_run=true")
    assert answer.code == 0
    assert "runs: 5 of 1 arms and 5 seeds; 2 done before, 3 to do" in answer.out
    assert len(runs_of(find_store(None))) == before == 2


@pytest.mark.slow
def test_large_sweeps_are_announced(cli: Callable[..., Answer], store: Store) -> None:
    """A sweep of more than twenty runs is announced with the lines of a dry run and then trained."""
    answer = cli(
        "train", "-m", "data=xor", "architecture.hidden=[2]", "loss=binary_nll", "train.epochs=1", "seed=range(21)"
    )
    assert answer.code == 0, answer.err
    assert "runs: 21 of 1 arms and 21 seeds; 0 done before, 21 to do" in answer.out
    assert "21 finished" in answer.out
