"""IDX and npz files that are cut off, promise too much, unpack to gigabytes, or are of another kind."""

import io
import zipfile
from functools import cache

import numpy as np
from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.packing import DRY, TRAIN, damaged, gzipped, right_files, zipped
from tests.data_files import IDX_NAMES, idx_arrays


def _header(kind: int, shape: list[int], content: bytes = b"") -> bytes:
    return bytes([0, 0, kind, len(shape)]) + np.array(shape, ">u4").tobytes() + content


LARGE = 2**32 - 1
IDX = st.sampled_from(
    [
        *(
            b"",
            b"\0",
            b"\0\0\x08",
            b"\0\0\x08\x01",
            b"\x1f\x8b",
            b"\0\0\x08\x00",
            b"\0\0\x07\x01\0\0\0\x01\0",
            b"PK\3\4",
            b"\0\0\x08\xff" + bytes(40),
        ),
        *(
            _header(8, [0]),
            _header(8, [LARGE]),
            _header(8, [LARGE, LARGE, LARGE]),
            _header(14, [LARGE, LARGE]),
            _header(8, [40, 0, 4]),
            _header(8, [1, 1, 1], b"\1"),
        ),
        *(
            _header(8, [40, 4, 4], bytes(639)),
            _header(8, [40, 4, 4], bytes(641)),
            _header(8, [40], bytes(40)),
            _header(8, [40, 4, 5], bytes(800)),
            _header(8, [1] * 200, b"\1"),
        ),
        *(
            _header(14, [40, 4, 4], np.full(640, np.inf, ">f8").tobytes()),
            _header(13, [40, 4, 4], np.full(640, np.nan, ">f4").tobytes()),
            _header(14, [40], np.full(40, 0.5, ">f8").tobytes()),
        ),
        *(
            _header(13, [40], np.full(40, np.inf, ">f4").tobytes()),
            _header(12, [40], np.arange(40, dtype=">i4").tobytes()),
            _header(8, [40, 1], bytes(40)),
            _header(14, [40, 4, 4], np.full(640, 1e300, ">f8").tobytes()),
        ),
    ]
)


@st.composite
def _idx(draw: st.DrawFn) -> Case:
    contents = [idx_bytes(array) for array in idx_arrays()]
    place = draw(st.integers(0, 3))
    contents[place] = draw(st.one_of(IDX, IDX, damaged(contents[place])))
    endings = ["", "", "", ""]
    if draw(st.booleans()):
        endings = [draw(st.sampled_from(["", ".gz", ".gz"])) for _ in range(4)]
    files = {}
    for number, (name, content, ending) in enumerate(zip(IDX_NAMES, contents, endings, strict=True)):
        packed = gzipped(content) if ending and not (number == place and draw(st.integers(0, 3)) == 0) else content
        files[f"images/{name}{ending}"] = (
            draw(damaged(packed)) if ending and number == place and draw(st.booleans()) else packed
        )
    if draw(st.integers(0, 7)) == 0:
        files.pop(f"images/{IDX_NAMES[place]}{endings[place]}")
    if draw(st.integers(0, 9)) == 0:  # a bomb: gigabytes of zeros
        files[f"images/{IDX_NAMES[0]}.gz"] = _bomb()
        files.pop(f"images/{IDX_NAMES[0]}", None)
    more = draw(
        st.sampled_from(
            [
                (),
                (),
                (),
                ("data.official_test=false",),
                ("data.official_test=5",),
                ("data.path=images/",),
                ("data.path=IMAGES",),
            ]
        )
    )
    path = () if any(one.startswith("data.path") for one in more) else ("data.path=images",)
    return Case("data", (*draw(st.sampled_from([DRY, DRY, TRAIN])), "data=idx", *path, *more), files, codes=(0, 2))


@cache
def _bomb() -> bytes:
    """Two GB of zeros after a header that says so little: 2 MB."""
    begin = gzipped(_header(8, [40, 4, 4], bytes(640)))
    return begin + gzipped(bytes(2**28)) * 8


