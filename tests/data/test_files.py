"""IDX folders and npz files: what comes out of what was written, and what is said of what is missing or broken."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.data_files import idx_arrays, write_idx, write_idx_folder
from workbench.core.errors import DataError
from workbench.data.arrays import IDX_TYPES, read_idx
from workbench.data.files import IDX_NAMES, idx, npz
from workbench.data.splits import split

IMAGES = IDX_NAMES[0]
CASES = st.sampled_from(sorted(IDX_TYPES)).flatmap(
    lambda kind: st.tuples(st.just(kind), arrays.arrays(IDX_TYPES[kind], arrays.array_shapes(max_dims=4, max_side=5)))
)


@pytest.mark.slow
@given(case=CASES, end=st.sampled_from(["", ".gz"]))
def test_idx_arrays_come_back(tmp_path_factory: pytest.TempPathFactory, case: Any, end: str) -> None:
    """Every type, up to four axes, gzipped or not: the same numbers in the machine's own byte order."""
    kind, array = case
    file = tmp_path_factory.getbasetemp() / f"array{end}"
    write_idx(file, array, kind)
    found = read_idx(file)
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_a_header_worked_by_hand(tmp_path: Path) -> None:
    """00 00, type 08, two axes of sizes 2 and 3, and the bytes in their order: the format's own definition."""
    (tmp_path / "file").write_bytes(bytes.fromhex("00000802 00000002 00000003 010203 0405ff"))
    assert read_idx(tmp_path / "file").tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize("end", ["", ".gz"])
def test_an_idx_folder_is_its_images(tmp_path: Path, end: str) -> None:
    """Pixels as fractions of 255 in float32, the folder's name, t10k behind as the official test part."""
    train_x, train_y, test_x, test_y = idx_arrays()
    dataset = idx(str(write_idx_folder(tmp_path / "fashion", end=end)))
    assert (dataset.name, dataset.n_classes, dataset.official_test) == ("fashion", 4, 20)
    assert (dataset.x.dtype, dataset.same_unit) == (np.float32, True)
    np.testing.assert_allclose(dataset.x, np.concatenate([train_x, test_x]).reshape(60, 16) / 255, rtol=1e-6)
    assert np.array_equal(dataset.y, np.concatenate([train_y, test_y]))
    np.testing.assert_allclose(split(dataset, 3, 0.1, 0.1, False).test.x, dataset.x[40:])
    assert idx(str(tmp_path / "fashion"), official_test=False).official_test == 0


@pytest.mark.parametrize("official", [True, False])
def test_so_many_images_are_kept(tmp_path: Path, official: bool) -> None:
    """Ten of the images, in their order and the same each time; an official test part stays whole."""
    folder = str(write_idx_folder(tmp_path))
    whole, few = (idx(folder, official, images) for images in (None, 10))
    kept = [int((whole.x == one).all(1).argmax()) for one in few.x]
    assert len(kept) == (30 if official else 10)
    assert kept == sorted(set(kept))
    assert kept[10:] == list(range(40, 60)) * official
    assert kept[:10] != list(range(10))
    assert np.array_equal(few.y, whole.y[kept])
    assert idx(folder, official, 10).digest == few.digest
    with pytest.raises(DataError, match=f"data.images: must be from 1 to the {40 if official else 60} images"):
        idx(folder, official, 61)


