"""A process that has imported the workbench once, and answers each command line in a child of its own.

    python -m tests.bad.forks

It reads requests from its input, one JSON object a line, and answers with one. A child is a fork: it begins in
milliseconds, with nothing that a command before it left behind. What it may take is bounded, and what it took is told.
"""

import atexit
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WALL = 60.0  # seconds after which a child hangs
ROOM = 3 * 2**30  # bytes of addresses beyond those of the imports: who asks for more gets a MemoryError
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Answer:
    """Exit code (negative: the signal that ended it), what was said, and what it took.

    `seconds` are without those in which the machine was busy with others; `left` says that processes were left behind.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_gib: float
    hung: bool
    left: bool


class Forks:
    """The process, from the other end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.bad.forks"],
            cwd=ROOT,
            env={**{key: value for key, value in os.environ.items() if "COV" not in key}, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask({})  # once everything is imported

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        said: Path,
        environment: dict[str, str] | None = None,
        encoding: str = "utf-8",
        die_after: int = 0,
    ) -> Answer:
        """``workbench ...`` in `folder`; what it says goes through files in `said`.

        With `die_after`, it is killed after so many checkpoints.
        """
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "said": str(said),
            "environment": environment or {},
            "encoding": encoding,
            "die_after": die_after,
        }
        took = self._ask(request)
        out, err = ((said / name).read_bytes().decode(encoding, "replace") for name in ("out", "err"))
        return Answer(out=out, err=err, **took)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def serve() -> None:
    """Answer requests until there are no more."""
    main = _prepared()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_answered(request, main) if request else {}), file=answers, flush=True)


def _prepared() -> Callable[[Sequence[str]], int]:
    """The command, once all that its parts import and look up for the first time is there."""
    import torch

    import workbench.api
    import workbench.claims.reproduction
    import workbench.cli.closing
    import workbench.cli.commands.explain
    import workbench.inspect.comparison
    import workbench.inspect.diagnose
    import workbench.inspect.export
    import workbench.inspect.run_figures
    import workbench.inspect.show
    import workbench.inspect.verify
    import workbench.tracking.mlflow_sink
    import workbench.tracking.models
    import workbench.tracking.saved_view  # noqa: F401
    from workbench.cli.entry import main

    torch.set_num_threads(1)
    before, sys.stdout = sys.stdout, io.StringIO()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        main(["train", "data=xor", "sweep.dry_run=true"])
        main(["claims"])
        os.chdir(ROOT)
    sys.stdout = before
    return main


def _answered(request: dict[str, Any], main: Callable[[Sequence[str]], int]) -> dict[str, Any]:
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _child(request, main)
        finally:
            os._exit(code)
    handle = os.pidfd_open(pid)
    hung = not select.select([handle], [], [], WALL)[0]
    os.close(handle)
    if hung:
        os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    waited = _waited(pid)
    left = _end_group(pid)
    _, status, took = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - start - waited,
        "peak_gib": took.ru_maxrss / 2**20,
        "hung": hung,
        "left": left,
    }


def _waited(pid: int) -> float:
    """Seconds that a process was ready and others had the processor."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _end_group(pid: int) -> bool:
    """End what a child, which is no more than a name, has left behind; whether there was something."""
    left = False
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == pid:
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(state[3]) == pid and state[0] not in "ZX":  # of its session
            left = True
            os.kill(int(entry.name), signal.SIGKILL)
    return left


def _child(request: dict[str, Any], main: Callable[[Sequence[str]], int]) -> int:
    from workbench.sweeps.jobs import environment_tags

    os.setsid()
    os.chdir(request["folder"])
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WORKBENCH_DEBUG"):
        os.environ.pop(key, None)
    os.environ |= {"COLUMNS": "120", **request["environment"]}
    tempfile.tempdir = None
    environment_tags.cache_clear()  # they name the process
    _redirect(Path(request["said"]), request["encoding"])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bytes_of_addresses = pages * os.sysconf("SC_PAGE_SIZE") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (bytes_of_addresses, bytes_of_addresses))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["die_after"]:
        _die_after(request["die_after"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return _exit_code(request["arguments"], main)


def _exit_code(arguments: list[str], main: Callable[[Sequence[str]], int]) -> int:
    """Exit code that the interpreter would give, with the errors it would print, after what waits for its end."""
    try:
        code = main(arguments)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        code = 120
    sys.stderr.flush()
    return code


def _redirect(said: Path, encoding: str) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(said / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding, "backslashreplace", write_through=True)


def _die_after(checkpoints: int) -> None:
    """Be killed when so many checkpoints have come to their place."""
    right, written = Path.replace, [0]

    def replace(self: Path, target: Path) -> Path:
        result = right(self, target)
        written[0] += Path(target).suffix == ".safetensors"
        if written[0] == checkpoints:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = replace  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    serve()
