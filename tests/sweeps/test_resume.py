"""Killed commands, repeated: what is gone on with, what is trained anew, and whose runs are left alone."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import workbench as wb
from tests.kills import EACH_EPOCH, SWEEP, look
from tests.outer import Answer, all_runs, client_of, end, environment, finish, runs_of, start, wait_for
from tests.shown import assert_same_sweep, shown
from tests.sweeps.test_finished_runs import workers_of
from workbench.config.schema import Rerun, SweepConfig
from workbench.runs.train_pack import Job, Result
from workbench.sweeps.checkpoints import FOLDER as CHECKPOINTS
from workbench.sweeps.checkpoints import Checkpoints
from workbench.sweeps.packing import WORTHWHILE, group
from workbench.tracking.base import Outcome
from workbench.tracking.liveness import owner_tags
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import FOLDER, Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
Killer = Callable[..., None]
ROOT = Path(__file__).parents[2]
SMALL = ("data=wine", "architecture.hidden=[7]", "train.epochs=4", "train.batch_size=50", "sweep.keep_weights=true")
ONE_PACK = ("train", "-m", *SMALL, EACH_EPOCH, "optimizer.momentum=0.9")


@pytest.fixture(scope="module")
def helper() -> Iterator["subprocess.Popen[str]"]:
    """A process without threads, whose forks train: each has a number of its own, and none imports anything."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "kills.py"), "serve"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.communicate()


@pytest.fixture
def killed(helper: "subprocess.Popen[str]", store: Store) -> Killer:
    """Run a command beside the store, and kill it after so many calls of a function."""

    def kill(arguments: tuple[str, ...], name: str, calls: int) -> None:
        assert store.file is not None
        print(json.dumps([str(store.file.parent), arguments, calls, name]), file=helper.stdin, flush=True)
        assert int(helper.stdout.readline()) == -signal.SIGKILL, (store.file.parent / "log").read_text()

    return kill


def left_in(folder: Path) -> list[Path]:
    """Files of checkpoints."""
    return sorted(folder.glob(f"{FOLDER}/{CHECKPOINTS}/*/*"))


def weights(store: Store) -> dict[str, bytes]:
    """The kept weights of the runs that are done, by run name."""
    done = [run for run in runs_of(store) if run.info.status == "FINISHED"]
    files = {
        run.info.run_name: Path(run.info.artifact_uri.removeprefix("file://"), "model.safetensors") for run in done
    }
    return {name: file.read_bytes() for name, file in files.items()}


def statuses(store: Store) -> Counter[str]:
    """How many runs have each status, sweeps' own left out."""
    return Counter(run.info.status for run in runs_of(store))


