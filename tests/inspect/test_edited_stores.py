"""Whatever was edited in a store, no command that reads runs ends in a traceback: it goes on with the others.

People delete tags, rename and delete runs in MLflow's pages, and other programs log into the same experiments. Each
tag, param and file of each kind of run is taken away, and replaced.
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.outer import SMALL, Answer, client_of, runs_of, trained
from workbench.claims.stored_verdicts import last_verdicts
from workbench.core.errors import TrackingError
from workbench.inspect.rebuild import final_weights
from workbench.tracking.base import Outcome, RunInfo
from workbench.tracking.find_run import find_run
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import reusable_runs
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
Weights = dict[str, torch.Tensor]
ODD = (None, "", "x", "-1", "1e999", "9" * 30, "\x1b[31m[red]\u202e")
READERS = (("compare", "--format", "csv"), ("show",), ("diagnose",))
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    """A sweep of two arms and two seeds, one of them diverged, with all its files; and a verdict."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        more = ("diagnostics=full", "sweep.keep_weights=true", f"tracking.uri={store.uri}")
        trained("-m", *SMALL, *more, "optimizer.lr=0.1,1e30", "seed=0,1")
        sink = MlflowSink(store, "workbench")
        verdict = {"kind": "verdict", "claim": "xor", "version": "1", "rule_hash": "0", "sweep": "none"}
        sink.close(sink.open([RunInfo("xor", {}, verdict, "", {}, None)])[0], Outcome.finished)
    finally:
        os.chdir(before)
    return store


@pytest.fixture
def edited(made: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store for commands; after the test it is as it was."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(file_of(made))) as database:
        database.backup(before)
    yield made
    with closing(sqlite3.connect(file_of(made))) as database:
        before.backup(database)


def file_of(store: Store) -> Path:
    """The database."""
    assert store.file is not None
    return store.file


def change(store: Store, statement: str, *values: object) -> list[tuple[str, ...]]:
    """Run a statement on the database."""
    with closing(sqlite3.connect(file_of(store))) as database, database:
        return database.execute(statement, values).fetchall()


def edit(store: Store, table: str, key: str, value: str | None, runs: Sequence[str]) -> None:
    """Delete a tag or param of runs, or set another value."""
    for run in runs:
        change(store, f"DELETE FROM {table} WHERE key = ? AND run_uuid = ?", key, run)
        if value is not None:
            change(store, f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", key, value, run)


def edits(store: Store, kind: str) -> list[tuple[str, str]]:
    """(table, key) of all tags and params of the runs of a kind."""
    own = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'kind' AND value = ?)"
    return [
        (table, key)
        for table in ("tags", "params")
        for (key,) in change(store, f"SELECT DISTINCT key FROM {table} WHERE {own}", kind)
    ]


def check(cli: Cli, case: object, *readers: tuple[str, ...]) -> list[Answer]:
    """Every command ends with a documented exit code and a way out, and what it prints is text."""
    answers = [cli(*reader) for reader in readers or READERS]
    for answer in answers:
        assert answer.code in (0, 2), (case, answer)
        assert not CONTROL.search(answer.out + answer.err), (case, answer)
        assert answer.err.startswith("workbench: ") == (answer.code == 2), (case, answer)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "sweep", "verdict"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_tag_and_no_param_needs_to_be_there(cli: Cli, edited: Store, kind: str, data: st.DataObject) -> None:
    """Any of them deleted or replaced, of one run or of all: the commands say it, or go on without."""
    known = edits(edited, kind)
    chosen = data.draw(st.lists(st.tuples(st.sampled_from(known), st.sampled_from(ODD), st.booleans()), max_size=4))
    runs = [run for (run,) in change(edited, "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = ?", kind)]
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(file_of(edited))) as database:
        database.backup(before)
        for (table, key), value, every in chosen:
            edit(edited, table, key, value, runs if every else runs[:1])
        try:
            check(cli, chosen)
            reusable_runs(edited, "workbench")
            last_verdicts(edited)
        finally:
            before.backup(database)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["run", "sweep", "verdict"])
