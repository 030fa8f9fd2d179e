"""Files in ``.workbench/unsent`` that were cut off, edited or made to lead elsewhere."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import TINY
from workbench.tracking.base import DatasetInfo, Ended, File, Opened, Outcome, Reopened, Rows, RunInfo, Tagged
from workbench.tracking.liveness import owner_tags
from workbench.tracking.unsent_files import line_of

RUNS = ("a" * 32, "b" * 32)
GONE = 4_194_999  # a number that no process has


def spool_file() -> str:
    """The path of what a process of this host left that is gone."""
    owner = {**owner_tags(), "pid": str(GONE), "started": "1"}
    return f".workbench/unsent/{'~'.join(owner.values())}~0123abcd.jsonl"


HEAD = {"store": "mlflow.db", "experiment": "workbench", "experiment_id": "1"}


def right_lines() -> list[dict[str, Any]]:
    """Lines that two runs left: begun, some rows, a file each, ended."""
    owner = {**owner_tags(), "pid": str(GONE), "started": "1"}
    events: list[Any] = []
    for number, run in enumerate(RUNS):
        tags = {"kind": "run", "key": f"key{number}", "number": str(number), "arm": "relu", **owner}
        info = RunInfo(
            f"relu seed={number}", {"seed": str(number)}, tags, "note", {"seed": number}, DatasetInfo("xor", "d", 4, 2)
        )
        events.append(Opened(run, info, 1_700_000_000_000))
    events += [
        Rows(RUNS, step, 1_700_000_000_000 + step, {"train/loss": [0.5, 0.25], "valid/loss": [1.0, 2.0]})
        for step in range(3)
    ]
    events += [Tagged(RUNS[0], {"x": "y"}), Reopened(RUNS[1], {"host": "h"})]
    events += [File(run, "config.yaml", b"seed: 0\n") for run in RUNS]
    events += [Ended(run, Outcome.finished, {"done": "1"}, 1_700_000_001_000) for run in RUNS]
    return [json.loads(line_of(event)) for event in events]


VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1.5,
        10**30,
        "",
        "x",
        [],
        {},
        [1],
        {"a": 1},
        [None],
        "../x",
        "/etc/x",
        "a/../../x",
        "..",
        ".",
        "a\x1b[31m",
        "\ud800",
    ),
    *(
        "é",
        "a\nb",
        "a" * 10_000,
        "\x00",
        "NaN",
        [[]],
        {"": ""},
        {"a": None},
        {"a": [1]},
        {"a" * 600: "b"},
        "/tmp/x",
        "~/x",
        "C:\\x",
        "%2e%2e/x",
        "a b",
    ),
    *(
        "c" * 32,
        "A" * 32,
        "a" * 31,
        "z" * 32,
        "b" * 32,
        "'; DROP TABLE runs; --",
        ["a" * 32],
        ["a" * 32, "a" * 32],
        -(2**63),
        2**63,
        1e308,
    ),
    *(
        [1e400],
        ["x", "y"],
        {"train/loss": 5},
        {"train/loss": [1]},
        {"train/loss": [1, 2, 3]},
        {"train/loss": ["a", "b"]},
        {"train/loss": [None, None]},
    ),
    *(
        {"a b\n": [1, 2]},
        {"../x": [1, 2]},
        {"": [1, 2]},
        {"mlflow.note.content": 5},
        {"mlflow.runName": ""},
        {"in.x": "run"},
    ),
]
NAMES = CORPUS["spool names"]


def paths_in(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a structure."""
    places = [before] if before else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        places += paths_in(inner, (*before, key))
    return places


def changed(value: Any, place: tuple[Any, ...], how: str, new: Any) -> Any:
    """A structure with what stands in a place replaced, removed, or put under another key."""
    value = json.loads(json.dumps(value))
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if how == "remove":
        del inner[place[-1]]
    elif how == "add" and isinstance(inner, dict):
        inner["more"] = new
    else:
        inner[place[-1]] = new
    return value


@st.composite
def _edited(draw: st.DrawFn) -> bytes:
    lines: list[Any] = [HEAD, *right_lines()]
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        at = draw(st.integers(0, len(lines) - 1))
        if not isinstance(lines[at], dict):
            continue
        match draw(st.integers(0, 5)):
            case 0 | 1 | 2:
                place = draw(st.sampled_from(paths_in(lines[at])))
                lines[at] = changed(
                    lines[at],
                    place,
                    draw(st.sampled_from(["set", "set", "set", "remove", "add"])),
                    draw(st.sampled_from(VALUES)),
                )
            case 3:
                files = [
                    number for number, line in enumerate(lines) if isinstance(line, dict) and line.get("kind") == "File"
                ]
                if files:
                    lines[files[0]] = {**lines[files[0]], "name": draw(st.sampled_from(NAMES))}
            case 4:
                runs = [number for number, line in enumerate(lines) if isinstance(line, dict) and "run" in line]
                which = draw(st.sampled_from(runs)) if runs else 0
                lines[which] = {
                    **lines[which],
                    "run": draw(st.sampled_from([*NAMES, *filter(lambda one: isinstance(one, str), VALUES)])),
                }
            case _:
                lines[at] = draw(
                    st.sampled_from([5, None, [], "x", {}, {"kind": "No"}, {"kind": "File"}, {"kind": []}, [[]]])
                )
    match draw(st.integers(0, 9)):
        case 0:
            lines.pop(draw(st.integers(0, len(lines) - 1)))
        case 1:
            lines = [lines[0], *lines[:0:-1]]
        case 2:
            lines = [*lines, *lines]
    return ("\n".join(map(json.dumps, lines)) + "\n").encode()


@st.composite
def _torn(draw: st.DrawFn) -> bytes:
    data = ("\n".join(map(json.dumps, [HEAD, *right_lines()])) + "\n").encode()
    at = int(draw(st.floats(0, 1, exclude_max=True)) * len(data))
    match draw(st.integers(0, 7)):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        case 2:
            return (
                data[:at]
                + draw(st.sampled_from([b"\0", b"\n", b"\xff", b"\x1b[31m", b'"', b"{", b"[" * 100_000, b"9" * 5000]))
                + data[at:]
            )
        case 3:
            return data[:at] + data[at + draw(st.integers(1, 60)) :]
        case 4:
            return data.decode().encode(draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32"])))
        case 5:
            return draw(
                st.sampled_from([b"", b"\n", b"{}\n", b"null\n", b"[]\n", b"\0" * 4096, b"x" * 100_000, b"\n" * 1000])
            )
        case 6:
            return data.replace(b"\n", b"\r\n")
    return draw(st.binary(max_size=200))


@st.composite
def _spool(draw: st.DrawFn) -> Case:
    content = draw(st.one_of(_edited(), _edited(), _edited(), _torn()))
    command = draw(
        st.sampled_from(
            [
                ("recover",),
                ("recover",),
                ("recover",),
                ("doctor",),
                ("doctor", "--dry-run"),
                ("train", *TINY, "seed=5"),
                ("recover", spool_file()),
            ]
        )
    )
    template = draw(st.sampled_from(["store", "store", "store", "empty"]))
    codes = (0, 3) if command[0] == "train" and template == "store" else (0, 1, 2, 3)  # 2: its database is gone
    return Case("spool", command, {spool_file(): content}, template=template, codes=codes, may_leave=True)


SPOOLS = _spool()