@pytest.mark.slow
def test_killed_sweeps_end_as_if_left_alone() -> None:
    """A sweep killed six times, from inside and outside, ends with the same weights to the bit, rows, runs and ends."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "kills.py"), "6", "2"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " kills in " in done.stdout


@pytest.mark.slow
def test_a_killed_pack_goes_on_in_its_own_runs(cli: Cli, store: Store, killed: Killer, folder: Path) -> None:
    """A pack killed after two checkpoints goes on with the same runs, sweep and first times, and leaves no file."""
    killed((*ONE_PACK, "seed=range(3)"), "replace", 2)
    before = {run.info.run_id for run in runs_of(store)}
    (rows,) = [client_of(store).get_metric_history(run, "train/loss") for run in sorted(before)[:1]]
    assert {run.info.status for run in all_runs(store)} == {"RUNNING"}
    (file,) = left_in(folder)
    assert cli(*ONE_PACK, "seed=range(3)").code == 0
    assert {run.info.run_id for run in runs_of(store)} == before
    assert statuses(store) == {"FINISHED": 3}
    assert len(read_sweep(store, None).runs) == 3
    assert not file.exists()
    assert not (folder / FOLDER).exists()
    times = {row.step: row.timestamp for row in client_of(store).get_metric_history(sorted(before)[0], "train/loss")}
    assert all(times[row.step] == row.timestamp for row in rows)
    own = runs_of(store)[0].data.tags
    assert own["pid"] == str(os.getpid())
    assert "error" not in own
    assert float(own["checkpoint.seconds"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("status", ["kept", "deleted"])
def test_runs_without_a_checkpoint_are_superseded(cli: Cli, store: Store, killed: Killer, status: str) -> None:
    """Runs killed before the first checkpoint, or beside a deleted run, are ended as killed and made again."""
    killed((*ONE_PACK, "seed=range(2)"), "write" if status == "kept" else "replace", 2)
    orphans = runs_of(store)
    if status == "deleted":
        client_of(store).delete_run(orphans[0].info.run_id)
    assert cli(*ONE_PACK, "seed=range(2)").code == 0
    shown = read_sweep(store, None).runs
    assert sorted((run.name, run.outcome) for run in shown) == [("seed=0", "finished"), ("seed=1", "finished")]
    assert not {run.id for run in shown} & {run.info.run_id for run in orphans}
    assert "RUNNING" not in statuses(store)
    if status == "kept":
        ended = [run for run in runs_of(store) if run.info.status == "KILLED"]
        assert len(ended) == 2
        assert all(run.data.metrics == {} for run in ended)
        assert all(run.data.tags["error"].startswith("its process ") for run in ended)


@pytest.mark.slow
def test_another_batch_of_runs_does_not_use_a_checkpoint(
    cli: Cli, store: Store, killed: Killer, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another batch of runs trains anew and leaves the checkpoint to the first, which ends with the same bits."""
    killed((*ONE_PACK, "seed=0,1,2"), "replace", 3)
    (file,) = left_in(folder)
    first = {run.info.run_name: run.info.run_id for run in runs_of(store)}
    assert cli(*ONE_PACK, "seed=1,2,3").code == 0
    assert file.exists()
    assert statuses(store) == {"KILLED": 3, "FINISHED": 3}
    assert {run.id for run in read_sweep(store, None).runs}.isdisjoint(first.values())
    assert cli(*ONE_PACK, "seed=0,1,2").code == 0
    assert statuses(store) == {"KILLED": 2, "FINISHED": 4}
    assert not file.exists()
    old = next(run for run in runs_of(store) if run.info.run_id == first["seed=0"])
    assert old.data.tags["outcome"] == "finished"
    both = read_sweep(store, old.data.tags["sweep"]).runs
    assert sorted(run.seed for run in both) == [0, 1, 2]
    assert weights(store)["seed=0"] == weights_alone(tmp_path_factory, cli, store, "seed=0,1,2")["seed=0"]


def weights_alone(factory: pytest.TempPathFactory, cli: Cli, store: Store, seeds: str) -> dict[str, bytes]:
    """Weights of a sweep in another store that nobody interrupts."""
    assert store.file is not None
    other = Store(f"sqlite:///{factory.mktemp('alone')}/mlflow.db")
    assert cli(*ONE_PACK, seeds, f"tracking.uri={other.uri}").code == 0
    return weights(other)


@pytest.mark.slow
def test_all_uses_no_checkpoint(cli: Cli, store: Store, killed: Killer) -> None:
    """`sweep.rerun=all` trains from the start in runs of its own."""
    killed((*ONE_PACK, "seed=0,1"), "replace", 3)
    assert cli(*ONE_PACK, "seed=0,1", "sweep.rerun=all").code == 0
    assert statuses(store) == {"KILLED": 2, "FINISHED": 2}


@pytest.mark.slow
def test_a_single_run_goes_on_too(cli: Cli, store: Store, killed: Killer) -> None:
    """``workbench train`` without -m: the one run; and once it is done, the command makes another."""
    one = ("train", *SMALL, EACH_EPOCH)
    killed(one, "replace", 3)
    assert cli(*one).code == 0
    assert statuses(store) == {"FINISHED": 1}
    assert cli(*one).code == 0
    assert statuses(store) == {"FINISHED": 2}


