"""The command lines of what reads runs back: parsing only."""

import argparse

STORE = "the tracking store (default: $MLFLOW_TRACKING_URI, else ./mlflow.db)"
COMMANDS = ("compare", "show", "verify", "export", "diagnose", "figures")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what reads runs back."""
    _add_compare(commands)
    _add_run(commands, "show", "what a run is, how it ended, its numbers and files")
    verify = "train a run again from what the store holds; exit code 1 where it ends otherwise"
    _add_allow(_add_run(commands, "verify", verify))
    export = _add_run(commands, "export", "a run's network as an MLflow model that needs nothing of the workbench")
    _add_allow(export)
    export.add_argument("-o", "--out", metavar="DIR", help="a new folder for it (default: models/RUN)")
    export.add_argument("--log", action="store_true", help="keep it in MLflow, with the run, instead")
    _add_run(commands, "diagnose", "what went wrong in a run or a sweep, by rules, with the logged numbers")
    figures = _add_run(commands, "figures", "a run in pictures: gradients, saturation, units, its function or weights")
    _add_allow(figures)
    figures.add_argument("-o", "--out", metavar="DIR", help="a folder for them (default: figures)")


def _add_run(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, says: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=says)
    parser.add_argument("run", nargs="?", help="its id, the beginning of it, or its name; without one, the newest run")
    parser.add_argument("--uri", help=STORE)
    return parser


def _add_allow(parser: argparse.ArgumentParser) -> None:
    trust = "a module of yours whose functions the kept configuration may name; others are never run"
    parser.add_argument("--allow", metavar="MODULE", action="append", default=[], help=trust)


def _listed(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    compare = commands.add_parser("compare", help="table and figures of a sweep by arm, or two sweeps side by side")
    compare.add_argument("sweep", nargs="?", help="its id, or the beginning of it; without one, the newest sweep")
    compare.add_argument("other", nargs="?", help="a second sweep: the arms of both, with what it changes in them")
    compare.add_argument(
        "--by", type=_listed, default=[], metavar="KEY,...", help="arms by these parameters: --by optimizer.lr"
    )
    compare.add_argument(
        "--metric", type=_listed, default=[], metavar="NAME,...", help="these columns: --metric valid/loss"
    )
    compare.add_argument("--format", help="the table alone: csv or parquet (numbers), latex or markdown (text)")
    compare.add_argument("-o", "--table", metavar="FILE", help="the table alone, as this file: .csv .parquet .tex .md")
    compare.add_argument("--uri", help=STORE)
    compare.add_argument("--out", metavar="DIR", help="folder for figures and table (default: figures/SWEEP)")
