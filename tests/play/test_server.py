"""The server of the page, attacked: no token, other hosts, other pages, other kinds of requests; and its ends."""

import json
import socket
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.play.serving import TOKEN, Running, until
from workbench.core.errors import ConfigError
from workbench.play import server as servers
from workbench.play.guard import MOST_BYTES
from workbench.play.keeping import Keeper
from workbench.play.server import HOST, MOST_SESSIONS
from workbench.play.settings import compose, offer, overrides_of

pytest_plugins = ["tests.play.serving_fixtures"]

XOR = {"a": {"data": "xor", "activation": "tanh", "architecture.hidden": [2]}, "seeds": 2}


def test_the_page_and_its_parts_are_served_with_headers_that_shut_others_out(running: Running) -> None:
    """No script of another host, no frame around it, no referrer that would tell the token."""
    for path in ("", "main.js", "play.css", "lessons.json", "offer"):
        response = running.ask("GET", f"/{TOKEN}/{path}")
        assert response.status == 200
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/wrong/", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "/wrong/offer", "/%00/", "//"])
def test_without_the_token_there_is_nothing(running: Running, path: str) -> None:
    """A wrong token is answered like any other wrong address."""
    assert running.ask("GET", path).status == 404
    assert running.ask("POST", f"{path}train", XOR).status == 404


@pytest.mark.parametrize("path", ["../server.py", "%2e%2e/server.py", "..%2fserver.py", "/etc/passwd", "lessons"])
def test_no_file_but_the_pages_own_is_served(running: Running, path: str) -> None:
    """Paths lead nowhere out of the page's folder."""
    assert running.ask("GET", f"/{TOKEN}/{path}").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": f"http://{HOST}:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": "localhost.evil.example"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_foreign_page_cannot_train_or_keep(running: Running, headers: dict[str, str], status: int) -> None:
    """Not even with the token: its browser tells where it comes from, and what a form can send is no JSON."""
    for path in ("train", "train/name", "keep/name/0"):
        with running.asked("POST", f"/{TOKEN}/{path}", XOR, headers) as response:
            assert response.status == status
    assert not running.server.opened


