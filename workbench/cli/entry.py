"""Entry point of ``workbench``: runs a command, reports errors and signals, returns the exit code."""

import os
import sys
from collections.abc import Sequence

from workbench.cli.completion import complete
from workbench.cli.parser import command, command_names, make_parser, takes_overrides
from workbench.core import signals
from workbench.core.errors import WorkbenchError
from workbench.core.plain_text import finish_output, give_up_output, prepare, say

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # a command has none, and looking for them takes time
OUTPUT_CLOSED = 141  # as shells report a program whose output was closed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit code.

    0 done, 1 runs or checks failed, 2 the request cannot be run, 3 done but not all of it in the store. 130, 143 and
    129 after Ctrl-C, SIGTERM and SIGHUP.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    prepare()
    if unsent_files := sys.modules.get("workbench.tracking.unsent_files"):
        unsent_files.used.clear()
    if sqlite := sys.modules.get("workbench.tracking.sqlite"):
        sqlite.seen.clear()
    with signals.listening(for_good=arguments is None):
        try:
            return _ended(words)
        except BaseException as error:
            signals.ending(error)
            if not signals.received() or isinstance(error, SystemExit):
                raise
            return _close(getattr(error, "__notes__", []))  # also where a library turned the signal into another error
        finally:
            _let_go()


def _ended(words: list[str]) -> int:
    """Exit code of a command, once everything is in the store that can be."""
    code = _answered(words)
    if (unsent_files := sys.modules.get("workbench.tracking.unsent_files")) and unsent_files.used:
        from workbench.cli.closing import send_rest

        return send_rest(code)
    return code


def _close(notes: Sequence[str]) -> int:
    """Exit code of a command that a signal ended, after ending its open runs; `notes` say how to go on."""
    say("; ".join([f"workbench: {signals.word()}", "runs in training are marked KILLED", *filter(None, notes)]))
    if (unsent_files := sys.modules.get("workbench.tracking.unsent_files")) and unsent_files.used:
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


def _answered(words: list[str]) -> int:
    try:
        return _dispatch(words)
    except WorkbenchError as error:
        if os.environ.get("WORKBENCH_DEBUG") or signals.received():
            raise
        say(f"workbench: {error}")
        return 2
    except BrokenPipeError:
        give_up_output()
        return OUTPUT_CLOSED
    except OSError as error:
        if error.filename is None or os.environ.get("WORKBENCH_DEBUG") or signals.received():
            raise
        say(f"workbench: {error.filename}: {error.strerror}; name another place, or make this one fit")
        return 2


def _dispatch(words: list[str]) -> int:
    if words and words[0] in ("-sc", "--shell-completion"):
        return complete(words)
    if (
        words and words[0] in command_names() and takes_overrides(words[0])
    ):  # Hydra parses what follows, --help included
        return int(command(words[0]).run_overrides(words[1:]))
    parser = make_parser()
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 0
    return int(command(options.command).run(options))
