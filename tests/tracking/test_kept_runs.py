"""A sweep's content in a real sqlite store, read back with MLflow's own client."""

import json
import re
from collections import Counter
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy import create_engine, event

import workbench as wb
from tests.outer import SMALL, Answer, Trained, all_runs, client_of, runs_of
from workbench import __version__
from workbench.config.arms import PALETTE
from workbench.config.prepare import prepare
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink, Outcome, Rows, RunInfo
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.mlflow_tables import ended_runs
from workbench.tracking.reader import ReusableRun, read_sweep, reusable_runs, series
from workbench.tracking.store import Store, run_link, runs_filter, sweep_link

pytest_plugins = ["tests.outer_fixtures"]

LEGAL = re.compile(r"[\w\-.: ]+(/[\w\-.: ]+)*")
WINE = [0, 5, 10]  # 142 examples for training, 5 batches of 32 per epoch; looks lie 64 steps apart, so at both ends
STEPS = {
    **{f"{part}/{score}": WINE for part in ("train", "valid") for score in ("loss", "accuracy")},
    **{name: [0, 10] for name in ("dead_rate/l1", "saturation/l1")},
    **{name: [10] for name in ("grad_norm/l1", "grad_norm/l2", "grad_norm/all", "test/loss", "test/accuracy")},
}
OF_THE_RUN = {"diagnostics/share"}  # no number of the engine's: what the run took
NAMES = [f"{unit} lr={lr} seed={seed}" for unit in ("relu", "tanh") for lr in ("0.1", "0.02") for seed in (0, 1)]


@pytest.fixture(scope="module")
def client(swept: Trained) -> MlflowClient:
    """A client of the sweep's store."""
    return client_of(swept.store)


@pytest.fixture(scope="module")
def runs(swept: Trained) -> list[Run]:
    """The runs of the sweep in their order."""
    return runs_of(swept.store)


def test_runs_are_flat_named_and_in_one_experiment(swept: Trained, runs: list[Run], client: MlflowClient) -> None:
    """Runs are named for what differs, have no parent, and lie in the experiment that was asked for."""
    assert [run.info.run_name for run in runs] == NAMES
    assert all("mlflow.parentRunId" not in run.data.tags for run in runs)
    experiment = client.get_experiment_by_name("swept")
    assert {run.info.experiment_id for run in all_runs(swept.store)} == {experiment.experiment_id}
    assert len(all_runs(swept.store)) == len(NAMES) + 4 + 1  # those of the arms, and the sweep's own
    assert [result.run for result in swept.finished.results] == [run.info.run_id for run in runs]


def test_runs_are_finished_with_true_times(runs: list[Run]) -> None:
    """Every run is FINISHED after it began."""
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.info.lifecycle_stage for run in runs} == {"active"}
    assert all(run.info.end_time >= run.info.start_time for run in runs)


def test_tags_say_where_a_run_belongs(swept: Trained, runs: list[Run]) -> None:
    """Tags of a run name its sweep, kind, key, number, outcome, device, steps per epoch and versions."""
    for number, run in enumerate(runs):
        tags = run.data.tags
        assert tags["sweep"] == swept.finished.sweep
        assert (tags["kind"], tags["number"], tags["outcome"]) == ("run", str(number), "finished")
        assert re.fullmatch(r"[0-9a-f]{16}", tags["key"])
        assert (tags["workbench"], tags["steps_per_epoch"]) == (__version__, "5")
        assert {"device", "torch", "python", "host", "pid", "mlflow.user", "mlflow.source.name"} <= tags.keys()
        assert re.fullmatch(r"[0-9a-f]{40}", tags.get("mlflow.source.git.commit", "0" * 40))
    assert len({run.data.tags["key"] for run in runs}) == len(runs)


def test_an_arm_has_one_color(runs: list[Run]) -> None:
    """Runs that differ in their seed alone share mlflow.runColor; arms differ in it."""
    colors = {(run.info.run_name.rpartition(" ")[0], run.data.tags["mlflow.runColor"]) for run in runs}
    assert [color for _, color in sorted(colors, key=lambda pair: PALETTE.index(pair[1]))] == list(PALETTE[:4])
    assert len({arm for arm, _ in colors}) == 4


@pytest.mark.slow
def test_params_are_the_whole_configuration_flat(runs: list[Run]) -> None:
    """Every key of the composed configuration is a param with a dotted key, groups by their choice's name."""
    first = runs[0].data.params
    assert first["activation"] == "relu"
    assert first["optimizer.momentum"] == "0.5"
    assert first["architecture.hidden"] == "[6]"
    for position, run in enumerate(runs):
        unit, lr, seed = re.fullmatch(r"(\w+) lr=(.+) seed=(.+)", NAMES[position]).groups()
        own = [f"activation={unit}", f"optimizer.lr={lr}", f"seed={seed}"]
        spec = wb.configure(*SMALL, *own, "optimizer.momentum=0.5", "tracking.experiment=swept")
        assert run.data.params == {key: str(value) for key, value in spec.settings.items()}
        assert not any("_target_" in key for key in run.data.params)


