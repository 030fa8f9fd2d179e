"""The plan of a claim: its numbers against hand-worked values and simulation; planning trains and writes nothing."""

from collections.abc import Callable
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from tests.claims.small import write
from tests.outer import Answer, all_runs
from workbench.claims.evidence import PerSeed
from workbench.claims.plan import POWER, between, enough_seeds, needed
from workbench.claims.rules import Above, Judgment, Label
from workbench.core.stats import middle_error
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def last(n: int, spread: float) -> Judgment:
    """A verdict of n normal values of this spread, as their expected interval has it."""
    rng = np.random.default_rng(0)
    error = float(np.mean([middle_error(rng.normal(size=n).tolist())[0] for _ in range(500)])) * spread
    from scipy import stats

    half = error * stats.t.isf(0.025, n - 2 * (n // 4) - 1)
    return Judgment(label=Label.inconclusive, found="0", effect=0.0, low=-half, high=half, n=n, level=0.025)


@pytest.mark.slow
def test_so_many_seeds_have_the_power_that_is_said() -> None:
    """Simulated at the number of seeds that the plan names, an effect that far beyond the bound is found by 90 %."""
    n = enough_seeds(last(20, 1.0), 0.5)
    assert n is not None
    rng, rule = np.random.default_rng(1), Above(than=0.0, absent=-0.5)
    found = sum(rule.judge(PerSeed(tuple(rng.normal(0.5, 1, n)))).label is Label.supported for _ in range(300))
    assert found / 300 == pytest.approx(POWER, abs=0.07)
    assert enough_seeds(last(20, 1.0), 1e-6) is None


def test_seeds_that_share_data_have_a_least_distance() -> None:
    """Shared data (n_test / n_train = 0.8) let no number of seeds find half a spread; four spreads take more seeds."""
    alone = last(20, 1.0)
    shared = alone.model_copy(update={"seeds_low": alone.low, "seeds_high": alone.high, "ratio": 0.8, "low": -9.0})
    assert enough_seeds(shared, 0.5) is None
    few, more = enough_seeds(alone, 4.0), enough_seeds(shared, 4.0)
    assert few is not None
    assert more is not None
    assert few < more
    for n in (20, 100_000):
        error = needed(shared, n) / needed(alone, n)
        assert error == pytest.approx(sqrt(1 + 0.8 * n))


@pytest.mark.slow
def test_the_chance_to_end_between_the_bounds() -> None:
    """None where intervals are wider than the gap, all where they are far narrower, and as simulated in the middle."""
    wide, narrow = last(10, 10.0), last(400, 0.01)
    assert between(wide, 0.0, 1.0, 10, 0.5) == 0
    assert between(narrow, 0.0, 1.0, 400, 0.5) == pytest.approx(1)
    assert between(narrow, 0.0, 1.0, 400, 2.0) == pytest.approx(0)
    one, n, width = last(40, 1.0), 40, 4.5 / sqrt(20)
    rng, rule = np.random.default_rng(2), Above(than=width / 2, absent=-width / 2)
    found = sum(rule.judge(PerSeed(tuple(rng.normal(0, 1, n)))).label is Label.between for _ in range(300))
    assert found / 300 == pytest.approx(between(one, -width / 2, width / 2, n, 0.0), abs=0.12)


@pytest.mark.slow
def test_a_plan_trains_and_writes_nothing(cli: Cli, folder: Path, store: Store) -> None:
    """A plan trains and writes nothing: before a first verdict it says what is unknown, then it uses that spread."""
    changes = {"claim.parts.p.rule": {"kind": "above", "than": 0.2, "absent": 0.1}, "claim.profiles.quick.seeds": 10}
    write(folder / "own", changes=changes)
    first = cli("reproduce", "small", "--claims", "own", "--plan")
    assert (first.code, first.err) == (0, "")
    assert "cost: at least 30 runs" in first.out
    assert "no spread is stored" in first.out
    assert all_runs(store) == []
    assert cli("reproduce", "small", "--claims", "own").code == 0
    before = len(all_runs(store))
    second = cli("reproduce", "small", "--claims", "own", "--plan")
    assert "cost: about 20 runs" in second.out
    assert "10 seeds find what lies" in second.out
    assert "to find an effect as far beyond a bound as the bounds lie apart, 0.1, with 90% power" in second.out
    assert "chance to end between the bounds: " in second.out
    assert len(all_runs(store)) == before
    assert cli("reproduce", "smal", "--claims", "own", "--plan").code == 2
