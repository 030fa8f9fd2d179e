"""Show one run in a terminal: description, outcome, origin, numbers with small curves, files."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite, log10
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from workbench.core.plain_text import one_line
from workbench.core.terminal import FittingTable
from workbench.inspect.rerun_command import command_of
from workbench.tracking.base import CERTIFICATE_TAGS, CHECK_TAG
from workbench.tracking.find_run import FullRun
from workbench.tracking.reader import ReadSweep
from workbench.tracking.store import sweeps_of

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 32
NUMBERS = 35  # columns that two numbers and the blanks between take at most
ERROR = "certificate.autograd_error"
LOGARITHMIC = ("train/loss", "valid/loss", "grad_norm")


def sparkline(values: Sequence[float], logarithmic: bool = False, width: int = WIDTH) -> str:
    """Values as bars from the least to the largest, at most `width` of them: of more, each is the last of its stretch.

    The scale is logarithmic where that is wanted and all values are above 0. Values that are not finite are left out.
    """
    values = [value for value in values if isfinite(value)]
    if logarithmic and values and min(values) > 0:
        values = [log10(value) for value in values]
    if len(values) > width:
        values = [values[(bar + 1) * len(values) // width - 1] for bar in range(width)]
    if not values:
        return ""
    low, span = min(values), max(values) - min(values)
    return "".join(BARS[round((len(BARS) - 1) * (value - low) / span) if span else 0] for value in values)


def page(full_run: FullRun, link: str, around: ReadSweep | None = None, bars: int = WIDTH) -> RenderableType:
    """Everything shown of a run; `around` is the newest sweep that it is in, `bars` are those of a curve."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    for name, value in _facts(full_run, around):
        facts.add_row(name, one_line(value))
    repeat = [f"repeat: {one_line(command_of(full_run))}"] if command_of(full_run) else []
    return Group(facts, "", _metrics(full_run, bars), "", *repeat, _files(full_run), f"runs and charts: {link}")


def _facts(full_run: FullRun, around: ReadSweep | None) -> Iterator[tuple[str, str]]:
    run, tags = full_run.run, full_run.run.tags
    yield "run", f"{run.name}  ({run.id})"
    note = tags.get("mlflow.note.content", "").partition("\n")[0].replace("**", "")
    if note:
        yield "what", note.partition(": ")[2] or note
    if around is not None:
        arm = next(member.arm for member in around.runs if member.id == run.id)
        other_sweeps = [sweep for sweep in sweeps_of(tags) if sweep != around.id]
        yield "sweep", f"{around.id}, arm {arm}" + (f"; also in {', '.join(other_sweeps)}" if other_sweeps else "")
    if full_run.trouble:
        yield "trouble", full_run.trouble
    yield "outcome", _outcome(full_run)
    yield "begun", f"{datetime.fromtimestamp(full_run.start_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC{_duration(full_run)}"
    where = [tags.get("device", ""), tags.get("instructions", ""), f"on {tags.get('host', '?')}"]
    versions = [f"{name} {tags[name]}" for name in ("workbench", "torch", "python") if name in tags]
    commit = tags.get("mlflow.source.git.commit", "")[:10]
    yield "made", ", ".join([" ".join(filter(None, where)), *versions, *([f"commit {commit}"] if commit else [])])
    if "certificate" in tags:
        yield "gradients", _gradients(tags)
    if CHECK_TAG in tags:
        yield "see", tags[CHECK_TAG]
    if full_run.data:
        yield "data", f"{run.params.get('data', '')}, digest {full_run.data}"


def _gradients(tags: Mapping[str, str]) -> str:
    """Result of the spot check, with the parts that disagree."""
    verdict, where = (tags.get(name, "") for name in CERTIFICATE_TAGS)
    off = f" (error {tags[ERROR]})" if ERROR in tags else ""
    return f"{verdict}{' with autograd' * (verdict != 'not checked')}{off}{': ' * bool(where)}{where}"


def _outcome(full_run: FullRun) -> str:
    tags, outcome = full_run.run.tags, full_run.run.outcome
    if "diverged.step" in tags:
        outcome += f" at step {tags['diverged.step']}"
    if "diverged.layer" in tags:
        outcome += f", in the {tags.get('diverged.quantity', 'numbers')} of {tags['diverged.layer']}"
    return f"{outcome}: {tags['error']}" if "error" in tags else outcome


def _duration(full_run: FullRun) -> str:
    """Duration with its pack: the run's own share is not known."""
    return f", {(full_run.end_ms - full_run.start_ms) / 1000:.1f} s with its pack" if full_run.end_ms else ""


def _metrics(full_run: FullRun, bars: int) -> Table:
    table = FittingTable("metric", title_justify="left", box=None, pad_edge=False)
    for heading in ("first", "last"):
        table.add_column(heading, justify="right")
    table.add_column("by epoch")
    for name in sorted(full_run.run.metrics, key=_order):
        values = [value for _, value in full_run.run.history.get(name, ())] or [full_run.run.metrics[name]]
        logarithmic = name in LOGARITHMIC or name.partition("/")[0] in LOGARITHMIC
        curve = sparkline(values, logarithmic, bars) if len(values) > 1 else ""
        table.add_row(one_line(name), f"{values[0]:.4g}" if curve else "", f"{values[-1]:.4g}", curve)
    return table


def _order(name: str) -> tuple[int, str, int, str]:
    """Sort key: test, validation and training part first; layers by their number."""
    kind, _, last = name.partition("/")
    parts = ("test", "valid", "train")
    return parts.index(kind) if kind in parts else len(parts), kind, len(last), last


def _files(full_run: FullRun) -> str:
    listed = ", ".join(f"{one_line(path)} ({decimal(size)})" for path, size in sorted(full_run.files.items()))
    return f"files: {listed or 'none'}"


def show(full_run: FullRun, link: str, console: Console, around: ReadSweep | None = None) -> None:
    """Print a run."""
    names = max(map(len, full_run.run.metrics), default=0)
    bars = max(1, min(WIDTH, console.width - names - NUMBERS))
    console.print(page(full_run, link, around, bars), highlight=False, soft_wrap=True)


def as_record(full_run: FullRun, link: str, around: ReadSweep | None = None) -> dict[str, Any]:
    """Everything that is stored of a run, for other programs: `history` is name -> [[step, value]]."""
    run = full_run.run
    arms = [] if around is None else [member.arm for member in around.runs if member.id == run.id]
    return {
        "id": run.id,
        "name": run.name,
        "sweep": around and around.id,
        "arm": next(iter(arms), None),
        "outcome": run.outcome,
        "start_ms": full_run.start_ms,
        "end_ms": full_run.end_ms or None,
        "tags": {name: text for name, text in run.tags.items() if not name.startswith("mlflow.")},
        "params": run.params,
        "metrics": run.metrics,
        "history": run.history,
        "data": full_run.data,
        "files": full_run.files,
        "trouble": full_run.trouble,
        "repeat": command_of(full_run),
        "link": link,
    }
