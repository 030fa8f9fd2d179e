"""List what is wrong with the answer to a bad input: nothing, where it was refused as it must be."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.bad.case import FINE, REFUSED, Case
from tests.bad.forks import Answer

SECONDS, GIB = 10.0, 1.0
LONGEST = 3000  # characters of what is said when something is refused, beside what was given
PASSING = re.compile(r"(\.lock|-wal|-shm)$")  # what a database and its lock leave beside it while they are used
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
BROKEN = ("Traceback (most recent call last)", "HYDRA_FULL_ERROR", "Error executing job", "object at 0x", "<class '")
WAY_OUT = re.compile(
    r"\b(write|drop|remove|name|choose|use|add|make|put|start|install|download|give|send|did you mean|options|keys of"
    r"|mend|fill|correct|flatten|quote|look|set|save|close|restore|repeat|call|keep|free|lower|split|move|check|run"
    r"|take it out|looks at it|train something)\b"
)
STATUS = "SELECT name, status FROM runs WHERE lifecycle_stage = 'active'"
METRICS = (
    "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN tags t ON t.run_uuid = m.run_uuid AND t.key = 'key'"
    " WHERE m.key != 'diagnostics/share'"
    " AND EXISTS (SELECT 1 FROM tags i WHERE i.run_uuid = m.run_uuid AND i.key LIKE 'in.%' AND i.value = 'run')"
    " ORDER BY 1, 2, 3, 4"
)


def snapshot(folder: Path) -> dict[str, str]:
    """Describe a folder by path: what each entry is, with a digest of its content, for a database of its rows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if PASSING.search(name):
            continue
        if path.is_symlink():
            found[name] = f"link {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.is_file():
            found[name] = _rows_digest(path) or sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "other"
    return found


def _rows_digest(file: Path) -> str:
    with file.open("rb") as opened:
        if opened.read(15) != b"SQLite format 3":
            return ""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            return sha256("\n".join(sorted(database.iterdump())).encode("utf-8", "surrogatepass")).hexdigest()
    except (sqlite3.Error, UnicodeError):
        return ""


def _asked(folder: Path, query: str) -> list[Any]:
    """Rows that all readable databases in a folder give for a query."""
    rows: list[Any] = []
    for file in sorted(folder.rglob("*.db")):
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                rows += database.execute(query).fetchall()
        except sqlite3.Error:
            continue
    return rows


def runs_in(folder: Path) -> list[tuple[str, str]]:
    """(name, status) of every run."""
    return _asked(folder, STATUS)


def rows_in(folder: Path) -> list[Any]:
    """Every row of the runs of sweeps that trains to the same bits."""
    return _asked(folder, METRICS)


def faults(
    case: Case, answer: Answer, before: Mapping[str, str], folder: Path, expected: list[Any] | None
) -> Iterator[str]:
    """Each thing that must not be, with the words that show it."""
    said = answer.out + answer.err
    if answer.hung:
        yield "does not end"
        return
    for sign in BROKEN:
        if sign in said:
            yield f"says {sign!r}: {_last_lines(said)}"
    if answer.code not in case.codes:
        yield f"exit code {answer.code}, not {' or '.join(map(str, case.codes))}: {_last_lines(said)}"
    if control := CONTROL.search(said):
        yield f"control character {control[0]!r} in {said[max(0, control.start() - 60) : control.end() + 20]!r}"
    if answer.seconds > SECONDS:
        yield f"took {answer.seconds:.0f} s"
    if answer.peak_gib > GIB:
        yield f"took {answer.peak_gib:.2f} GiB"
    if answer.left:
        yield "left a process behind"
    if answer.code == REFUSED:
        yield from _faults_of_message(case, answer)
        after = snapshot(folder)
        changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
        if changed:
            yield f"was refused, and changed {', '.join(sorted(changed)[:5])}"
    yield from _faults_of_runs(case, answer, folder, expected)


def _faults_of_message(case: Case, answer: Answer) -> Iterator[str]:
    if answer.err.startswith("usage: "):
        return
    own = [line for line in answer.err.splitlines() if line.startswith("workbench: ")]
    if not own:
        yield f"exit code 2 without a message of its own: {_last_lines(answer.err)}"
        return
    message = answer.err[answer.err.index(own[-1]) :].removeprefix("workbench: ")
    if not re.match(r"\S.*: ", message) or not WAY_OUT.search(message):
        yield f"names no way out: {message[:300]}"
    if len(message) > LONGEST + max(map(len, [*case.arguments, *case.environment.values()])):
        yield f"a message of {len(message)} characters: {message[:200]}"


def _faults_of_runs(case: Case, answer: Answer, folder: Path, expected: list[Any] | None) -> Iterator[str]:
    runs = runs_in(folder)
    if not case.may_leave and (running := [name for name, status in runs if status == "RUNNING"]):
        yield f"left RUNNING: {', '.join(map(str, running))}: {_last_lines(answer.out + answer.err)}"
    if answer.code == FINE and case.arguments[0] == "train":
        if failed := [f"{name} {status}" for name, status in runs if status == "FAILED"]:
            yield f"exit code 0 with failed runs: {', '.join(failed)}"
        if expected is not None and rows_in(folder) != expected:
            yield f"ended with other rows than those of a run that nobody disturbed: {_last_lines(answer.err)}"


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines()[-4:])[-600:]