@pytest.mark.slow
def test_null_keeps_no_checkpoint(cli: Cli, store: Store, killed: Killer, folder: Path) -> None:
    """`sweep.checkpoint_seconds=null` sends rows as they come, keeps no checkpoint and trains a killed pack anew."""
    alone = ("train", "-m", *SMALL, "sweep.checkpoint_seconds=null", "seed=0,1")
    killed(alone, "step", 8)
    assert not (folder / FOLDER).exists()
    assert cli(*alone).code == 0
    assert statuses(store) == {"KILLED": 2, "FINISHED": 2}
    assert "checkpoint.count" not in runs_of(store)[-1].data.tags


class Stop:
    """Raises an error after so many steps of training."""

    def __init__(self, steps: int, error: BaseException) -> None:
        self.steps, self.error = steps, error

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replace the training step."""
        from workbench.engine import train

        right = train.step

        def step(*arguments: object, **named: object) -> object:
            self.steps -= 1
            if self.steps < 0:
                raise self.error
            return right(*arguments, **named)  # type: ignore[arg-type]

        patch.setattr(train, "step", step)


@pytest.mark.slow
@pytest.mark.parametrize("often", [EACH_EPOCH, "sweep.checkpoint_seconds=1000"])
def test_ctrl_c_leaves_the_last_whole_epoch(
    cli: Cli, store: Store, folder: Path, often: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ctrl-C keeps rows up to the last whole epoch, and the same command goes on and ends with the same bits."""
    command = (*ONE_PACK, "seed=0,1,2", often)
    with pytest.MonkeyPatch.context() as patch:
        Stop(7, KeyboardInterrupt()).install(patch)  # three steps an epoch: in the midst of the third
        assert cli(*command).code == 130
    ids = {run.info.run_id for run in runs_of(store)}
    assert statuses(store) == {"KILLED": 3}
    for run in ids:
        assert [row.step for row in client_of(store).get_metric_history(run, "train/loss")] == [0, 3, 6]
    assert len(left_in(folder)) == 1
    assert cli(*command).code == 0
    assert {run.info.run_id for run in runs_of(store)} == ids
    assert statuses(store) == {"FINISHED": 3}
    for run in ids:
        assert [row.step for row in client_of(store).get_metric_history(run, "train/loss")] == [0, 3, 6, 9, 12]
    alone = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(alone)
        assert cli(*command).code == 0
    assert_same_sweep(shown(store.uri), shown(f"sqlite:///{alone}/mlflow.db"))
    assert left_in(folder) == []


@pytest.mark.slow
def test_a_failure_leaves_no_checkpoint(cli: Cli, store: Store, folder: Path) -> None:
    """A pack that failed by itself may be mended: new runs train it anew, and the failed runs keep all their rows."""
    with pytest.MonkeyPatch.context() as patch:
        Stop(7, RuntimeError("it broke")).install(patch)
        assert cli(*ONE_PACK, "seed=0,1").code == 1
    assert statuses(store) == {"FAILED": 2}
    assert left_in(folder) == []
    for run in runs_of(store):
        assert [row.step for row in client_of(store).get_metric_history(run.info.run_id, "train/loss")] == [0, 3, 6]
    assert cli(*ONE_PACK, "seed=0,1").code == 0
    assert statuses(store) == {"FAILED": 2, "FINISHED": 2}
    assert len(read_sweep(store, None).runs) == 2


