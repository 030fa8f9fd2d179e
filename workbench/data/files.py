"""Data sets in files of arrays: IDX, the format of MNIST and its kin, and NumPy's npz."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import ZipFile, ZipInfo

import numpy as np

from workbench.core.errors import DataError, unknown_name
from workbench.core.memory import COPIES, require_memory
from workbench.core.seeds import stream_seed
from workbench.data.arrays import Header, idx_header, npy_header, npy_rows, read_idx, read_npy
from workbench.data.datasets import Array, Dataset
from workbench.data.sources import finite, opening, regular_file, shown

IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_SOURCES = (
    "MNIST: https://storage.googleapis.com/cvdf-datasets/mnist/, "
    "Fashion-MNIST: http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
)
ARRAYS = ("x", "y", "x_test", "y_test")
LARGE = 2**28  # bytes of inputs from which they are checked before memory is allocated for them
REAL = "write data.task=regression loss=squared_error to learn real values"
FEWER = "keep fewer examples or features in it"
SAVE = "make it with numpy.savez(FILE, x=x, y=y) and write data.path=FILE.npz"
Task = Literal["classification", "regression"]


class Classes(NamedTuple):
    """Class numbers [N], in the sorted order of the classes' names, and the number of classes."""

    numbers: Array
    classes: int


def classes_of(who: str, labels: Array, then: str = REAL) -> Classes:
    """Number labels [N] of any type by the sorted order of their values.

    Raises DataError, which begins with `who`, for fewer than two classes, labels that are neither numbers nor texts,
    infinite ones, and fractions, where it ends with `then`.
    """
    if labels.dtype.kind not in "fiubUS":
        raise DataError(f"{who}: classes must be whole numbers or texts, got {labels.dtype}; convert them")
    if labels.dtype.kind == "f":
        finite(who, labels[:, None])
        fractions = labels[labels != np.floor(labels)]
        if len(fractions):
            raise DataError(f"{who}: classes must be whole numbers or texts, got {fractions[0]:g}; {then}")
    names, numbers = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        values = ", ".join(map(shown, names)) or "no example"
        raise DataError(f"{who}: must hold at least two classes, got {values}; take data with several")
    return Classes(numbers.reshape(-1).astype(np.int64), len(names))


