"""Runs by other arms, two sweeps side by side, and tables as files: against numbers by hand and other programs."""

import csv
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy import stats

from tests.outer import Answer, Trained
from workbench.claims.arm_summary import arms_table
from workbench.core.errors import UnknownNameError
from workbench.inspect.paired_sweeps import differences, welch
from workbench.inspect.regroup import by_params
from workbench.inspect.table_export import as_bytes
from workbench.tracking.reader import ReadRun, read_sweep

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def run(
    arm: str, seed: int, outcome: str = "finished", params: Mapping[str, str] | None = None, **metrics: float
) -> ReadRun:
    """A run that was read; double underscores in its metrics stand for slashes."""
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return ReadRun(f"{arm}{seed}", f"{arm} {seed}", arm, seed, outcome, {}, params or {}, named)


def test_arms_by_a_parameter() -> None:
    """Arms by a param are in the order of its numbers; arms by two params are in the order asked for."""
    runs = [
        run("a", seed, params={"activation": act, "optimizer.lr": lr}, loss=1.0)
        for seed in (0, 1)
        for act in ("tanh", "relu")
        for lr in ("0.1", "0.03", "1e-05")
    ]
    found = by_params(runs, ["optimizer.lr"])
    assert list(dict.fromkeys(one.arm for one in found)) == ["lr=1e-05", "lr=0.03", "lr=0.1"]
    assert {one.id for one in found} == {one.id for one in runs}
    both = by_params(runs, ["activation", "optimizer.lr"])
    assert list(dict.fromkeys(one.arm for one in both))[:4] == [
        "tanh lr=1e-05",
        "tanh lr=0.03",
        "tanh lr=0.1",
        "relu lr=1e-05",
    ]
    assert list(arms_table(found).query("metric == 'loss'")["n"]) == [4, 4, 4]


def test_two_sweeps_are_paired_by_seed() -> None:
    """Two sweeps pair by their common seeds: differences 1 and 3 have mean 2 and half interval t(1) · 1, by hand."""
    first = [run("relu", seed, loss=float(seed)) for seed in (0, 1, 2)] + [run("tanh", 0, loss=1.0)]
    second = [run("relu", seed, loss=value) for seed, value in ((1, 2.0), (2, 5.0), (9, 100.0))]
    (row,) = differences(first, second).to_dict("records")
    half = stats.t.ppf(0.975, 1) * 1.0
    assert (row["arm"], row["metric"], row["n"], row["paired"]) == ("relu", "loss", 2, True)
    assert [row["first"], row["second"], row["difference"]] == [1.5, 3.5, 2.0]
    assert [row["low"], row["high"]] == pytest.approx([2 - half, 2 + half], rel=1e-12)


def test_sweeps_of_other_seeds_are_not_paired() -> None:
    """No common seed, or several runs of one: Welch's interval over all; what did not finish is left out."""
    first = [run("relu", seed, loss=float(seed)) for seed in (0, 1, 2)]
    second = [run("relu", seed, loss=float(seed)) for seed in (5, 7)] + [run("relu", 8, "diverged", loss=1e9)]
    (row,) = differences(first, second).to_dict("records")
    expected = stats.ttest_ind([5, 7], [0, 1, 2], equal_var=False).confidence_interval(0.95)
    assert (row["difference"], row["n"], row["paired"]) == (5.0, 5, False)
    assert [row["low"], row["high"]] == pytest.approx(list(expected), rel=1e-9)
    twice = [run("relu", 0, loss=1.0), run("relu", 0, loss=2.0), run("relu", 1, loss=3.0)]
    assert not differences(first, twice)["paired"].any()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's own
@given(*(st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=2, max_size=9) for _ in range(2)))
def test_welch_is_scipys(first: list[float], second: list[float]) -> None:
    """Any two samples that vary: the interval of scipy's test without equal variances."""
    found = welch(first, second)
    if len({*first}) == len({*second}) == 1:
        assert found.low == found.high == found.mean == second[0] - first[0]
        return
    with np.errstate(divide="ignore", invalid="ignore"):  # scipy's own, for a sample of equal values
        expected = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert [found.low, found.high] == pytest.approx(list(expected), rel=1e-6, abs=1e-9)


def test_sweeps_without_a_common_arm() -> None:
    """The error lists the arms, and says how to get common ones."""
    with pytest.raises(UnknownNameError, match=r"--by; arm: unknown name 'relu2'; did you mean 'relu'\? options: "):
        differences([run("relu", 0), run("tanh", 0)], [run("relu2", 0)])


