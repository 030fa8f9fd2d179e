"""Tables: CSV, Parquet and OpenML's, against arrays worked by hand; and what is said of what cannot be learned from."""

import gzip
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.advice import done, refused, ways_out
from tests.data_files import openml_answers, write_openml
from workbench.core.errors import DataError, WorkbenchError
from workbench.data import tables

LINES = ["size,color,sure,kind,price", "1.5,red,True,b,10", "2.5,blue,False,a,20.5", "-1,red,True,b,30", "0,,False,c,4"]
COLUMNS = [("a", "NUMERIC"), ("code", "{1,2}"), ("kind", "{0,1}")]
ROWS = ["1.5,2,0", "2.5,1,1", "3.5,2,0", "4.5,1,1"]


def written(folder: Path, lines: list[str], name: str = "own.csv") -> str:
    """Write a CSV file of these lines."""
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


@pytest.mark.parametrize("form", ["csv", "parquet", "semicolons"])
def test_columns_become_inputs(tmp_path: Path, form: str) -> None:
    """Numbers stay, texts become a column for each value in their order, truth values 0 and 1; classes are sorted."""
    path = written(tmp_path, LINES[:4])
    settings: dict[str, Any] = {"drop": ["price"]}
    if form == "parquet":
        path = str(tmp_path / "own.parquet")
        pd.read_csv(tmp_path / "own.csv").to_parquet(path)
    if form == "semicolons":
        path = written(tmp_path, [line.replace(",", ";") for line in LINES[:4]])
        settings["separator"] = ";"
    dataset = tables.table(path, "kind", **settings)
    assert dataset.x.tolist() == [[1.5, 0, 1, 1], [2.5, 1, 0, 0], [-1, 0, 1, 1]]
    assert (dataset.y.tolist(), dataset.n_classes, dataset.name) == ([1, 0, 1], 2, "own")
    assert dataset.digest == tables.table(written(tmp_path, LINES[:4], "b.csv"), "kind", drop=["price"]).digest


def test_real_targets(tmp_path: Path) -> None:
    """A regression target is one real column, and the class column becomes inputs."""
    dataset = tables.table(written(tmp_path, LINES[:4]), "price", "regression", same_unit=True)
    assert dataset.y.tolist() == [[10], [20.5], [30]]
    assert (dataset.x.shape, dataset.n_classes, dataset.same_unit) == ((3, 6), None, True)