def test_each_tag_and_param_by_itself(cli: Cli, edited: Store, kind: str) -> None:
    """Each of them, deleted and with each odd value, in one run and in all."""
    runs = [run for (run,) in change(edited, "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = ?", kind)]
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(file_of(edited))) as database:
        database.backup(before)
    for number, (table, key) in enumerate(edits(edited, kind)):
        for some in (runs[:1], runs):
            for value in (None, ODD[1 + number % (len(ODD) - 1)]):
                edit(edited, table, key, value, some)
                check(cli, (table, key, value, len(some)))
                reusable_runs(edited, "workbench")
                with closing(sqlite3.connect(file_of(edited))) as database:
                    before.backup(database)


@pytest.mark.slow
def test_what_is_missing_is_said_and_the_others_go_on(cli: Cli, edited: Store) -> None:
    """Missing tags and params are named with the run and their effect, and no run's numbers are dropped silently."""
    first, *_ = runs = [run.info.run_id for run in runs_of(edited)]
    for key in ("outcome", "steps_per_epoch", "number", "key", "sweep"):
        edit(edited, "tags", key, None, [first])
    edit(edited, "params", "seed", "none", [first])
    answer = cli("compare")
    assert answer.code == 0
    name = f"lr=0.1 seed=0 ({first[:8]})"
    for said in (
        f"no tag outcome: {name}; its status stands for it",
        f"no whole number as param seed: {name}; never paired with another run",
        f"no whole number as tag steps_per_epoch: {name}; not in figures by epoch",
    ):
        assert said in answer.out
    table = cli("compare", "--metric", "valid/loss", "--format", "csv").out.splitlines()
    assert [line.split(",")[5] for line in table[1:]] == ["2", "0"]
    edit(edited, "params", "optimizer.lr", None, runs[:2])
    answer = cli("compare")
    assert "no param optimizer.lr: " in answer.out
    assert "│ lr=-" in answer.out


@pytest.mark.slow
def test_a_sweep_without_its_own_run(cli: Cli, edited: Store, folder: Path) -> None:
    """A sweep whose own run is deleted still compares its members by id, with figures on the disk."""
    (own,) = runs_of(edited, "sweep")
    client_of(edited).delete_run(own.info.run_id)
    (answer, *_) = check(
        cli,
        "own run",
        ("compare", own.data.tags["sweep"], "--out", "figures/own"),
        ("diagnose", own.data.tags["sweep"]),
    )
    assert answer.code == 0
    assert "the sweep's own run is gone from the store" in answer.out
    assert list(folder.glob("figures/*/*.png"))
    for run in runs_of(edited):
        client_of(edited).delete_run(run.info.run_id)
    (answer,) = check(cli, "no runs", ("compare",))
    assert "holds no sweep; make one with: workbench train -m" in answer.err


@pytest.mark.slow
def test_runs_of_other_programs(cli: Cli, edited: Store) -> None:
    """Logged into the same experiment, with tags of the same names, odd names and numbers: shown as they are."""
    client = client_of(edited)
    place = client.get_experiment_by_name("workbench").experiment_id
    foreign = [{}, {"kind": "run"}, {"kind": "sweep", "sweep": "a"}, {"sweep": "b", "arm": "c"}, {"kind": "verdict"}]
    for number, tags in enumerate(foreign):
        run = client.create_run(place, tags=tags, run_name=f"[red]{number}\x1b[31m'\"")
        for value in (float("nan"), float("inf"), 0.5):
            client.log_metric(run.info.run_id, "train/loss", value, step=number)
        client.set_terminated(run.info.run_id)
        readers = [(name, run.info.run_id) for name in ("show", "diagnose", "verify", "figures")]
        shown, *_ = check(cli, tags, *readers, *READERS)
        assert shown.code == 0
        assert "\\x1b[31m" in shown.out
        assert f"[red]{number}" in shown.out


