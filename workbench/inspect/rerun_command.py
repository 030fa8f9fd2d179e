"""The command that repeats a run, from its note."""

import shlex

from workbench.tracking.find_run import FullRun

COMMAND = "    workbench train"  # in a run's note


def command_of(full_run: FullRun) -> str:
    """Command line that repeats a run, from its note; empty where it has none."""
    note = full_run.run.tags.get("mlflow.note.content", "")
    return next((line.strip() for line in note.splitlines() if line.startswith(COMMAND)), "")


def overrides_of(full_run: FullRun) -> list[str]:
    """Overrides of the command line that repeats a run."""
    return shlex.split(command_of(full_run))[2:]
