"""Tables easily misread in silence are refused, and the line that the message says to write reads them."""

import gzip
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.advice import done, read, refused, ways_out
from workbench.core.errors import WorkbenchError
from workbench.data.notation import Notation, number

STREAM = np.random.default_rng(3)
SIZES = np.round(STREAM.normal(2000, 900, 40), 2)
KINDS = np.where(SIZES > 2000, "large", "small")
COLORS = STREAM.permutation(np.arange(40) % 3)
HEADER = ["size", "color", "kind"]


def rows(size: Callable[[float], str] = str, **more: Sequence[Any]) -> list[list[str]]:
    """Return the header and the rows, sizes as `size` writes them, with more columns before the others."""
    columns = [*more.values(), [size(one) for one in SIZES], COLORS, KINDS]
    return [[*more, *HEADER], *([str(one) for one in row] for row in zip(*columns, strict=True))]


def quoted(text: str, separator: str) -> str:
    """Quote a text that contains the separator."""
    return f'"{text}"' if separator in text else text


def written(file: Path, table: Sequence[Sequence[str]], separator: str = ",", encoding: str = "utf-8") -> str:
    """Write a file of these rows."""
    lines = [separator.join(quoted(text, separator) for text in row) for row in table]
    file.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return str(file)


def plain(folder: Path) -> Any:
    """Return the data set of the usual notation."""
    return read(path=written(folder / "plain.csv", rows()), target="kind")


def german(value: float) -> str:
    """Write a number as 1.234,5."""
    return f"{value:,}".translate({ord("."): ",", ord(","): "."})


NOTATIONS: dict[str, Callable[[float], str]] = {
    "comma": lambda value: str(value).replace(".", ","),
    "german": german,
    "english": lambda value: f"{value:,}",
    "swiss": lambda value: f"{value:,}".replace(",", "'"),
    "typographic": lambda value: f"{value:,}".replace(",", "’"),
    "french": lambda value: f"{value:,}".translate({ord("."): ",", ord(","): "\u202f"}),
    "blanks": lambda value: f"{value:,}".translate({ord(","): " "}),
    "python": lambda value: f"{value:_}",
    "percent": lambda value: f"{value}%",
    "percent apart": lambda value: f"{value} %",
    "dollars": lambda value: f"-${-value}" if value < 0 else f"${value}",
    "euros": lambda value: f"{german(value)} €",
    "code": lambda value: f"USD {value}",
    "weight": lambda value: f"{value} kg",
}


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("separator", [",", ";"])
def test_numbers_of_another_notation_are_read_by_the_line_of_the_message(
    tmp_path: Path, notation: str, separator: str
) -> None:
    """The keys that the message gives read the same numbers, bit for bit; its other way keeps texts."""
    path = written(tmp_path / "own.csv", rows(NOTATIONS[notation]), separator)
    given = {"path": path, "target": "kind", "separator": separator}
    said = refused(**given)
    assert said.startswith("column 'size': must hold numbers as 1.5, or texts, got ")
    numbers, names = ways_out(said)
    assert done(numbers, **given).digest == plain(tmp_path).digest
    assert names == {"data.keep": ["size"]}


