"""`show` and `verify`: a run found, described, and trained again from what its store holds of it."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
import yaml

import workbench as wb
from tests.outer import SMALL, Answer, client_of, runs_of, trained
from workbench.core.errors import ConfigError, UnknownNameError
from workbench.inspect.rebuild import pack_of, spec_of, train_again, what_differs
from workbench.inspect.rerun_command import command_of, overrides_of
from workbench.inspect.show import BARS, sparkline
from workbench.inspect.verify import timeless, verify
from workbench.runs.train_pack import Job, train_pack
from workbench.sweeps.identity import run_key
from workbench.tracking.base import MemorySink
from workbench.tracking.find_run import find_run
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    """A store with a pack of three runs, one of which diverges."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        trained("-m", *SMALL, "optimizer.lr=0.1,0.02,1e30", "sweep.keep_weights=true", f"tracking.uri={store.uri}")
    finally:
        os.chdir(before)
    return store


@pytest.fixture
def kept(place: Store, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Store:
    """The same for commands; tags that a test has changed are put back."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.uri)
    return place


@pytest.fixture
def tagged(place: Store) -> Iterator[Callable[[str, str, str], None]]:
    """Sets a tag of the run with this name, until the test's end."""
    undo = []

    def change(name: str, key: str, value: str) -> None:
        (run,) = (run for run in runs_of(place) if run.info.run_name == name)
        undo.append((run.info.run_id, key, run.data.tags.get(key, "")))
        client_of(place).set_tag(run.info.run_id, key, value)

    yield change
    for run, key, value in undo:
        client_of(place).set_tag(run, key, value)


@pytest.mark.slow
def test_runs_are_found_by_id_prefix_and_name(place: Store) -> None:
    """Id, the beginning of an id, name; without any, the newest."""
    first, _, last = runs_of(place)
    for name in (first.info.run_id, first.info.run_id[:9], first.info.run_id[:6].upper(), "lr=0.1 seed=0"):
        assert find_run(place, name).run.id == first.info.run_id
    assert find_run(place, None).start_ms == last.info.start_time
    with pytest.raises(
        UnknownNameError, match=r"run: unknown name 'lr=0.2 seed=0'; did you mean 'lr=0.\d+ seed=0'\? opt"
    ):
        find_run(place, "lr=0.2 seed=0")
    with pytest.raises(UnknownNameError, match="unknown name 'abc'"):  # too short for an id
        find_run(place, "abc")


def test_a_beginning_that_several_ids_share(cli: Callable[..., Answer], store: Store) -> None:
    """Refused with the ids, each of which is found by as much of it as tells it from the others."""
    client = client_of(store)
    first, second = (client.create_run("0", tags={"kind": "run"}).info.run_id for _ in range(2))
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as database:
        for number, run in enumerate((first, second)):
            for table in ("tags", "runs"):
                database.execute(f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (f"abcd{number}{run[5:]}", run))
        database.commit()
    ids = sorted(run.info.run_id for run in client.search_runs(["0"]))
    answer = cli("show", "abcd")
    assert answer.code == 2
    said = "run: 'abcd' must begin one id only, but several do; write more of "
    assert answer.err.startswith(f"workbench: {said}")
    assert sorted(answer.err.removeprefix(f"workbench: {said}").strip().split(", ")) == ids
    for number, run in enumerate(ids):
        assert find_run(store, f"abcd{number}").run.id == run


def test_run_comes_back_as_it_was_configured(place: Store) -> None:
    """A run read from config.yaml and params has the settings and key of the run that was composed."""
    found = find_run(place, "lr=0.02 seed=0")
    spec, made = spec_of(found), wb.configure(*SMALL, "optimizer.lr=0.02")
    ours, theirs = ({**one.settings, "tracking.uri": "", "sweep.keep_weights": ""} for one in (spec, made))
    assert ours == theirs
    assert run_key(spec, found.data) == found.run.tags["key"]
    assert what_differs(found, spec) == []
    assert {"data=wine", "optimizer.lr=0.02"} <= {*overrides_of(found)}


def test_configuration_of_another_schema_is_refused(place: Store) -> None:
    """A key that is gone: ConfigError, not a run with something else."""
    found = find_run(place, None)
    object.__setattr__(found, "config", {**found.config, "was": 1})
    with pytest.raises(ConfigError, match="was"):
        spec_of(found)


@pytest.mark.slow
def test_whole_pack_ends_with_the_same_bits(place: Store) -> None:
    """Every run of the pack, the diverged one too, by its digest; and the parameters are those of the file."""
    from safetensors.torch import load

    for run in runs_of(place):
        found = find_run(place, run.info.run_id)
        members = pack_of(place, found)
        assert [one.run.id for one in members] == [one.info.run_id for one in runs_of(place)]
        again = train_again(found, members)
        assert (again.size, again.digest) == (3, run.data.tags["weights.digest"])
        assert timeless(again.metrics) == timeless(run.data.metrics)
        file = client_of(place).download_artifacts(found.run.id, "model.safetensors")
        weights = load(Path(file).read_bytes())
        assert all(torch.equal(weights[name], tensor[0]) for name, tensor in again.params.items())


@pytest.mark.slow
def test_verify_confirms(cli: Cli, kept: Store) -> None:
    """A run as it was made: the same bits, exit code 0."""
    answer = cli("verify", "lr=0.1 seed=0")
    assert (answer.code, answer.err) == (0, "")
    digest = find_run(kept, "lr=0.1 seed=0").run.tags["weights.digest"]
    assert f"weights: the same bits, sha256 {digest[:16]}…\nfinal metrics: " in answer.out


@pytest.mark.slow
def test_verify_finds_other_weights(cli: Cli, kept: Store, tagged: Callable[[str, str, str], None]) -> None:
    """Another digest with nothing that could explain it: after the whole pack was tried, exit code 1."""
    tagged("lr=0.1 seed=0", "weights.digest", "0" * 64)
    answer = cli("verify", "lr=0.1 seed=0")
    assert answer.code == 1
    assert "trained again in its pack of 3" in answer.out
    assert "weights: DIFFER, sha256 0000000000000000… was kept, " in answer.out


@pytest.mark.slow
def test_verify_finds_other_numbers(place: Store) -> None:
    """`verify` finds a kept metric that its equal weights do not give."""
    found = find_run(place, "lr=0.02 seed=0")
    object.__setattr__(found.run, "metrics", {**found.run.metrics, "test/loss": 0.125})
    answer = verify(place, found)
    assert not answer.same
    assert answer.lines[-1].startswith("  test/loss: 0.125 was kept, ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("torch", "1.0", "other bits, as expected: torch was 1.0, here "),
        ("instructions", "NEON", "other bits, as expected: instructions was NEON, here "),
        ("device", "NVIDIA", "device was NVIDIA, here cpu: sums on a GPU have no fixed order"),
        ("workbench", "0.0.1", "workbench was 0.0.1, here "),
        ("key", "0" * 16, "the source of a function that it chose (activation, data, ...) was edited since"),
        ("mlflow.source.git.commit", "f" * 40, "the code was of commit ffffffffff, here "),
        ("pack", "gone:1/7", "the store lacks runs of the pack that it was trained in"),
    ],
)
def test_verify_says_why_it_promises_a_tolerance_only(
    place: Store, tagged: Callable[[str, str, str], None], key: str, value: str, why: str
) -> None:
    """Elsewhere bits may differ: losses and scores within a tolerance confirm the run, others do not."""
    tagged("lr=0.02 seed=0", "weights.digest", "0" * 64)
    tagged("lr=0.02 seed=0", key, value)
    found = find_run(place, "lr=0.02 seed=0")
    object.__setattr__(found, "files", {})  # weights that are not of that digest
    answer = verify(place, found)
    assert any(why in line for line in answer.lines), answer.lines
    assert answer.same
    assert answer.lines[-1] == "final losses and scores: the same within 0.01"
    near = {**found.run.metrics, "valid/loss": 1.009 * found.run.metrics["valid/loss"]}
    object.__setattr__(found.run, "metrics", near)
    assert verify(place, found).same
    object.__setattr__(found.run, "metrics", {**near, "valid/loss": 1.02 * found.run.metrics["valid/loss"]})
    assert not verify(place, found).same


