"""Tables of a user's own that are damaged, empty, packed, or hold what is no number."""

import io

import pandas as pd
from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.packing import DRY, ENDINGS, PACKERS, TRAIN, damaged, right_files

CELLS = CORPUS["cells"]
HEADS = CORPUS["heads"]


@st.composite
def _csv(draw: st.DrawFn) -> bytes:
    rows = draw(st.sampled_from([0, 1, 2, 3, 5, 40]))
    lines = right_files()["csv"].decode().splitlines()[1 : rows + 1]
    for _ in range(draw(st.integers(0, 3))):
        if lines:
            row, place = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, 3))
            cells = lines[row].split(",")
            cells[min(place, len(cells) - 1)] = draw(st.sampled_from(CELLS))
            lines[row] = ",".join(cells)
    if draw(st.integers(0, 3)) == 0:  # a whole column
        place, cell = draw(st.integers(0, 3)), draw(st.sampled_from(CELLS))
        lines = [
            ",".join(cell if number == place else one for number, one in enumerate(line.split(","))) for line in lines
        ]
    if draw(st.integers(0, 4)) == 0:
        lines.insert(
            draw(st.integers(0, len(lines))),
            draw(st.sampled_from(["", ",", ",,,,,,", "# c", "1", "a,b", '"', "\x00", "total,1,2,3"])),
        )
    text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(
        [draw(st.sampled_from([HEADS[0], *HEADS])), *lines, ""]
    )
    encoding = draw(
        st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-16-le"])
    )
    return text.encode(encoding, "replace")


TABLE_KEYS = st.sampled_from(
    [
        *[()] * 8,
        *(
            ("data.target=no",),
            ("data.target=",),
            ("data.target=color",),
            ("data.target=size",),
            ("data.target=[kind]",),
            ("data.target=3",),
        ),
        *(
            ("data.drop=[kind]",),
            ("data.drop=[size,weight,color]",),
            ("data.drop=size",),
            ("data.drop=[no]",),
            ("data.drop=[[size]]",),
        ),
        *(
            ("data.separator=;",),
            ("data.separator=",),
            ("data.separator=\\t",),
            ("data.separator=ab",),
            ("data.separator=(",),
            ("data.separator=0",),
        ),
        *(
            ("data.separator=\\n",),
            ("data.separator=é",),
            ("data.task=x",),
            ("data.task=regression",),
            ("data.same_unit=5",),
            ("data.no=1",),
        ),
        *(
            ("data.task=regression", "loss=squared_error"),
            ("data.task=regression", "loss=squared_error", "data.target=color"),
        ),
        *(
            ("data.decimal=,",),
            ("data.decimal=ab",),
            ("data.thousands=.",),
            ("data.encoding=no",),
            ("data.encoding=utf-16",),
            ("data.encoding=base64",),
        ),
        *(
            ("split.limit=1",),
            ("split.valid=0.9",),
            ("train.batch_size=1", "norm=batch"),
            ("split.label_noise=1",),
            ("split.binarize=0.5",),
        ),
    ]
)


@st.composite
def _table(draw: st.DrawFn) -> Case:
    content = draw(st.one_of(_csv(), _csv(), damaged(right_files()["csv"]), damaged(right_files()["parquet"])))
    if draw(st.integers(0, 2)) == 0:
        ending = draw(st.sampled_from(ENDINGS))
        content = draw(st.sampled_from([PACKERS.get(ending, PACKERS[""]), *PACKERS.values()]))(content)
        if draw(st.booleans()):
            content = draw(damaged(content))
    else:
        ending = ".parquet" if content[:4] == b"PAR1" and draw(st.booleans()) else ""
    name = f"data.csv{ending}" if ending != ".parquet" else "data.parquet"
    line = (*draw(st.sampled_from([DRY, DRY, DRY, TRAIN])), "data=table", f"data.path={name}")
    more = draw(TABLE_KEYS)
    target = () if any(one.startswith("data.target") for one in more) else ("data.target=kind",)
    return Case("data", (*line, *target, *more), {name: content}, codes=(0, 2))


FRAMES = [
    *(
        pd.DataFrame(),
        pd.DataFrame({"kind": [0, 1]}),
        pd.DataFrame({"a": [], "kind": []}),
        pd.DataFrame({"a": [1.0, None], "kind": [0, 1]}),
    ),
    *(
        pd.DataFrame({"a": [[1], [2]] * 20, "kind": [0, 1] * 20}),
        pd.DataFrame({"a": [{"b": 1}] * 40, "kind": [0, 1] * 20}),
    ),
    *(
        pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 40), "kind": [0, 1] * 20}),
        pd.DataFrame({"a": [b"x"] * 40, "kind": [0, 1] * 20}),
    ),
    *(
        pd.DataFrame({"a": range(40), "kind": [0.5, 1.5] * 20}),
        pd.DataFrame({"a": range(40), "kind": pd.to_timedelta([1, 2] * 20)}),
    ),
    *(
        pd.DataFrame({"a": pd.Categorical(["x", "y"] * 20), "kind": pd.Categorical(["x", "y"] * 20)}),
        pd.DataFrame({"a": range(40), "kind": [True, False] * 20}),
    ),
    *(
        pd.DataFrame(
            {"a": range(40), "kind": [0, 1] * 20}, index=pd.MultiIndex.from_tuples([(i, i) for i in range(40)])
        ),
        pd.DataFrame({"a": ["1,5", "2,5"] * 20, "kind": [0, 1] * 20}),
    ),
    *(
        pd.DataFrame({"a": pd.period_range("2020", periods=40, freq="D"), "kind": [0, 1] * 20}),
        pd.DataFrame({"a": pd.array([1, None] * 20, "Int64"), "kind": [0, 1] * 20}),
    ),
    *(
        pd.DataFrame({"a": [1e39] * 40, "kind": [0, 1] * 20}),
        pd.DataFrame({"a": [2**63] * 40, "kind": [0, 1] * 20}),
        pd.DataFrame({"a\x1b[1m": range(40), "kind": [None] * 40}),
    ),
]


@st.composite
def _parquet(draw: st.DrawFn) -> Case:
    file = io.BytesIO()
    draw(st.sampled_from(FRAMES)).to_parquet(file)
    more = draw(
        st.sampled_from(
            [(), (), ("data.task=regression", "loss=squared_error"), ("data.target=a",), ("data.target=no",)]
        )
    )
    target = () if any(one.startswith("data.target") for one in more) else ("data.target=kind",)
    line = draw(st.sampled_from([DRY, DRY, TRAIN]))
    return Case(
        "data",
        (*line, "data=table", "data.path=data.parquet", *target, *more),
        {"data.parquet": file.getvalue()},
        codes=(0, 2),
    )


TABLES = st.one_of(_table(), _table(), _parquet())
