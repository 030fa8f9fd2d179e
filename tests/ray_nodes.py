"""A Ray cluster of several node processes on this machine, whose nodes can be killed as a power cut would."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.outer import environment, wait_for


@dataclass
class Node:
    """A ``ray start`` that stays in the foreground, and where it writes."""

    process: "subprocess.Popen[bytes]"
    said: Path

    @property
    def family(self) -> set[int]:
        """Itself and all that it started: raylet, agents, workers."""
        return {self.process.pid, *_children(self.process.pid)}

    @property
    def is_training(self) -> bool:
        """Whether one of its workers is at a pack."""
        return any("ray::_train" in _command(pid) for pid in self.family)

    @property
    def worker(self) -> int:
        """The process of its worker that is at a pack."""
        return next(pid for pid in self.family if "ray::_train" in _command(pid))

    def kill(self) -> None:
        """SIGKILL to all of it, first to those who would start others anew."""
        for pid in sorted(self.family):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=30)


@dataclass
class Cluster:
    """A head and nodes that joined it; `secrets` is the environment that lets a driver in."""

    folder: Path
    port: int
    nodes: list[Node] = field(default_factory=list)
    secrets: dict[str, str] = field(
        default_factory=lambda: {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    )

    @property
    def address(self) -> str:
        """Address at which a driver finds the cluster."""
        return f"127.0.0.1:{self.port}"

    def add(self, cpus: int = 1) -> Node:
        """Start the head, or another node, and wait until it has joined."""
        number = len(self.nodes)
        head = ["--head", "--port", str(self.port), "--include-dashboard", "false"]
        place = ["--address", self.address] if number else head
        said = self.folder / f"node{number}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"),
                    *(*place, "--node-ip-address", "127.0.0.1", "--num-cpus", str(cpus), "--num-gpus", "0"),
                    *("--object-store-memory", "100000000"),
                    *("--temp-dir", str(self.folder / str(number)), "--disable-usage-stats"),
                ],
                env=environment(**self.secrets),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.nodes.append(Node(process, said))
        wait_for(lambda: "Ray runtime started" in said.read_text() or process.poll() is not None, 90)
        assert process.poll() is None, said.read_text()
        return self.nodes[-1]


@contextmanager
def cluster(port: int, nodes: int = 2) -> Iterator[Cluster]:
    """A cluster of nodes with one core each; all of it is gone in the end."""
    with TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short: sockets are files in it
        made = Cluster(Path(folder), port)
        try:
            for _ in range(nodes):
                made.add()
            yield made
        finally:
            for node in reversed(made.nodes):
                node.kill()


def _children(parent: int) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found: set[int] = set()
    more = {parent}
    while more:
        more = {pid for pid, ppid in rows if ppid in more} - found
        found |= more
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
