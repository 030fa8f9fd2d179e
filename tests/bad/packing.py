"""Data files that are right, how they are packed, and how they are damaged."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from functools import cache

import numpy as np
import pandas as pd
from hypothesis import strategies as st

TRAIN = ("train", "architecture.hidden=[2]", "train.epochs=1")
DRY = (*TRAIN, "sweep.dry_run=true")


def _npz_bytes(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


@cache
def right_files() -> dict[str, bytes]:
    """Files that can be used, by kind: two classes, told apart by their numbers."""
    stream = np.random.default_rng(0)
    labels = np.arange(40) % 2
    x = stream.normal(size=(40, 3)) + labels[:, None]
    lines = [f"{row[0]:.3f},{row[1]:.3f},{('blue', 'red')[kind]},{kind}" for row, kind in zip(x, labels, strict=True)]
    frame = pd.DataFrame({"size": x[:, 0], "weight": x[:, 1], "kind": labels})
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    return {
        "npz": _npz_bytes(x=x, y=labels),
        "csv": "\n".join(["size,weight,color,kind", *lines, ""]).encode(),
        "parquet": parquet.getvalue(),
    }


def gzipped(data: bytes) -> bytes:
    """The same bytes at any time."""
    return gzip.compress(data, mtime=0)


def _tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("data.csv")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return gzipped(file.getvalue())


def zipped(data: bytes, name: str = "data.csv", more: str = "") -> bytes:
    """An archive of one file, or of two that are alike."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for one in filter(None, (name, more)):
            made.writestr(zipfile.ZipInfo(one), data)
    return file.getvalue()


PACKERS = {
    "": lambda data: data,
    ".gz": gzipped,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": zipped,
    ".tar.gz": _tarred,
}
ENDINGS = [*PACKERS, ".zst", ".tar", ".xlsx", ".json", ".txt", ".parquet", ".npz", ".CSV", ".tsv"]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, flipped, doubled, or with bytes of another kind."""
    at = int(draw(st.floats(0, 1, exclude_max=True)) * len(data))
    match draw(st.integers(0, 6)):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        case 2:
            return data[:at] + draw(st.binary(min_size=1, max_size=40)) + data[at:]
        case 3:
            return data[:at] + data[at + draw(st.integers(1, 40)) :]
        case 4:
            return data + data[at:]
        case 5:
            return data[:at] + bytes(draw(st.integers(1, 200))) + data[at + 100 :]
    return draw(st.binary(max_size=100))
