"""Tab completion: of commands here, of overrides by Hydra."""

import os
import shlex
from collections.abc import Iterable

from workbench.cli.parser import command, command_names, takes_overrides


def complete(arguments: list[str]) -> int:
    """Complete a command, or its `WORDS` and, by Hydra with the command hidden, overrides; returns the exit code."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    if len(words) > 2 and words[1] in command_names() and takes_overrides(words[1]):
        _offer(getattr(command(words[1]), "WORDS", ()), words[-1])
        cut = len(words[1]) + 1
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(max(0, int(os.environ.get("COMP_POINT", len(line))) - cut))
    elif any(word.startswith("query=") for word in arguments):
        _offer(command_names(), words[1] if len(words) > 1 else "")
        return 0
    return int(command("train").run_overrides(arguments))


def _offer(names: Iterable[str], start: str) -> None:
    if offered := [name for name in names if name.startswith(start)]:
        print(shlex.join(offered))
