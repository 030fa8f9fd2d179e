"""Values that advance together, and runs that are listed: which runs come of them, and what is refused."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.outer import SMALL, Answer, runs_of
from tests.sampling import sampled
from workbench.core.errors import ConfigError
from workbench.sweeps.shapes import as_list, grid, listed, read_rows, zipped
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
KEYS = st.sampled_from(["a", "b.c", "d", "e.f.g"])
TEXTS = st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4)
COLUMNS = st.dictionaries(KEYS, TEXTS, max_size=4)
ROWS = st.lists(st.dictionaries(st.sampled_from(["x", "y.z", "w"]), st.integers(0, 9).map(str)), max_size=4)


@given(columns=COLUMNS, length=st.integers(1, 4), cross=st.lists(KEYS, unique=True))
def test_zip_pairs_values_and_crosses_the_rest(columns: dict[str, list[str]], length: int, cross: list[str]) -> None:
    """The n-th row has the n-th value of every key outside of `cross`, and comes with every combination of `cross`."""
    columns = {
        key: values if key in cross else [f"{values[0]}{number}" for number in range(length)]
        for key, values in columns.items()
    }
    crossed = [key for key in columns if key in cross]
    runs = zipped(columns, crossed)
    together = [key for key in columns if key not in crossed]
    rows = length if together else 1
    combinations = grid({key: columns[key] for key in crossed})
    assert len(runs) == rows * len(combinations)
    for number, run in enumerate(runs):
        assert [one.partition("=")[0] for one in run] == list(columns)
        row = number // len(combinations)
        assert [one for one in run if one.partition("=")[0] in together] == [
            f"{key}={columns[key][row]}" for key in together
        ]
        assert [one for one in run if one.partition("=")[0] in crossed] == combinations[number % len(combinations)]


@given(columns=COLUMNS)
def test_zip_with_everything_crossed_is_the_grid(columns: dict[str, list[str]]) -> None:
    """A zip with every key crossed is the grid, and the grid has the product of the lengths, every run once."""
    runs = zipped(columns, list(columns))
    assert runs == grid(columns)
    distinct = 1
    for values in columns.values():
        distinct *= len(set(values))
    assert len({tuple(run) for run in runs}) == distinct


@given(rows=ROWS, columns=COLUMNS)
def test_list_crosses_its_rows_with_what_is_beside_them(
    rows: list[dict[str, str]], columns: dict[str, list[str]]
) -> None:
    """Every row of a list is crossed with every combination beside it, and nothing of a row is lost."""
    runs = listed(rows, columns)
    beside = grid(columns)
    assert len(runs) == len(rows) * len(beside)
    for number, run in enumerate(runs):
        row, others = rows[number // len(beside)], beside[number % len(beside)]
        assert run == others + [f"{key}={value}" for key, value in row.items()]


@given(first=st.integers(2, 6), second=st.integers(2, 6))
def test_zip_names_both_lengths_that_differ(first: int, second: int) -> None:
    """Lengths that differ are refused with both names unless crossed; a single value goes with all."""
    columns = {"a": ["0"] * first, "b": ["0"], "c": ["0"] * second}
    if first == second:
        assert len(zipped(columns, [])) == first
        return
    with pytest.raises(ConfigError, match=rf"got {first} of a and {second} of c; .*cross=\[c\]"):
        zipped(columns, [])
    assert len(zipped(columns, ["c"])) == first * second


@pytest.mark.parametrize(("written", "keys"), [("seed", ["seed"]), (["a", "b"], ["a", "b"]), (3, ["3"]), ([], [])])
def test_keys_may_be_written_without_brackets(written: object, keys: list[str]) -> None:
    """Keys may be written without brackets, as in ``hydra.sweeper.cross=seed``."""
    assert as_list(written) == keys


def test_yaml_and_table_give_the_same_rows(folder: Path) -> None:
    """YAML and table give the same rows: numbers, lists and null as on a command line; an empty cell gives nothing."""
    Path("runs.yaml").write_text(
        "- {activation: relu, optimizer.lr: 1e-6, train.clip_norm: null}\n"
        "- {activation: tanh, architecture.hidden: [4, 4], certificate: false}\n"
        "- optimizer: {lr: 0.5}\n"
    )
    Path("runs.csv").write_text(
        "activation, optimizer.lr, train.clip_norm, architecture.hidden, certificate, optimizer\n"
        'relu,1e-06,null,,,\ntanh,,,"[4,4]",False,\n,,,,,{lr:0.5}\n'
    )
    rows = read_rows(None, "runs.yaml")
    assert rows == read_rows(None, "runs.csv")
    assert rows == [
        {"activation": "relu", "optimizer.lr": "1e-06", "train.clip_norm": "null"},
        {"activation": "tanh", "architecture.hidden": "[4,4]", "certificate": "False"},
        {"optimizer": "{lr:0.5}"},
    ]


def settings_of(store: Store, *keys: str) -> list[tuple[str, ...]]:
    """Parameters with these keys of every run in the store, in the order of the sweep."""
    return [tuple(run.data.params[key] for key in keys) for run in runs_of(store)]


@pytest.mark.slow
def test_zip_trains_pairs_over_seeds(cli: Cli, store: Store) -> None:
    """A zip of two pairs over two seeds trains four runs of two arms, and none the second time."""
    words = ("train", "-m", *SMALL, "hydra/sweeper=zip", "activation=relu,tanh", "init=he,glorot", "seed=0,1")
    first, second = cli(*words), cli(*words)
    assert (first.code, second.code) == (0, 0), first.err
    assert "4 runs of 2 arms;" in first.out
    assert "4 of 4 runs were done before" in second.out
    assert settings_of(store, "activation", "init", "seed") == [
        ("relu", "he", "0"),
        ("relu", "he", "1"),
        ("tanh", "glorot", "0"),
        ("tanh", "glorot", "1"),
    ]


@pytest.mark.slow
def test_list_trains_its_rows_over_seeds(cli: Cli, store: Store) -> None:
    """Rows from a file are trained over seeds; the same rows from the command line leave nothing to train."""
    Path("runs.yaml").write_text("- {activation: relu, optimizer.lr: 0.2}\n- {activation: tanh}\n")
    words = ("train", "-m", *SMALL, "hydra/sweeper=listed", "seed=0,1")
    from_file = cli(*words, "hydra.sweeper.file=runs.yaml")
    written = cli(*words, "hydra.sweeper.runs=[{activation:relu,optimizer.lr:0.2},{activation:tanh}]")
    assert (from_file.code, written.code) == (0, 0), from_file.err
    assert "4 of 4 runs were done before" in written.out
    assert sorted(settings_of(store, "activation", "optimizer.lr", "seed")) == [
        ("relu", "0.2", "0"),
        ("relu", "0.2", "1"),
        ("tanh", "0.1", "0"),
        ("tanh", "0.1", "1"),
    ]


ZIP, LISTED = "hydra/sweeper=zip", "hydra/sweeper=listed"
REFUSED = [
    (f"{ZIP} activation=relu,tanh init=he,glorot,lecun", "*zip: keys advance together *got 2 of activation and 3 of *"),
    (f"{ZIP} activation=relu,tanh hydra.sweeper.cross=[sed]", "hydra.sweeper.cross: unknown name 'sed'; *"),
    (f"{ZIP} activation=relu,tanh hydra.sweeper.cros=[seed]", "hydra.sweeper.cros: unknown key; did you mean *cross?*"),
    ("optimizer.lr=interval(0.1,1)", "optimizer.lr: interval(0.1,1) must be searched, *; add hydra/sweeper=search*"),
    (LISTED, "hydra/sweeper=listed: must have its runs in one place, got none; write *"),
    (
        f"{LISTED} hydra.sweeper.file=a.csv hydra.sweeper.runs=[{{seed:1}}]",
        "*: must have its runs in one place, got two*",
    ),
    (f"{LISTED} hydra.sweeper.file=none.yaml", "none.yaml: must be a file that can be read: No such file *"),
    (f"{LISTED} hydra.sweeper.file=broken.yaml", "broken.yaml, line 1: must be YAML, but *"),
    (f"{LISTED} hydra.sweeper.file=map.yaml", "map.yaml: must be a list of at least one run, got {'a': 1}; *"),
    (f"{LISTED} hydra.sweeper.file=wide.csv", "wide.csv: run 1: must have a heading for every cell, got ['3'] *"),
    (f"{LISTED} hydra.sweeper.runs=[]", "hydra.sweeper.runs: must be a list of at least one run, got []; *"),
    (f"{LISTED} hydra.sweeper.runs=[3]", "hydra.sweeper.runs: run 1: must give values to keys, got 3; *"),
    (f"{LISTED} hydra.sweeper.runs=[{{seed:'1,2'}}]", "*run 1: seed: must have one value in a run, got 1,2; *"),
    (f"{LISTED} hydra.sweeper.runs=[{{hydra.verbose:true}}]", "*run 1: hydra.verbose: is Hydra's own *"),
    (f"{LISTED} hydra.sweeper.runs=[{{seed:1}}] seed=0,1", "seed: must be given once, got 1 in run 1 * and 0,1 *"),
    (f"{LISTED} hydra.sweeper.runs=[{{sed:1}}]", "sed: unknown key; did you mean seed? *"),
]


@pytest.mark.parametrize(("words", "message"), sampled(REFUSED, 3), ids=[words for words, _ in REFUSED])
def test_refusal(cli: Cli, folder: Path, words: str, message: str) -> None:
    """Wrong shapes of a sweep give exit code 2 and one line, and nothing is written."""
    Path("broken.yaml").write_text("- {a: ]")
    Path("map.yaml").write_text("a: 1")
    Path("wide.csv").write_text("seed,split.seed\n1,2,3\n")
    before = sorted(folder.iterdir())
    answer = cli("train", "-m", *SMALL, *words.split(" "))
    assert answer.code == 2
    assert fnmatchcase(answer.err.replace("[", "("), f"workbench: {message}\n".replace("[", "(")), answer.err
    assert sorted(folder.iterdir()) == before
