"""Data files of a user's own that cannot be used, and places where no such file can be."""

from hypothesis import strategies as st

from tests.bad.arrays import ARRAYS
from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.packing import DRY, TRAIN
from tests.bad.tables import TABLES

SPECIAL = CORPUS["special files"]


def _place(kind: str, path: str, line: tuple[str, ...]) -> Case:
    target = ("data.target=kind",) if kind == "table" else ()
    return Case(
        "data",
        (*line, f"data={kind}", f"data.path='{path}'" if "'" not in path else f"data.path={path}", *target),
        codes=(0, 2),
    )


DATA = st.one_of(
    TABLES,
    TABLES,
    TABLES,
    ARRAYS,
    ARRAYS,
    ARRAYS,
    st.builds(
        _place, st.sampled_from(["table", "idx", "npz"]), st.sampled_from(SPECIAL), st.sampled_from([DRY, TRAIN])
    ),
)
