"""``workbench train`` from its arguments to finished runs; what trains is imported once the configuration stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.config.compose import command_line
from workbench.config.early_checks import check_written
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.core.json_output import print_json
from workbench.core.plain_text import say
from workbench.sweeps.checks import check_together
from workbench.tracking.mlflow_environment import not_followed
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.sweeps.executors.base import Executor
    from workbench.sweeps.preflight import Outlook, SearchOutlook
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


@dataclass(frozen=True)
class _Request:
    """A command line, and how its answer is printed."""

    command: Sequence[str]
    console: Console
    as_json: bool

    def rehearses(self, spec: RunSpec) -> bool:
        """Whether the runs are only rehearsed; raises ConfigError for JSON of runs that are trained."""
        dry = spec.config.sweep.dry_run
        if self.as_json and not dry:
            raise ConfigError("train: --json prints a forecast and trains nothing; write sweep.dry_run=true beside it")
        return dry

    def show(self, outlook: "Outlook | SearchOutlook") -> None:
        """Print the forecast of a rehearsal."""
        if self.as_json:
            print_json(outlook)
        else:
            for line in outlook.lines:
                self.console.print(line, highlight=False, soft_wrap=True)


def train_as_told(arguments: Sequence[str], console: Console, as_json: bool = False) -> "Finished | None":
    """Train as ``workbench train`` with these arguments; returns None where Hydra only shows something (``--help``).

    A rehearsal (``sweep.dry_run``) is printed, perhaps as JSON, and returns None too.
    """
    for line in not_followed():
        say(f"workbench: {line}")
    request = _Request(["workbench", "train", *arguments], console, as_json)
    done: list[Finished] = []

    def run_one(spec: RunSpec) -> None:
        done.extend(_one(spec, request))

    def run_many(runs: "list[RunSpec] | Search", make_executor: "MakeExecutor") -> list[dict[str, float]]:
        train = _many if isinstance(runs, list) else _search
        finished = train(runs, request, make_executor)  # type: ignore[arg-type]  # of either kind
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


def _one(spec: RunSpec, request: _Request) -> "list[Finished]":
    """Train, or only rehearse, a single run."""
    check_early([spec])
    rehearses = request.rehearses(spec)
    from workbench.sweeps.sweep import rehearse, train_one

    if rehearses:
        request.show(rehearse([spec]))
        return []
    return [train_one(spec, request.command, request.console)]


def _many(specs: Sequence[RunSpec], request: _Request, make_executor: "MakeExecutor") -> "list[Finished]":
    """Train, or only rehearse, the runs of a sweep."""
    check_early(specs)
    rehearses, executor = request.rehearses(specs[0]), make_executor()
    from workbench.sweeps.sweep import rehearse, train_sweep

    if rehearses:
        request.show(rehearse(specs, executor))
        return []
    return [train_sweep(specs, request.command, request.console, executor)]


def _search(search: "Search", request: _Request, make_executor: "MakeExecutor") -> "list[Finished]":
    """Search, or only rehearse a search."""
    rehearses, executor = request.rehearses(search.corners[0][0]), make_executor()
    from workbench.sweeps.search_loop import rehearse_search, train_search

    if rehearses:
        request.show(rehearse_search(search, executor))
        return []
    return [train_search(search, request.command, request.console, executor)]


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
