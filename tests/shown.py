"""A sweep wholly as its store shows it, read without the workbench and without MLflow, to be held against another.

What two sweeps of one command cannot have alike is left out: ids, times, and what a process tells of itself. All else
counts: the runs' keys, params, tags, membership, status and outcome, every row of every metric and the newest that
MLflow keeps beside them, data sets, the files with their contents, the sweep's own run, and its page of charts.
"""

import base64
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet
from sqlalchemy import NullPool, create_engine, text

VARYING = {  # tags
    *("host", "boot", "pid", "started"),  # whose process it was
    *("checkpoint.count", "checkpoint.seconds", "certificate.share_of_time"),  # what its work took
    *("sweep", "made"),  # ids
}
TAKEN = "diagnostics/share"  # a metric: of the time, which is never the same
VIEW = "mlflow.sharedViewState."
LEFT = {"RUNNING": False, "FAILED": True, "KILLED": True, "FINISHED": False}  # what a run may be that others replaced


@dataclass(frozen=True)
class Shown:
    """A run: its tags less those that vary, rows (metric, step, value), and files by name with what they hold."""

    name: str
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    rows: Counter[tuple[str, int, float]]
    newest: Mapping[str, tuple[int, float]]
    data: tuple[tuple[str, ...], ...]
    files: Mapping[str, str]


