"""The command ``workbench``: runs a command, answers errors and signals, returns the exit code."""

import os
import sys
from collections.abc import Sequence

from workbench.cli.completion import complete
from workbench.cli.parser import command, command_names, make_parser, takes_overrides
from workbench.core import signals
from workbench.core.errors import WorkbenchError
from workbench.core.plain_text import finish_output, give_up_output, prepare, say

NOBODY_READS = 141  # as shells say it of a program whose output was closed


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 runs or checks failed, 2 the request cannot be run, 3 done but not all of it in the store.

    130, 143 and 129 after Ctrl-C, SIGTERM and SIGHUP.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    prepare()
    if spool := sys.modules.get("workbench.tracking.unsent_files"):
        spool.used.clear()
    if sqlite := sys.modules.get("workbench.tracking.sqlite"):
        sqlite.seen.clear()
    with signals.listening(for_good=arguments is None):
        try:
            return _ended(given)
        except BaseException as error:
            signals.ending(error)
            if not signals.received() or isinstance(error, SystemExit):
                raise
            return _close()  # whatever a library has made of the signal
        finally:
            _let_go()


def _ended(given: list[str]) -> int:
    """The command's exit code, once everything is in the store that can be."""
    code = _answered(given)
    if (spool := sys.modules.get("workbench.tracking.unsent_files")) and spool.used:
        from workbench.cli.closing import send_rest

        return send_rest(code)
    return code


def _close() -> int:
    """The exit code of a command that a signal ended, which leaves no run open."""
    say(f"workbench: {signals.word()}; runs in training are marked KILLED")
    if (spool := sys.modules.get("workbench.tracking.unsent_files")) and spool.used:
        from workbench.cli.closing import end_own, send_rest

        end_own()
        send_rest(signals.code())
    return signals.code()


def _let_go() -> None:
    signals.done()
    try:
        if store := sys.modules.get("workbench.tracking.sqlite"):
            store.let_go()
    finally:
        finish_output()


def _answered(given: list[str]) -> int:
    try:
        return _dispatch(given)
    except WorkbenchError as error:
        if os.environ.get("WORKBENCH_DEBUG") or signals.received():
            raise
        say(f"workbench: {error}")
        return 2
    except BrokenPipeError:
        give_up_output()
        return NOBODY_READS
    except OSError as error:
        if error.filename is None or os.environ.get("WORKBENCH_DEBUG") or signals.received():
            raise
        say(f"workbench: {error.filename}: {error.strerror}; name another place, or make this one fit")
        return 2


def _dispatch(given: list[str]) -> int:
    if given and given[0] in ("-sc", "--shell-completion"):
        return complete(given)
    if (
        given and given[0] in command_names() and takes_overrides(given[0])
    ):  # Hydra parses what follows, --help included
        return int(command(given[0]).run_overrides(given[1:]))
    parser = make_parser()
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 0
    return int(command(options.command).run(options))