SLOW = """
import sys, time
import workbench.engine.train as training
from workbench.cli.entry import main

right = training.step
training.step = lambda *given: (time.sleep(0.3), right(*given))[1]
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_runs_of_a_living_process_are_left_alone(cli: Cli, store: Store, folder: Path) -> None:
    """The same command beside a slow one waits for it: two sweeps of the same runs, each trained once."""
    process = start(["-c", SLOW, *ONE_PACK, "seed=0,1"], folder, module=False)
    try:
        wait_for(lambda: left_in(folder))
        assert cli(*ONE_PACK, "seed=0,1").code == 0
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 0, answer.err
    assert statuses(store) == {"FINISHED": 2}
    assert len(runs_of(store, "sweep")) == 2
    for own in runs_of(store, "sweep"):
        assert len(read_sweep(store, own.data.tags["sweep"]).runs) == 2
    for run in runs_of(store):
        rows = client_of(store).get_metric_history(run.info.run_id, "train/loss")
        assert [row.step for row in rows] == [0, 3, 6, 9, 12]
    assert left_in(folder) == []


@pytest.mark.slow
def test_the_only_worker_killed(cli: Cli, store: Store, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A killed only worker fails its pack with the reason; the same command goes on with the same runs and bits.

    It is killed where there is a checkpoint: a pack without one would get new runs.
    """
    sweep = [argument.replace("epochs=4", "epochs=100") for argument in [*SWEEP, EACH_EPOCH]]
    command = [*sweep, "hydra/launcher=packed_processes", "hydra.launcher.executor.workers=1"]
    process = start(command, folder)
    try:
        wait_for(lambda: workers_of(process.pid), every=0.01)
        (worker,) = workers_of(process.pid)

        def caught() -> bool:
            """Whether it stands still between two checkpoints of a pack."""
            os.kill(worker, signal.SIGSTOP)
            if any(file.suffix == ".safetensors" for file in left_in(folder)):
                return True
            os.kill(worker, signal.SIGCONT)
            return False

        wait_for(caught, every=0.01)
        os.kill(worker, signal.SIGKILL)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 1, answer.err
    assert "ended with exit code -9" in answer.out
    assert statuses(store)["FAILED"] >= 3
    before = {run.info.run_id for run in runs_of(store)}
    assert cli(*command).code == 0
    assert {run.info.run_id for run in runs_of(store)} == before
    other = tmp_path_factory.mktemp("alone")
    assert finish(start(sweep, other)).code == 0
    expected = look(other)
    expected.own.tags["mlflow.note.content"] = look(folder).own.tags["mlflow.note.content"]  # it names the launcher
    assert_same_sweep(look(folder), expected)


