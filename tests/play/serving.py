"""A server of the page in a thread of the test's process, and requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from workbench.play.server import HOST, Server

TOKEN = "secret-token"
SECONDS = 60
NONE: Mapping[str, str | None] = {}


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def messages(response: http.client.HTTPResponse) -> Iterator[Any]:
    """Messages of a stream of events."""
    while line := response.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@contextmanager
def served(folder: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """``workbench play`` in a folder: the process, which is interrupted at the end, and its address."""
    command = [sys.executable, "-m", "workbench", "play", *words]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, cwd=folder, env=where, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as lines:
        try:
            yield process, next(line.strip() for line in lines if line.startswith("http://127.0.0.1:"))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


class Answer(NamedTuple):
    """Status, headers and text of an answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def refused(self) -> str:
        """The sentence of a refusal."""
        return str(json.loads(self.text)["refused"])


class Running(NamedTuple):
    """A server in a thread of this process, and its port."""

    server: Server
    port: int

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.port}/{TOKEN}/"

    @contextmanager
    def asked(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] = NONE
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request as the page would, but for these `headers`; None leaves one out."""
        origin = {"Origin": f"http://{HOST}:{self.port}", "Content-Type": "application/json"}
        sent = {**(origin if method == "POST" else {}), **headers}
        content = body if isinstance(body, str | None) else json.dumps(body)
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)) as connection:
            connection.request(method, path, content, {name: value for name, value in sent.items() if value})
            with connection.getresponse() as response:
                yield response

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] = NONE) -> Answer:
        """Send a request and read its answer."""
        with self.asked(method, path, body, headers) as response:
            return Answer(response.status, response.headers, response.read().decode())

    @contextmanager
    def training(self, settings: Any) -> Iterator[Iterator[Any]]:
        """The messages of a training; the page closes at the end of the block."""
        with self.asked("POST", f"/{TOKEN}/train", settings) as response:
            assert response.status == 200
            yield messages(response)

    def order(self, name: str, what: Any) -> int:
        """Give an order; returns the status."""
        return self.ask("POST", f"/{TOKEN}/train/{name}", what).status
