"""A sweep's configurations as jobs: name, arm, tags and note of each run, and the description of the sweep."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from getpass import getuser
from pathlib import Path

import torch

from workbench.config.arms import color_of
from workbench.config.prepare import prepare
from workbench.config.schema import RunSpec
from workbench.core.credentials import without_credentials
from workbench.core.version import __version__
from workbench.runs.train_pack import Job
from workbench.sweeps.identity import run_key
from workbench.sweeps.naming import arm_names, label, run_names, sort_arms, varying_keys
from workbench.tracking.base import COLOR_TAG, RUN, SWEEP, RunInfo
from workbench.tracking.liveness import owner_tags
from workbench.tracking.store import member_tag


def make_jobs(specs: Sequence[RunSpec], arms: Sequence[str] | None = None) -> list[Job]:
    """Make a job of each configuration: name, arm, tags and note; runs of one arm share a color in MLflow's charts.

    Without `arms`, an arm is named for what differs between the runs.
    """
    of_run = arm_names(specs) if arms is None else arms
    names = run_names(specs)
    if arms is not None:
        names = [f"{arm} seed={spec.config.seed}" for spec, arm in zip(specs, arms, strict=True)]
    ordered = sort_arms(specs) if arms is None else of_run
    colors = {arm: color_of(number) for number, arm in enumerate(dict.fromkeys(ordered))}
    shared = environment_tags()
    jobs = []
    for number, (spec, arm, name) in enumerate(zip(specs, of_run, names, strict=True)):
        tags = {
            **shared,
            "kind": RUN,
            "number": str(number),
            "key": run_key(spec, prepare(spec).dataset.digest),
            COLOR_TAG: colors[arm],
        }
        jobs.append(Job(spec, name, arm, tags, _note(spec, name)))
    return jobs


def in_sweep(jobs: Sequence[Job], sweep: str) -> list[Job]:
    """The jobs as members of a sweep."""
    return [job.tagged({"sweep": sweep, member_tag(sweep): RUN}) for job in jobs]


def sweep_info(jobs: Sequence[Job], sweep: str, key: str, command: Sequence[str]) -> RunInfo:
    """Description of a sweep's own run."""
    keys = varying_keys([job.spec for job in jobs])
    values = {key: ", ".join(dict.fromkeys(label(job.spec, [key]) for job in jobs)) for key in keys}
    lines = [f"- `{key}`: {value}" for key, value in values.items()]
    text = f"{len(jobs)} runs over\n\n" + "\n".join(lines) + f"\n\nRepeat it with\n\n    {_repeat(command)}\n"
    tags = {**environment_tags(), "kind": SWEEP, "sweep": sweep, "sweep.key": key}
    return RunInfo(f"sweep {' x '.join(keys)}", {}, tags, text, {}, None)


def _user() -> str:
    """Name of the user; a number where there is none, as in a container."""
    try:
        return getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        return str(getattr(os, "getuid", str)())


def _repeat(command: Sequence[str]) -> str:
    """Quote a command line, without users and passwords in its addresses."""
    return shlex.join(map(without_credentials, command))


def _note(spec: RunSpec, name: str) -> str:
    c, train = spec.choices, spec.config.train
    on_blanks = prepare(spec).dataset.on_blanks
    blanks = f"Of the data, {on_blanks}.\n\n" if on_blanks else ""
    return (
        f"**{name}**: {c['architecture']} {spec.settings.get('architecture.hidden', '')} of {c['activation']} units "
        f"(init {c['init']}, bias {c['bias']}) on {c['data']}, {c['loss']} minimized by {c['optimizer']} for "
        f"{train.epochs} epochs in batches of {train.batch_size}, gradients by the hand-written backward pass.\n\n"
        f"{blanks}Repeat it with\n\n    {_repeat(['workbench', 'train', *spec.words])}\n\n{_made_with()}\n"
    )


def _made_with() -> str:
    tags = environment_tags()
    commit = tags.get("mlflow.source.git.commit", "")[:10]
    versions = f"workbench {__version__}, torch {torch.__version__}, Python {tags['python']}"
    return f"Made with {versions} on {tags['host']}{', commit ' * bool(commit)}{commit}."


@lru_cache(maxsize=1)
def environment_tags() -> dict[str, str]:
    """Tags of every run: user, host, versions and commit."""
    tags = {
        "workbench": __version__,
        "python": platform.python_version(),
        **owner_tags(),
        "mlflow.user": _user(),
        "mlflow.source.name": "workbench train",
        "mlflow.source.type": "LOCAL",
    }
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        git = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
        if git.returncode == 0:
            tags["mlflow.source.git.commit"] = git.stdout.strip()
    return tags
