"""Surveys of tables: what is guessed of their form, the traps that are named, and a command that trains."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import Answer
from workbench.core.errors import DataError, UnknownNameError
from workbench.data.sniffing import sniff
from workbench.data.survey import Survey, survey

pytest_plugins = ["tests.outer_fixtures"]

NAMES = ["id", "size", "rooms", "city", "code", "same", "group", "price"]


def houses(rows: int = 60) -> list[list[str]]:
    """Rows with a counter, blanks, names that all differ, a copy of the target, and a column that determines it."""
    table = [NAMES]
    for i in range(rows):
        size, kind = f"{i * 37 % rows + 0.5:.1f}", "ab"[i * i % 7 % 2]
        city = ["Ulm", "Bonn", "Köln"][i % 3]
        table.append([str(i), "" if i % 11 == 0 else size, str(i % 5), city, f"n{i}", kind, f"{kind}{i % 2}", kind])
    return table


def written(folder: Path, rows: list[list[str]], separator: str = ",", encoding: str = "utf-8") -> str:
    """Write a table; returns its path."""
    text = "".join(separator.join(row) + "\n" for row in rows)
    (folder / "own.csv").write_text(text, encoding=encoding)
    return str(folder / "own.csv")


def remarks(surveyed: Survey) -> dict[str, str]:
    """Remarks by column."""
    return {column.name: "; ".join(column.remarks) for column in surveyed.columns}


def test_traps_are_named_and_left_out(tmp_path: Path) -> None:
    """A row counter, names and a copy of the target are dropped; a column that determines the target is doubted."""
    surveyed = survey(written(tmp_path, houses()))
    assert remarks(surveyed) == {
        "id": "numbers the rows",
        "size": "",
        "rooms": "",
        "city": "",
        "code": "all values differ, as of names",
        "same": "equals the target",
        "group": "determines the target: known before it?",
        "price": "",
    }
    roles = {column.name: column.role for column in surveyed.columns}
    assert [name for name, role in roles.items() if role == "dropped"] == ["id", "code", "same"]
    assert (surveyed.target, surveyed.task, surveyed.rows, surveyed.refused) == ("price", "classification", 60, "")
    blanks = {column.name: column.blanks for column in surveyed.columns}
    assert (blanks["size"], sum(blanks.values())) == (6, 6)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_separator_and_encoding_are_sniffed(tmp_path: Path, separator: str, encoding: str) -> None:
    """Each separator in each encoding is found by the first rows."""
    form = sniff(Path(written(tmp_path, houses(), separator, encoding)))
    assert (form.separator, form.encoding, form.header) == (separator, encoding, None)


def test_rows_longer_than_the_header_are_said(tmp_path: Path) -> None:
    """Where no separator gives equal rows, the header decides, and the file is refused for its long row."""
    with pytest.raises(DataError, match=r"own.csv must be a CSV file .* line 4, saw 4"):
        survey(written(tmp_path, [["a", "b", "y"], ["1", "2", "u"], ["3", "4"], ["5", "6", "7", "8"]]))


def test_numbers_in_another_notation(tmp_path: Path) -> None:
    """`1.234,5` beside whole numbers: decimal and thousands are written into the command, and it is not refused."""
    rows = [["a", "b", "y"], *([f"1.{i:03d},{i % 10}", str(i % 7), "uv"[i % 2]] for i in range(40))]
    surveyed = survey(written(tmp_path, rows, ";"))
    assert surveyed.refused == ""
    assert """'data.separator=";"' 'data.decimal=","' 'data.thousands="."'""" in surveyed.command
    assert (surveyed.columns[0].holds, surveyed.columns[0].values) == ("numbers", "1000 to 1039.9")


@pytest.mark.parametrize(
    ("targets", "task"),
    [([f"{i % 2}" for i in range(40)], "classification"), ([f"{i}.5" for i in range(40)], "regression"),
     ([f"{i * 3}" for i in range(40)], "regression"), (["red", "blue"] * 20, "classification")],
)  # fmt: skip
def test_the_task_goes_by_the_target(tmp_path: Path, targets: list[str], task: str) -> None:
    """Fractions and many whole numbers are quantities; texts and few whole numbers are classes."""
    rows = [["a", "y"], *([str(i * 37 % 40 / 7), y] for i, y in enumerate(targets))]
    surveyed = survey(written(tmp_path, rows))
    assert (surveyed.task, surveyed.refused) == (task, "")
    assert ("loss=squared_error" in surveyed.command) == (task == "regression")


def test_what_does_not_train_is_said(tmp_path: Path) -> None:
    """One class only, a class of one example and blanks in the target are refused as training would refuse them."""
    one = survey(written(tmp_path, [["a", "y"], *([str(i * 7 % 40), "x"] for i in range(40))]))
    assert one.refused.startswith("column 'y': must hold at least two classes, got x")
    assert one.columns[1].remarks == ("one value only: nothing to learn",)
    rare = survey(written(tmp_path, [["a", "y"], *([str(i * 7 % 40), "xz"[i == 3]] for i in range(40))]))
    assert "cannot split off" in rare.refused
    assert rare.columns[1].remarks == ("rarest class 1, most frequent 39 examples: loss=weighted_nll?",)
    gaps = survey(written(tmp_path, [["a", "y"], *([str(i * 7 % 40), "uv"[i % 2] * (i > 1)] for i in range(40))]))
    assert "must have a value in each row" in gaps.refused


def test_ids_constants_and_times(tmp_path: Path) -> None:
    """Whole numbers that all differ and constants are doubted, times are dropped with the rule that they break."""
    rows = [
        [str(9000 + i * 7 % 41), "3", f"2024-01-{i % 28 + 1:02d}", f"{i * 13 % 9}.5", "uv"[i % 2]] for i in range(40)
    ]
    surveyed = survey(written(tmp_path, [["customer", "same", "day", "a", "y"], *rows]))
    said = remarks(surveyed)
    assert (said["customer"], said["same"]) == ("all values differ: an id?", "one value only")
    assert "holds times" in said["day"]
    assert surveyed.refused == ""


def test_what_cannot_be_surveyed(tmp_path: Path) -> None:
    """A missing file and an unknown target are refused."""
    with pytest.raises(DataError, match=r"there is no file .*; name a CSV or Parquet file"):
        survey(str(tmp_path / "none.csv"))
    with pytest.raises(UnknownNameError, match="data --target: unknown name 'prise'; did you mean 'price'"):
        survey(written(tmp_path, houses()), "prise")


def test_the_command_trains(cli: Callable[..., Answer], folder: Path) -> None:
    """The command that is printed for a table with blanks, another separator and encoding is accepted as it stands."""
    path = written(folder, houses(), ";", "cp1252")
    table, as_json = cli("data", path), cli("data", path, "--json")
    assert (table.code, as_json.code) == (0, 0), table.err
    surveyed = json.loads(as_json.out)
    assert f"train: {surveyed['command']}\n" in table.out
    assert [column["name"] for column in surveyed["columns"]] == NAMES
    trained = cli(*shlex.split(surveyed["command"])[1:], "sweep.dry_run=true")
    assert trained.code == 0, trained.err


def test_a_table_that_does_not_train(cli: Callable[..., Answer], folder: Path) -> None:
    """Exit code 1 where the command would be refused, with the refusal."""
    path = written(folder, [["a", "y"], *([str(i * 7 % 40), "x"] for i in range(40))])
    answer = cli("data", path)
    assert (answer.code, "refused: column 'y': must hold at least two classes" in answer.out) == (1, True)
