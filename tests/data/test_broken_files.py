"""Files that are cut, false, or promise what they do not hold: a message with the file, and no more memory than that.

Every format's valid files are also mutated at random: what comes of it is a data set, or an error in our words.
"""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data_files import idx_arrays, write_idx, write_idx_folder
from workbench.core import memory
from workbench.core.errors import ConfigError, DataError
from workbench.data import arrays, files
from workbench.data.datasets import Dataset
from workbench.data.files import IDX_NAMES, idx, npz

IMAGES = f"{IDX_NAMES[0]}.gz"
MIB = 2**20


def outcome(read: Callable[[], Dataset], place: str) -> str:
    """The message of what cannot be used, on one line that names the place; empty for a data set that can be."""
    try:
        dataset = read()
    except (DataError, ConfigError) as error:
        said = str(error)
        assert place in said
        assert len(said.splitlines()) == 1
        assert len(said) < 2000
        return said
    assert np.isfinite(dataset.x).all()
    assert np.isfinite(dataset.y).all()
    assert len(dataset.x) == len(dataset.y) > 0
    assert dataset.x.shape[1] > 0
    return ""


@contextmanager
def peak_below(mib: float) -> Iterator[None]:
    """Check that the memory allocated by Python and numpy in the block peaks below `mib` MiB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib * MIB
    finally:
        tracemalloc.stop()


def npy(array: np.ndarray, **changed: Any) -> bytes:
    """Return an npy file of an array, with a changed header."""
    file = io.BytesIO()
    values = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changed}
    np.lib.format.write_array_header_1_0(file, values)
    return file.getvalue() + array.tobytes()


def archive(file: Path, members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip file of these members."""
    with zipfile.ZipFile(file, "w", how) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file


X, Y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2


@pytest.mark.slow
def test_a_gzip_bomb_is_read_as_far_as_its_header_says(tmp_path: Path) -> None:
    """256 MiB of zeros behind a header of 640 bytes: refused after 641 of them."""
    folder = write_idx_folder(tmp_path)
    head = gzip.decompress((folder / IMAGES).read_bytes())[:16]
    with gzip.open(folder / IMAGES, "wb", 1) as file:
        file.write(head)
        for _ in range(256):
            file.write(bytes(MIB))
    with peak_below(4):
        said = outcome(lambda: idx(str(folder)), IMAGES)
    assert "must hold 640 bytes after its header of shape (40, 4, 4), got more" in said


@pytest.mark.parametrize("shape", [(2**31, 4, 4), (2**32 - 1,) * 3, (40, 2**20, 2**10), (1, 1, 2**30)])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_an_idx_header_that_promises_too_much(tmp_path: Path, shape: tuple[int, ...], end: str) -> None:
    """Terabytes from a file of some bytes are refused before anything is allocated."""
    folder = write_idx_folder(tmp_path, end=end)
    file = folder / f"{IDX_NAMES[0]}{end}"
    content = b"\0\0\x08\x03" + struct.pack(">3I", *shape) + bytes(640)
    file.write_bytes(gzip.compress(content) if end else content)
    with peak_below(4):
        said = outcome(lambda: idx(str(folder)), file.name)
    assert f"must hold {np.prod(shape, dtype=object)} bytes after its header of shape {shape}, got " in said


