"""MLflow's own variables: the experiment that they name is meant where none is given; what is not followed is said."""

from collections.abc import Callable

import pytest

import workbench as wb
from tests.outer import SMALL, Answer, client_of, runs_of
from workbench.tracking.base import Outcome, RunInfo
from workbench.tracking.find_run import find_run
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


@pytest.mark.parametrize(
    ("name", "given", "experiment"),
    [
        ("theirs", (), "theirs"),
        ("a=b: ${c}", (), "a=b: ${c}"),
        ("theirs", ("tracking.experiment=ours",), "ours"),
        ("theirs", ("experiment=xor",), "xor"),
        (None, (), "workbench"),
    ],
)
def test_experiment_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str | None, given: tuple[str, ...], experiment: str
) -> None:
    """MLFLOW_EXPERIMENT_NAME is the default; an override, or an experiment's own file, wins."""
    if name is None:
        monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    else:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    assert wb.configure(*SMALL, *given).config.tracking.experiment == experiment


@pytest.mark.slow
def test_runs_are_kept_there_and_what_is_not_followed_is_said(
    cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run lies in the named experiment; an id, and a run to go on with, are no words without an answer."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    answer = cli("train", *SMALL)
    assert answer.code == 0
    assert answer.err == "workbench: $MLFLOW_RUN_ID is not followed: each run that is trained is a new one\n"
    (run,) = runs_of(store)
    assert client_of(store).get_experiment(run.info.experiment_id).name == "theirs"
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    said = cli("train", *SMALL, "sweep.dry_run=true").err
    assert "set MLFLOW_EXPERIMENT_NAME, or write tracking.experiment=..." in said
    assert cli("train", *SMALL, "seed=1", "tracking.experiment=theirs").code == 0
    assert {found.info.experiment_id for found in runs_of(store)} == {run.info.experiment_id}


def test_the_newest_of_that_experiment_is_meant(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables pick an experiment's newest by name or id; named runs are found anywhere; a missing one is reported."""
    made = {}
    for experiment in ("one", "other"):
        sink = MlflowSink(store, experiment)
        tags = {"kind": "run", f"in.{experiment}": "run"}
        own, run = sink.open(
            [
                RunInfo("sweep", {}, {"kind": "sweep", "sweep": experiment}, "", {}, None),
                RunInfo(f"of {experiment}", {"seed": "0"}, tags, "", {}, None),
            ]
        )
        for each in (own, run):
            sink.close(each, Outcome.finished)
        made[experiment] = sink.experiment_id
    assert read_sweep(store, None).id == "other"
    for variable, value in (("MLFLOW_EXPERIMENT_NAME", "one"), ("MLFLOW_EXPERIMENT_ID", made["one"])):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert read_sweep(store, None).id == "one"
            assert find_run(store, None).run.name == "of one"
            assert read_sweep(store, "other").id == "other"
            assert find_run(store, "of other").run.name == "of other"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "none")
    answer = cli("show")
    assert answer.code == 2
    assert "$MLFLOW_EXPERIMENT_NAME must name an experiment of sqlite:///" in answer.err
    assert "got 'none'; unset it, or name a run or a sweep by its id" in answer.err
