"""Tab completion: of commands here, of overrides by Hydra."""

import os
import shlex

from workbench.cli.parser import command, command_names, takes_overrides


def complete(arguments: list[str]) -> int:
    """Complete a command, or leave overrides to Hydra with the command hidden; returns the exit code."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    if len(words) > 2 and words[1] in command_names() and takes_overrides(words[1]):
        cut = len(words[1]) + 1
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(max(0, int(os.environ.get("COMP_POINT", len(line))) - cut))
    elif any(word.startswith("query=") for word in arguments):
        start = words[1] if len(words) > 1 else ""
        print(shlex.join(name for name in command_names() if name.startswith(start)))
        return 0
    return int(command("train").run_overrides(arguments))