def idx(path: str, official_test: bool = True, images: int | None = None, pool: int = 1) -> Dataset:
    """Images and labels in a folder of IDX files named like MNIST's, gzipped or not; pixels become [0, 1] in float32.

    The files t10k-... are the test part, unless `official_test` is false, when it is drawn from all images. Of the
    others so many `images` are kept, drawn once for all seeds. Squares of `pool` x `pool` pixels become their mean.
    Raises DataError where a file is missing or malformed, there are fewer images, or no such squares cover one.
    Source: "The IDX file format", http://yann.lecun.com/exdb/mnist/.
    """
    folder = Path(os.path.expanduser(path))
    files = _idx_files(folder)
    heads = [idx_header(file) for file in files]
    _refuse_idx(folder, heads)
    train, test = heads[0].shape[0], heads[2].shape[0]
    labels = np.concatenate([read_idx(files[1]), read_idx(files[3])])
    y, count = classes_of(f"data.path: {shown(folder)}: labels", labels, "round the labels to whole numbers")
    x = np.empty((train + test, heads[0].nbytes // heads[0].dtype.itemsize // train), np.float32)
    for file, head, rows in ((files[0], heads[0], slice(train)), (files[2], heads[2], slice(train, None))):
        with np.errstate(over="ignore"):
            x[rows] = read_idx(file).reshape(head.shape[0], -1)
        finite(f"data.path: {shown(file)}", x[rows])
    if heads[0].dtype == np.uint8:
        x /= 255
    held_out = test if official_test else 0
    if images is not None:
        chosen = _subset(folder, len(x) - held_out, images, len(x))
        x, y = x[chosen], y[chosen]
    sides = heads[0].shape[1:]
    x, shape = _pooled(folder, x, sides, pool), _picture(tuple(side // pool for side in sides))
    return Dataset(folder.resolve().name, x, y, count, same_unit=True, official_test=held_out, shape=shape)


def _picture(sides: tuple[int, ...]) -> tuple[int, ...]:
    """Shape (H, W, C) of examples with these sides; empty where they are no pictures."""
    return (*sides, 1) if len(sides) == 2 else sides if len(sides) == 3 else ()


def _pooled(folder: Path, x: Array, sides: tuple[int, ...], pool: int) -> Array:
    """Means of squares of pixels of images [N, I]; raises DataError where such squares do not cover an image."""
    if pool == 1:
        return x
    if len(sides) != 2 or pool < 1 or any(side % pool for side in sides):
        shape = " x ".join(map(str, sides))
        raise DataError(f"data.pool: must divide both sides of the {shape} images of {shown(folder)}, got {pool}")
    rows, columns = (side // pool for side in sides)
    means: Array = x.reshape(len(x), rows, pool, columns, pool).mean((2, 4))
    return means.reshape(len(x), -1)


def _subset(folder: Path, drawn: int, images: int, rows: int) -> Array:
    """Rows of so many of the first `drawn` images, and all after them; raises DataError where there are fewer."""
    if not 1 <= images <= drawn:
        raise DataError(
            f"data.images: must be from 1 to the {drawn} images of {shown(folder)}, got {images}; ask for fewer"
        )
    chosen = np.random.default_rng(stream_seed(0, "data", "images")).permutation(drawn)[:images]
    return np.concatenate([np.sort(chosen), np.arange(drawn, rows)])


def _refuse_idx(folder: Path, heads: list[Header]) -> None:
    """Raise DataError where images and labels do not belong together, or do not fit into memory."""
    who = f"data.path: {shown(folder)}"
    for name, x, y in (("train", heads[0], heads[1]), ("t10k", heads[2], heads[3])):
        if len(x.shape) < 2 or y.shape != x.shape[:1]:
            raise DataError(
                f"{who} must have one label for each {name} image, got images of shape {x.shape} and "
                f"labels of shape {y.shape}; download them again"
            )
    train, test = heads[0], heads[2]
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{who} must have images of one size, got {train.shape[1:]} and {test.shape[1:]}; download them again"
        )
    if train.dtype != test.dtype:
        raise DataError(f"{who} must have images of one type, got {train.dtype} and {test.dtype}; download them again")
    numbers = sum(head.nbytes // head.dtype.itemsize for head in (train, test))
    require_memory(who, train.nbytes + 4 * COPIES * numbers, FEWER)


def _idx_files(folder: Path) -> list[Path]:
    """Return the four files of IDX_NAMES, each plain or gzipped; raises DataError where one is missing."""
    choices = [[folder / f"{name}{end}" for end in ("", ".gz")] for name in IDX_NAMES]
    files = [next((file for file in pair if os.path.lexists(file)), None) for pair in choices]
    missing = [name for name, file in zip(IDX_NAMES, files, strict=True) if file is None]
    then = f"download them ({IDX_SOURCES}) and write data.path=FOLDER"
    if missing:
        state = "there is no such folder"
        if os.path.lexists(folder):
            state = f"{len(missing)} of the four are missing" if os.path.isdir(folder) else "this is no folder"
        raise DataError(
            f"data.path: the folder {shown(folder.absolute())} must hold {', '.join(missing)}, each also with .gz; "
            f"{state}; {then}"
        )
    return [regular_file(file, then) for file in files if file is not None]


def npz(path: str, task: Task = "classification") -> Dataset:
    """Arrays x [N, ...] and y [N] or [N, K] of one npz file; x_test and y_test, where present, are the test part.

    Axes of x after the first are flattened; where there are several, as in images, features share a unit. Examples
    [H, W] or [H, W, C] are pictures.
    Raises DataError where the file or its arrays cannot be used: from their headers, before an array is read.
    """
    file = regular_file(path, SAVE)
    who = f"data.path: {shown(file)}"
    rule = "must be made by numpy.savez of numbers or texts, without pickled objects"
    with opening(file, "make it again so", rule), np.errstate(over="ignore"), ZipFile(file) as archive:
        members = _members(who, archive)
        names = ("x", "x_test") if {"x_test", "y_test"} & members.keys() else ("x",)
        for name in (*names, *(name.replace("x", "y") for name in names)):
            if name not in members:
                raise unknown_name(f"{who}: has no array of this name", name, [shown(key, 60) for key in members])
        heads = {name: npy_header(file, archive, member) for name, member in members.items() if name in ARRAYS}
        _refuse_arrays(who, heads, names, task)
        parts = [read_npy(file, archive, members[name], heads[name]) for name in (n.replace("x", "y") for n in names)]
        y, count = _targets_of(who, np.concatenate(parts), task)

        def blocks() -> Iterator[tuple[int, Array]]:
            first = 0
            for name in names:
                for block in npy_rows(file, archive, members[name], heads[name]):
                    yield first, block
                    first += len(block)

        if sum(heads[name].nbytes for name in names) > LARGE and heads["x"].dtype.kind == "f":
            for first, block in blocks():  # a second pass over the file, so that a refused one takes no memory
                finite(f"{who}: x", block, first)
        x = np.empty((len(y), _features(heads["x"])), _dtype_of(heads, names))
        for first, block in blocks():
            x[first : first + len(block)] = block
            finite(f"{who}: x", x[first : first + len(block)], first)
    official = heads["x_test"].shape[0] if len(names) > 1 else 0
    sides = heads["x"].shape[1:]
    return Dataset(file.stem, x, y, count, same_unit=len(sides) > 1, official_test=official, shape=_picture(sides))


def _members(who: str, archive: ZipFile) -> dict[str, ZipInfo]:
    """List the arrays of an npz file by name; raises DataError where a name repeats."""
    members: dict[str, ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise DataError(f"{who} must hold each array once, got {shown(name)} twice; make it again")
        members[name] = member
    return members


def _features(header: Header) -> int:
    return int(np.prod(header.shape[1:], dtype=object))


def _dtype_of(heads: dict[str, Header], names: Sequence[str]) -> "np.dtype[Any]":
    """Choose the inputs' type: float32 where all arrays are, else float64."""
    return np.dtype(np.float32 if {heads[name].dtype.str[1:] for name in names} == {"f4"} else np.float64)


def _refuse_arrays(who: str, heads: dict[str, Header], names: tuple[str, ...], task: Task) -> None:
    """Raise DataError where the headers show unusable types or shapes, or arrays that do not fit into memory."""
    for name in names:
        x, y = heads[name], heads[name.replace("x", "y")]
        if not (len(x.shape) >= 2 and x.dtype.kind in "fiub" and len(y.shape) in (1, 2) and x.shape[0] == y.shape[0]):
            raise DataError(
                f"{who} must hold numbers x [N, ...] and y [N] or [N, K], got x {x.dtype} {x.shape} and "
                f"y {y.dtype} {y.shape}; one feature is x[:, None]"
            )
        if 0 in x.shape or 0 in y.shape:
            raise DataError(f"{who} must hold examples and features, got x {x.shape} and y {y.shape}; add them")
        for test, train in ((x, heads["x"]), (y, heads["y"])):
            if test.shape[1:] != train.shape[1:] or (test.dtype.kind in "fiub") != (train.dtype.kind in "fiub"):
                raise DataError(
                    f"{who}: x and x_test, y and y_test must have one shape, but for the first axis, and kind, got "
                    f"{train.dtype} {train.shape} and {test.dtype} {test.shape}; make them alike"
                )
        if task == "classification" and np.prod(y.shape[1:], dtype=object) != 1:
            raise DataError(
                f"{who}: y must be one class for each example, [N], got {y.shape}; take y.argmax(1) where its columns "
                "stand for classes, and where they are real values write data.task=regression loss=squared_error"
            )
        if task == "regression" and y.dtype.kind not in "fiub":
            raise DataError(
                f"{who}: y must hold numbers for data.task=regression, got {y.dtype}; "
                "write data.task=classification loss=softmax_nll to learn classes"
            )
    width = _dtype_of(heads, names).itemsize
    rows = sum(heads[name].shape[0] for name in names)
    needed = COPIES * width * rows * _features(heads["x"])
    require_memory(who, needed, FEWER)


def _targets_of(who: str, y: Array, task: Task) -> tuple[Array, int | None]:
    if task == "classification":
        return classes_of(f"{who}: y", y.reshape(-1))
    return finite(f"{who}: y", y.reshape(len(y), -1).astype(np.float64)), None