def test_true_headers_are_held_against_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files whose true size exceeds the available memory are refused; a smaller file is read."""
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    folder = write_idx_folder(tmp_path / "many", idx_arrays(400))
    np.savez_compressed(tmp_path / "many.npz", x=np.zeros((1000, 100)), y=np.arange(1000) % 2)
    for read, place in ((lambda: idx(str(folder)), "many"), (lambda: npz(str(tmp_path / "many.npz")), "many.npz")):
        assert "must fit into memory, but takes " in outcome(read, place)
    np.savez(tmp_path / "few.npz", x=X, y=Y)
    assert outcome(lambda: npz(str(tmp_path / "few.npz")), "few.npz") == ""


@pytest.mark.parametrize("kind", [0x0D, 0x0E])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e39])
def test_idx_numbers_that_are_none(tmp_path: Path, kind: int, value: float) -> None:
    """A value that is not finite, or not within float32, is refused, and the message names its row."""
    folder = write_idx_folder(tmp_path)
    images = np.ones((40, 4, 4), np.float64)
    images[7, 1, 2] = value
    with np.errstate(over="ignore"):
        write_idx(folder / IMAGES, images, kind)
        write_idx(folder / f"{IDX_NAMES[2]}.gz", np.ones((20, 4, 4)), kind)
    assert "must be finite, but is not in row 7; " in outcome(lambda: idx(str(folder)), IMAGES)


@pytest.mark.slow
def test_a_large_npz_is_judged_by_its_headers(tmp_path: Path) -> None:
    """256 MiB of inputs whose labels do not fit, or stand there twice, are refused without being read."""
    file = tmp_path / "own.npz"
    long = (2**19, 64)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        with made.open("x.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": long})
            for _ in range(256):
                member.write(bytes(MIB))
        made.writestr("y.npy", npy(Y))
    with peak_below(4):
        assert "must hold numbers x [N, ...] and y [N]" in outcome(lambda: npz(str(file)), "own.npz")
    with zipfile.ZipFile(file, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("y.npy", npy(np.zeros(long[0], np.int8)))
    with peak_below(4):
        assert "got y twice" in outcome(lambda: npz(str(file)), "own.npz")


@pytest.mark.parametrize("kept", [1, 2**30])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, order: Any) -> None:
    """A large npz gives the numbers written, and is refused in little memory if a number is not finite."""
    monkeypatch.setattr(files, "LARGE", kept)
    monkeypatch.setattr(arrays, "PIECE", MIB)
    x = np.random.default_rng(0).normal(size=(50_000, 8, 4))
    given = {"x": np.asarray(x, order=order), "y": np.arange(50_000) % 2, "x_test": x[:5], "y_test": np.ones(5)}
    np.savez(tmp_path / "own.npz", **given)
    assert np.array_equal(npz(str(tmp_path / "own.npz")).x, np.concatenate([x, x[:5]]).reshape(-1, 32))
    given["x_test"] = np.full_like(x[:5], np.nan)
    np.savez(tmp_path / "own.npz", **given)
    with peak_below(6 if (kept, order) == (1, "C") else 60):
        said = outcome(lambda: npz(str(tmp_path / "own.npz")), "own.npz")
    assert "x must be finite, but is not in rows 50000, 50001, 50002, 50003, 50004" in said


def encrypted(file: Path) -> None:
    """Set the bit for encryption in both headers of each member."""
    content = bytearray(file.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(mark, start + 4)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (2**40, 2)}, "must hold 17592186044416 bytes after its header"),
        ({"shape": (2**62, 2**62)}, "bytes after its header"),
        ({"shape": (-12, -2)}, "bytes after its header of shape (-12, -2)"),
        ({"shape": (11, 2)}, "must hold 176 bytes after its header of shape (11, 2), got 192"),
        ({"shape": (0, 2)}, "must hold 0 bytes"),
        ({"shape": (1,) * 60}, "bytes after its header"),
        ({"shape": ()}, "must hold 8 bytes"),
        ({"descr": "|O"}, "without pickled objects, got object in x.npy"),
        ({"descr": "<c16"}, "bytes after its header"),
        ({"descr": "<c8"}, "must hold numbers x [N, ...]"),
        ({"descr": "<M8[s]"}, "must hold numbers x [N, ...]"),
        ({"descr": "nonsense"}, "must have a header that numpy reads"),
        ({"descr": [("a", "<f4"), ("b", "<f4")]}, "must hold numbers x [N, ...]"),
    ],
)  # fmt: skip
def test_npy_headers_that_do_not_fit(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    """A header that does not fit its member's size, or a type that cannot be learned from, is refused unread."""
    file = archive(tmp_path / "own.npz", {"x.npy": npy(X, **changed), "y.npy": npy(Y)})
    with peak_below(4):
        assert message in outcome(lambda: npz(str(file)), "own.npz")


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"", "must begin as an array of numbers does, got nothing"),
        (b"\x93NUMPY\x03\0" + bytes(200), "must begin as an array of numbers does, got 93 4e"),
        (b"\x93NUMPY\x02\0" + struct.pack("<I", 2**32 - 1) + bytes(2**20), "a header of at most 10000 bytes, got one"),
        (b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"[" * 9000, "must have a header that numpy reads, got [["),
        (b"\x93NUMPY\x01\0\x04\0{}()", "must have a header that numpy reads"),
    ],
)  # fmt: skip
def test_members_that_are_no_arrays(tmp_path: Path, member: bytes, message: str) -> None:
    """The message about an archive member that is no array shows its beginning, read in less than 4 MiB."""
    file = archive(tmp_path / "own.npz", {"x.npy": member, "y.npy": npy(Y)})
    with peak_below(4):
        assert message in outcome(lambda: npz(str(file)), "own.npz")


