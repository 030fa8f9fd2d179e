"""The command ``workbench``: parsing only; everything heavy is imported by the command that needs it."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from workbench import __version__
from workbench.core import signals
from workbench.core.errors import WorkbenchError
from workbench.core.plain_text import finish_output, give_up_output, prepare, printable, say
from workbench.inspect import options as reading

OVERRIDE_COMMANDS = ("train", "check", "explain")
EPILOG = """examples:
  workbench demo                                              relu, sigmoid and softplus on digits, side by side
  workbench train activation=relu optimizer.lr=0.1 seed=3     one run
  workbench train -m activation=relu,tanh seed=range(5)       a sweep: ten runs, trained together
  workbench train --help                                      all groups and keys
  workbench check activation=softplus                         hand-written gradients against autograd
  workbench explain activation=tanh --example 3               one training step, worked by hand
  workbench compare                                           the newest sweep: table and figures
  workbench claims                                            the lecture's claims and their verdicts
  workbench reproduce xor                                     one of them, measured and judged
  workbench ui                                                MLflow's pages for the runs
"""


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
        from workbench.repair import send_rest

        return send_rest(code)
    return code


def _close() -> int:
    """The exit code of a command that a signal ended, which leaves no run open."""
    say(f"workbench: {signals.word()}; runs in training are marked KILLED")
    if (spool := sys.modules.get("workbench.tracking.unsent_files")) and spool.used:
        from workbench.repair import end_own, send_rest

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
        return _complete(given)
    if given and given[0] == "explain":
        from workbench.lecture.explain.command import explain_command

        return explain_command(given[1:])
    if given and given[0] in OVERRIDE_COMMANDS:  # Hydra parses what follows, --help included
        from workbench import commands

        return commands.train_command(given[1:]) if given[0] == "train" else commands.check_command(given[1:])
    parser = _parser()
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 0
    if options.command in ("claims", "reproduce", "new"):
        return _claims(options)
    if options.command in reading.COMMANDS:
        from workbench.inspect.command import run

        return run(options)
    if options.command in ("doctor", "recover"):
        from workbench import repair

        return repair.doctor_command(options) if options.command == "doctor" else repair.recover_command(options)
    from workbench import commands

    if options.command == "ui":
        return commands.ui_command(options.uri, options.port)
    if options.command == "demo":
        return commands.demo_command(options.name)
    return commands.bench_command(options.section, options.json, options.quick)


def _claims(options: argparse.Namespace) -> int:
    from workbench.claims import command

    if options.command == "claims":
        return command.claims_command(options.claims, options.uri)
    if options.command == "new":
        return command.new_command(options.kind, options.name, options.claims)
    return command.reproduce_command(options)


class _Parser(argparse.ArgumentParser):
    """Quotes what it was given as text."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message), file)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="workbench",
        description="Check what a lecture on feed-forward networks and backpropagation claims.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"workbench {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("train", help="train one run, or with -m a sweep", add_help=False)
    commands.add_parser(
        "check",
        help="hand-written gradients of a configuration, or with --all of every combination, against two references",
        add_help=False,
    )
    commands.add_parser("explain", help="work one training step with its numbers, in formulas", add_help=False)
    reading.add_commands(commands)
    _add_claims(commands)
    ui = commands.add_parser("ui", help="serve MLflow's pages for the runs on this machine")
    ui.add_argument("--uri", help="the tracking store (default: $MLFLOW_TRACKING_URI, else ./mlflow.db)")
    ui.add_argument("--port", type=int, default=5000, help="default: 5000")
    _add_repair(commands)
    bench = commands.add_parser("bench", help="time training steps against autograd and the bare matrix products")
    bench.add_argument(
        "section",
        nargs="?",
        default="step",
        choices=["step", "sweep", "scaling", "tracking", "diagnostics", "all"],
        help="a training step (default), a run of a sweep beside a usual script's, sweeps by size, what keeping a "
        "run costs, what looking at it costs, or all",
    )
    bench.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        help="also as JSON, to a file or to the output",
    )
    bench.add_argument("--quick", action="store_true", help="fewer repetitions")
    demo = commands.add_parser("demo", help="run an experiment that comes with the workbench")
    demo.add_argument("name", nargs="?", default="activations_on_digits", help="default: activations_on_digits")
    return parser


def _add_claims(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    store = "the tracking store (default: $MLFLOW_TRACKING_URI, else ./mlflow.db)"
    own = "a folder with claims of your own: NAME.py and experiment/NAME.yaml"
    claims = commands.add_parser("claims", help="the lecture's claims with their last verdicts")
    claims.add_argument("--claims", metavar="DIR", help=own)
    claims.add_argument("--uri", help=store)
    reproduce = commands.add_parser("reproduce", help="measure claims and judge them by their rules")
    reproduce.add_argument("names", metavar="NAME", nargs="+", help="claims, or all")
    reproduce.add_argument("--profile", default="quick", help="quick (default) or full")
    reproduce.add_argument("--report", metavar="DIR", help="also write report.html and report.md there")
    reproduce.add_argument("--claims", metavar="DIR", help=own)
    reproduce.add_argument("--uri", help=store)
    reproduce.add_argument("--again", action="store_true", help="measure anew what has a verdict already")
    offset = "let all seeds begin from N: the same study again, on fresh ones"
    reproduce.add_argument("--seed-offset", type=int, default=0, metavar="N", help=offset)
    new = commands.add_parser("new", help="write the files of a claim of your own")
    new.add_argument("kind", choices=["claim"])
    new.add_argument("name", metavar="NAME")
    new.add_argument("--claims", metavar="DIR", default="claims", help="where to (default: claims)")


def _add_repair(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser("doctor", help="end runs whose process is gone; what else was left, and is not well")
    doctor.add_argument("--uri", help=reading.STORE)
    doctor.add_argument("--dry-run", action="store_true", help="change nothing")
    doctor.add_argument("--end", metavar="RUN", nargs="+", default=[], help="end these, which you know to be dead")
    recover = commands.add_parser("recover", help="send what could not be sent while the store was away")
    recover.add_argument("files", metavar="FILE", nargs="*", help="also a file whose process cannot be seen from here")
    recover.add_argument("--uri", help=reading.STORE)


def _complete(given: list[str]) -> int:
    """Hydra's completion knows a program and its overrides: hide the subcommand between them."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    if len(words) > 1 and words[1] in OVERRIDE_COMMANDS and len(words) > 2:
        cut = len(words[1]) + 1
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(max(0, int(os.environ.get("COMP_POINT", len(line))) - cut))
    elif any(word.startswith("query=") for word in given):
        start = words[1] if len(words) > 1 else ""
        others = ("claims", "reproduce", "new", "ui", "doctor", "recover", "bench", "demo")
        names = (*OVERRIDE_COMMANDS, *reading.COMMANDS, *others)
        print(shlex.join(name for name in names if name.startswith(start)))
        return 0
    from workbench import commands

    return commands.train_command(given)


if __name__ == "__main__":
    sys.exit(main())