def test_dataset_is_an_input_with_its_digest(runs: list[Run]) -> None:
    """The data set is a dataset input: name, digest of the content, numbers of rows and features, context."""
    digest = prepare(wb.configure("data=wine")).dataset.digest
    for run in runs:
        (found,) = run.inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("wine", digest)
        assert json.loads(found.dataset.profile) == {"num_rows": 178, "num_features": 13}
        assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "training"}


def test_note_says_how_to_repeat_the_run(runs: list[Run]) -> None:
    """The description is prose with the command that repeats this very run."""
    note = runs[5].data.tags["mlflow.note.content"]
    assert note.startswith("**tanh lr=0.1 seed=1**: mlp [6] of tanh units (init he, bias zero) on wine, softmax_nll ")
    (command,) = (line.split() for line in note.splitlines() if line.startswith("    workbench train "))
    spec = wb.configure(*([word.strip("'") for word in command[2:]]))
    assert {key: str(value) for key, value in spec.settings.items()} == runs[5].data.params


def test_config_is_an_artifact(swept: Trained, runs: list[Run], client: MlflowClient, tmp_path: Path) -> None:
    """config.yaml holds the resolved configuration with its targets."""
    spec = swept.finished.results[3].job.spec
    file = client.download_artifacts(runs[3].info.run_id, "config.yaml", str(tmp_path))
    assert yaml.safe_load(Path(file).read_text()) == spec.resolved
    assert spec.resolved["optimizer"]["_target_"] == "workbench.nn.optimizers.sgd"


def test_artifacts_lie_beside_the_database(swept: Trained, client: MlflowClient) -> None:
    """Database and artifacts have absolute addresses in one folder."""
    home = swept.store.file.parent
    assert swept.store.uri == f"sqlite:///{home}/mlflow.db"
    assert home.is_absolute()
    assert client.get_experiment_by_name("swept").artifact_location == f"file://{home}/mlartifacts/swept"
    names = {file.name for file in home.iterdir()}
    assert names - {"mlflow.db-wal", "mlflow.db-shm"} == {"mlartifacts", "mlflow.db", "mlflow.db.lock"}


def test_sweep_has_one_run_of_its_own(swept: Trained) -> None:
    """The sweep's run: kind=sweep, what was swept, the command, no metrics; FINISHED."""
    (own,) = runs_of(swept.store, "sweep")
    assert own.info.run_name == "sweep activation x optimizer.lr x seed"
    assert own.info.status == "FINISHED"
    assert own.data.tags["sweep"] == swept.finished.sweep
    assert own.data.tags["outcome"] == "finished"
    assert own.data.metrics == {}
    note = own.data.tags["mlflow.note.content"]
    assert (
        "8 runs over\n\n- `activation`: relu, tanh\n- `optimizer.lr`: lr=0.1, lr=0.02\n- `seed`: seed=0, seed=1" in note
    )
    assert "    workbench train -m data=wine 'architecture.hidden=[6]' train.epochs=2 activation=relu,tanh" in note


def test_metric_names_are_exactly_the_expected(runs: list[Run]) -> None:
    """No metric is missing, none is extra, and MLflow's rules allow each name."""
    for run in runs:
        assert set(run.data.metrics) == STEPS.keys() | OF_THE_RUN
    assert all(LEGAL.fullmatch(name) for name in runs[0].data.metrics)


def rows_of(client: MlflowClient, run: str, names: set[str]) -> dict[str, list[tuple[int, float]]]:
    """name -> its rows in the order of the steps."""
    return {name: sorted((row.step, row.value) for row in client.get_metric_history(run, name)) for name in names}


def test_every_row_is_there_once(client: MlflowClient, runs: list[Run]) -> None:
    """Each metric has one row for each of its steps, none twice, all finite; the test part only at the end."""
    for run in runs:
        for name, rows in rows_of(client, run.info.run_id, set(run.data.metrics)).items():
            assert [step for step, _ in rows] == STEPS.get(name, [10]), name
            assert all(isfinite(value) for _, value in rows)


def test_rows_are_the_numbers_of_the_engine(swept: Trained, client: MlflowClient, runs: list[Run]) -> None:
    """MLflow returns, bit for bit, the numbers that a pack of the same runs leaves in memory."""
    for positions in ([0, 1, 2, 3], [4, 5, 6, 7]):
        specs = [swept.finished.results[position].job.spec for position in positions]
        done = train_pack([Job(spec, "", "") for spec in specs], MemorySink())
        for replica, position in enumerate(positions):
            names = set(runs[position].data.metrics) - OF_THE_RUN
            kept = rows_of(client, runs[position].info.run_id, names)
            for name in names:
                steps, values = done.history.series(name, replica)
                assert kept[name] == list(zip(steps, values, strict=True)), name


def test_results_hold_the_last_metrics(swept: Trained, runs: list[Run]) -> None:
    """`wb.train` returns the last metrics that MLflow shows."""
    for result, run in zip(swept.finished.results, runs, strict=True):
        assert result.metrics == {name: value for name, value in run.data.metrics.items() if name not in OF_THE_RUN}


