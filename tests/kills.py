"""Sweeps that are killed and repeated until they are done must end as if nobody had killed them.

    python tests/kills.py [KILLS] [SEED]

A child of this process trains a sweep of two packs and is sent SIGKILL: by itself at one of the moments around every
call to the store, every file of a checkpoint and every step of training, or from outside after some time. Most sweeps
leave a checkpoint after each epoch, the others only the one before their runs are ended. Then the same command is
repeated, perhaps to be killed again, until it ends. Compared wholly with a sweep that was left alone: final weights bit
for bit, every row of every metric once and equal, each run once in the sweep, its tags, params, files, and status; and
no file of a checkpoint left. Exit code 0 where all of that held for every sweep.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import workbench.engine.checkpoint as checkpoint
import workbench.engine.train as training
import workbench.tracking.writer_thread as writer
from tests.shown import ShownSweep, differences, shown
from workbench.cli.entry import main
from workbench.tracking.bulk_backend import Bulk

SWEEP = [
    *("train", "-m", "data=wine", "activation=relu,tanh", "architecture.hidden=[7]", "norm=batch"),
    *("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.lr=0.05,1e30", "seed=range(3)"),
    *("train.epochs=4", "train.batch_size=50", "sweep.keep_weights=true"),
]
EACH_EPOCH, AT_THE_END = "sweep.checkpoint_seconds=0", "sweep.checkpoint_seconds=1000"
RUNS = 12
STORE_PARTS = ("_write_files", "_open", "_keep_tags", "_keep_rows", "write")  # within, around and after a transaction
SECONDS = 120


class Moments:
    """Counts the moments of a process, of all functions or of the one named, and kills the process at the last."""

    def __init__(self, last: int, name: str = "") -> None:
        self.last, self.name, self.count = last, name, 0

    def come(self, name: str) -> None:
        """Count the moment where it is to be counted, and kill the process at the last."""
        self.count += self.name in ("", name)
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """A moment before and one after each call."""
        right: Callable[..., Any] = getattr(owner, name)

        @wraps(right)
        def call(*arguments: Any, **named: Any) -> Any:
            self.come(f"before {name}")
            result = right(*arguments, **named)
            self.come(name)
            return result

        setattr(owner, name, call)


def child(folder: Path, arguments: list[str], moments: Moments) -> None:
    """A sweep in this process, which ends with it; the number of its moments goes to a file."""
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    for name in STORE_PARTS:
        moments.around(Bulk, name)
    for name in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        moments.around(Path, name)
    writer.SECONDS_BETWEEN_WRITES, writer.MOST_OF_TIME = 0.0, 1e9  # rows leave as soon as they may
    moments.around(checkpoint, "save_file")
    moments.around(training, "step")
    code = main(arguments)
    Path("moments").write_text(str(moments.count))
    os._exit(code)


def run(folder: Path, arguments: Sequence[str], last: int = -1, name: str = "", seconds: float = SECONDS) -> int:
    """The exit code of a command in a child; negative where it was killed, at its last moment or after some seconds."""
    pid = os.fork()
    if pid == 0:
        try:
            child(folder, list(arguments), Moments(last, name))
        finally:
            os._exit(70)
    late = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > late:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -signal.SIGKILL
        time.sleep(0.002)


def look(folder: Path) -> ShownSweep:
    """The sweep in a folder; files of checkpoints and unsent rows that are left count as wrong."""
    found = shown(f"sqlite:///{folder}/mlflow.db")
    found.wrong += [str(file.relative_to(folder)) for file in folder.glob(".workbench/**/*")]
    return found


def trials(kills: int, seed: int, home: Path) -> list[str]:
    """Kill so many times; what was wrong."""
    draw = random.Random(seed)
    print(f"{kills} kills, seed {seed}")
    begun = time.monotonic()
    expected = {}
    for often in (AT_THE_END, EACH_EPOCH):
        whole = home / often
        whole.mkdir()
        begun = time.monotonic()
        assert run(whole, [*SWEEP, often]) == 0, (whole / "log").read_text()
        seconds = time.monotonic() - begun
        expected[often] = look(whole)
        assert not expected[often].wrong, expected[often].wrong
        assert len(expected[often].runs) == RUNS
    moments = int((whole / "moments").read_text())
    ends = Counter(one.tags["outcome"] for one in expected[EACH_EPOCH].runs.values())
    print(f"left alone: {seconds:.1f} s, {moments} moments, {ends}")
    wrong, done, number = [], 0, 0
    while done < kills:
        folder = home / f"trial-{number}"
        folder.mkdir()
        said, code = [], -1
        often = EACH_EPOCH if draw.random() < 0.7 else AT_THE_END
        command = [*SWEEP, often]
        while code < 0:
            again = done < kills and (len(said) == 0 or draw.random() < 0.5)
            inside = draw.random() < 0.7
            last = draw.randint(1, moments) if again and inside else -1
            after = draw.uniform(0, seconds) if again and not inside else SECONDS
            code = run(folder, command, last=last, seconds=after)
            if code < 0:
                done += 1
                said.append(f"moment {last}" if inside else f"{after:.2f} s")
        bad = [f"exit code {code}"] if code else differences(look(folder), expected[often], replaced=True)
        print(
            f"trial {number}: killed at {', '.join(said) or 'no time'}: {'; '.join(bad) or 'as if left alone'}",
            flush=True,
        )
        wrong += [f"trial {number}: {one}" for one in bad]
        if not bad:
            shutil.rmtree(folder)
        number += 1
    print(f"{done} kills in {time.monotonic() - begun:.0f} s: {len(wrong)} differences")
    return wrong


def serve() -> None:
    """Run what each line of the input says, and answer with its exit code."""
    for line in sys.stdin:
        folder, arguments, last, name = json.loads(line)
        print(run(Path(folder), arguments, last, name), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
        sys.exit()
    given = [int(argument) for argument in sys.argv[1:]]
    place = Path(tempfile.mkdtemp(prefix="kills-"))
    failed = trials(given[0] if given else 25, given[1] if len(given) > 1 else 0, place)
    if failed:
        print(f"see {place}")
    else:
        shutil.rmtree(place)
    sys.exit(bool(failed))
