"""Checkpoints that were changed on the disk: training goes on to the same bits or anew, never to other numbers."""

import json
import logging
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

import workbench as wb
from tests.outer import SMALL, Answer, all_runs, client_of, runs_of
from tests.sweeps.test_resume import ONE_PACK, Stop, left_in, weights
from workbench.config.schema import SweepConfig
from workbench.core.errors import DamagedError
from workbench.engine import checkpoint
from workbench.engine.checkpoint import PackState, read, write
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.runs.train_pack import Job, train_pack
from workbench.sweeps.checkpoints import Checkpoints, abandoned
from workbench.tracking.base import MemorySink
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
KEYS = ("a", "b")


def jobs() -> list[Job]:
    """A pack of two runs."""
    specs = [
        wb.configure(*SMALL, "train.epochs=3", "optimizer.momentum=0.9", f"seed={seed}") for seed in range(len(KEYS))
    ]
    return [Job(spec, key, "", {"key": key}) for spec, key in zip(specs, KEYS, strict=True)]


def numbers(sink: MemorySink, final: dict[int, torch.Tensor], runs: list[str]) -> str:
    """All that a pack comes to, but times."""
    rows = [
        [(step, metrics) for step, _, metrics in sink.runs[run].rows if "diagnostics/share" not in metrics]
        for run in runs
    ]
    return repr([rows, [flat.tolist() for _, flat in sorted(final.items())]])


@pytest.fixture(scope="module")
def uninterrupted() -> str:
    """Numbers of the pack when it is left alone."""
    sink = MemorySink()
    done = train_pack(jobs(), sink)
    return numbers(sink, done.final, [result.run for result in done.results])


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store beside which a checkpoint was left after two epochs."""
    folder = tmp_path_factory.mktemp("left")
    kept = Checkpoints.of(Store(f"sqlite:///{folder}/mlflow.db"), "1", SweepConfig(checkpoint_seconds=0.0))
    assert kept is not None
    sink = MemorySink()
    with pytest.MonkeyPatch.context() as patch, kept.writer(KEYS, frozenset()) as writer:
        Stop(12, KeyboardInterrupt()).install(patch)
        with pytest.raises(KeyboardInterrupt):
            train_pack(jobs(), sink, checkpoints=writer)
    (left,) = kept.resumable()
    assert read(left.file).snapshot.recorded == 3
    return folder


def gone_on(folder: Path) -> tuple[str, list[Path]]:
    """Train the pack from what lies in a folder, each row of a run once: its numbers, and what was set aside."""
    kept = Checkpoints.of(Store(f"sqlite:///{folder}/mlflow.db"), "1", SweepConfig(checkpoint_seconds=0.0))
    assert kept is not None
    sink = MemorySink()
    sink.open([job.info for job in jobs()])  # those that the checkpoint names
    with kept.writer(KEYS, frozenset()) as writer:
        done = train_pack(jobs(), sink, checkpoints=writer)
    assert [result.error for result in done.results] == ["", ""]
    aside = sorted(folder.glob(".workbench/checkpoints/damaged/*"))
    for result in done.results:
        steps = [step for step, _, metrics in sink.runs[result.run].rows if "train/loss" in metrics]
        assert len(steps) == len(set(steps))
    return numbers(sink, done.final, [result.run for result in done.results]), aside


@pytest.fixture
def copied(left: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint in a folder of its own."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob(".workbench/checkpoints/*/*.safetensors")
    return file


@pytest.mark.slow
def test_what_was_left_is_gone_on_with(copied: Path, tmp_path: Path, uninterrupted: str) -> None:
    """An unchanged checkpoint leads to the same numbers; the rows before it are in the store already."""
    assert gone_on(tmp_path) == (uninterrupted, [])


Edit = tuple[str, float, int]
EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "zero", "insert", "double"]), st.floats(0, 1), st.integers(1, 255)),
    min_size=1,
    max_size=3,
)


def edited(content: bytes, kind: str, where: float, number: int) -> bytes:
    """A file's content with one change at a place."""
    if not content:
        return content
    place = min(int(where * len(content)), len(content) - 1)
    match kind:
        case "flip":
            return content[:place] + bytes([content[place] ^ number]) + content[place + 1 :]
        case "cut":
            return content[:place]
        case "zero":
            return content[:place] + bytes(len(content[place : place + number])) + content[place + number :]
        case "insert":
            return content[:place] + bytes([number]) * number + content[place:]
        case _:
            return content + content[place:]


