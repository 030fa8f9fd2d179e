"""The server of the page, on loopback: its files, a stream for each page's training, orders to it, and keeping."""

import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from workbench.config.arms import PALETTE
from workbench.config.options import usual_options
from workbench.core import signals
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.engine.threads import one_thread
from workbench.play.guard import Guard
from workbench.play.keeping import Keeper
from workbench.play.session import Order, Session
from workbench.play.settings import (
    DRAWN,
    OTHER_VALUES,
    Settings,
    compose,
    offer,
    overrides_of,
    save_points,
    sweep_words,
    word_choices,
)
from workbench.play.training import Training
from workbench.tracking.store import FOLDER

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
MOST_SESSIONS = 8
LAST_PORT = 65535


@dataclass(frozen=True)
class Opened:
    """A page's training with its name and the settings it was made from."""

    name: str
    session: Session
    settings: Settings


class Stream(StreamingResponse):
    """A stream of events that calls `end` once it is over, also where its page has left before it began."""

    def __init__(self, content: AsyncIterator[str], end: Callable[[], object]) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


@dataclass
class Server:
    """Trainings of all open pages. `folder` holds options of the user's, `uri` names the store, `scratch` is for files.

    `stopping` says whether the server ends.
    """

    folder: Path | None
    uri: str | None
    scratch: Path
    stopping: Callable[[], bool] = lambda: False
    opened: dict[str, Opened] = field(default_factory=dict)
    keeper: Keeper = field(default_factory=Keeper)
    _composing: Lock = field(default_factory=Lock)

    def routes(self) -> list[Route | Mount]:
        """Routes below the token."""
        return [
            Route("/{token}/offer", self.offer),
            Route("/{token}/train", self.train, methods=["POST"]),
            Route("/{token}/train/{name}", self.order, methods=["POST"]),
            Route("/{token}/keep/{name}/{side:int}", self.keep, methods=["POST"]),
            Mount("/{token}", StaticFiles(directory=PAGE, html=True)),
        ]

    async def offer(self, request: Request) -> Response:
        """Send the options that the page offers, with their values, and the palette."""
        offered = await run_in_threadpool(offer, self.folder)
        usual = {group: name for group, name in usual_options().items() if group in offered}
        words = await run_in_threadpool(word_choices)
        page = {"groups": offered, "usual": usual, "others": OTHER_VALUES, "words": words, "palette": PALETTE}
        return JSONResponse(page)

    async def train(self, request: Request) -> Response:
        """Begin a training and stream its frames as server-sent events; it ends with the stream.

        Settings that are refused are answered with the command line's message.
        """
        try:
            settings = Settings.model_validate_json(await request.body())
            opened = await run_in_threadpool(self._open, settings)
        except ValidationError as error:
            return _refused(_in_words(error), 400)
        except WorkbenchError as error:
            return _refused(str(error), 422)
        return Stream(self._events(opened), lambda: self._close(opened))

    def _open(self, settings: Settings) -> Opened:
        """Compose and build the packs; raises ConfigError for what is refused."""
        with self._composing:
            if len(self.opened) >= MOST_SESSIONS:
                raise ConfigError(f"play: {MOST_SESSIONS} pages train already; close one")
            words = [self._overrides(settings, side, self.scratch) for side in range(len(settings.sides))]
            packs = [compose(overrides, settings.seeds, self.folder) for overrides in words]
            opened = Opened(secrets.token_hex(8), Session([Training(specs) for specs in packs]), settings)
            self.opened[opened.name] = opened
            return opened

    def _close(self, opened: Opened) -> None:
        opened.session.close()
        self.opened.pop(opened.name, None)

    def _overrides(self, settings: Settings, side: int, folder: Path) -> list[str]:
        chosen = settings.sides[side]
        points = save_points(settings.points, folder) if chosen.get("data") == DRAWN else None
        return overrides_of(chosen, offer(self.folder), points)

    async def _events(self, opened: Opened) -> AsyncIterator[str]:
        yield f"data: {json.dumps({'name': opened.name, 'about': opened.session.about})}\n\n"
        while not self.stopping() and opened.session.is_running:
            frame = await run_in_threadpool(opened.session.take)
            yield f"data: {frame}\n\n" if frame else ":\n\n"

    async def order(self, request: Request) -> Response:
        """Pass an order on to a training."""
        opened = self.opened.get(request.path_params["name"])
        if opened is None:
            return _refused("play: this training has ended; load the page again", 410)
        try:
            opened.session.order(Order.model_validate_json(await request.body()))
        except ValidationError as error:
            return _refused(_in_words(error), 400)
        return JSONResponse({})

    async def keep(self, request: Request) -> Response:
        """Train one of the packs as a sweep into the store, for as many epochs as the page has begun."""
        opened, side = self.opened.get(request.path_params["name"]), request.path_params["side"]
        if opened is None or side >= len(opened.session.trainings):
            return _refused("play: this training has ended; load the page again", 410)
        overrides = self._overrides(opened.settings, side, Path(FOLDER, "data").absolute())
        epochs = opened.session.trainings[side].epochs
        words = sweep_words(overrides, opened.settings.seeds, epochs, self.folder)
        kept = await run_in_threadpool(self.keeper.keep, words, self.uri)
        return JSONResponse(kept)

    def stop(self) -> None:
        """End every training, and sweeps that are being kept."""
        sessions = [opened.session for opened in self.opened.values()]
        for session in sessions:
            session.close()
        self.keeper.stop()
        for session in sessions:
            session.join()