def _npy(shape: str, kind: str = "<f8", content: bytes = b"", fortran: str = "False") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + content


def _members(**content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in content.items():
            made.writestr(zipfile.ZipInfo(f"{name}.npy"), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


@cache
def _npy_y() -> bytes:
    return _npy("(40,)", "<i8", np.tile(np.array([0, 1], "<i8"), 20).tobytes())


X = [
    *(
        _npy("(1000000000000,)"),
        _npy("(40, 1000000000)"),
        _npy("(40, -1)"),
        _npy("(40,)"),
        _npy("()"),
        _npy("(40, 3)"),
        _npy("(40, 3)", "<f8", bytes(959)),
    ),
    *(
        _npy("(0, 3)"),
        _npy("(40, 0)"),
        _npy("(40, 3)", "|O", b"cos\nsystem\n."),
        _npy("(40, 3)", "x"),
        _npy("(40, 3)", "<c16", bytes(1920)),
        _npy("(40, 3)", "|S4", bytes(480)),
    ),
    *(
        _npy("x"),
        _npy("(40, 3)", "<f8", bytes(960), "x"),
        _npy("(40, 3)", "<M8[s]", bytes(960)),
        _npy("(40, 3)", "<f2", bytes(240)),
        _npy("(40, 3)", "|b1", bytes(120)),
    ),
    *(
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x09",
        b"text",
        _npy("(40, 3)", "<f8", np.full(120, np.nan).tobytes()),
        _npy("(40, 3)", "<f8", np.full(120, np.inf).tobytes()),
    ),
    *(
        _npy("(40, 3)", "<f8", np.full(120, 1e300).tobytes()),
        _npy("(40, 3)", "|V8", bytes(960)),
        _npy("(40, 3)", "[('a', '<f8')]", bytes(960)),
        _npy("(" + "1, " * 70 + ")", "<f8", bytes(8)),
    ),
    _npy("(40, 10000000)", "<f8", bytes(2**24)),
]


@st.composite
def _npz(draw: st.DrawFn) -> Case:
    right = right_files()["npz"]
    odd = st.sampled_from(X)
    arrays = st.fixed_dictionaries({"x": odd}, optional={"y": st.just(_npy_y()), "x_test": odd, "y_test": odd}).map(
        lambda found: _members(**found)
    )
    targets = st.builds(
        lambda y: _members(x=_npy("(40, 3)", "<f8", np.random.default_rng(0).normal(size=120).tobytes()), y=y), odd
    )
    content = draw(
        st.one_of(
            damaged(right),
            arrays,
            targets,
            st.sampled_from([zipped(b"x", "x.npy"), zipped(right, "x", "x.npy"), X[0], _encrypted(), b""]),
        )
    )
    name = draw(st.sampled_from(["arrays.npz", "arrays.npz", "arrays.npy", "arrays"]))
    more = draw(
        st.sampled_from(
            [
                (),
                (),
                ("data.task=regression", "loss=squared_error"),
                ("data.task=no",),
                ("data.path=no.npz",),
                ("data.path=.",),
            ]
        )
    )
    path = () if any(one.startswith("data.path") for one in more) else (f"data.path={name}",)
    return Case(
        "data", (*draw(st.sampled_from([DRY, DRY, TRAIN])), "data=npz", *path, *more), {name: content}, codes=(0, 2)
    )


@cache
def _encrypted() -> bytes:
    """The flag of encryption set in every header."""
    data = bytearray(right_files()["npz"])
    for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            data[at + place] |= 1
    return bytes(data)


def idx_bytes(array: np.ndarray) -> bytes:
    """Numbers below 256 as an IDX file."""
    return _header(8, list(array.shape), array.astype(np.uint8).tobytes())


ARRAYS = st.one_of(_idx(), _npz())