def test_squares_of_pixels_become_their_means(tmp_path: Path) -> None:
    """Four pixels become one by hand; a side that the squares do not divide is refused."""
    folder = str(write_idx_folder(tmp_path))
    whole, pooled = idx(folder), idx(folder, pool=2)
    assert (pooled.x.shape, pooled.x.dtype) == ((60, 4), np.float32)
    images = whole.x.reshape(60, 4, 4)
    np.testing.assert_allclose(pooled.x[:, 1], images[:, :2, 2:].mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(pooled.x[:, 2], images[:, 2:, :2].mean((1, 2)), rtol=1e-6)
    for pool in (0, 3):
        with pytest.raises(DataError, match=f"data.pool: must divide both sides of the 4 x 4 images .*, got {pool}"):
            idx(folder, pool=pool)


def test_splits_of_float32_stay_so(tmp_path: Path) -> None:
    """Large images are not doubled; the training part has mean 0 and variance 1, and the data set stays as it is."""
    dataset = idx(str(write_idx_folder(tmp_path)))
    before = dataset.digest, dataset.x.copy()
    parts = split(dataset, 0, 0.1, 0.1, standardize=True)
    assert {part.x.dtype for part in parts} == {np.dtype(np.float32)}
    assert (parts.train.x.mean(), parts.train.x.std()) == pytest.approx((0, 1), abs=1e-5)
    assert np.array_equal(dataset.x, before[1])


def test_classes_are_numbered_in_their_order(tmp_path: Path) -> None:
    """Labels 1, 3, 7 and 9 become classes 0 to 3."""
    images, labels, test_images, test_labels = idx_arrays()
    names = np.array([1, 3, 7, 9])
    folder = write_idx_folder(tmp_path, [images, names[labels], test_images, names[test_labels]])
    dataset = idx(str(folder))
    assert (dataset.n_classes, dataset.y[:4].tolist()) == (4, [0, 1, 2, 3])


def remove(folder: Path) -> None:
    """Remove both label files."""
    (folder / f"{IDX_NAMES[1]}.gz").unlink()
    (folder / f"{IDX_NAMES[3]}.gz").unlink()


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a function that changes the unpacked content of the file `name` in a folder."""

    def apply(folder: Path) -> None:
        file = folder / f"{name}.gz"
        file.write_bytes(gzip.compress(change(gzip.decompress(file.read_bytes()))))

    return apply


def cut(folder: Path) -> None:
    """Cut a file short, as a download that broke off."""
    file = folder / f"{IMAGES}.gz"
    file.write_bytes(file.read_bytes()[:-20])


def unlabeled(folder: Path) -> None:
    """Write fewer labels than images."""
    write_idx(folder / f"{IDX_NAMES[1]}.gz", np.zeros(39, np.uint8))


def other_size(folder: Path) -> None:
    """Write test images of another size."""
    write_idx(folder / f"{IDX_NAMES[2]}.gz", np.zeros((20, 5, 5), np.uint8))


def one_class(folder: Path) -> None:
    """Write labels of one class only."""
    for name, count in ((IDX_NAMES[1], 40), (IDX_NAMES[3], 20)):
        write_idx(folder / f"{name}.gz", np.zeros(count, np.uint8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove, r"the folder .*digits must hold train-labels-idx1-ubyte, t10k-labels-idx1-ubyte, each also with .gz; "
                 r"2 of the four are missing; download them \(MNIST: https://.* and write data.path=FOLDER"),
        (cut, r".*train-images-idx3-ubyte.gz must be a file that can be read, but: .*; download it again"),
        (rewrite(IMAGES, lambda content: b"PK" + content[2:]), r".* must begin as an IDX file does, .* 50 4b 08 03;"),
        (rewrite(IMAGES, lambda content: b""), r".* must begin as an IDX file does, .*, got nothing;"),
        (rewrite(IMAGES, lambda content: b"\0\0\x07" + content[3:]), r".* must begin as an IDX file does, .*07 03;"),
        (rewrite(IMAGES, lambda content: content[:9]), r".* must begin as an IDX file does"),
        (rewrite(IMAGES, lambda content: content[:-1]),
         r".* must hold 640 bytes after its header of shape \(40, 4, 4\), got 639; download it again"),
        (rewrite(IMAGES, lambda content: content[:4] + b"\xff" * 12 + content[16:]), r".* must hold \d{29} bytes"),
        (unlabeled, r".* must have one label for each train image, got images of shape \(40, 4, 4\)"),
        (other_size, r".* must have images of one size, got \(4, 4\) and \(5, 5\)"),
        (one_class, r".* must hold at least two classes, got 0"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    """The message about a broken IDX folder names the file, the rule, what came and what to do."""
    folder = write_idx_folder(tmp_path / "digits")
    spoil(folder)
    with pytest.raises(DataError, match=f"^data.path: {message}"):
        idx(str(folder))


def test_a_folder_that_is_not_there() -> None:
    """The message about a missing folder names the folder, the files it must hold and where to get them."""
    with pytest.raises(DataError, match=r"the folder /no/where must hold train-images.*there is no such folder; "):
        idx("/no/where")


def test_npz_classes_and_real_targets(tmp_path: Path) -> None:
    """Texts are classes in their order, images are flattened, x_test is the test part; reals keep their columns."""
    stream = np.random.default_rng(0)
    x, y = stream.normal(size=(6, 2, 3)), np.array(["b", "a", "b", "a", "c", "c"])
    np.savez(tmp_path / "own.npz", x=x, y=y, x_test=x[:2] + 1, y_test=y[:2])
    dataset = npz(str(tmp_path / "own.npz"))
    assert (dataset.name, dataset.n_classes, dataset.official_test, dataset.same_unit) == ("own", 3, 2, True)
    assert np.array_equal(dataset.x, np.concatenate([x, x[:2] + 1]).reshape(8, 6))
    assert dataset.y.tolist() == [1, 0, 1, 0, 2, 2, 1, 0]
    np.savez(tmp_path / "real.npz", x=x[:, 0].astype(np.float32), y=x[:, 1])
    dataset = npz(str(tmp_path / "real.npz"), "regression")
    assert (dataset.n_classes, dataset.x.dtype, dataset.same_unit) == (None, np.float32, False)
    assert np.array_equal(dataset.y, x[:, 1])


X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)


@pytest.mark.parametrize(
    ("content", "task", "message"),
    [
        ({"X": X, "y": Y}, "classification", r"unknown name 'x'; options: X, y"),
        ({"x": X, "y": Y, "x_test": X}, "classification", r"unknown name 'y_test'"),
        ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, "classification", r"x and x_test, .* must have one shape"),
        ({"x": X[:, 0], "y": Y}, "classification", r"must hold numbers x \[N, ...\] .*; one feature is x\[:, "),
        ({"x": X, "y": Y[:5]}, "classification", r"must hold numbers .*, got x float64 \(6, 2\) and y int64 \(5,\)"),
        ({"x": X + 1j, "y": Y}, "classification", r"must hold numbers .*, got x complex128"),
        ({"x": X, "y": X}, "classification", r"y must be one class for each example, \[N\], got \(6, 2\)"),
        ({"x": X, "y": Y + 0.5}, "classification", r"classes must be whole numbers or texts, got 0.5; write "),
        ({"x": X, "y": Y.astype(str)}, "regression", r"y must hold numbers for data.task=regression, got <U"),
        ({"x": np.where(X > 8, np.nan, X), "y": Y}, "classification", r"x must be finite, but is not in rows 4, 5;"),
        ({"x": X, "y": np.where(X > 10, np.inf, 0)}, "regression", r"y must be finite, but is not in row 5; "),
        ({"x": X, "y": np.array([None] * 6)}, "classification", r"must be made by numpy.savez .*, without pickled"),
    ],
)  # fmt: skip
def test_npz_that_cannot_be_used(tmp_path: Path, content: dict[str, Any], task: Any, message: str) -> None:
    """The message about an unusable npz names the file, the array, the rule and what came."""
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(
        Exception, match=rf"^data.path: .*own.npz.*: ?{message}|^data.path: .*own.npz {message}"
    ) as said:
        npz(str(tmp_path / "own.npz"), task)
    assert type(said.value).__module__ == "workbench.core.errors"


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_npz(tmp_path: Path, content: bytes) -> None:
    """A file that is no npz, or not there, is refused whatever its bytes are."""
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"^data.path: .*own.npz must be made by numpy.savez"):
        npz(str(tmp_path / "own.npz"))
    with pytest.raises(DataError, match=r"^data.path: there is no file .*other.npz; make it with numpy.savez"):
        npz(str(tmp_path / "other.npz"))
