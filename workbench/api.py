"""The functions of ``import workbench as wb`` that do what commands do."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from workbench.certificates.certificate import Certificate, certify
from workbench.config.compose import command_line
from workbench.config.schema import RunSpec
from workbench.core.plain_text import say
from workbench.core.terminal import plain_console
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.search import Search
from workbench.sweeps.search_loop import rehearse_search, train_search
from workbench.sweeps.sweep import Finished, rehearse, summary, train_one, train_sweep
from workbench.tracking.mlflow_environment import not_followed

SHOWN = (
    "test/accuracy",
    "test/r2",
    "test/loss",
    "valid/accuracy",
    "valid/r2",
    "valid/loss",
    "train/loss",
)


def train(*arguments: str) -> Finished | None:
    """Train as ``workbench train`` with these arguments; returns None where Hydra only shows something (``--help``)."""
    console = plain_console()
    for line in not_followed():
        say(f"workbench: {line}")
    command = ["workbench", "train", *arguments]
    done: list[Finished] = []

    def run_one(spec: RunSpec) -> None:
        if spec.config.sweep.dry_run:
            rehearse([spec], console)
            return
        done.append(train_one(spec, command, console))

    def run_many(runs: list[RunSpec] | Search, executor: Executor) -> list[dict[str, float]]:
        first = runs.corners[0] if isinstance(runs, Search) else runs
        if first and first[0].config.sweep.dry_run:
            rehearse_search(runs, console, executor) if isinstance(runs, Search) else rehearse(runs, console, executor)
            return [{} for _ in range(len(runs))]
        if isinstance(runs, Search):
            done.append(train_search(runs, command, console, executor))
        else:
            done.append(train_sweep(runs, command, console, executor))
        return [result.metrics for result in done[-1].results]

    command_line(arguments, run_one, run_many)
    if not done:
        return None
    _report(done[-1], console)
    return done[-1]


def _report(finished: Finished, console: Console) -> None:
    for line in summary(finished):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not finished.sweep:
        metrics = finished.results[0].metrics
        console.print(
            ", ".join(f"{name} {metrics[name]:.4g}" for name in SHOWN if name in metrics),
            highlight=False,
            soft_wrap=True,
        )
    else:
        console.print(f"compare: workbench compare {finished.sweep}", highlight=False)
    _print_link(finished.link, finished.store.is_server, console)


def _print_link(link: str, served: bool, console: Console) -> None:
    before = "" if served else "workbench ui serves "
    console.print(f"runs and charts: {before}{link}", highlight=False, markup=False, soft_wrap=True)


def check(spec: RunSpec) -> Certificate:
    """Check gradients of a run against autograd and central differences, at its initial weights."""
    return certify(spec)


def compare(
    *sweeps: str,
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    kind: str | None = None,
    table: str | None = None,
    uri: str | None = None,
    out: str | None = None,
) -> list[Path]:
    """Compare a sweep (by default the newest) by arm, or two sweeps with each other, as ``workbench compare`` does.

    `by` names the parameters that define arms. With `kind` (csv, parquet, latex, markdown) or a file for the `table`,
    only the table is written; otherwise also figures, to `out`. Returns the files written.
    """
    from workbench.inspect.comparison import ComparisonRequest
    from workbench.inspect.comparison import compare as compared

    return compared(ComparisonRequest(sweeps, uri, by, metrics, kind, table, out), plain_console())