def test_of_two_that_go_on_one_gets_the_checkpoint(folder: Path) -> None:
    """The process that moves the file gets the checkpoint; the other trains from the start."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    checkpoints = Checkpoints.of(store, "1", SweepConfig(checkpoint_seconds=0.0))
    assert checkpoints is not None
    with checkpoints.writer(["a", "b"], frozenset()) as writer:
        writer.about |= {"runs": ["x", "y"], "endings": []}
        save(writer)
        assert checkpoints.resumable() == []  # it is being trained
    (left,) = checkpoints.resumable()
    assert (left.keys, left.runs) == (("a", "b"), ("x", "y"))
    with checkpoints.writer(["b", "a"], frozenset()) as other:
        assert other.found is None  # another order is another pack
    with checkpoints.writer(["a", "b"], frozenset()) as one, checkpoints.writer(["a", "b"], frozenset()) as two:
        assert one.found is not None
        assert two.found is None
        one.remove()
    assert not (folder / FOLDER).exists()


def save(writer: object) -> None:
    """A checkpoint of some pack."""
    from workbench.config.prepare import build_pack
    from workbench.engine.train import Trainer
    from workbench.runs.checkpoint_writer import CheckpointWriter

    assert isinstance(writer, CheckpointWriter)
    specs = [wb.configure(*SMALL, f"seed={seed}") for seed, _ in enumerate(writer.about["runs"])]
    trainer = Trainer(build_pack(specs), 50)
    records = [next(trainer.run(1))]
    writer.save(trainer.snapshot(), records)


@pytest.mark.parametrize("change", ["version", "experiment", "store", "garbage", "owner"])
def test_what_is_not_of_this_pack_is_not_seen(folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Checkpoints of another version, experiment, store or host, and half a file, are not seen."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    checkpoints = Checkpoints.of(store, "1", SweepConfig())
    assert checkpoints is not None
    with checkpoints.writer(["a"], frozenset()) as writer:
        writer.about |= {"runs": ["x"], "endings": []}
        save(writer)
    assert len(checkpoints.resumable()) == 1
    if change == "version":
        monkeypatch.setattr("workbench.sweeps.checkpoints.__version__", "9.9")
    elif change == "garbage":
        writer.file.write_bytes(b"no checkpoint")
    elif change == "owner":
        tags = {**owner_tags(), "host": "another"}
        writer.file.parent.rename(writer.file.parent.with_name("~".join(tags.values())))
    elif change == "experiment":
        checkpoints = Checkpoints.of(store, "2", SweepConfig())
    else:
        checkpoints = Checkpoints.of(Store(f"sqlite:///{folder}/other.db"), "1", SweepConfig())
    assert checkpoints is not None
    assert checkpoints.resumable() == []


def test_packs_that_are_left(folder: Path) -> None:
    """A checkpoint is used where its whole pack is asked for and not all done, and discarded where all is done."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    checkpoints = Checkpoints.of(store, "1", SweepConfig())
    assert checkpoints is not None
    with checkpoints.writer(["a", "b"], frozenset()) as writer:
        writer.about |= {"runs": ["x", "y"], "endings": []}
        save(writer)
    done = {number: Result(Job(wb.configure(), "", ""), "", Outcome.finished) for number in range(3)}
    failed = {number: Result(Job(wb.configure(), "", ""), "", Outcome.failed, error="no") for number in range(3)}
    assert checkpoints.packs(["b", "c", "a"], {}, lambda runs: list(runs) == ["x", "y"]) == [(2, 0)]
    assert checkpoints.packs(["b", "c", "a"], {0: done[0]}, lambda runs: list(runs) == ["x"]) == [(2, 0)]
    assert checkpoints.packs(["a", "a"], {}, lambda runs: True) == []
    assert checkpoints.packs(["a", "b"], failed, lambda runs: True) == []  # kept from before, and to be left so
    assert len(checkpoints.resumable()) == 1
    assert checkpoints.packs(["a", "b"], done, lambda runs: True) == []
    assert checkpoints.resumable() == []


def test_all_and_null_are_settings_of_a_sweep() -> None:
    """Null keeps no checkpoints, rerun=all begins anew, and a server's checkpoints lie in the current folder."""
    store = Store("http://somewhere:5000")
    assert Checkpoints.of(store, "1", SweepConfig(checkpoint_seconds=None)) is None
    anew = Checkpoints.of(store, "1", SweepConfig(rerun=Rerun["all"]))
    assert anew is not None
    assert anew.anew
    assert anew.folder == Path.cwd() / FOLDER / CHECKPOINTS


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2, 3])
@pytest.mark.parametrize("runs", [7, 65, 130, 301])
def test_packs_stay_the_same_when_others_are_done(runs: int, parallel: int) -> None:
    """Packs are split as before whichever are done, because bits depend on which runs train together."""
    spec = wb.configure("data=wine")
    specs = [spec] * runs
    packs = group(specs, parallel)
    assert parallel == 1 or runs < WORTHWHILE or len(packs) > 1
    for mask in range(min(2 ** len(packs), 64)):
        rest = [place for number, pack in enumerate(packs) if mask >> number & 1 for place in pack]
        again = group([specs[place] for place in rest], parallel, runs)
        assert [[rest[place] for place in pack] for pack in again] == [
            pack for number, pack in enumerate(packs) if mask >> number & 1
        ]
