"""Servers that tests start, on loopback or a socket, and stop by their process: PostgreSQL's, and MLflow's own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pwd import getpwnam

import pytest

from tests.outer import environment, wait_for
from workbench.tracking.ui import LIGHT

PASSWORD = "s3cr3t-w0rd"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(port: int) -> bool:
    """Whether MLflow's server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass
class MlflowServer:
    """An ``mlflow server`` in a folder, of one worker on a database there unless `arguments` say otherwise.

    It may be killed, and started again.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    arguments: Sequence[str] | None = None

    def begin(self) -> None:
        """Start it, without waiting for it."""
        own = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{self.folder}/server.db"}
        arguments = ["server", "--workers", "1"] if self.arguments is None else self.arguments
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=self.folder,
            env=environment(**LIGHT, **own),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(lambda: healthy(self.port))

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it and all that it started, and wait until its port is free."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(timeout=30)
            self.process = None
            wait_for(lambda: not healthy(self.port))


@contextmanager
def mlflow_server(folder: Path, arguments: Sequence[str] | None = None) -> Iterator[MlflowServer]:
    """A server that ends with the block."""
    server = MlflowServer(folder, arguments=arguments)
    server.begin()
    try:
        yield server
    finally:
        server.end()


def postgres_programs() -> Path:
    """The folder of PostgreSQL's initdb and pg_ctl; without them, the test is skipped."""
    found = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found += [Path(file).resolve().parent for file in [shutil.which("initdb")] if file]
    if not found:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    return max(found)


@dataclass
class Postgres:
    """A PostgreSQL server with a database for each name, by a user with a password."""

    programs: Path
    folder: Path
    port: int = field(default_factory=free_port)

    def uri(self, database: str, driver: str = "") -> str:
        """The address of a database, made where it is not there."""
        made = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", database]
        self._do("createdb", *made, check=False)
        return f"postgresql{driver}://bench:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        """Make its files."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        _give(self.folder)
        named = [f"--pwfile={secret}", "--auth=scram-sha-256", "--username=bench", "--encoding=UTF8", "--no-sync"]
        self._do("initdb", "-D", str(self.folder / "data"), *named)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._do("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once."""
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop", check=False)

    def _do(self, program: str, *arguments: str, check: bool = True) -> None:
        """PostgreSQL refuses to run as root."""
        as_root = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"], "LC_ALL": "C"},
            check=check,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_root,  # type: ignore[call-overload]
        )


def _give(folder: Path) -> None:
    """Let PostgreSQL's user write to a folder of this one's."""
    if os.getuid() == 0:
        owner = getpwnam("nobody")
        for file in (folder, *folder.iterdir()):
            os.chown(file, owner.pw_uid, owner.pw_gid)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that ends with the block."""
    programs = postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    server = Postgres(programs, folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)
