"""``workbench train`` from its arguments to finished runs; what trains is imported once the configuration stands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.config.compose import command_line
from workbench.config.early_checks import check_written
from workbench.config.schema import RunSpec
from workbench.core.plain_text import say
from workbench.sweeps.checks import check_together
from workbench.tracking.mlflow_environment import not_followed
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.sweeps.executors.base import Executor
    from workbench.sweeps.search import Search
    from workbench.sweeps.sweep import Finished

    MakeExecutor = Callable[[], Executor]

SHOWN = (
    "test/accuracy",
    "test/r2",
    "test/rmse",
    "test/mae",
    "test/loss",
    "valid/accuracy",
    "valid/r2",
    "valid/loss",
    "train/loss",
)


def train_as_told(arguments: Sequence[str], console: Console) -> "Finished | None":
    """Train as ``workbench train`` with these arguments; returns None where Hydra only shows something (``--help``)."""
    for line in not_followed():
        say(f"workbench: {line}")
    command = ["workbench", "train", *arguments]
    done: list[Finished] = []

    def run_one(spec: RunSpec) -> None:
        done.extend(_one(spec, command, console))

    def run_many(runs: "list[RunSpec] | Search", make_executor: "MakeExecutor") -> list[dict[str, float]]:
        train = _many if isinstance(runs, list) else _search
        finished = train(runs, command, console, make_executor)  # type: ignore[arg-type]  # of either kind
        done.extend(finished)
        return [result.metrics for sweep in finished for result in sweep.results] or [{} for _ in range(len(runs))]

    command_line(arguments, run_one, run_many)
    if not done:
        return None
    _report(done[-1], console)
    return done[-1]


def check_early(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for what can be seen before torch is imported."""
    check_together(specs)
    check_written(specs)
    find_store(specs[0].config.tracking.uri)


def _one(spec: RunSpec, command: Sequence[str], console: Console) -> "list[Finished]":
    """Train, or only rehearse, a single run."""
    check_early([spec])
    from workbench.sweeps.sweep import rehearse, train_one

    if spec.config.sweep.dry_run:
        rehearse([spec], console)
        return []
    return [train_one(spec, command, console)]


def _many(
    specs: Sequence[RunSpec], command: Sequence[str], console: Console, make_executor: "MakeExecutor"
) -> "list[Finished]":
    """Train, or only rehearse, the runs of a sweep."""
    check_early(specs)
    executor = make_executor()
    from workbench.sweeps.sweep import rehearse, train_sweep

    if specs[0].config.sweep.dry_run:
        rehearse(specs, console, executor)
        return []
    return [train_sweep(specs, command, console, executor)]


def _search(
    search: "Search", command: Sequence[str], console: Console, make_executor: "MakeExecutor"
) -> "list[Finished]":
    """Search, or only rehearse a search."""
    executor = make_executor()
    from workbench.sweeps.search_loop import rehearse_search, train_search

    if search.corners[0][0].config.sweep.dry_run:
        rehearse_search(search, console, executor)
        return []
    return [train_search(search, command, console, executor)]


def _report(finished: "Finished", console: Console) -> None:
    from workbench.sweeps.summary import summary

    for line in summary(finished):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not finished.sweep:
        metrics = finished.results[0].metrics
        shown = ", ".join(f"{name} {metrics[name]:.4g}" for name in SHOWN if name in metrics)
        console.print(shown, highlight=False, soft_wrap=True)
    else:
        console.print(f"compare: workbench compare {finished.sweep}", highlight=False)
    before = "" if finished.store.is_server else "workbench ui serves "
    console.print(f"runs and charts: {before}{finished.link}", highlight=False, markup=False, soft_wrap=True)