def test_a_foreign_page_cannot_read(running: Running) -> None:
    """A script's read carries an origin, and a picture's or a frame's its site."""
    assert running.ask("GET", f"/{TOKEN}/offer", headers={"Origin": "http://evil.example"}).status == 403
    assert running.ask("GET", f"/{TOKEN}/", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_large_requests_are_refused(running: Running) -> None:
    """By their length, before their content is read."""
    for length in (str(MOST_BYTES + 1), "many"):
        assert running.ask("POST", f"/{TOKEN}/train", headers={"Content-Length": length}).status in (400, 413)


@pytest.mark.parametrize(
    ("settings", "status", "says"),
    [
        ("{", 400, "play: settings"),
        ({"a": {}, "command": "rm"}, 400, "play: command"),
        ({"a": {"architecture.hidden": ["x"]}}, 400, "play: architecture.hidden: must be a number"),
        ({"a": {"data.path": "/etc/passwd"}}, 422, "play: 'data.path' must be a value of a chosen option"),
        ({"a": {"activation": "${oc.env:HOME}"}}, 422, "play: activation must be a word or a number"),
        ({"a": {"activation": "rleu"}}, 422, "rleu"),
        ({"a": {"data": "points"}}, 422, ""),
    ],
)
def test_refused_settings_are_told(running: Running, settings: Any, status: int, says: str) -> None:
    """With a sentence for the page; nothing trains."""
    answer = running.ask("POST", f"/{TOKEN}/train", settings)
    assert answer.status == status
    assert says in answer.refused
    assert not running.server.opened


def test_a_training_streams_follows_orders_and_ends_with_its_page(running: Running) -> None:
    """Its first message names it; when the page closes, its thread ends."""
    with running.training(XOR) as stream:
        name = next(stream)["name"]
        assert next(stream)["sides"][0]["step"] == 0
        assert running.order(name, {"do": "explode"}) == 400
        assert running.order(name, {"do": "play"}) == 200
        assert next(frame for frame in stream if frame["sides"][0]["step"] > 10)["playing"]
        session = running.server.opened[name].session
    until(lambda: not session.is_running)
    until(lambda: not running.server.opened)
    assert running.order(name, {"do": "play"}) == 410
    assert running.ask("POST", f"/{TOKEN}/keep/{name}/0", {}).status == 410


def test_a_page_that_leaves_at_once_leaves_no_training(running: Running) -> None:
    """A page that is closed before its stream begins, as one is whose settings change quickly."""
    for _ in range(MOST_SESSIONS + 2):
        with socket.create_connection((HOST, running.port)) as connection:
            body = json.dumps(XOR).encode()
            head = f"POST /{TOKEN}/train HTTP/1.1\r\nHost: {HOST}\r\nOrigin: http://{HOST}:{running.port}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
    with running.training(XOR) as stream:
        name = next(stream)["name"]
        until(lambda: list(running.server.opened) == [name])


def test_two_pages_train_apart(running: Running) -> None:
    """Each stream has its own packs; too many are refused."""
    with ExitStack() as pages:
        streams = [pages.enter_context(running.training(XOR)) for _ in range(MOST_SESSIONS)]
        names = [next(stream)["name"] for stream in streams]
        assert len(set(names)) == MOST_SESSIONS
        running.order(names[0], {"do": "play"})
        assert next(frame for frame in streams[0] if frame["sides"][0]["step"] > 3)
        assert running.server.opened[names[1]].session.trainings[0].steps == 0
        assert "close one" in running.ask("POST", f"/{TOKEN}/train", XOR).refused


def test_the_end_of_the_server_ends_training(running: Running) -> None:
    """A stream in progress ends, and with it the thread: the fixture looks for what is left."""
    with running.training(XOR) as stream:
        name = next(stream)["name"]
        running.order(name, {"do": "play"})
        session = running.server.opened[name].session
        running.server.stop()
        assert not session.is_running
        assert running.server.keeper.keep(["train"])["said"] == "stopped"


def test_the_stores_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the command that the page shows nor among the arguments of the process, which all users see."""
    started: list[Any] = []

    def start(command: list[str], env: dict[str, str], **_: Any) -> Any:
        started.append((command, env))
        raise OSError("enough")

    monkeypatch.setattr("workbench.play.keeping.subprocess.Popen", start)
    uri = "postgresql://user:secret@host/runs"
    with pytest.raises(OSError, match="enough"):
        Keeper().keep(["train"], uri)
    ((command, env),) = started
    assert "secret" not in " ".join(command)
    assert env["MLFLOW_TRACKING_URI"] == uri
    keeper = Keeper()
    keeper.stop()
    told = str(keeper.keep(["train"], uri)["command"])
    assert told.startswith("workbench train 'tracking.uri=")
    assert "secret" not in told


@pytest.mark.slow
def test_lessons_are_composed() -> None:
    """Each lesson's packs can be trained, and each has one question."""
    lessons = json.loads((servers.PAGE / "lessons.json").read_text())
    assert len({lesson["name"] for lesson in lessons}) == len(lessons) >= 6
    for lesson in lessons:
        assert lesson["question"].count("?") == 1
        sides: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
        for key, text in parse_qsl(lesson["state"], keep_blank_values=True):
            if key == "seeds":
                continue
            value: Any = [int(part) for part in text.split(",") if part] if key.endswith("hidden") else text
            if text.replace(".", "").isdecimal() and not isinstance(value, list):
                value = float(text) if "." in text else int(text)
            sides["b" if key.startswith("b.") else "a"][key.removeprefix("b.")] = value
        data = {key: value for key, value in sides["a"].items() if key.startswith("data")}
        for side in filter(None, sides.values()):
            assert compose(overrides_of({**side, **data}, offer(None)), 1, None)


@pytest.mark.parametrize(
    ("folder", "port", "says"), [("none", 0, "--config-dir: there is no folder"), (None, 65536, "--port must be")]
)
def test_a_folder_and_a_port_must_be_such(folder: str | None, port: int, says: str) -> None:
    """Refused before anything is served."""
    with pytest.raises(ConfigError, match=says):
        servers.serve(folder, None, port, print)


def test_a_port_in_use_is_refused() -> None:
    """The message says what to write."""
    with servers._listening(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"play: port {port} must be free .* write --port 0"):
            servers._listening(port)
