"""Data sets in files of arrays: IDX, the format of MNIST and its kin, and NumPy's npz."""

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np

from workbench.data.datasets import Array, Dataset
from workbench.errors import DataError, unknown_name

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_SOURCES = (
    "MNIST: https://storage.googleapis.com/cvdf-datasets/mnist/, "
    "Fashion-MNIST: http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
)
Task = Literal["classification", "regression"]


class Classes(NamedTuple):
    """Class numbers [N], in the sorted order of their names, and how many classes there are."""

    numbers: Array
    classes: int


def classes_of(who: str, labels: Array) -> Classes:
    """Labels [N] of any type as numbers.

    Raises DataError where there are fewer than two, or fractions, which are no names of classes.
    """
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise DataError(
            f"{who}: classes must be whole numbers or texts, got {labels[labels != np.floor(labels)][0]:g}; "
            "write data.task=regression loss=squared_error to learn real values"
        )
    names, numbers = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"{who}: must hold at least two classes, got {', '.join(map(str, names)) or 'no example'}")
    return Classes(numbers.reshape(-1).astype(np.int64), len(names))


def idx(path: str, official_test: bool = True) -> Dataset:
    """Images and labels in a folder of IDX files named like MNIST's, gzipped or not; pixels become [0, 1] in float32.

    The files t10k-... are the test part, unless `official_test` is false: then it is drawn from all images.
    Raises DataError where a file is missing or malformed.
    Source: "The IDX file format", http://yann.lecun.com/exdb/mnist/.
    """
    folder = Path(path).expanduser()
    images, labels, test_images, test_labels = [read_idx(file) for file in _idx_files(folder)]
    for name, x, y in (("train", images, labels), ("t10k", test_images, test_labels)):
        if x.ndim < 2 or y.shape != x.shape[:1]:
            raise DataError(
                f"data.path: {folder} must have one label for each {name} image, got images of shape {x.shape} and "
                f"labels of shape {y.shape}"
            )
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"data.path: {folder} must have images of one size, got {images.shape[1:]} and {test_images.shape[1:]}"
        )
    x = np.empty((len(images) + len(test_images), images[0].size), np.float32)
    for part, rows in ((images, slice(len(images))), (test_images, slice(len(images), None))):
        x[rows] = part.reshape(len(part), -1)
    if images.dtype == np.uint8:
        x /= 255
    y, count = classes_of(f"data.path: {folder}", np.concatenate([labels, test_labels]))
    held_out = len(test_images) if official_test else 0
    return Dataset(folder.resolve().name, x, y, count, same_unit=True, official_test=held_out)


def _idx_files(folder: Path) -> list[Path]:
    ends = [[folder / f"{name}{end}" for end in ("", ".gz")] for name in IDX_NAMES]
    found = [next((file for file in files if file.is_file()), None) for files in ends]
    missing = [name for name, file in zip(IDX_NAMES, found, strict=True) if file is None]
    if missing:
        state = f"{len(missing)} of the four are missing" if folder.is_dir() else "there is no such folder"
        raise DataError(
            f"data.path: the folder {folder.absolute()} must hold {', '.join(missing)}, each also with .gz; {state}; "
            f"download them ({IDX_SOURCES}) and write data.path=FOLDER"
        )
    return [file for file in found if file is not None]


def read_idx(file: Path) -> Array:
    """The array in an IDX file, gzipped where its name ends in .gz.

    Raises DataError where its bytes are no such array.
    """
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data.path: {file} cannot be read: {error}; download it again") from error
    kind, axes = (content[2], content[3]) if len(content) >= 4 and content[:2] == b"\0\0" else (-1, 0)
    start = 4 + 4 * axes
    if kind not in IDX_TYPES or axes == 0 or len(content) < start:
        raise DataError(
            f"data.path: {file} must begin as an IDX file does, 00 00, type, number of axes and their sizes, got "
            f"{content[:4].hex(' ') or 'nothing'}; download it again"
        )
    shape = [int(size) for size in np.frombuffer(content, ">u4", axes, 4)]
    dtype = np.dtype(IDX_TYPES[kind])
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(content) - start != expected or 0 in shape:
        raise DataError(
            f"data.path: {file} must hold {expected} bytes after its header of shape {tuple(shape)}, got "
            f"{len(content) - start}; download it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def npz(path: str, task: Task = "classification") -> Dataset:
    """Arrays x [N, ...] and y [N] or [N, K] of one file, and, where it has x_test and y_test, those as the test part.

    Axes of x after the first are flattened; where there are several, as in images, they share a unit.
    Raises DataError where the file or what it holds cannot be used.
    """
    file = Path(path).expanduser()
    arrays = _npz_arrays(file)
    tests = [name for name in ("x_test", "y_test") if name in arrays]
    for name in ("x", "y", *(("x_test", "y_test") if tests else ())):
        if name not in arrays:
            raise unknown_name(f"data.path: {file}: has no array of this name", name, arrays)
    official = len(arrays["x_test"]) if tests else 0
    try:
        x, y = (np.concatenate([arrays[name], *([arrays[f"{name}_test"]] if tests else [])]) for name in ("x", "y"))
    except ValueError as error:
        raise DataError(f"data.path: {file}: x and x_test, y and y_test must have one shape: {error}") from error
    if x.ndim < 2 or x.dtype.kind not in "fiub" or y.ndim not in (1, 2) or len(x) != len(y):
        raise DataError(
            f"data.path: {file} must hold numbers x [N, ...] and y [N] or [N, K], got x {x.dtype} {x.shape} and "
            f"y {y.dtype} {y.shape}; one feature is x[:, None]"
        )
    same_unit = x.ndim > 2
    x = finite(f"data.path: {file}: x", x.reshape(len(x), -1).astype(np.float32 if x.dtype == np.float32 else float))
    if task == "regression":
        real = finite(f"data.path: {file}: y", _as_real(file, y))
        return Dataset(file.stem, x, real, None, same_unit=same_unit, official_test=official)
    labels, count = classes_of(f"data.path: {file}", _one_column(file, y))
    return Dataset(file.stem, x, labels, count, same_unit=same_unit, official_test=official)


def _npz_arrays(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"data.path: there is no file {file.absolute()}; make it with numpy.savez(FILE, x=x, y=y)")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"data.path: {file} must be made by numpy.savez of numbers or texts, without pickled objects: {error}"
        ) from error


def _as_real(file: Path, y: Array) -> Array:
    if y.dtype.kind not in "fiub":
        raise DataError(f"data.path: {file}: y must hold numbers for data.task=regression, got {y.dtype}")
    return y.reshape(len(y), -1).astype(np.float64)


def _one_column(file: Path, y: Array) -> Array:
    if y.size != len(y):
        raise DataError(f"data.path: {file}: y must be one class for each example, [N], got {y.shape}")
    return y.reshape(-1)


def finite(who: str, values: Array) -> Array:
    """The values [N, K] themselves; raises DataError with the first rows where they are not all finite numbers."""
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        raise DataError(f"{who} must be finite, but is not in {rows_of(bad)}; drop or fill them")
    return values


def rows_of(rows: Array) -> str:
    """Numbers of rows, from 0, the first five and how many more."""
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(row) for row in rows[:5])}{more}"
