"""Blanks in tables: filled from the training part alone, marked, counted, and part of the data's identity."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.outer import Answer
from tests.reference import assert_alone_as_together
from workbench.core.errors import DataError
from workbench.data.datasets import Dataset
from workbench.data.splits import split
from workbench.data.tables import table
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

SMALL = "age,city,sure,kind\n1,b,True,x\n,a,False,y\n4,,,x\n10,b,True,y\n"


def small(folder: Path, missing: str) -> Dataset:
    """Read four rows with a blank among numbers, texts and truth values each."""
    (folder / "own.csv").write_text(SMALL)
    return table(str(folder / "own.csv"), "kind", missing=missing)  # type: ignore[arg-type]


def written(folder: Path, rows: int = 60) -> str:
    """Write a table of numbers in two columns, with a blank in each seventh row of the first; returns its path."""
    stream = np.random.default_rng(0)
    values = [(i % 2 + stream.normal(), stream.normal(), "ab"[i % 2]) for i in range(rows)]
    lines = [f"{'' if i % 7 == 0 else f'{a:.6f}'},{b:.6f},{y}" for i, (a, b, y) in enumerate(values)]
    (folder / "own.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    return str(folder / "own.csv")


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_blanks_of_texts_are_a_category(tmp_path: Path, missing: str) -> None:
    """Columns are age, the three categories of city with the blank one first, and truth values; numbers are NaN."""
    dataset = small(tmp_path, missing)
    nan = np.nan
    expected = [[1, 0, 0, 1, 1], [nan, 0, 1, 0, 0], [4, 1, 0, 0, nan], [10, 0, 0, 1, 1]]
    np.testing.assert_array_equal(dataset.x, expected)
    assert dataset.blanks == {"age": 1, "city": 1, "sure": 1}
    assert dataset.on_blanks == (
        f"blanks: 1 in age, 1 in city, 1 in sure; those of numbers filled by the {missing} of the training part"
    )
    assert dataset.checked() is dataset


def test_categories_mark_blanks_of_numbers(tmp_path: Path) -> None:
    """With `category`, a column of marks follows each column of numbers with blanks, which the mean fills."""
    dataset = small(tmp_path, "category")
    assert dataset.x[:, 1].tolist() == [0, 1, 0, 0]  # behind age
    assert dataset.x[:, -1].tolist() == [0, 0, 1, 0]  # behind sure
    assert (dataset.x.shape, dataset.fill) == ((4, 7), "mean")


def test_ways_to_fill_are_different_data(tmp_path: Path) -> None:
    """The digests of one table differ between mean, median and category."""
    assert len({small(tmp_path, missing).digest for missing in ("mean", "median", "category")}) == 3


@pytest.mark.parametrize(("missing", "of"), [("mean", np.nanmean), ("median", np.nanmedian)])
@pytest.mark.parametrize("standardize", [False, True])
def test_blanks_are_filled_from_the_training_part(
    tmp_path: Path, missing: str, of: Callable[[np.ndarray, int], np.ndarray], standardize: bool
) -> None:
    """Every part has the training part's statistic where it had a blank, worked by hand, and is scaled after that."""
    dataset = table(written(tmp_path), "y", missing=missing)  # type: ignore[arg-type]
    raw = [dataset.x[rows] for rows in _rows_of_parts(dataset)]
    fill = of(raw[0], 0)
    filled = [np.where(np.isnan(part), fill, part) for part in raw]
    if standardize:
        filled = [(part - filled[0].mean(0)) / filled[0].std(0) for part in filled]
    parts = split(dataset, 5, 0.2, 0.2, standardize)
    for expected, part in zip(filled, parts, strict=True):
        assert np.isnan(raw[0]).any()
        np.testing.assert_allclose(part.x, expected, rtol=1e-12, atol=1e-12)


def _rows_of_parts(dataset: Dataset) -> list[np.ndarray]:
    """Rows of each part of seed 5, found by splitting the numbers of the rows."""
    numbers = Dataset("rows", np.arange(float(len(dataset.x)))[:, None], dataset.y, dataset.n_classes)
    return [part.x[:, 0].astype(int) for part in split(numbers, 5, 0.2, 0.2, False)]


def test_other_parts_fill_nothing(tmp_path: Path) -> None:
    """The training part has the same bits whatever the validation and test part hold."""
    dataset = table(written(tmp_path), "y", missing="mean")
    before = split(dataset, 5, 0.2, 0.2, True).train.x
    for rows in _rows_of_parts(dataset)[1:]:
        dataset.x[rows] = 1e6
    assert np.array_equal(split(dataset, 5, 0.2, 0.2, True).train.x, before)


def test_a_feature_without_a_value_in_the_training_part_is_zero(tmp_path: Path) -> None:
    """A column whose values are all in the test part keeps its place."""
    dataset = table(written(tmp_path), "y", missing="median")
    dataset.x[_rows_of_parts(dataset)[0], 0] = np.nan
    assert (split(dataset, 5, 0.2, 0.2, False).train.x[:, 0] == 0).all()


@pytest.mark.parametrize("missing", ["mean", "category"])
def test_infinities_are_no_blanks(tmp_path: Path, missing: str) -> None:
    """An infinity beside blanks is refused with its row."""
    (tmp_path / "own.csv").write_text("a,b,y\n1,2,x\n,3,y\n3,inf,x\n")
    with pytest.raises(DataError, match="inputs must be finite, but is not in row 2; "):
        table(str(tmp_path / "own.csv"), "y", missing=missing)  # type: ignore[arg-type]


def test_a_column_of_blanks_is_no_input(tmp_path: Path) -> None:
    """A column without any value is refused, with the override that leaves it out."""
    (tmp_path / "own.csv").write_text("a,b,y\n1,,x\n2,,y\n")
    with pytest.raises(DataError, match=r"column 'b': must have a value in some row, .*; write 'data.drop=\[b\]'"):
        table(str(tmp_path / "own.csv"), "y", missing="mean")


@pytest.mark.slow
def test_a_replica_learns_the_same_alone_and_in_a_pack(tmp_path: Path) -> None:
    """Three seeds with splits and fills of their own: each ends with the same bits alone and beside the others."""
    path = written(tmp_path)
    run = ["data=table", f"data.path={path}", "data.target=y", "data.missing=category", "architecture.hidden=[5]"]
    assert_alone_as_together(run, epochs=2)


@pytest.mark.slow
def test_a_run_says_what_was_filled(cli: Callable[..., Answer], store: Store, tmp_path: Path) -> None:
    """The summary and the run's note count the blanks by column."""
    run = ["data=table", f"data.path={written(tmp_path)}", "data.target=y", "data.missing=median"]
    answer = cli("train", *run, "train.epochs=1", "architecture.hidden=[3]")
    said = "blanks: 9 in a; those of numbers filled by the median of the training part"
    assert (answer.code, said in answer.out) == (0, True), answer.err
    client = MlflowClient(store.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'workbench'")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert f"Of the data, {said}." in kept.data.tags["mlflow.note.content"]
