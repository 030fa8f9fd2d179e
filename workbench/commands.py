"""What the commands do and print; `workbench.cli` parses, this file acts.

`train` and `compare` are also the Python way in: ``import workbench as wb``.
"""

import json
import runpy
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from workbench.certificates.certificate import Certificate, certificate_table, certify, curve_line, survey, survey_table
from workbench.certificates.forward import forward_table
from workbench.config.compose import command_line
from workbench.config.schema import RunSpec, packaged
from workbench.core.errors import ConfigError, unknown_name
from workbench.core.places import check_file
from workbench.core.plain_text import say
from workbench.core.terminal import plain_console
from workbench.engine.threads import one_thread
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.search import Search
from workbench.sweeps.search_loop import rehearse_search, train_search
from workbench.sweeps.sweep import Finished, rehearse, summary, train_one, train_sweep
from workbench.tracking.mlflow_environment import not_followed
from workbench.tracking.store import UI_PORT, find_store, ui_base

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
    """Train as ``workbench train`` with these arguments; None where Hydra only showed something (``--help``)."""
    console = plain_console()
    for line in not_followed():
        say(f"workbench: {line}")
    command = ["workbench", "train", *arguments]
    done: list[Finished] = []

    def one(spec: RunSpec) -> None:
        if spec.config.sweep.dry_run:
            rehearse([spec], console)
            return
        done.append(train_one(spec, command, console))

    def many(runs: list[RunSpec] | Search, executor: Executor) -> list[dict[str, float]]:
        first = runs.corners[0] if isinstance(runs, Search) else runs
        if first and first[0].config.sweep.dry_run:
            rehearse_search(runs, console, executor) if isinstance(runs, Search) else rehearse(runs, console, executor)
            return [{} for _ in range(len(runs))]
        if isinstance(runs, Search):
            done.append(train_search(runs, command, console, executor))
        else:
            done.append(train_sweep(runs, command, console, executor))
        return [result.metrics for result in done[-1].results]

    command_line(arguments, one, many)
    if not done:
        return None
    _report(done[-1], console)
    return done[-1]


def train_command(arguments: Sequence[str]) -> int:
    """Exit code 1 where a run failed, or where its gradients disagree with autograd unless ``certificate=off``."""
    finished = train(*arguments)
    return int(finished is not None and finished.is_wrong)


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


def check_command(arguments: Sequence[str]) -> int:
    """Print the certificate of a composed configuration, or with ``--all`` a row for every combination.

    Exit code 1 where a gradient disagrees.
    """
    if "--all" in arguments:
        return _check_all([argument for argument in arguments if argument != "--all"])
    certificates: list[Certificate] = []
    command_line(arguments, lambda spec: certificates.append(check(spec)))
    console = plain_console()
    for one in certificates:
        console.print(forward_table(one.forward))
        console.print(certificate_table(one))
        for spot in one.spots:
            console.print(f"DISAGREES: {spot}", highlight=False, markup=False, soft_wrap=True)
        console.print(curve_line(one), highlight=False, soft_wrap=True)
    return int(not all(one.agrees for one in certificates))


def _check_all(others: Sequence[str]) -> int:
    if others:
        raise ConfigError(f"check: --all goes without overrides, got {shlex.join(others)}; drop one or the other")
    with one_thread():
        rows = list(survey())
    plain_console().print(survey_table(rows))
    return int(not all(row.agrees for row in rows))


def check(spec: RunSpec) -> Certificate:
    """Gradients of a run against autograd and central differences, at its initial weights."""
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
    """Compare a sweep (without one, the newest) by arm, or two sweeps with each other, as ``workbench compare`` does.

    `by` names parameters to make arms of. With `kind` (csv, parquet, latex, markdown) or a file for the `table`, only
    the table is written; else figures too, to `out`. The files written.
    """
    from workbench.inspect.comparison import ComparisonRequest
    from workbench.inspect.comparison import compare as compared

    return compared(ComparisonRequest(sweeps, uri, by, metrics, kind, table, out), plain_console())


def ui_command(uri: str | None, port: int = UI_PORT) -> int:
    """Serve MLflow's pages until Ctrl-C."""
    from workbench.tracking.reader import newest_link
    from workbench.tracking.ui import serve

    console = plain_console()
    store = find_store(uri)
    if store.is_server:
        console.print(f"the store is a server of its own: {newest_link(store, store.shown)}", soft_wrap=True)
        return 0

    def ready() -> None:
        console.print(f"serving {store.shown}; Ctrl-C ends it", highlight=False, soft_wrap=True)
        console.print(newest_link(store, ui_base(store, port)), highlight=False, soft_wrap=True)

    return serve(store, port, ready)


def bench_command(section: str, json_to: str | None, quick: bool) -> int:
    """Time steps, sweeps or both; `json_to` is a file, or ``-`` for JSON instead of the tables."""
    from workbench.bench import parts, steps, sweeps

    if json_to not in (None, "-"):
        check_file("bench --json", json_to, "write for example --json bench.json")  # before minutes of measuring
    content: dict[str, object] = {}
    tables = []
    if section in ("step", "all"):
        timings = steps.bench(rounds=steps.QUICK_ROUNDS if quick else steps.ROUNDS, compiling=not quick)
        content |= json.loads(steps.as_json(timings))
        tables += [steps.as_table(timings), steps.rivals_table(timings)]
    if section in ("sweep", "all"):
        found = sweeps.bench(1 if quick else sweeps.ROUNDS, quick)
        made_of = parts.parts(found.ours_cpu_ms)
        content |= {"environment": steps.environment(), "sweep": asdict(found), "parts": asdict(made_of)}
        tables += [sweeps.beside_table(found), parts.table(made_of)]
    if section in ("scaling", "all"):
        taken = sweeps.scaling(sweeps.QUICK_SCALING if quick else sweeps.SCALING)
        content |= {"environment": steps.environment(), "scaling": [asdict(one) for one in taken]}
        tables.append(sweeps.scaling_table(taken))
    if section in ("tracking", "all"):
        from workbench.bench import tracking

        sides = tracking.bench(1 if quick else tracking.ROUNDS, quick)
        content |= {"environment": steps.environment(), "tracking": asdict(sides)}
        tables.append(tracking.table(sides))
    if section in ("diagnostics", "all"):
        from workbench.bench import diagnostics

        costs = diagnostics.bench(1 if quick else diagnostics.ROUNDS, quick)
        content |= {"environment": steps.environment(), "diagnostics": [asdict(one) for one in costs]}
        tables.append(diagnostics.table(costs))
    if json_to == "-":
        print(json.dumps(content, indent=2))
        return 0
    for table in tables:
        plain_console().print(table)
    if json_to:
        Path(json_to).parent.mkdir(parents=True, exist_ok=True)
        Path(json_to).write_text(json.dumps(content, indent=2) + "\n")
    return 0


def demo_command(name: str) -> int:
    """Run ``experiments/<name>/demo.py``.

    Raises UnknownNameError.
    """
    demos = {file.parent.name: file for file in packaged("experiments").glob("*/demo.py")}
    if name not in demos:
        raise unknown_name("demo", name, demos)
    runpy.run_path(str(demos[name]), run_name="__main__")
    return 0
