"""Shared by the tests of the outer half: answers of commands, real processes, and reading a store back."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from workbench.config.targets import resolve_target
from workbench.core.terminal import plain_console
from workbench.sweeps.command_line import train_as_told
from workbench.sweeps.sweep import Finished
from workbench.tracking.reader import reusable_runs
from workbench.tracking.store import Store

SMALL = ("data=wine", "architecture.hidden=[6]", "train.epochs=2")


@dataclass
class Answer:
    """Output, error output and exit code of a command."""

    code: int
    out: str
    err: str


def trained(*arguments: str) -> Finished:
    """Train as ``workbench train`` with these arguments, in this process."""
    finished = train_as_told(arguments, plain_console())
    assert finished is not None
    return finished


def environment(**changed: str) -> dict[str, str]:
    """Copy this process's environment, changed, without the variables that would lead a workbench elsewhere."""
    kept = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "COMP_LINE")}
    return {**kept, "COLUMNS": "120", **changed}


def start(
    arguments: Sequence[str], cwd: Path, module: bool = True, group: bool = False, **changed: str
) -> "subprocess.Popen[str]":
    """``python -m workbench ...`` as a process, perhaps with a group of its own; without `module` ``python ...``."""
    return subprocess.Popen(
        [sys.executable, *(("-m", "workbench") if module else ()), *arguments],
        cwd=cwd,
        env=environment(**changed),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,
        process_group=0 if group else None,
    )


def _hear_interrupts() -> None:
    """A shell's background job ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end(process: "subprocess.Popen[str]") -> None:
    """Nothing of it stays, however the test went."""
    if process.poll() is None:
        process.kill()
    process.communicate()


def finish(process: "subprocess.Popen[str]", seconds: float = 120) -> Answer:
    """Wait for a process and return its answer; kill it and fail where it takes longer than `seconds`."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"process did not end in {seconds} s:\n{out}\n{err}")
    return Answer(process.returncode, out, err)


def wait_for(holds: Callable[[], object], seconds: float = 120, every: float = 0.1) -> None:
    """Poll until `holds`; fail after `seconds`."""
    late = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > late:
            pytest.fail(f"not within {seconds} s: {holds}")
        time.sleep(every)


def replace_target(monkeypatch: pytest.MonkeyPatch, name: str, function: Callable[..., object]) -> None:
    """Another function in the place of one that a ``_target_`` names; targets are looked up anew while it lasts."""
    module, _, short = name.rpartition(".")
    function.__annotations__["return"] = get_type_hints(getattr(sys.modules[module], short))["return"]
    monkeypatch.setattr(name, function)
    for place in ("config.instantiate", "config.targets", "sweeps.identity"):
        monkeypatch.setattr(f"workbench.{place}.resolve_target", inspect.unwrap(resolve_target))
    monkeypatch.setattr("workbench.config.prepare._prepared", OrderedDict())


def client_of(store: Store) -> MlflowClient:
    """A client that is not the workbench's own."""
    return MlflowClient(tracking_uri=store.uri)


def all_runs(store: Store) -> list[Run]:
    """Every run of every experiment, oldest first."""
    client = client_of(store)
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments, max_results=1000, order_by=["attributes.start_time ASC"]))


def runs_of(store: Store, kind: str = "run") -> list[Run]:
    """The runs with this kind in the order of their numbers."""
    found = [run for run in all_runs(store) if run.data.tags["kind"] == kind]
    return sorted(found, key=lambda run: int(run.data.tags.get("number", 0)))


def trials_of(store: Store) -> list[dict[str, Any]]:
    """Trials of the only search in the store, in order, each without the ids of its runs."""
    (own,) = runs_of(store, "sweep")
    kept = sorted((name, json.loads(text)) for name, text in own.data.tags.items() if name.startswith("trial."))
    return [{key: value for key, value in trial.items() if key != "runs"} for _, trial in kept]


@dataclass
class Trained:
    """A sweep in a store of its own."""

    finished: Finished
    store: Store
    said: str


def assert_same_runs(store: Store, one: str, other: str, count: int) -> None:
    """Two experiments hold as many runs of the same keys, with the same metrics."""
    found, expected = reusable_runs(store, one), reusable_runs(store, other)
    assert found.keys() == expected.keys()
    assert len(found) == count
    for key, run in expected.items():
        taken = {"diagnostics/share": found[key].metrics["diagnostics/share"]}  # time is never the same
        assert found[key].metrics == pytest.approx({**run.metrics, **taken}, rel=1e-6)
