"""Seeds added look by look: how often chance decides over twenty looks, and when looking ends."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.claims.made_up import claim, part
from workbench.claims.evidence import Cell, PerSeed
from workbench.claims.rules import Label
from workbench.claims.sequential import MOST_LOOKS, in_looks, looks, stricter
from workbench.claims.verdict import judge
from workbench.core.errors import ConfigError

ABOVE = {"p": part("Says.", "above", than=0, absent=0)}
SIZES = range(10, 110, 5)
STUDIES = 200
DRAWS = {
    "normal": lambda rng: rng.normal(size=SIZES[-1]),
    "one in ten collapsed": lambda rng: rng.normal(size=SIZES[-1]) - 20 * (rng.random(SIZES[-1]) < 0.1),
}


def at_bound(values: Any) -> Any:
    """The cells of a study at a size."""
    return lambda size: [Cell("p", PerSeed(tuple(values[:size].tolist())))]


@pytest.mark.slow
@pytest.mark.parametrize("shape", DRAWS)
def test_twenty_looks_err_in_at_most_5_percent(shape: str) -> None:
    """The middle of the values at the bound: supported or refuted at any look by chance; at 95 % each, far more."""
    assert len(SIZES) == MOST_LOOKS
    made, rng, found, plain = claim(parts=ABOVE), np.random.default_rng(3), Counter[Label](), 0
    many = np.sort(np.concatenate([DRAWS[shape](rng) for _ in range(5000)]))
    middle = many[len(many) // 4 : -(len(many) // 4)].mean()
    for _ in range(STUDIES):
        values = DRAWS[shape](rng) - middle
        ended = in_looks(made, SIZES, at_bound(values))
        found[ended.parts[0].label] += 1
        if shape == "normal":
            plain += any(judge(made, at_bound(values)(size))[0].label is not Label.inconclusive for size in SIZES)
    wrong = found[Label.supported] + found[Label.refuted]
    assert wrong <= 0.05 * STUDIES + 1.64 * (0.05 * 0.95 * STUDIES) ** 0.5
    assert plain > 0.1 * STUDIES or shape != "normal", "without spending the error"


def test_looking_ends_where_all_that_decide_are_settled() -> None:
    """A large effect at the first look, which is kept as it was; a secondary part delays nothing."""
    parts = ABOVE | {"q": part("Says.", "above", than=0, absent=0, role="secondary")}
    made, asked = claim(parts=parts), []

    def measured(size: int) -> list[Cell]:
        asked.append(size)
        values = np.linspace(0.9, 1.1, size) if size < 40 else np.zeros(size)
        return [Cell("p", PerSeed(tuple(values.tolist()))), Cell("q", PerSeed((-1.0, 1.0) * (size // 2)))]

    ended = in_looks(made, [10, 20, 40], measured)
    assert asked == [10]
    assert (ended.seeds, [one.label for one in ended.parts]) == (10, [Label.supported, Label.inconclusive])
    assert ended.parts[0].deciding.judgment.level == pytest.approx(0.025 / 3)


def test_what_is_settled_stays_so_while_others_are_open() -> None:
    """The first part is settled at 10 seeds, the second at 20."""
    made = claim(parts=ABOVE | {"q": part("Says.", "above", than=0, absent=0)})

    def measured(size: int) -> list[Cell]:
        first, second = (1.0, 0.0) if size == 10 else (0.0, 1.0)
        spread = np.linspace(-0.1, 0.1, size)
        return [Cell("p", PerSeed(tuple(first + spread))), Cell("q", PerSeed(tuple(second + spread)))]

    ended = in_looks(made, [10, 20, 40], measured)
    assert ended.seeds == 20
    assert [(one.label, one.deciding.judgment.n) for one in ended.parts] == [
        (Label.supported, 10),
        (Label.supported, 20),
    ]


def test_looks_are_fixed_beforehand() -> None:
    """Looks go from ten seeds to the profile's number, never more than twenty looks; exact rules stay as they are."""
    assert looks("c", 80) == [10, 15, 22, 33, 49, 73, 80]
    assert looks("c", 16) == [10, 15, 16]
    assert len(looks("c", 10**6)) == MOST_LOOKS
    for most in (10, None, "x"):
        with pytest.raises(ConfigError, match="claim c: --sequential: its profile must have more than 10 seeds"):
            looks("c", most)
    exact = claim()
    assert stricter(exact, 5) == exact
