"""Serving of MLflow's pages: one worker, no job runner, on loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from urllib.error import URLError

from workbench.core import signals
from workbench.core.errors import TrackingError
from workbench.tracking.sqlite import engine_uri
from workbench.tracking.store import Store

LIGHT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
}
START_SECONDS = 60
SECONDS_TO_END = 20
LAST_PORT = 65535


def serve(store: Store, port: int, ready: Callable[[], None]) -> int:
    """Serve the store until interrupted, and call `ready` once the pages answer; returns the server's exit code.

    Raises TrackingError where there is no store, the port is taken or the server does not start.
    """
    if store.is_missing:
        raise TrackingError(f"ui: no store at {store.shown}; train something first or name another with --uri")
    if not 1 <= port <= LAST_PORT:
        raise TrackingError(f"ui: --port must be from 1 to {LAST_PORT}, got {port}; write for example --port 5000")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TrackingError(f"ui: port {port} must be free; write for example --port {_free_port()}") from error
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    settings = {**LIGHT, "MLFLOW_BACKEND_STORE_URI": engine_uri(store)}  # not an argument: all users see those
    process = subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}/health")
        ready()
        return process.wait()
    except KeyboardInterrupt as error:
        signals.ending(error)
        return 0
    finally:
        process.terminate()
        try:
            process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # still starting
            process.kill()
            process.wait()


def _free_port() -> int:
    """A port that no program of this machine listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", address: str) -> None:
    """Wait until the server answers; raises TrackingError where it does not start."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise TrackingError("ui: MLflow's server did not start; run `python -m mlflow server` to see why")