def test_link_opens_the_sweep_s_charts(swept: Trained, client: MlflowClient) -> None:
    """The printed link: the experiment's id, the model-training mode, and the saved view, which exists."""
    identity = client.get_experiment_by_name("swept").experiment_id
    sweep = swept.finished.sweep
    assert swept.finished.link == sweep_link("http://127.0.0.1:5000", identity, sweep, saved_view=True)
    assert f"/#/experiments/{identity}/runs?workflowType=machine_learning&" in swept.finished.link
    assert swept.finished.link.endswith(f"&viewStateShareKey={sweep}")
    view = json.loads(client.get_experiment(identity).tags[f"mlflow.sharedViewState.{sweep}"])
    assert view["name"] == f"sweep {sweep}"
    assert sweep_link("b", "1", sweep, saved_view=False).endswith(f"&searchFilter={quote(runs_filter(sweep))}")
    assert run_link("b", "1", "abc", saved_view=True) == sweep_link("b", "1", "abc", saved_view=True)
    assert run_link("b", "1", "abc") == "b/#/experiments/1/runs/abc/model-metrics?workflowType=machine_learning"


def test_keys_count_the_same_configuration_once(runs: list[Run]) -> None:
    """Key tags are different in all runs of a sweep."""
    assert max(Counter(run.data.tags["key"] for run in runs).values()) == 1


@pytest.mark.slow
def test_history_of_a_long_run_is_whole(cli: Callable[..., Answer], store: Store) -> None:
    """MLflow has its extremes only; the file has every epoch, and what is read back is that."""
    words = ["data=wine", "architecture.hidden=[2]", "train.epochs=400", "train.batch_size=200", "certificate=false"]
    assert cli("train", "-m", *words, "seed=0").code == 0
    (run,) = read_sweep(store, None).runs
    steps = [step for step, _ in run.history["valid/loss"]]
    assert steps == list(range(401))
    given = {(row.step, row.value) for row in client_of(store).get_metric_history(run.id, "valid/loss")}
    assert given < set(run.history["valid/loss"])
    assert series(store, [run.id], "valid/loss") == [[value for _, value in run.history["valid/loss"]]]


def test_a_run_that_ends_while_they_are_read_is_left_out(store: Store) -> None:
    """A run that another process ends between two reads is left out: the runs read are whole."""
    sink, tags = MlflowSink(store, "e"), {"kind": "run", "key": "k"}
    ended, *others = sink.open([RunInfo("r", {}, tags, "", {}, None) for _ in range(4)])
    sink.send(Rows((ended, *others), 3, 5, {"valid/loss": [0.5] * 4}))
    sink.close(ended, Outcome.finished)
    engine = create_engine(store.uri)

    @event.listens_for(engine, "after_cursor_execute")
    def end_another(*context: object) -> None:
        sink.close(others.pop(), Outcome.finished)

    found = ended_runs(engine, client_of(store).get_experiment_by_name("e").experiment_id, ["key"])
    assert others == []
    assert [(one.id, one.tags, one.metrics) for one in found] == [(ended, {"key": "k"}, {"valid/loss": 0.5})]


def test_ended_runs_are_found_in_tables_as_by_search(
    store: Store, swept: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading tables and searching find the same ended, undeleted runs, with the same sweep, outcome and metrics."""
    sink = MlflowSink(store, "e")
    tags = [{"kind": "run", "key": key, "sweep": "s"} for key in ("finished", "diverged", "running", "deleted")]
    tags += [{"kind": "run", "key": "failed"}, {"kind": "sweep", "key": "own"}]
    runs = sink.open([RunInfo(one["key"], {}, one, "", {}, None) for one in tags])
    finished, diverged, _, deleted, failed, own = runs
    sink.send(Rows((finished, diverged), 3, 5, {"valid/loss": [0.5, 2.5]}))
    sink.send(Rows((finished, diverged), 4, 6, {"valid/loss": [0.25, float("nan")]}))
    ends = {finished: "finished", diverged: "diverged", deleted: "finished", failed: "failed", own: "finished"}
    for run, outcome in ends.items():
        sink.close(run, Outcome[outcome])
    client_of(store).delete_run(deleted)
    found, of_sweep = reusable_runs(store, "e"), reusable_runs(swept.store, "swept")
    assert found == {
        "finished": ReusableRun(finished, Outcome.finished, {"valid/loss": 0.25}, "s"),
        "diverged": ReusableRun(diverged, Outcome.diverged, {"valid/loss": 2.5}, "s"),
        "failed": ReusableRun(failed, Outcome.failed, {}, ""),
    }
    monkeypatch.setattr("workbench.tracking.reading.known_engine", lambda engine: None)
    assert (reusable_runs(store, "e"), reusable_runs(swept.store, "swept")) == (found, of_sweep)
    assert len(of_sweep) == len(NAMES)
    assert reusable_runs(store, "of no such name") == {}