def test_npz_of_a_password_and_of_pickles(tmp_path: Path) -> None:
    """Encrypted and pickled arrays are refused, and nothing is unpickled."""
    file = archive(tmp_path / "own.npz", {"x.npy": npy(X), "y.npy": npy(Y)})
    encrypted(file)
    assert "x.npy must not be encrypted" in outcome(lambda: npz(str(file)), "own.npz")

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(file, x=X, y=np.array([Trap()] * 12), allow_pickle=True)
    assert "without pickled objects" in outcome(lambda: npz(str(file)), "own.npz")
    np.savez(file, x=X, y=Y, other=np.array([Trap()]), allow_pickle=True)
    assert outcome(lambda: npz(str(file)), "own.npz") == ""  # what is not asked for is not read
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_of_any_order_and_compression(tmp_path: Path, how: int) -> None:
    """Half floats in Fortran order and big-endian give the same numbers with each method of zip."""
    arrays = {"x.npy": npy(np.ascontiguousarray(X.astype(">f2").T), shape=X.shape, fortran_order=True), "y.npy": npy(Y)}
    dataset = npz(str(archive(tmp_path / "own.npz", arrays, how)))
    assert np.array_equal(dataset.x, X)
    assert dataset.x.dtype == np.float64


NAN_LABELS = np.where(np.arange(12) == 3, np.nan, Y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (NAN_LABELS, "y must be finite, but is not in row 3; drop or fill them"),
        (np.where(Y, np.inf, 0), "y must be finite, but is not in rows 1, 3, 5, 7, 9 and 1 more"),
        (Y.astype("M8[D]"), "classes must be whole numbers or texts, got datetime64[D]; convert them"),
        (Y + 1j, "classes must be whole numbers or texts, got complex128; convert them"),
    ],
)
def test_labels_that_are_no_classes(tmp_path: Path, y: np.ndarray, message: str) -> None:
    """Missing or invalid labels are refused without advice to use regression."""
    np.savez(tmp_path / "own.npz", x=X, y=y)
    said = outcome(lambda: npz(str(tmp_path / "own.npz")), "own.npz")
    assert message in said
    assert "regression" not in said


@pytest.mark.parametrize("value", [1e200, -1e151])
def test_numbers_whose_squares_overflow(tmp_path: Path, value: float) -> None:
    """Inputs beyond 1e150, whose standard deviation would be infinite, are refused."""
    np.savez(tmp_path / "own.npz", x=np.where(X == 6, value, X), y=Y)
    assert "x must be at most 1e+150 in size, but is more in row 3" in outcome(
        lambda: npz(str(tmp_path / "own.npz")), "own.npz"
    )


def a_pipe(file: Path) -> None:
    """Make a pipe that nobody writes to."""
    os.mkfifo(file)


def a_link(file: Path) -> None:
    """Make a link to a file that does not exist."""
    file.symlink_to(file.parent / "gone")


def a_loop(file: Path) -> None:
    """Make a link to itself."""
    file.symlink_to(file)


def a_device(file: Path) -> None:
    """Make a link to a device that never ends."""
    file.symlink_to("/dev/zero")


NO_FILES = [
    (a_pipe, "is a device, pipe or socket"),
    (a_device, "is a device, pipe or socket"),
    (Path.mkdir, "is a folder"),
    (a_link, "which is not there"),
    (a_loop, "Too many levels of symbolic links"),
]