@pytest.mark.slow
@settings(max_examples=300)
@given(EDITS)
def test_edited_bytes_are_told(
    left: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, float, int]]
) -> None:
    """A checkpoint with edited bytes is read as it was written, or refused as damaged."""
    file = tmp_path_factory.getbasetemp() / "edited.safetensors"
    (unedited,) = left.glob(".workbench/checkpoints/*/*.safetensors")
    expected, changed = read(unedited), unedited.read_bytes()
    for edit in edits:
        changed = edited(changed, *edit)
    file.write_bytes(changed)
    try:
        found = read(file)
    except DamagedError as error:
        assert str(error).startswith(f"checkpoint: {file} must be as it was written, but ")  # noqa: PT017
        return
    assert (found.about, repr(found.records)) == (expected.about, repr(expected.records))
    assert torch.equal(found.snapshot.flat, expected.snapshot.flat)
    assert torch.equal(found.snapshot.orders, expected.snapshot.orders)


def rewritten(file: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None], digests: bool) -> None:
    """Change a checkpoint's tensors and words as somebody might who knows its format, perhaps also its digests."""
    with safe_open(file, framework="pt") as opened:
        tensors, said = {name: opened.get_tensor(name) for name in opened.keys()}, dict(opened.metadata())  # noqa: SIM118
    change(tensors, said)
    if digests:
        said.pop(checkpoint.ALL)
        said[checkpoint.TENSORS] = json.dumps(checkpoint._digest_of(tensors))
        said[checkpoint.ALL] = checkpoint._digest_of_text(said)
    save_file(tensors, file, said)


def of_header(name: str, value: object) -> Callable[[dict[str, torch.Tensor], dict[str, str]], None]:
    """Another value of the header."""
    return lambda _, said: said.update(header=json.dumps({**json.loads(said["header"]), name: value}))


