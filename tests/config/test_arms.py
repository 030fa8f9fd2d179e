"""Arms computed from configurations: against their definition, for any runs in any order."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config.arms import ALL, arms_of, canonical, matters, varying_keys

VALUES: dict[str, tuple[str, ...]] = {
    "activation": ("relu", "leaky_relu"),
    "activation.slope": ("0.1", "0.10", "0.2"),
    "init": ("he", "glorot"),
    "optimizer.lr": ("0.1", "1e-1", "0.3", "0.30000001", "1", "1.0"),
    "architecture.hidden": ("[8]", "[8, 8]"),
    "seed": ("0", "1", "2"),
    "split.seed": ("0", "1"),
    "tracking.experiment": ("a", "b"),
    "certificate": ("True", "False"),
    "sweep.pack_gib": ("0.5", "1.0"),
    "later.key": ("x", "y z", "y=z"),
}
ROWS = st.lists(
    st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()}), min_size=1
)


def content(row: dict[str, str]) -> dict[str, str]:
    """Return what defines an arm: the configuration without seeds and without what changes no number."""
    return {key: canonical(text) for key, text in row.items() if matters(key)}


def same_values(one: dict[str, str], other: dict[str, str], keys: Sequence[str]) -> bool:
    """Whether two configurations agree in these keys."""
    return all(one.get(key) == other.get(key) for key in keys)


@pytest.mark.slow
@given(ROWS)
def test_an_arm_is_what_agrees_in_all_but_its_seeds(rows: list[dict[str, str]]) -> None:
    """Any two runs: one name exactly where the configurations agree."""
    names = arms_of(rows).names
    contents = [content(row) for row in rows]
    several = [key for key in VALUES if matters(key)]
    for (one, name), (other, second) in combinations(zip(contents, names, strict=True), 2):
        assert (name == second) == same_values(one, other, several), (one, other)


@pytest.mark.slow
@given(ROWS, st.data())
def test_arms_do_not_depend_on_the_order_of_runs(rows: list[dict[str, str]], data: st.DataObject) -> None:
    """Runs in another order, as a store may give them: the same keys, and the same runs together."""
    order = data.draw(st.permutations(range(len(rows))))
    one, other = arms_of(rows), arms_of([rows[place] for place in order])
    assert one.keys == other.keys
    for first, second in combinations(range(len(rows)), 2):
        names = other.names[order.index(first)], other.names[order.index(second)]
        assert (one.names[first] == one.names[second]) == (names[0] == names[1])


@pytest.mark.slow
@given(ROWS)
def test_runs_come_by_arm(rows: list[dict[str, str]]) -> None:
    """Every run once, arm by arm, and within its arm in its old place."""
    arms = arms_of(rows)
    assert sorted(arms.order) == list(range(len(rows)))
    met = [arms.names[place] for place in arms.order]
    assert len([name for place, name in enumerate(met) if place == 0 or met[place - 1] != name]) == len({*met})
    for name in {*met}:
        own = [place for place in arms.order if arms.names[place] == name]
        assert own == sorted(own)


def rows_of(*texts: str) -> list[dict[str, str]]:
    """``activation=relu seed=0`` as params."""
    return [dict(pair.split("=", 1) for pair in text.split()) for text in texts]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["activation=relu seed=0", "activation=relu seed=1"], ["relu", "relu"]),
        (["activation=relu seed=0", "activation=tanh seed=0"], ["relu", "tanh"]),
        (["optimizer.lr=0.1 activation=relu", "optimizer.lr=1e-3 activation=tanh"], ["relu lr=0.1", "tanh lr=0.001"]),
        (["activation=relu init=he", "activation=tanh init=glorot"], ["relu he", "tanh glorot"]),  # a zip
        (["a.lr=1 b.lr=1", "a.lr=2 b.lr=3"], ["a.lr=1 b.lr=1", "a.lr=2 b.lr=3"]),
        (["train.epochs=5", "train.epochs=10"], ["epochs=5", "epochs=10"]),
        (["dtype=float32", "dtype=float64"], ["dtype=float32", "dtype=float64"]),
        (["optimizer.lr=1e30", "optimizer.lr=0.12345678"], ["lr=1e+30", "lr=0.12345678"]),
        (["optimizer.lr=0.1 certificate=True", "optimizer.lr=0.1 certificate=False"], [ALL, ALL]),
        (  # what a choice brings with it is named by the choice, what varies within one is named
            ["activation=relu", "activation=leaky activation.slope=0.1"],
            ["relu", "leaky"],
        ),
        (
            ["activation=relu", "activation=leaky activation.slope=0.1", "activation=leaky activation.slope=0.2"],
            ["relu", "leaky slope=0.1", "leaky slope=0.2"],
        ),
        (["activation=relu init=he", "activation=tanh"], ["relu he", "tanh init=-"]),
        (["activation=relu", "activation=tanh", "init=he"], ["relu init=-", "tanh init=-", "activation=- he"]),
        (["activation=a\x1b[31m", "activation=b\nc"], ["a\\x1b[31m", "b\\nc"]),
    ],
)
def test_arms_are_named_for_what_differs(texts: Any, names: list[str]) -> None:
    """Choices by name, values by the last part of their key; a run without a value has an arm of its own."""
    rows = rows_of(*texts) if "\n" not in "".join(texts) else [dict([text.split("=")]) for text in texts]
    assert list(arms_of(rows).names) == names


def test_choices_come_first() -> None:
    """Choices come before values in the varying keys, whatever the order of a command or a store's tables."""
    rows = rows_of(
        "train.epochs=1 optimizer.lr=1 init=he activation=relu", "train.epochs=2 optimizer.lr=2 init=a activation=b"
    )
    assert varying_keys(rows) == ["activation", "init", "optimizer.lr", "train.epochs"]