NUMBERS = arms_table([run("a|b", seed, test__loss=0.1 + seed / 3) for seed in range(3)])


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1), min_size=2, max_size=2)
)
def test_markdown_is_read_as_it_was_meant(cells: list[str]) -> None:
    """Whatever is in a cell, a reader of Markdown shows just that."""
    text = pd.DataFrame([cells], columns=["arm", "test loss"])
    tokens = MarkdownIt("commonmark").enable("table").parse(as_bytes("markdown", NUMBERS, text).decode())
    read = [
        "".join(part.content for part in token.children or ())
        for before, token in pairwise(tokens)
        if before.type == "td_open"
    ]
    assert read == cells


def test_latex_escapes_its_own_signs() -> None:
    """Signs of TeX come out as text, ± as a formula."""
    text = pd.DataFrame([["leaky_relu 50% #1 a&b {x}$", "1 ± 2"]], columns=["arm", "test R²"])
    content = as_bytes("latex", NUMBERS, text).decode()
    assert r"leaky\_relu 50\% \#1 a\&b \{x\}\$ & 1 $\pm$ 2 \\" in content
    assert r"arm & test R\textsuperscript{2} \\" in content
    assert content.startswith("\\begin{tabular}{lr}\n\\toprule")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_come_back_whole(kind: str) -> None:
    """CSV and Parquet hold the numbers to the last bit."""
    content = as_bytes(kind, NUMBERS, NUMBERS)
    back = {"csv": pd.read_csv, "parquet": pd.read_parquet}[kind](BytesIO(content))
    pd.testing.assert_frame_equal(back, NUMBERS, check_exact=kind == "parquet", rtol=1e-15, check_dtype=False)


@pytest.fixture
def here(folder: Path, swept: Trained, monkeypatch: pytest.MonkeyPatch) -> str:
    """The trained sweep's store is the one that commands find; the sweep's id."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)
    return swept.finished.sweep


def test_compare_by_parameter_and_metric(cli: Cli, here: str, swept: Trained) -> None:
    """`--by` makes arms of values, `--metric` chooses columns; the beginning of an id is enough."""
    answer = cli("compare", here[:12], "--by", "optimizer.lr", "--metric", "valid/accuracy", "--format", "csv")
    assert (answer.code, answer.err) == (0, "")
    rows = list(csv.DictReader(StringIO(answer.out)))
    assert [(row["arm"], row["metric"], row["n"]) for row in rows] == [
        ("lr=0.02", "valid/accuracy", "4"),
        ("lr=0.1", "valid/accuracy", "4"),
    ]
    runs = read_sweep(swept.store, here, histories=False).runs
    expected = [one.metrics["valid/accuracy"] for one in runs if one.params["optimizer.lr"] == "0.02"]
    assert float(rows[0]["mean"]) == pytest.approx(sum(expected) / 4, rel=1e-12)


def test_compare_with_another_sweep(cli: Cli, here: str, folder: Path) -> None:
    """A sweep with itself: every difference is 0, and paired."""
    answer = cli("compare", here, here, "-o", "both.csv")
    assert (answer.code, answer.out) == (0, "table: both.csv\n")
    table = pd.read_csv(folder / "both.csv")
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert table["paired"].all()
    assert set(table["arm"]) == {f"{f} lr={lr}" for f in ("relu", "tanh") for lr in ("0.1", "0.02")}
    shown = cli("compare", here, here, "--by", "activation,optimizer.lr").out
    assert shown.count("+0.00") == 4 * 3  # of the accuracies: the difference and the ends of its interval
    assert not (folder / "figures").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "optimizer.rl"), "compare --by: unknown name 'optimizer.rl'; did you mean 'optimizer.lr'? options: "),
        (("--metric", "test/los"), "compare --metric: unknown name 'test/los'; did you mean 'test/loss'? options: "),
        (("--format", "html"), "compare --format: unknown name 'html'; options: csv, latex, markdown, parquet\n"),
        (("-o", "a.txt"), "(or choose with --format): unknown name '.txt'; did you mean '.tex'? options: .csv, .md, "),
        (("--format", "parquet"), "compare --format parquet: is no text, so it needs a file; add -o table.parquet\n"),
        (("nothing",), "sweep: unknown name 'nothing'; options: 2"),
    ],
)
def test_compare_says_what_there_is(cli: Cli, here: str, folder: Path, arguments: Sequence[str], said: str) -> None:
    """Unknown names: exit code 2, the options and the closest match, and nothing is written."""
    answer = cli("compare", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""
    assert list(folder.iterdir()) == []
