"""What the note of a run says to do: the command that repeats it."""

import shlex

from workbench.tracking.find_run import FullRun

COMMAND = "    workbench train"  # in a run's note


def command_of(kept: FullRun) -> str:
    """The command line that repeats a run, from its note; empty where it has none."""
    note = kept.run.tags.get("mlflow.note.content", "")
    return next((line.strip() for line in note.splitlines() if line.startswith(COMMAND)), "")


def overrides_of(kept: FullRun) -> list[str]:
    """The overrides in that command line."""
    return shlex.split(command_of(kept))[2:]