@pytest.mark.slow
def test_show_says_what_a_run_is(cli: Cli, kept: Store) -> None:
    """Outcome, data, command, every metric and every file of a run that diverged."""
    answer = cli("show", "lr=1e+30 seed=0")
    found = find_run(kept, "lr=1e+30 seed=0")
    assert (answer.code, answer.err) == (0, "")
    for said in (found.run.id, "diverged at step ", command_of(found), found.data, found.run.tags["host"]):
        assert said in answer.out
    for name in (*found.run.metrics, "config.yaml (", "model.safetensors ("):
        assert name in answer.out
    assert (
        f"workbench ui serves http://127.0.0.1:5000/#/experiments/{found.experiment_id}/runs/{found.run.id}"
        in answer.out
    )


@pytest.mark.parametrize(
    ("values", "logarithmic", "curve"),
    [
        ([], False, ""),
        ([3.0, 3.0], False, "▁▁"),
        ([0.0, 7.0, 3.0], False, "▁█▄"),
        ([1.0, 10.0, 1e7], True, "▁▂█"),
        ([0.0, 10.0, 1e7], True, "▁▁█"),
        ([float(n) for n in range(64)], False, "".join(BARS[round(7 * (2 * n) / 62)] for n in range(32))),
    ],
)
def test_sparkline_by_hand(values: list[float], logarithmic: bool, curve: str) -> None:
    """Bars from the least to the largest value; an axis with zeros is no logarithmic one."""
    assert sparkline(values, logarithmic) == curve


@pytest.mark.slow
def test_config_is_whole_yaml(place: Store, tmp_path: Path) -> None:
    """The config.yaml that `verify` reads is plain YAML with every key."""
    file = client_of(place).download_artifacts(find_run(place, None).run.id, "config.yaml", str(tmp_path))
    assert yaml.safe_load(Path(file).read_text())["train"]["epochs"] == 2


@pytest.mark.slow
def test_run_from_before_a_group_existed(place: Store) -> None:
    """A group that its config.yaml lacks has its default, and the run still ends with the same bits."""
    found = find_run(place, "lr=0.1 seed=0")
    older = {key: value for key, value in found.config.items() if key != "diagnostics"}
    object.__setattr__(found, "config", older)
    assert spec_of(found).choices["diagnostics"] == "light"
    assert verify(place, found).same


@pytest.mark.slow
def test_pruned_run_ends_where_it_was_given_up(place: Store) -> None:
    """Pruned at epoch 1 of 2: the weights are those of a run of one epoch."""
    found = find_run(place, "lr=0.1 seed=0")
    object.__setattr__(found.run, "tags", {**found.run.tags, "pruned.epoch": "1"})
    one = train_pack([Job(wb.configure(*SMALL, "optimizer.lr=0.1", "train.epochs=1"), "", "")], MemorySink())
    again = train_again(found)
    assert torch.equal(again.params.flat[0], one.final[0])
    assert "test/loss" not in again.metrics
