"""Checkpoints of a killed process that were cut off, flipped, swapped or edited."""

import json

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import LONGER

FILES = ".workbench/checkpoints/*/*.safetensors"
PLACES = st.floats(0, 1, exclude_max=True, width=32)
TEXTS = [
    None,
    "",
    "null",
    "5",
    "-1",
    '"x"',
    "[]",
    "{}",
    "[1]",
    "[null]",
    '["a", "b"]',
    "{",
    "\x1b[31m",
    "\ud800"[:0],
    '{"a": 1}',
    "9" * 400,
]
HEADERS = [
    {"recorded": -1, "stage": 0, "replicas": [0, 1], "layout": "x", "left": []},
    {"recorded": 10**9, "stage": 0, "replicas": [0, 1], "layout": "x", "left": []},
    {"recorded": 2, "stage": 9, "replicas": [0, 1], "layout": "x", "left": []},
    {"recorded": 2, "stage": 0, "replicas": [1, 0], "layout": "x", "left": []},
    {"recorded": 2, "stage": 0, "replicas": [0], "layout": "x", "left": [1]},
    {"recorded": "2", "stage": None, "replicas": 5, "layout": [], "left": {}},
    {},
]


@st.composite
def _edit(draw: st.DrawFn) -> tuple[str, str, float, str]:
    place = draw(PLACES)
    match draw(st.integers(0, 11)):
        case 0:
            return FILES, "truncate", place, ""
        case 1 | 2 | 3:
            return FILES, "flip", place, ""
        case 4:
            return FILES, "zero", place, draw(st.sampled_from(["1", "8", "64", "512"]))
        case 5:
            return FILES, "cut", place, draw(st.sampled_from(["1", "4", "8", "100"]))
        case 6:
            return FILES, "insert", place, draw(st.sampled_from(["x", "\x00" * 8, "12345678", "{}"]))
        case 7:
            return FILES, draw(st.sampled_from(["doubled", "append"])), place, "more"
        case 8:
            return (
                FILES,
                "replace",
                place,
                draw(st.sampled_from(["", "x", "{}", "\x00" * 8, "\x02\x00\x00\x00\x00\x00\x00\x00{}", "\x7f" * 100])),
            )
    key = draw(
        st.sampled_from(["header", "records", "keys", "runs", "store", "experiment", "version", "more", "digest"])
    )
    text = (
        json.dumps(draw(st.sampled_from(HEADERS)))
        if key == "header" and draw(st.booleans())
        else draw(st.sampled_from(TEXTS))
    )
    return FILES, "metadata", place, json.dumps({key: text})


RIGHT_NAMES = CORPUS["checkpoint names"]
COMMANDS = [LONGER, LONGER, LONGER, ("doctor",), ("doctor", "--dry-run"), ("recover",), ("compare",), ("show",)]


@st.composite
def _checkpoint(draw: st.DrawFn) -> Case:
    edits = [draw(_edit())]
    if draw(st.integers(0, 9)) == 0:
        edits = [(FILES, draw(st.sampled_from(["remove", "rename"])), 0.0, draw(st.sampled_from(RIGHT_NAMES)))]
    files = {}
    if draw(st.integers(0, 4)) == 0:
        name = draw(
            st.sampled_from(
                ["a~b/x", "~/x", "a~b~c~d/x", "~~~/x", "x~1~2~3/../y", "a~b~-1~0/x", "a~b~99999999999999999999~0/x"]
            )
        )
        files[f".workbench/checkpoints/{name}.safetensors"] = draw(
            st.sampled_from([b"", b"x", b"\2" + bytes(7) + b"{}"])
        )
    command = draw(st.sampled_from(COMMANDS))
    trains = command == LONGER
    codes = (0,) if trains else (0, 1, 2)
    return Case(
        "checkpoints",
        command,
        files,
        tuple(edits),
        template="killed",
        codes=codes,
        same_as="whole" if trains else "",
        may_leave=not trains,
    )


CHECKPOINTS = _checkpoint()
