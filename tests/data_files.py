"""Files of data sets as their publishers lay them out, small: IDX folders, npz, tables, and OpenML's answers."""

import gzip
import json
import shutil
from atexit import register
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from functools import cache
from hashlib import md5
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.error import HTTPError
from urllib.response import addinfourl

import numpy as np
import pytest

from workbench.data import tables
from workbench.data.arrays import IDX_TYPES
from workbench.data.files import IDX_NAMES


def write_idx(file: Path, array: np.ndarray, kind: int = 0x08) -> None:
    """An array as an IDX file of the given type, gzipped where the name says so."""
    head = bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = head + array.astype(IDX_TYPES[kind]).tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def idx_arrays(train: int = 40, test: int = 20, side: int = 4) -> list[np.ndarray]:
    """Images and labels of both parts: four classes, told apart by the brighter quarter of noisy images."""
    stream = np.random.default_rng(0)
    arrays = []
    for count in (train, test):
        labels = np.arange(count) % 4
        images = stream.integers(0, 100, (count, side, side))
        half = side // 2
        for image, label in zip(images, labels, strict=True):
            image[label // 2 * half :, label % 2 * half :][:half, :half] += 150
        arrays += [images.astype(np.uint8), labels.astype(np.uint8)]
    return arrays


def write_idx_folder(folder: Path, arrays: Sequence[np.ndarray] = (), end: str = ".gz") -> Path:
    """A folder like MNIST's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, arrays or idx_arrays(), strict=True):
        write_idx(folder / f"{name}{end}", array)
    return folder


def write_openml(folder: Path, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[str], target: str) -> Path:
    """A folder in which scikit-learn keeps a data set of OpenML's: columns are (name, ARFF type), rows ARFF lines."""
    with openml_answers(name, columns, rows, target):
        tables.openml(name, cache=str(folder))
    return folder


@contextmanager
def openml_answers(
    name: str, columns: Sequence[tuple[str, str]], rows: Sequence[str], target: str | Sequence[str]
) -> Iterator[list[str]]:
    """OpenML's own answers to scikit-learn's requests, and the paths asked for."""
    targets = [target] if isinstance(target, str) else target
    arff = [f"@RELATION {name}", *(f"@ATTRIBUTE {column} {kind}" for column, kind in columns), "@DATA", *rows]
    file = "\n".join(arff) + "\n"
    features = [
        {
            "index": str(number),
            "name": column,
            "data_type": "nominal" if kind.startswith("{") else "numeric",
            "is_target": str(column in targets).lower(),
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        for number, (column, kind) in enumerate(columns)
    ]
    described = {
        "id": "7",
        "name": name,
        "version": "1",
        "status": "active",
        "format": "ARFF",
        "url": "https://www.openml.org/data/v1/download/7/file.arff",
        "description": "made for a test",
        "md5_checksum": md5(file.encode(), usedforsecurity=False).hexdigest(),
    }
    found = [{"did": 7, "name": name, "version": 1, "status": "active"}]
    answers: dict[str, Any] = {
        f"/list/data_name/{name}/limit/2/status/active/": {"data": {"dataset": found}},
        "/data/7": {"data_set_description": described},
        "/features/7": {"data_features": {"feature": features}},
        "/qualities/7": {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(len(rows))}]}},
    }
    asked = []

    def urlopen(request: Any, *more: Any, **settings: Any) -> Any:
        url = request if isinstance(request, str) else request.full_url
        asked.append(url)
        texts = [json.dumps(answer) for end, answer in answers.items() if url.endswith(end)]
        if not texts and not url.endswith("/file.arff"):
            raise HTTPError(url, 412, "unknown", Message(), BytesIO(b'{"error": {"code": "111"}}'))
        answer = BytesIO((texts or [file])[0].encode())
        return addinfourl(answer, Message(), url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.datasets._openml.urlopen", urlopen)
        yield asked


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Write example files, which last as long as this process, and give the values that each option of `data` needs."""
    folder = Path(mkdtemp(prefix="workbench-tests-"))
    register(shutil.rmtree, folder, ignore_errors=True)
    stream = np.random.default_rng(1)
    labels = np.arange(40) % 2
    np.savez(folder / "arrays.npz", x=stream.normal(size=(40, 3)) + labels[:, None], y=labels)
    lines = [
        f"{size:.3f},{('blue', 'red')[kind]},{kind}" for size, kind in zip(stream.normal(labels), labels, strict=True)
    ]
    (folder / "plain.csv").write_text("\n".join(["size,color,kind", *lines]))
    columns = [("size", "NUMERIC"), ("color", "{blue,red}"), ("kind", "{0,1}")]
    return {
        "idx": {"path": str(write_idx_folder(folder / "idx"))},
        "npz": {"path": str(folder / "arrays.npz")},
        "table": {"path": str(folder / "plain.csv"), "target": "kind"},
        "openml": {"name": "little", "cache": str(write_openml(folder, "little", columns, lines[::-1], "kind"))},
    }