CHANGES = {
    "a flipped bit": lambda tensors, _: tensors["flat"].view(torch.int32)[0, 0].bitwise_xor_(1),
    "zeroed weights": lambda tensors, _: tensors["flat"].zero_(),
    "another order": lambda tensors, _: tensors["orders"].zero_(),
    "swapped runs": lambda _, said: said.update(runs=json.dumps(json.loads(said["runs"])[::-1])),
    "swapped keys": lambda _, said: said.update(keys=json.dumps(json.loads(said["keys"])[::-1])),
    "another store": lambda _, said: said.update(store=json.dumps("other.db")),
    "nothing said": lambda _, said: said.clear(),
    "no runs": lambda _, said: said.pop("runs"),
}
FALSE_CHANGES = {
    "recorded before it began": of_header("recorded", -1),
    "recorded nothing": of_header("recorded", 0),
    "recorded too much": of_header("recorded", 1000),
    "another layout": of_header("layout", "0" * 16),
    "replicas that are not there": of_header("replicas", [0, 7]),
    "no state": lambda tensors, _: [tensors.pop(name) for name in list(tensors) if name.startswith("state.")],
    "no runs": lambda _, said: said.update(runs="[]"),
    "another shape": lambda tensors, _: tensors.update(flat=tensors["flat"][:, 1:].clone()),
    "another end": lambda _, said: said.update(
        endings=json.dumps([{"recorded": 9, "replica": 0, "outcome": "pruned", "tags": {}}])
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CHANGES, *(f"false: {name}" for name in FALSE_CHANGES)])
def test_a_changed_checkpoint_is_set_aside(
    copied: Path, tmp_path: Path, uninterrupted: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Said in one line and kept; the pack trains from the start. Also where the digests are right."""
    is_false = name.startswith("false: ")
    change = FALSE_CHANGES[name.removeprefix("false: ")] if is_false else CHANGES[name]
    rewritten(copied, change, is_false)
    changed = copied.read_bytes()
    with caplog.at_level(logging.WARNING):
        found, aside = gone_on(tmp_path)
    assert found == uninterrupted
    assert [file.read_bytes() for file in aside] == [changed]
    (said,) = [record.message for record in caplog.records]
    assert f"it is kept as {aside[0]}, and its pack trains from the start" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["empty", "cut", "text"])
def test_what_is_no_checkpoint_is_set_aside(copied: Path, tmp_path: Path, uninterrupted: str, name: str) -> None:
    """Files that are empty, cut off or text are set aside, and the pack trains to the same numbers."""
    changed = {"empty": b"", "cut": copied.read_bytes()[:5000], "text": b"{}" * 5000}
    copied.write_bytes(changed[name])
    found, aside = gone_on(tmp_path)
    assert (found, [file.name for file in aside]) == (uninterrupted, [copied.name])


@pytest.mark.slow
def test_another_name_changes_nothing(copied: Path, tmp_path: Path, uninterrupted: str) -> None:
    """A checkpoint under another file name is used: it says itself whose it is."""
    copied.rename(copied.with_name("0123456789abcdef-00000000.safetensors"))
    assert gone_on(tmp_path) == (uninterrupted, [])


@pytest.mark.parametrize("name", ["~", "a~b~²~1", "a~b~99999999999999999999~1", "host~boot~12", "~~~"])
def test_folders_of_no_process_are_left_alone(tmp_path: Path, name: str) -> None:
    """Foreign files and folders beside the checkpoints are left alone and raise nothing."""
    place = tmp_path / ".workbench" / "checkpoints" / name
    place.mkdir(parents=True)
    (place / "one.safetensors").write_text("no checkpoint")
    (place / "folder.safetensors").mkdir()
    (place.parent / "a~file").write_text("")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    kept = Checkpoints.of(store, "1", SweepConfig())
    assert kept is not None
    assert kept.resumable() == []
    assert abandoned(store) == []


@pytest.mark.slow
def test_damaged_checkpoints_in_the_store(cli: Cli, store: Store, folder: Path) -> None:
    """A damaged checkpoint gives new runs with all rows once; old runs leave the sweep; the doctor names the file."""
    command = (*ONE_PACK, "seed=0,1")
    with pytest.MonkeyPatch.context() as patch:
        Stop(7, KeyboardInterrupt()).install(patch)
        assert cli(*command).code == 130
    (file,) = left_in(folder)
    before = {run.info.run_id for run in runs_of(store)}
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.sweeps.checkpoints.owner_is_gone", lambda tags: True)
        doctor = cli("doctor")
    assert (doctor.code, doctor.err) == (1, "")
    assert f"{file} must be as it was written" in doctor.out
    assert f"rm {shlex.quote(str(file))}" in doctor.out
    answer = cli(*command)
    assert answer.code == 0, answer.err
    shown = read_sweep(store, None).runs
    assert len(shown) == 2
    assert not {run.id for run in shown} & before
    for run in runs_of(store):
        steps = [row.step for row in client_of(store).get_metric_history(run.info.run_id, "train/loss")]
        assert steps == ([0, 3, 6] if run.info.run_id in before else [0, 3, 6, 9, 12])
    assert {run.info.status for run in all_runs(store)} == {"KILLED", "FINISHED"}
    doctor = cli("doctor")
    (aside,) = (folder / ".workbench" / "checkpoints" / "damaged").iterdir()
    assert (doctor.code, f"{aside} was set aside as damaged\n  -> remove it" in doctor.out) == (1, True)
    aside.unlink()
    assert cli("doctor").code == 0
    other = weights(store)
    assert len(other) == 2


def test_a_keeper_saves_after_a_refusal(tmp_path: Path) -> None:
    """A checkpoint that is refused is forgotten, and the pack's own checkpoints are saved."""
    file = tmp_path / "own" / "one.safetensors"
    snapshot = PackState(5, 0, (0,), torch.zeros(1, 2), {}, torch.zeros(1), {}, "")
    write(file, snapshot, [], {})
    writer = CheckpointWriter(file, 0.0, found=read(file))
    writer.refuse(DamagedError("it does not fit"))
    writer.save(replace(snapshot, recorded=1), [])
    assert read(file).snapshot.recorded == 1