@pytest.mark.parametrize("sign", ["−", "–", "-"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_signs_and_digits_that_only_look_otherwise_are_read(tmp_path: Path, sign: str, form: str) -> None:
    """Typographic minus signs, no-break spaces and other scripts' digits are read without a question."""
    texts = [f"\u00a0{value}".replace("-", sign).translate({ord("1"): "١"}) for value in SIZES]
    path = str(tmp_path / "own.parquet")
    if form == "csv":
        path = written(tmp_path / "own.csv", rows(lambda value: texts[list(SIZES).index(value)]))
    else:
        pd.DataFrame({"size": texts, "color": COLORS, "kind": KINDS}).to_parquet(path)
    assert read(path=path, target="kind").digest == plain(tmp_path).digest


def test_thousands_or_fractions_are_asked_for(tmp_path: Path) -> None:
    """The message about 1,500 offers both readings as lines to write, and each line gives its numbers."""
    path = written(tmp_path / "own.csv", rows(lambda value: f"{abs(value) // 1 + 1000:,.0f}"))
    said = refused(path=path, target="kind")
    fraction, thousands, names = ways_out(said)
    assert (fraction, thousands) == ({"data.decimal": ","}, {"data.thousands": ","})
    assert names == {"data.keep": ["size"]}
    first = float(abs(SIZES[0]) // 1 + 1000)
    assert done(thousands, path=path, target="kind").x[0, 0] == first
    assert done(fraction, path=path, target="kind").x[0, 0] == first / 1000


def test_one_line_reads_all_columns(tmp_path: Path) -> None:
    """A column of 1.234 beside one of 1,5 is one of thousands; numbers with a point can then not be meant."""
    counts = [f"{1000 + 7 * place:,}".replace(",", ".") for place in range(40)]
    path = written(tmp_path / "own.csv", rows(NOTATIONS["comma"], count=counts))
    way, _ = ways_out(refused(path=path, target="kind"))
    assert way == {"data.decimal": ",", "data.thousands": "."}
    assert done(way, path=path, target="kind").x[:3, 0].tolist() == [1000, 1007, 1014]
    halves = [str(place / 2) for place in range(40)]
    path = written(tmp_path / "own.csv", rows(NOTATIONS["comma"], half=halves))
    assert "write plain numbers into the file" in refused(path=path, target="kind")
    assert "'half'" in refused(path=path, target="kind", decimal=",")


@pytest.mark.parametrize(
    "texts",
    [
        ["0x1F", "0x2A"],
        ["1.5D+03", "2.5D+03"],
        ["(5)", "(6)"],
        ["5-", "6-"],
        ["1.5×10^3", "2×10^3"],
        ["1/1/2020", "2/1/2020"],
        ["2020-01-01", "2020-02-01"],
        ["12:30", "13:45:10"],
        ["2020-01-01T10:00:00Z", "2020-01-02T10:00:00Z"],
        ["2020-01", "2020-02"],
    ],
)
def test_other_numbers_and_times_become_no_names_by_themselves(tmp_path: Path, texts: list[str]) -> None:
    """Dates and other notations of numbers are refused until the user drops or keeps the column."""
    path = written(tmp_path / "own.csv", rows(when=texts * 20))
    given = {"path": path, "target": "kind"}
    ways = ways_out(refused(**given))
    assert {"data.keep": ["when"]} in ways
    widths = {tuple(way): done(way, **given).x.shape[1] for way in ways}
    assert widths == {("data.keep",): 4} | ({("data.drop",): 2} if len(ways) > 1 else {})


@pytest.mark.parametrize(
    "texts",
    [
        ["2dr", "4dr"],
        ["Q1", "Q2"],
        ["1st", "2nd"],
        ["<=50K", ">50K"],
        ["10-20", "20-30"],
        ["A1", "B2"],
        ["36 months", "60 months"],
        ["1/2", "3/4"],
        ["#1", "#2"],
        ["v1.0", "v2.0"],
        ["a", "b"],
        ["?", "b"],
    ],
)
def test_names_with_digits_stay_names(tmp_path: Path, texts: list[str]) -> None:
    """Texts with digits that are no numbers are categories without a question."""
    assert read(path=written(tmp_path / "own.csv", rows(name=texts * 20)), target="kind").x.shape[1] == 4


@pytest.mark.parametrize("marks", [["?"], ["-", "unknown"], ["n.a."], ["missing"]])
@pytest.mark.parametrize("share", [5, 30])
def test_marks_of_what_is_missing_do_not_make_numbers_names(tmp_path: Path, marks: list[str], share: int) -> None:
    """Numbers among marks for missing values are refused until the user drops or keeps the column."""
    texts = [marks[place % len(marks)] if place < share else f"{place}.5" for place in range(40)]
    path = written(tmp_path / "own.csv", rows(age=texts))
    said = refused(path=path, target="kind")
    assert f"column 'age': must hold numbers or texts, but {share} of 40 are no numbers, {marks[0]!r} the first" in said
    drop, keep = ways_out(said)
    assert done(drop, path=path, target="kind").x.shape[1] == 2
    assert done(keep, path=path, target="kind").x.shape[1] > 2


def test_parquet_holds_what_csv_does(tmp_path: Path) -> None:
    """Decimals, texts of numbers, truth values and an index, named or not: the same data set as from CSV."""
    frame = pd.DataFrame({"size": SIZES, "color": COLORS, "sure": COLORS > 0, "kind": KINDS})
    frame.to_csv(tmp_path / "own.csv", index=False)
    expected = read(path=str(tmp_path / "own.csv"), target="kind").digest
    forms = {
        "plain": frame,
        "decimal": frame.assign(size=[Decimal(str(size)) for size in SIZES]),
        "texts": frame.assign(size=SIZES.astype(str), sure=(COLORS > 0).astype(str)),
        "nullable": frame.convert_dtypes(),
        "shuffled index": frame.set_index(STREAM.permutation(40)),
    }
    for form, changed in forms.items():
        changed.to_parquet(tmp_path / f"{form}.parquet")
        assert read(path=str(tmp_path / f"{form}.parquet"), target="kind").digest == expected, form
    frame.assign(size=[f"{size}%" for size in SIZES]).to_parquet(tmp_path / "percent.parquet")
    given = {"path": str(tmp_path / "percent.parquet"), "target": "kind"}
    assert done(ways_out(refused(**given))[0], **given).digest == expected
    frame.set_index("size").to_parquet(tmp_path / "named.parquet")
    assert read(path=str(tmp_path / "named.parquet"), target="kind").x.shape[1] == 3


INDEXES = {
    "": range(40),
    "Unnamed: 0": STREAM.permutation(400)[:40],
    "Unnamed: 0.1": range(40),
    "__index_level_0__": STREAM.permutation(400)[:40],
    "id": range(40),
    "row": range(1, 41),
    "place": STREAM.permutation(40),
    "rank": np.arange(1.0, 41),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_is_no_feature(tmp_path: Path, name: str) -> None:
    """A column that counts the rows is refused; the message's first line drops it, the second keeps it."""
    path = written(tmp_path / "own.csv", rows(**{name: list(INDEXES[name])}))
    given = {"path": path, "target": "kind"}
    drop, keep = ways_out(refused(**given))
    assert done(drop, **given).digest == plain(tmp_path).digest
    assert done(keep, **given).x[:, 0].tolist() == list(INDEXES[name])


@pytest.mark.parametrize("values", [range(2, 42), [*range(39), 39.5], [0, *range(39)], np.arange(40) / 40])
def test_numbers_that_do_not_count_the_rows_are_features(tmp_path: Path, values: Any) -> None:
    """Years, levels, times in seconds; and what counts them, where nothing else is there to learn from."""
    assert read(path=written(tmp_path / "own.csv", rows(year=list(values))), target="kind").x.shape[1] == 3
    path = written(tmp_path / "time.csv", [["t", "y"], *([str(t), str(t * t)] for t in range(40))])
    assert read(path=path, target="y", task="regression").x.shape == (40, 1)


@pytest.mark.parametrize("name", ["kind", "kind.1", "copy"])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_the_target_is_no_feature(tmp_path: Path, name: str, where: str) -> None:
    """A copy of the target under its name, pandas' new name or another name is refused as a feature."""
    table = rows()
    for place, row in enumerate(table):
        row.insert(0 if where == "before" else 3, KINDS[place - 1] if place else name)
    given = {"path": written(tmp_path / "own.csv", table), "target": "kind"}
    said = refused(**given)
    if name == "kind":
        assert "must name each column once, got 'kind' 2 times; rename or remove one in the file" in said
        assert ways_out(said) == []
        return
    drop, keep = ways_out(said)
    assert done(drop, **given).digest == plain(tmp_path).digest
    assert done(keep, **given).x.shape[1] == 4


def test_a_real_target_is_no_feature(tmp_path: Path) -> None:
    """A feature that equals a real target in each row is refused."""
    given = {"path": written(tmp_path / "own.csv", rows(price=SIZES)), "target": "price", "task": "regression"}
    assert "column 'size': must be a feature, but is the target 'price' in each row" in refused(**given)


def test_columns_that_are_named_twice(tmp_path: Path) -> None:
    """The line that the message says to write drops both columns of the same name."""
    table = [[*row, row[1]] for row in rows()]
    given = {"path": written(tmp_path / "own.csv", table), "target": "kind"}
    (way,) = ways_out(refused(**given))
    assert done(way, **given).x.shape[1] == 1
    pd.DataFrame([row[1:] for row in table[1:]], columns=["a", "kind", "c"]).to_csv(tmp_path / "b.csv", index=False)


def test_the_first_example_is_no_header(tmp_path: Path) -> None:
    """A file without names, as the UCI's: the line of the message takes its columns by number."""
    table = [
        [f"{size}", f"{3 - color}.5", f"{color}", kind] for size, color, kind in zip(SIZES, COLORS, KINDS, strict=True)
    ]
    path = written(tmp_path / "iris.data", table)
    said = refused(path=path, target=KINDS[0])
    without, as_names = ways_out(said)
    assert without == {"data.header": False, "data.target": "3"}
    assert len(done(without, path=path, target=KINDS[0]).x) == 40
    assert len(done(as_names, path=path, target=KINDS[0]).x) == 39


@pytest.mark.parametrize(
    "names", [["0", "1", "2", "kind"], ["2019", "2020", "2021", "kind"], ["900.5", "900.25", "900", "kind"]]
)
def test_names_may_be_numbers(tmp_path: Path, names: list[str]) -> None:
    """Column names may be rising or falling numbers, as years and wavelengths are, and can be dropped as numbers."""
    table = [
        names,
        *([str(size), str(size * 2), str(color), kind] for size, color, kind in zip(SIZES, COLORS, KINDS, strict=True)),
    ]
    assert read(path=written(tmp_path / "own.csv", table), target="kind").x.shape == (40, 3)
    assert read(
        path=written(tmp_path / "own.csv", table),
        target="kind",
        drop=[float(names[1])] if "." in names[1] else [int(names[1])],
    ).x.shape == (40, 2)


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_another_separator_is_named(tmp_path: Path, separator: str) -> None:
    """The line to write names the separator, a tab included, and with it the table is the plain one."""
    path = written(tmp_path / "own.csv", rows(), separator)
    (way,) = ways_out(refused(path=path, target="kind"))
    assert done(way, path=path, target="kind").digest == plain(tmp_path).digest


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    """The encoding is recognized by its bytes, and a byte order mark of UTF-8 is no part of the first name."""
    table = [
        ["größe", "color", "kind"],
        *([row[0], row[1], row[2].replace("l", "ł" if "utf" in encoding else "é")] for row in rows()[1:]),
    ]
    path = written(tmp_path / "own.csv", table, encoding=encoding)
    expected = read(path=written(tmp_path / "utf8.csv", table), target="kind")
    if encoding == "utf-8-sig":
        assert read(path=path, target="größe", task="regression").y[0] == SIZES[0]
        return
    (way,) = ways_out(refused(path=path, target="kind"))
    assert done(way, path=path, target="kind").digest == expected.digest
    assert done(way, path=path, target="größe", task="regression").y[0] == SIZES[0]


def test_blanks_around_names_and_texts_are_no_part_of_them(tmp_path: Path) -> None:
    """`a, b` has the column b, and " red" is red; a text of blanks alone is missing."""
    table = [
        [" size ", " color", "kind "],
        *([f" {row[0]}", row[1] + " ", row[2] + " " * (place % 3)] for place, row in enumerate(rows()[1:])),
    ]
    path = written(tmp_path / "own.csv", table)
    assert read(path=path, target="kind").digest == plain(tmp_path).digest
    table[3][2] = "   "
    said = refused(path=written(tmp_path / "own.csv", table), target="kind")
    assert said.startswith(
        "column 'kind': must have a value in each row, but has none in row 2; fill them in, or take "
    )
    assert ways_out(said) == []


def test_a_target_cannot_be_dropped(tmp_path: Path) -> None:
    """A `data.drop` that names the target is refused."""
    path = written(tmp_path / "own.csv", rows())
    assert "data.drop: must not name the target, got 'kind'" in refused(path=path, target="kind", drop=["kind"])


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("decimal", "", "one character that is no letter"),
        ("decimal", "..", "one character"),
        ("thousands", "1", "one character"),
        ("separator", "ab", "one character"),
        ("separator", "\n", "one character"),
        ("encoding", "nonsense", "the name of an encoding"),
        ("encoding", "base64", "the name of an encoding"),
        ("encoding", "rot13", "the name of an encoding"),
        ("units", ["1"], "texts without"),
        ("units", [""], "texts without"),
        ("header", "maybe", "a valid boolean"),
        ("keep", {"a": 1}, "Sequence"),
        ("drop", "sizes", "unknown name 'sizes'"),
        ("drop", 3, "unknown name '3'"),
        ("target", True, "a valid string"),
        ("target", ["kind"], "a valid string"),
        ("target", [], "give one text, without brackets"),
        ("thousands", ".", "must differ from data.decimal"),
    ],
)
def test_keys_are_checked(tmp_path: Path, key: str, value: Any, rule: str) -> None:
    """The message about a wrong value names the key and the rule, and its example works."""
    given = {"path": written(tmp_path / "own.csv", rows()), "target": "kind", key: value}
    said = refused(**given)
    assert said.startswith(f"data.{key}")
    assert rule in said
    for way in ways_out(said):
        drops = "data.drop" in way  # another column than the misspelled one
        assert (done(way, **given).digest != plain(tmp_path).digest) is drops


@given(
    value=st.floats(-1e9, 1e9).map(lambda value: round(value, 3)),
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from([None, "'", " ", "_"]),
    unit=st.sampled_from(["", "%", "€", "kg", " USD"]),
)
def test_a_number_comes_back_from_its_notation(value: float, decimal: str, thousands: str | None, unit: str) -> None:
    """A number's text reads as Python's float of it, and is no number with the other decimal sign."""
    text = f"{value:{',' if thousands else ''}.3f}".translate({ord("."): decimal, ord(","): thousands or ""}) + unit
    notation = Notation(decimal, thousands, (unit.strip(),) if unit else ())
    assert number(text, notation) == float(f"{value:.3f}")
    assert number(text, notation._replace(decimal="." if decimal == "," else ",")) is None


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(-1e12, 1e12), min_size=8, max_size=12, unique=True),
    notation=st.sampled_from(sorted(NOTATIONS)),
)
def test_any_numbers_of_any_notation(tmp_path: Path, values: list[float], notation: str) -> None:
    """Numbers of any notation are read bit for bit, at once or by a line of the message, and never as texts."""
    values = [*(round(value, 2) + 0.0 for value in values), -12.5]  # they do not count the rows
    table = [[NOTATIONS[notation](value), str(place % 3), str(place % 2)] for place, value in enumerate(values)]
    given = {
        "path": written(tmp_path / "own.csv", [["a", "b", "kind"], *table], ";"),
        "target": "kind",
        "separator": ";",
    }
    try:
        found = [read(**given)]
    except WorkbenchError as error:
        found = [done(way, **given) for way in ways_out(str(error))[:-1]]
    assert values in [dataset.x[:, 0].tolist() for dataset in found]
    assert {dataset.x.shape[1] for dataset in found} == {2}


def test_packed_tables_are_read(tmp_path: Path) -> None:
    """A table named .csv.gz is unpacked and read as the plain one."""
    content = Path(written(tmp_path / "own.csv", rows())).read_bytes()
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress(content))
    assert read(path=str(tmp_path / "own.csv.gz"), target="kind").digest == plain(tmp_path).digest
