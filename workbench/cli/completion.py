"""Tab completion: of commands and their options here, of overrides by Hydra."""

import os
import shlex
from collections.abc import Iterable

from workbench.cli.options import Parser
from workbench.cli.parser import command, command_names, takes_overrides


def complete(arguments: list[str]) -> int:
    """Complete a command, its options and words, and by Hydra, with the command hidden, overrides; the exit code."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    is_query = any(word.startswith("query=") for word in arguments)
    if len(words) < 3 or words[1] not in command_names():
        if is_query:
            _offer(command_names(), words[-1])
            return 0
    elif words[-1].startswith("-") or not takes_overrides(words[1]):
        _offer(_of_command(words[1], words[2:-1]), words[-1])
        return 0
    else:
        _offer(getattr(command(words[1]), "WORDS", ()), words[-1])
        cut = len(words[1]) + 1
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(max(0, int(os.environ.get("COMP_POINT", len(line))) - cut))
    return int(command("train").run_overrides(arguments))


def _of_command(name: str, before: list[str]) -> list[str]:
    """Options and words that a command takes; behind an option with choices, these."""
    module = command(name)
    if takes_overrides(name):
        from workbench.config.overrides import hydra_parser

        parser = hydra_parser()
    else:
        parser = Parser(prog=name)
    getattr(module, "add_arguments", lambda parser: None)(parser)
    options = parser._option_string_actions
    if before and (last := options.get(before[-1])) is not None and last.choices:
        return list(map(str, last.choices))
    positional = [action for action in parser._actions if not action.option_strings]
    return [*sorted(options), *(str(choice) for action in positional for choice in action.choices or ())]


def _offer(names: Iterable[str], start: str) -> None:
    if offered := [name for name in names if name.startswith(start)]:
        print(shlex.join(offered))