@pytest.mark.parametrize(("make", "message"), NO_FILES)
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    """Pipes, devices, folders and broken links are refused before they are opened, as a read might never end."""
    make(tmp_path / "own.npz")
    assert message in outcome(lambda: npz(str(tmp_path / "own.npz")), "own.npz")
    folder = write_idx_folder(tmp_path / "idx")
    (folder / IMAGES).unlink()
    make(folder / IMAGES)
    assert message in outcome(lambda: idx(str(folder)), IMAGES)


@pytest.mark.parametrize("path", ["x\0y", "a" * 5000, "~nobody-of-this-name/x", "", "a\nb\x1b[31m"])
def test_paths_that_are_none(path: str) -> None:
    """A path that cannot exist is refused on one line without control characters."""
    for read in (idx, npz):
        said = outcome(lambda read=read: read(path), "data.path: ")  # type: ignore[misc]
        assert said.isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_of_another_user(tmp_path: Path) -> None:
    """The message about a file without permission to read says how to change it."""
    np.savez(tmp_path / "own.npz", x=X, y=Y)
    (tmp_path / "own.npz").chmod(0)
    assert "may not be read by you; chmod u+r it" in outcome(lambda: npz(str(tmp_path / "own.npz")), "own.npz")


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Draw changes: bits flipped, bytes cut off the end or middle, bytes put in, a header's bytes replaced."""
    changes = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
                st.tuples(st.just("head"), st.integers(0, 120), st.sampled_from([0, 1, 2, 8, 0x7F, 0x80, 0xFF])),
                st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
                st.tuples(st.just("drop"), st.floats(0, 1), st.integers(1, 40)),
                st.tuples(st.just("put"), st.floats(0, 1), st.integers(0, 255)),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def change(content: bytes) -> bytes:
        data = bytearray(content)
        for kind, where, what in changes:
            at = min(int(where) if kind == "head" else int(where * len(data)), max(0, len(data) - 1))
            if kind == "flip" and data:
                data[at] ^= 1 << what
            elif kind == "head" and data:
                data[at] = what
            elif kind == "cut":
                del data[at:]
            elif kind == "drop":
                del data[at : at + what]
            elif kind == "put":
                data[at:at] = bytes([what])
        return bytes(data)

    return change


FUZZ = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@FUZZ
@given(change=mutations(), packed=st.booleans(), which=st.sampled_from(range(4)))
def test_mutated_idx(tmp_path: Path, change: Callable[[bytes], bytes], packed: bool, which: int) -> None:
    """Mutated IDX files, inside gzip with a right checksum or outside it, are read or refused in little memory."""
    folder = write_idx_folder(tmp_path / "idx")
    file = folder / f"{IDX_NAMES[which]}.gz"
    content = file.read_bytes()
    file.write_bytes(gzip.compress(change(gzip.decompress(content)), 1) if packed else change(content))
    with peak_below(16):
        outcome(lambda: idx(str(folder)), str(folder))


@pytest.mark.slow
@FUZZ
@given(
    change=mutations(),
    inner=st.booleans(),
    how=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    task=st.sampled_from(["classification", "regression"]),
    texts=st.booleans(),
)
def test_mutated_npz(
    tmp_path: Path, change: Callable[[bytes], bytes], inner: bool, how: int, task: Any, texts: bool
) -> None:
    """Mutated npz files, inside zip with right checksums or outside it, are read or refused in little memory."""
    file, y = tmp_path / "own.npz", Y.astype(str) if texts and task == "classification" else Y
    members = {"x.npy": npy(X), "y.npy": npy(y), "x_test.npy": npy(X[:2]), "y_test.npy": npy(y[:2])}
    if inner:
        members["x.npy"], members["y_test.npy"] = change(members["x.npy"]), change(members["y_test.npy"])
    archive(file, members, how)
    if not inner:
        file.write_bytes(change(file.read_bytes()))
    with peak_below(16):
        outcome(lambda: npz(str(file), task), "own.npz")
