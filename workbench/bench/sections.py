"""Sections of ``workbench bench``: their measurements, as numbers and as tables."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from rich.table import Table

from workbench.bench import diagnostics, parts, positions, start, steps, sweeps, tracking
from workbench.bench.environment import environment

Content = dict[str, object]


def measured(sections: Iterable[str], quick: bool) -> tuple[Content, list[Table]]:
    """Measure the sections, one after the other; returns numbers and tables."""
    content: Content = {}
    tables: list[Table] = []
    for section in sections:
        numbers, made = SECTIONS[section](quick)
        content |= numbers
        tables += made
    return content, tables


def _step(quick: bool) -> tuple[Content, list[Table]]:
    timings = steps.bench(rounds=steps.QUICK_ROUNDS if quick else steps.ROUNDS, compiling=not quick)
    return json.loads(steps.as_json(timings)), [steps.as_table(timings), steps.rivals_table(timings)]


def _positions(quick: bool) -> tuple[Content, list[Table]]:
    timings = positions.bench(rounds=positions.QUICK_ROUNDS if quick else positions.ROUNDS)
    return _content(positions=[asdict(timing) for timing in timings]), [positions.table(timings)]


def _sweep(quick: bool) -> tuple[Content, list[Table]]:
    beside = sweeps.bench(1 if quick else sweeps.ROUNDS, quick)
    made_of = parts.parts(beside.ours_cpu_ms)
    return _content(sweep=asdict(beside), parts=asdict(made_of)), [sweeps.beside_table(beside), parts.table(made_of)]


def _scaling(quick: bool) -> tuple[Content, list[Table]]:
    rows = sweeps.scaling(sweeps.QUICK_SCALING if quick else sweeps.SCALING)
    return _content(scaling=[asdict(row) for row in rows]), [sweeps.scaling_table(rows)]


def _tracking(quick: bool) -> tuple[Content, list[Table]]:
    sides = tracking.bench(1 if quick else tracking.ROUNDS, quick)
    return _content(tracking=asdict(sides)), [tracking.table(sides)]


def _diagnostics(quick: bool) -> tuple[Content, list[Table]]:
    costs = diagnostics.bench(1 if quick else diagnostics.ROUNDS, quick)
    return _content(diagnostics=[asdict(cost) for cost in costs]), [diagnostics.table(costs)]


def _start(quick: bool) -> tuple[Content, list[Table]]:
    rows = start.bench(start.QUICK_ROUNDS if quick else start.ROUNDS, quick)
    return _content(start=[asdict(row) for row in rows]), [start.table(rows)]


def _content(**numbers: object) -> Content:
    return {"environment": environment(), **numbers}


SECTIONS: dict[str, Callable[[bool], tuple[Content, list[Table]]]] = {
    "step": _step,
    "positions": _positions,
    "sweep": _sweep,
    "scaling": _scaling,
    "tracking": _tracking,
    "diagnostics": _diagnostics,
    "start": _start,
}