@dataclass
class ShownSweep:
    """A sweep: its own run, its runs by key, its page of charts, and the other runs (key, status, membership)."""

    sweep: str
    own: Shown
    runs: dict[str, Shown]
    page: Mapping[str, object]
    others: list[tuple[str, str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def shown(uri: str, sweep: str = "", artifacts: Path | None = None) -> ShownSweep:
    """A sweep in the database at an address, the only one if none is named.

    `artifacts` is the folder where a server has the files.
    """
    engine = create_engine(uri, poolclass=NullPool)
    with engine.connect() as connection:
        ask = lambda question: [tuple(row) for row in connection.execute(text(question))]  # noqa: E731
        tags = _by_run(ask("SELECT run_uuid, key, value FROM tags"))
        active = ask(
            "SELECT run_uuid, name, status, artifact_uri, experiment_id FROM runs WHERE lifecycle_stage = 'active'"
        )
        own = {row[0]: tags[row[0]]["sweep"] for row in active if tags[row[0]].get("kind") == "sweep"}
        (identity,) = [run for run, of in own.items() if sweep in ("", of)]
        (experiment,) = [row[-1] for row in active if row[0] == identity]
        runs = {row[0]: row for row in active if row[-1] == experiment}
        read = {run: partial(_shown, row, tags[run], ask, artifacts) for run, row in runs.items()}
        sweep = own[identity]
        pages = dict(ask(f"SELECT key, value FROM experiment_tags WHERE experiment_id = {experiment}"))
        found = ShownSweep(sweep, read[identity](sweep), {}, _page(pages.get(f"{VIEW}{sweep}", ""), sweep))
        for run in sorted(runs.keys() - own.keys()):
            if tags[run].get("kind") == "arm":
                continue
            key, membership = tags[run].get("key", ""), tags[run].get(f"in.{sweep}", "")
            if tags[run].get("sweep") not in own.values():
                found.wrong.append(f"{run} was trained by no sweep that is there")
            if membership != "run":
                found.others.append((key, runs[run][2], membership))
            else:
                found.wrong += [f"{key} is there twice"] if key in found.runs else []
                found.runs[key] = read[run](sweep)
                found.wrong += [] if found.runs[key].files else [f"{key} has no files"]
    engine.dispose()
    return found


def differences(found: ShownSweep, expected: ShownSweep, replaced: bool = False) -> list[str]:
    """List what differs from a sweep that was left alone.

    Where parts of it were begun anew, runs that others `replaced` may be left: they ended early, outside the sweep.
    """
    wrong = [*found.wrong, *expected.wrong]
    if replaced:
        wrong += [f"{one} is left" for one in found.others if not (LEFT[one[1]] and one[2] == "superseded")]
    elif found.others != expected.others:
        wrong.append(f"beside the sweep {found.others}, expected {expected.others}")
    wrong += _apart("the sweep's own run", found.own, expected.own)
    if found.page and expected.page:
        wrong += _apart_in("the page of charts", found.page, expected.page)
    elif found.page or expected.page:
        wrong.append(f"the page of charts is {'new' if found.page else 'not there'}")
    for key in sorted(found.runs.keys() | expected.runs.keys()):
        one, other = found.runs.get(key), expected.runs.get(key)
        if one is None or other is None:
            wrong.append(f"{key} is {'not in the sweep' if one is None else 'new'}")
        else:
            wrong += _apart(f"{key} ({other.name})", one, other)
    return wrong


def assert_same_sweep(found: ShownSweep, expected: ShownSweep, replaced: bool = False) -> None:
    """Fail with every difference."""
    wrong = differences(found, expected, replaced)
    assert not wrong, "\n".join(wrong)
    assert expected.runs


def _apart(what: str, one: Shown, other: Shown) -> list[str]:
    """List the fields in which two runs differ, with both values."""
    wrong = []
    for name in (one.name for one in fields(Shown)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine == theirs:
            continue
        if isinstance(mine, Counter):
            more, less = sorted((mine - theirs).elements()), sorted((theirs - mine).elements())
            wrong.append(f"{what}: {len(more)} {name} too many {more[:3]}, {len(less)} missing {less[:3]}")
        elif isinstance(mine, dict):
            wrong += _apart_in(f"{what}: {name}", mine, theirs)
        else:
            wrong.append(f"{what}: {name}: {mine!r}, expected {theirs!r}")
    return wrong


def _apart_in(what: str, mine: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    return [f"{what}[{key}]: {mine.get(key)!r}, expected {theirs.get(key)!r}" for key in keys]


def _shown(
    row: tuple[str, ...], tags: dict[str, str], ask: Callable[[str], list[Any]], artifacts: Path | None, sweep: str
) -> Shown:
    run, name, status, home, _ = row
    of_run = f"WHERE run_uuid = '{run}'"
    rows = ask(f"SELECT key, step, value FROM metrics {of_run}")
    newest = ask(f"SELECT key, step, value FROM latest_metrics {of_run}")
    data = ask(
        "SELECT d.name, d.digest, d.dataset_source, d.dataset_profile, t.name, t.value FROM inputs i JOIN datasets d "
        "ON d.dataset_uuid = i.source_id LEFT JOIN input_tags t ON t.input_uuid = i.input_uuid "
        f"WHERE i.destination_id = '{run}'"
    )
    return Shown(
        name,
        status,
        dict(ask(f"SELECT key, value FROM params {of_run}")),
        _steady(tags, sweep),
        Counter((key, step, 0.0 if key == TAKEN else value) for key, step, value in rows),
        {key: (step, 0.0 if key == TAKEN else value) for key, step, value in newest},
        tuple(sorted(data)),
        _files(_folder(home, artifacts)),
    )


def _steady(tags: Mapping[str, str], sweep: str) -> dict[str, str]:
    """The tags that two runs of one configuration have alike, with the membership in the sweep that is looked at."""
    kept = {key: value for key, value in tags.items() if key not in VARYING and not key.startswith("in.")}
    member = {"in.<sweep>": tags[f"in.{sweep}"]} if f"in.{sweep}" in tags else {}
    return {**kept, **member}


def _by_run(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in rows:
        found[run][key] = value
    return found


def _page(kept: str, sweep: str) -> dict[str, object]:
    """Contents of a page of charts, by part and by chart; MLflow keeps the page as a tag of the experiment."""
    if not kept:
        return {}
    view = json.loads(kept)
    state = zlib.decompress(base64.b64decode(view["state"].partition(";")[2])).decode()
    parts = json.loads(state.replace(sweep, "<sweep>"))
    charts = {f"chart {chart.get('displayName', chart['uuid'])}": chart for chart in parts.pop("compareRunCharts")}
    return {"name": view["name"].replace(sweep, "<sweep>"), **parts, **charts, "order": list(charts)}


def _folder(home: str, artifacts: Path | None) -> Path:
    served = "mlflow-artifacts:"
    if home.startswith(served):
        assert artifacts is not None
        return artifacts / home.removeprefix(served).lstrip("/")
    return Path(unquote(urlsplit(home).path) if home.startswith("file:") else home)


def _files(folder: Path) -> dict[str, str]:
    """Contents of the files below a folder, by name."""
    return {str(file.relative_to(folder)): _content(file) for file in sorted(folder.rglob("*")) if not file.is_dir()}


def _content(file: Path) -> str:
    """A digest; of a table without times and what time was taken."""
    content = file.read_bytes()
    if file.suffix == ".parquet":
        columns = pyarrow.parquet.ParquetFile(BytesIO(content)).read(use_threads=False).to_pydict()
        columns = {name: values for name, values in columns.items() if name not in ("time_ms", TAKEN)}
        content = repr(columns).encode()
    return sha256(content).hexdigest()[:16]
