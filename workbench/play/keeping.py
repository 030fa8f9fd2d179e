"""Keeping a pack: its sweep, trained by ``workbench train -m`` in a process of its own, into the store."""

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence

from workbench.core.quoting import plain_override
from workbench.tracking.store import find_store

SECONDS_TO_END = 20.0
SWEEP = re.compile(r"^compare: workbench compare (\S+)$", re.MULTILINE)


class Keeper:
    """Sweeps in training for the page, each a process; `stop` ends them, and their runs are marked as killed."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def keep(self, words: Sequence[str], uri: str | None = None) -> dict[str, str | bool]:
        """Train a sweep by these arguments of ``workbench``; returns its command, id, and the lines that it printed.

        The store's address, which may hold a password, goes to the process by its environment, and is shown without.
        """
        shown = [] if uri is None else [plain_override("tracking.uri", find_store(uri).shown)]
        told = shlex.join(["workbench", *words, *shown])
        with self._lock:
            if self._stopped:
                return {"command": told, "ok": False, "sweep": "", "said": "stopped"}
            process = subprocess.Popen(
                [sys.executable, "-m", "workbench", *words],
                env={**os.environ, **({} if uri is None else {"MLFLOW_TRACKING_URI": uri})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self._processes.add(process)
        said, _ = process.communicate()
        self._processes.discard(process)
        sweep = SWEEP.search(said)
        return {
            "command": told,
            "ok": process.returncode == 0,
            "sweep": sweep[1] if sweep else "",
            "said": said.strip(),
        }

    def stop(self) -> None:
        """End what is in training."""
        with self._lock:
            self._stopped = True
            running = list(self._processes)
        for process in running:
            process.terminate()
        for process in running:
            process.wait(SECONDS_TO_END)
