"""The fixture of tests that talk to a server of the page."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.play.serving import SECONDS, TOKEN, Running, until
from workbench.play import server as servers
from workbench.play.server import Server, application


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server on a free port."""
    listening = servers._listening(0)
    port = listening.getsockname()[1]
    server = Server(None, None, tmp_path)
    config = uvicorn.Config(application(server, TOKEN, port), ws="none", lifespan="off", log_level="warning")
    web = uvicorn.Server(config)
    server.stopping = lambda: web.should_exit
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
    thread.start()
    until(lambda: web.started)
    try:
        yield Running(server, port)
    finally:
        web.should_exit = True
        server.stop()
        thread.join(SECONDS)
        listening.close()
    assert not thread.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "play"]
