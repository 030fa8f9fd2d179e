"""Carry out what messages about data say to write, each on the case that it is about, and check that it works."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.advice import done, read, refused, ways_out
from tests.data.test_broken_files import peak_below
from tests.data_files import examples
from tests.reference import DRAWN
from workbench.config.options import option, options
from workbench.core.errors import DataError, WorkbenchError
from workbench.data.datasets import Dataset
from workbench.data.splits import Change, held_by_float32, split

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", options("data"))
def test_the_example_for_a_key_is_one_of_its_own_option(name: str, tmp_path: Path) -> None:
    """Each key of each option, with values of wrong types: what the message says to write is taken by that key."""
    (tmp_path / "short.txt").write_text("\n-\n".join(["ab" * 50] * 3))
    small: dict[str, dict[str, Any]] = {key: {"examples": 20} for key in DRAWN}
    small["text"] = {"path": str(tmp_path / "short.txt"), "separator": "-"}
    given = {**option("data", name), **examples().get(name, {}), **small.get(name, {})}
    for key in set(given) - {"_target_"}:
        for wrong in ({"a": 1}, [[1]], True, -(10**9), "\x1b[1m", 1e300):
            said = ""
            try:
                read(name, **{**given, key: wrong})
            except WorkbenchError as error:
                said = str(error)
            assert len(said.splitlines()) < 2
            for way in ways_out(said) if said.startswith(f"data.{key}: must be ") else ():
                assert way.keys() == {f"data.{key}"}
                done(way, name, **given)


@pytest.mark.slow
@given(low=st.floats(-1e12, 1e12), below=st.floats(0, 1e12))
def test_an_interval_that_is_empty(low: float, below: float) -> None:
    """An interval whose high end is not above its low end is refused, and the interval advised works."""
    given = {"low": low, "high": low - below}
    (way,) = ways_out(refused("curve", **given))
    assert len(done(way, "curve", **given).x) == 257


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("curve", "points"),
        ("annuli", "points"),
        ("spirals", "points"),
        ("parity", "copies"),
        ("shifted_digits", "canvas"),
        *((name, "examples") for name in DRAWN),
    ],
)
@pytest.mark.parametrize("size", [10**9, 10**15, 2**63 - 1, 2**63, 10**60])
def test_data_that_is_made_must_fit_into_memory(name: str, key: str, size: int) -> None:
    """A generated data set too large for the memory is refused before anything is allocated."""
    with peak_below(4):
        said = refused(name, **{key: size})
    rule = "must be at most" if size >= 2**63 else "the data set must fit into memory, but takes "
    assert said.startswith(f"data.{key}: {rule}")


def labeled(*counts: int) -> Dataset:
    """Return a data set with classes of these sizes."""
    y = np.repeat(np.arange(len(counts)), counts)
    return Dataset("own", np.arange(2.0 * len(y)).reshape(-1, 2), y, len(counts))


def split_message(dataset: Dataset, valid: float, test: float) -> str:
    """Return the message by which a split into these shares is refused."""
    with pytest.raises(DataError) as said:
        split(dataset, 0, valid, test, True)
    return str(said.value)


@pytest.mark.parametrize(
    ("counts", "valid", "test"),
    [((20, 20), 0.001, 0.1), ((20, 20), 0.5, 0.499), ((2,) * 6, 0.1, 0.1), ((3,) * 5, 0.1, 0.1), ((4, 4, 4), 0.1, 0.1)],
)
def test_shares_that_split(counts: tuple[int, ...], valid: float, test: float) -> None:
    """Shares advised for a split that fails differ from those given, and can be split."""
    (way,) = ways_out(split_message(labeled(*counts), valid, test)) or [{}]
    assert way != {"split.valid": valid, "split.test": test}
    if way:
        assert all(len(part.x) for part in split(labeled(*counts), 0, way["split.valid"], way["split.test"], True))


@pytest.mark.parametrize("shares", [(0.1, 0.1), (0.2, 0.3)])
def test_a_class_that_cannot_be_split_is_named(shares: tuple[float, float]) -> None:
    """A class of one example is named, and no shares are advised, as none would help."""
    said = split_message(labeled(20, 1, 20), *shares)
    assert "class 1 of 0 to 2 has 1: add examples of it, or take it out" in said
    assert ways_out(said) == []


def test_many_numbers_as_classes_are_real_values(tmp_path: Path) -> None:
    """Whole numbers that hardly repeat cannot be split as classes; the message also advises to learn real values."""
    rows = [f"{x},{number * 13 % 100}" for number, x in enumerate(X[:, 0])]
    (tmp_path / "own.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    given = {"path": str(tmp_path / "own.csv"), "target": "y"}
    said = split_message(read("table", **given), 0.1, 0.1)
    assert len(said) < 400
    (way,) = ways_out(said)
    assert way == {"data.task": "regression", "loss": "squared_error"}
    assert split(done(way, "table", **given), 0, 0.1, 0.1, True).train.y.dtype == np.float64


def test_real_targets_need_three_examples() -> None:
    """Fewer than three examples with real targets cannot be split into three parts."""
    two = Dataset("own", np.arange(4.0).reshape(2, 2), np.arange(2.0)[:, None], None)
    assert "three parts need three examples or more" in split_message(two, 0.1, 0.1)


@pytest.mark.parametrize("limit", [1, 10_000])
def test_a_limit_that_is_possible(limit: int) -> None:
    """The limit advised instead of one too small or too large is possible."""
    with pytest.raises(DataError) as said:
        split(labeled(20, 20), 0, 0.1, 0.1, True, Change(limit=limit))
    (way,) = ways_out(str(said.value))
    assert (
        len(split(labeled(20, 20), 0, 0.1, 0.1, True, Change(limit=way["split.limit"])).train.x) == way["split.limit"]
    )


def test_numbers_beyond_float32_are_scaled() -> None:
    """Inputs beyond float32 are refused unless they are standardized."""
    y = np.arange(40) % 2
    data = Dataset("own", X * 1e60, y, 2)
    with pytest.raises(
        DataError, match=r"own: numbers must be at most 3.4e38 in size, .* write split.standardize=true, or dtype"
    ):
        held_by_float32(data, split(data, 0, 0.1, 0.1, False), False)
    scaled = split(data, 0, 0.1, 0.1, True)
    assert held_by_float32(data, scaled, True) is scaled
    assert np.abs(scaled.train.x).max() < 10


@pytest.mark.parametrize(
    ("x", "y"),
    [(X[:0], np.zeros(0)), (X[:, :0], np.zeros(40)), (X[0], np.zeros(3)), (X, np.zeros(39)), (X * np.nan, np.zeros(40)),
     (X, np.full(40, np.inf)), (X[:, :, None], np.zeros(40))],
)  # fmt: skip
def test_any_data_set_is_finite_and_whole(x: np.ndarray, y: np.ndarray) -> None:
    """A data set with wrong shapes, no examples or numbers that are not finite is refused, from any function."""
    with pytest.raises(DataError, match=r"^own: "):
        Dataset("own", x, y, None).checked()


@pytest.mark.parametrize("form", ["npz", "table"])
def test_fractions_are_real_values(tmp_path: Path, form: str) -> None:
    """Fractional classification targets are refused with the loss that learns them; texts in regression likewise."""
    write: dict[str, Callable[[Any], dict[str, Any]]] = {
        "npz": lambda y: np.savez(tmp_path / "own.npz", x=X, y=y) or {"path": str(tmp_path / "own.npz")},
        "table": lambda y: (
            (tmp_path / "own.csv").write_text("a,y\n" + "".join(f"{x},{t}\n" for x, t in zip(X[:, 0], y, strict=True)))
            and {"path": str(tmp_path / "own.csv"), "target": "y"}
        ),
    }
    given = write[form](X[:, 1] * 2)
    (way,) = ways_out(refused(form, **given))
    assert way["loss"] == "squared_error"
    assert done(way, form, **given).n_classes is None
    given = {**write[form](np.array(["a", "b"] * 20)), "task": "regression"}
    (way,) = ways_out(refused(form, **given))
    assert way["loss"] == "softmax_nll"
    assert done(way, form, **given).n_classes == 2
    np.savez(tmp_path / "own.npz", x=X, y=X)
    (way,) = ways_out(refused("npz", path=str(tmp_path / "own.npz")))
    assert done(way, "npz", path=str(tmp_path / "own.npz")).y.shape == (40, 3)