GARBAGE = b"\xff\x00 no file of ours"
FILES = ("config.yaml", "history.parquet", "histograms.parquet", "signal.parquet", "unit_life.parquet")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "content"), [("config.yaml", None), *((name, GARBAGE) for name in FILES)])
def test_files_that_are_gone_or_edited(
    cli: Cli, edited: Store, tmp_path: Path, name: str, content: bytes | None
) -> None:
    """A missing or edited file stops only `figures` for config.yaml, which says what to do; all else goes on."""
    run = runs_of(edited)[0]
    file = Path(run.info.artifact_uri.removeprefix("file://")) / name
    kept = file.read_bytes()
    try:
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        readers = [(command, run.info.run_id) for command in ("show", "diagnose", "figures")]
        shown, diagnosed, drawn = check(cli, name, *readers)
        assert (shown.code, diagnosed.code) == (0, 0)
        assert drawn.code == (2 if name == "config.yaml" else 0)
        if drawn.code:
            assert "config.yaml" in drawn.err
            assert "train it again: workbench train data=wine" in drawn.err
            assert not list(Path().glob("figures/*")), "what is refused leaves no folder"
    finally:
        file.write_bytes(kept)


def flipped(weights: Weights) -> Weights:
    """Flip one bit of one number."""
    name = sorted(weights)[0]
    weights[name].view(torch.int32).reshape(-1)[0] ^= 1
    return weights


CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "other names": lambda weights: {f"x.{name}": tensor for name, tensor in weights.items()},
    "a name more": lambda weights: {**weights, "\x1b[31mmore": torch.zeros(1)},
    "a name less": lambda weights: dict(list(weights.items())[1:]),
    "shapes that broadcast": lambda weights: {name: tensor[:1] for name, tensor in weights.items()},
    "transposed": lambda weights: {name: tensor.t().contiguous() for name, tensor in weights.items()},
    "flat": lambda weights: {name: tensor.reshape(-1) for name, tensor in weights.items()},
    "float64": lambda weights: {name: tensor.double() for name, tensor in weights.items()},
    "half": lambda weights: {name: tensor.half() for name, tensor in weights.items()},
    "whole numbers": lambda weights: {name: tensor.int() for name, tensor in weights.items()},
    "not finite": lambda weights: {name: tensor * torch.nan for name, tensor in weights.items()},
    "one bit": flipped,
}


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no weights", b"other", *CHANGES])
def test_weights_that_are_not_the_runs_own(cli: Cli, made: Store, content: bytes | str) -> None:
    """A file that is not the run's own is not used: the run is trained again, which is said; `verify` refuses it.

    Where that gives other weights too, there are none to go on with.
    """
    first, second = runs_of(made)[:2]
    file, other = (Path(run.info.artifact_uri.removeprefix("file://")) / "model.safetensors" for run in (first, second))
    kept = file.read_bytes()
    found = find_run(made, first.info.run_id)
    _, expected, how = final_weights(made, found)
    assert how == "weights: kept, model.safetensors"
    try:
        if isinstance(content, str):
            save_file(CHANGES[content](load_file(file)), file)
        else:
            file.write_bytes(other.read_bytes() if content == b"other" else content)
        _, params, how = final_weights(made, found)
        verified = cli("verify", first.info.run_id, "--uri", made.uri)
        strange = replace(found, run=replace(found.run, tags={**found.run.tags, "weights.digest": "0" * 64}))
        with pytest.raises(TrackingError, match=r"model.safetensors must hold what it ended with.*put the file back"):
            final_weights(made, strange)
    finally:
        file.write_bytes(kept)
    assert how.startswith("weights: model.safetensors was not used, as ")
    assert how.endswith("; trained again, to the same bits")
    assert params.flat.equal(expected.flat)
    assert (verified.code, verified.err) == (1, "")
    assert "model.safetensors: not what the run ended with, as" in verified.out
    assert "\x1b" not in how + verified.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"), [("pack", "x"), ("pack", "a:b/c"), ("threads", "many"), ("pruned.epoch", "x")]
)
def test_tags_that_training_again_needs(cli: Cli, edited: Store, key: str, value: str) -> None:
    """Odd ones are refused with what to write, or are a reason why bits may differ."""
    run = runs_of(edited)[0].info.run_id
    edit(edited, "tags", key, value, [run])
    answer = cli("verify", run)
    assert answer.code == (0 if key == "pack" else 2), answer
    if key != "pack":
        assert f"run {run}: its tag {key} must be a whole number, got '{value}'; write the number there" in answer.err
        client_of(edited).delete_tag(run, key)
        assert cli("verify", run).code == 0