def test_a_large_table_takes_half_of_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many numbers is kept in float32, as images are."""
    monkeypatch.setattr(tables, "MANY_NUMBERS", 10)
    assert tables.table(written(tmp_path, LINES[:4]), "kind").x.dtype == np.float32


def changed(row: int, column: int, value: str) -> list[str]:
    """Return the lines with another value, rows counted from 0 below the header."""
    lines = [line.split(",") for line in LINES[:4]]
    lines[row + 1][column] = value
    return [",".join(line) for line in lines]


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (LINES, {}, "column 'color': must have a value in each row, but has none in row 3; write data.missing=median "),
        (changed(1, 3, ""), {}, "column 'kind': must have a value in each row, but has none in row 1; "),
        (LINES[:4], {"target": "kin"}, "data.target: unknown name 'kin'; did you mean 'kind'? options: color, "),
        (LINES[:4], {"drop": ["sizes"]}, "data.drop: unknown name 'sizes'; did you mean 'size'? options: "),
        (LINES[:1], {}, "own: must have rows, and columns beside 'kind', got a table of (0, 5)"),
        (["kind", "a", "b"], {}, "own: must have rows, and columns beside 'kind', got a table of (2, 1)"),
        (changed(2, 0, "?"), {}, "column 'size': must hold numbers or texts, but 1 of 3 are no numbers, '?' the "),
        (changed(1, 0, "inf"), {}, "own: inputs must be finite, but is not in row 1; "),
        (LINES[:4], {"target": "price"}, "column 'price': classes must be whole numbers or texts, got 20.5; "),
        (LINES[:4], {"task": "regression"}, "column 'kind': must hold numbers for data.task=regression, got "),
        ([LINES[0], LINES[1]], {}, "column 'kind': must hold at least two classes, got b"),
        (["name,kind", *(f"n{row},{row % 2}" for row in range(51))], {},
         "column 'name': texts must have at most 50 different values, each becomes an input, got 51; write "),
        ([], {}, "data.path: * must be a CSV file with a header, or a Parquet file"),
        (["a,b", "1,2,3,4", "1"], {}, "data.path: * must be a CSV file"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from(tmp_path: Path, lines: list[str], settings: dict[str, Any], message: str) -> None:
    """The message about an unusable table names the column, the rule, the first rows and what to write."""
    path = written(tmp_path, lines) if lines else str((tmp_path / "own.csv").touch() or tmp_path / "own.csv")
    with pytest.raises(WorkbenchError) as refused:
        tables.table(path, **{"target": "kind", **settings})
    begins, _, then = message.partition("*")
    assert str(refused.value).startswith(begins)
    assert then in str(refused.value)


def test_files_that_are_not_there_or_no_tables(tmp_path: Path) -> None:
    """A missing file, bytes that are no Parquet and a column of dates are each refused with a way out."""
    with pytest.raises(DataError, match=r"^data.path: there is no file /no/where.csv; write data.path=FILE.csv or"):
        tables.table("/no/where.csv", "kind")
    (tmp_path / "own.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"^data.path: .*own.parquet must be a CSV file with a header, or a Parquet"):
        tables.table(str(tmp_path / "own.parquet"), "kind")
    days = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2020-01-02"]), "kind": [0, 1]})
    days.to_parquet(tmp_path / "days.parquet")
    with pytest.raises(
        DataError, match=r"^column 'day': must hold numbers or texts, got datetime64.*'data.drop=\[day\]'"
    ):
        tables.table(str(tmp_path / "days.parquet"), "kind")


def test_openml_by_scikit_learns_own_loader(tmp_path: Path) -> None:
    """OpenML columns become numbers, category codes too; each file is requested once, then read from the cache."""
    with openml_answers("little", COLUMNS, ROWS, "kind") as asked:
        dataset = tables.openml("little", cache=str(tmp_path))
    assert len(asked) == len(set(asked)) == 5
    assert dataset.x.tolist() == [[1.5, 0, 1], [2.5, 1, 0], [3.5, 0, 1], [4.5, 1, 0]]
    assert (dataset.y.tolist(), dataset.n_classes, dataset.name) == ([0, 1, 0, 1], 2, "little")
    again = tables.openml("little", cache=str(tmp_path))
    assert again.digest == dataset.digest
    real = tables.openml("little", target="a", task="regression", drop=["code"], cache=str(tmp_path))
    assert (real.y.tolist(), real.x.tolist()) == ([[1.5], [2.5], [3.5], [4.5]], [[1, 0], [0, 1], [1, 0], [0, 1]])


def test_openml_with_several_targets(tmp_path: Path) -> None:
    """A data set that names two columns to learn: refused, and read with the line of the message."""
    with openml_answers("little", COLUMNS, ROWS, ("kind", "code")):
        said = refused("openml", name="little", cache=str(tmp_path))
    assert said.startswith("data.target: must name one column, as little names 2 targets; write for example ")
    (way,) = ways_out(said)
    assert done(way, "openml", name="little", cache=str(tmp_path)).y.tolist() == [1, 0, 1, 0]  # those of code


def test_openml_images_share_a_unit(tmp_path: Path) -> None:
    """An OpenML table of integer pixels and digit classes, like mnist_784, can share one unit."""
    stream = np.random.default_rng(0)
    pixels = stream.integers(0, 256, (20, 9))
    columns = [(f"pixel{number}", "INTEGER") for number in range(1, 10)] + [("class", "{0,1,2,3}")]
    rows = [",".join(map(str, [*image, row % 4])) for row, image in enumerate(pixels)]
    dataset = tables.openml(
        "images", same_unit=True, cache=str(write_openml(tmp_path, "images", columns, rows, "class"))
    )
    assert np.array_equal(dataset.x, pixels)
    assert (dataset.n_classes, dataset.same_unit) == (4, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lttle"}, "data.name: cannot get 'lttle' from openml.org: *No active dataset lttle found*cache="),
        ({"version": 2}, "data.name: cannot get 'little' from openml.org: *version 2 not found"),
        ({"target": "kinds"}, "data.target: unknown name 'kinds'; did you mean 'kind'? *options: a, code, kind"),
    ],
)  # fmt: skip
def test_what_openml_does_not_have(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    """An unknown OpenML name, version or target is refused with the server's words or the column names."""
    with openml_answers("little", COLUMNS, ROWS, "kind"), pytest.raises(WorkbenchError) as refused:
        tables.openml(**{"name": "little", "cache": str(tmp_path), **settings})
    said = str(refused.value)
    for part in message.split("*"):
        assert part in said


def test_openml_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has a bound while it lasts, and only then; nothing is asked for more than twice."""
    bounds = []

    def silent(*_: Any, **__: Any) -> Any:
        bounds.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", silent)
    monkeypatch.setattr("sklearn.datasets._openml.time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match=r"cannot get 'little' from openml.org: timed out; .* write data.cache=FOLDER"):
        tables.openml("little", cache=str(tmp_path))
    assert bounds == [tables.SECONDS] * 2
    assert socket.getdefaulttimeout() is None


def test_a_message_lists_some_of_many_columns(tmp_path: Path) -> None:
    """A message about 500 columns suggests the nearest name and counts the rest, on one printable line."""
    names = [f"gene {place}\x1b[1m" for place in range(500)]
    path = written(tmp_path, [",".join([*names, "kind"]), ",".join(map(str, [*range(500), 1]))])
    with pytest.raises(
        WorkbenchError, match=r"^data.target: unknown name 'kinds'; did you mean 'kind'\? .* and 451 more$"
    ) as said:
        tables.table(path, "kinds")
    assert str(said.value).isprintable()


def test_openml_out_of_reach_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, and a file that does not match OpenML's checksum, are refused."""

    def unreachable(*_: Any, **__: Any) -> Any:
        raise OSError("Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr("sklearn.datasets._openml.urlopen", unreachable)
        patch.setattr("sklearn.datasets._openml.time.sleep", lambda seconds: None)
        with pytest.raises(DataError, match=r"cannot get 'little' from openml.org: Name or service not known; "):
            tables.openml("little", cache=str(tmp_path))
        write_openml(tmp_path, "little", COLUMNS, ROWS, "kind")
        (file,) = tmp_path.rglob("*.arff.gz")
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()) + b"5,1,1\n"))
        with pytest.raises(DataError, match=r"cannot get 'little' from openml.org"):
            tables.openml("little", cache=str(tmp_path))