def application(server: Server, token: str, port: int) -> Starlette:
    """Make the application behind its guard: no other host's name, no other page's requests, none without the token."""
    origins = [f"http://{name}:{port}" for name in (HOST, "localhost")]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        Middleware(Guard, token=token, origins=origins),
    ]
    return Starlette(routes=server.routes(), middleware=middleware)


def serve(folder: str | None, uri: str | None, port: int, ready: Callable[[str], Any]) -> int:
    """Serve until interrupted; calls `ready` with the page's address. Returns the exit code.

    Raises ConfigError where the folder is none or the port cannot be used.
    """
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"play --config-dir: there is no folder {folder!r}; correct the path, or drop it")
    token = secrets.token_urlsafe(16)
    with _listening(port) as listening, TemporaryDirectory(prefix="workbench-play-") as scratch, one_thread():
        number = listening.getsockname()[1]
        server = Server(Path(folder).resolve() if folder else None, uri, Path(scratch))
        config = uvicorn.Config(
            application(server, token, number),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        running = uvicorn.Server(config)
        server.stopping = lambda: running.should_exit
        try:
            ready(f"http://{HOST}:{number}/{token}/")
            running.run(sockets=[listening])
        except KeyboardInterrupt as error:  # uvicorn sends the signal again once it has ended
            signals.ending(error)
        finally:
            server.stop()
    return 0


def _listening(port: int) -> socket.socket:
    """Listen on loopback; raises ConfigError where the port cannot be used."""
    if not 0 <= port <= LAST_PORT:
        raise ConfigError(f"play: --port must be from 0 to {LAST_PORT}, got {port}; write for example --port 8000")
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(f"play: port {port} must be free ({error.strerror}); write --port 0") from error
    return listening


def _refused(message: str, status: int) -> Response:
    return JSONResponse({"refused": message}, status_code=status)


def _in_words(error: ValidationError) -> str:
    """Name the first value that has no place in the settings."""
    first = error.errors(include_url=False, include_input=False)[0]
    side, *key = map(str, first["loc"]) if first["loc"] else ("settings",)
    if side in ("a", "b") and key:
        return f"play: {key[0]}: must be a number, a flag, a word or a list of whole numbers; correct it on the page"
    return f"play: {'.'.join([side, *key])}: {first['msg']}"
