"""Thinned series: never too many rows, no extreme lost, and the same rows however training was cut."""

from collections.abc import Sequence
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from workbench.tracking.base import Rows
from workbench.tracking.thinning import BUCKETS, FIRST, MOST, Thinning, bucket_of

Points = list[tuple[int, float]]


def thinned(columns: Sequence[Sequence[float]], total: int) -> list[Points]:
    """[(index, value)] of what is given of each series, one per run."""
    thinning, runs = Thinning(total), tuple(f"r{number}" for number in range(len(columns)))
    given_rows = []
    for index, values in enumerate(zip(*columns, strict=True)):
        given_rows += list(thinning.add(Rows(runs, index, 1000 + index, {"a": list(values)})))
    given_rows += list(thinning.rest(runs))
    assert all(rows.time_ms == 1000 + rows.step for rows in given_rows)
    return [
        [(rows.step, rows.of(rows.runs.index(run))["a"]) for rows in given_rows if rows.of(rows.runs.index(run))]
        for run in runs
    ]


Value = st.floats(-1e6, 1e6) | st.sampled_from([nan, inf, 0.0, 1.0])


@configured(max_examples=40)
@given(data=st.data(), total=st.integers(1, 3 * MOST))
def test_thinned_series_keep_what_matters(data: st.DataObject, total: int) -> None:
    """A thinned series keeps at most MOST rows, each once and in order: both extremes, the first rows, the last."""
    seed = data.draw(st.lists(Value, min_size=1, max_size=40))
    series = [seed[(index * index + index // 7) % len(seed)] for index in range(total)]
    whole = [(index, value) for index, value in enumerate(series) if isfinite(value)]
    found = sorted(thinned([series], total)[0])
    assert len(found) <= MOST
    assert found == [point for point in whole if point in set(found)]
    if total <= MOST:
        assert found == whole
    if whole:
        assert found[-1] == whole[-1]
        values = [value for _, value in whole]
        assert {min(values), max(values)} <= {value for _, value in found}
        assert [point for point in whole if point[0] < FIRST] == [point for point in found if point[0] < FIRST]


@pytest.mark.parametrize("total", range(MOST + 1, MOST + 200, 7))
def test_the_last_epoch_is_given_where_the_test_part_stands_alone(total: int) -> None:
    """The last record has other metrics than those before: the last rows of both are given."""
    thinning, found = Thinning(total), list[tuple[str, int]]()
    for index in range(total):
        name = "test/loss" if index == total - 1 else "train/loss"
        found += [(name, rows.step) for rows in thinning.add(Rows(("a",), index, 0, {name: [float(index % 3)]}))]
    for rows in thinning.rest(["a"]):
        found += [(name, rows.step) for name in rows.of(0)]
    assert {("train/loss", total - 2), ("test/loss", total - 1)} <= set(found)


def test_every_bucket_gives_its_extremes() -> None:
    """Worked by hand: a saw whose teeth lie inside the buckets is drawn with all its teeth."""
    total = FIRST + 10 * BUCKETS
    series = [float(index % 10 == 3) - float(index % 10 == 7) for index in range(total)]
    (found,) = thinned([series], total)
    assert sum(value == 1 for _, value in found if _ >= FIRST) == BUCKETS
    assert sum(value == -1 for _, value in found if _ >= FIRST) == BUCKETS
    assert len(found) == FIRST + 2 * BUCKETS + 1  # and the last row


@pytest.mark.parametrize("total", [MOST + 1, 1000, 12_345])
def test_buckets_are_even_and_all_used(total: int) -> None:
    """Records go to FIRST + BUCKETS buckets in order, those after the first to equal parts, give or take one."""
    places = [bucket_of(index, total) for index in range(total)]
    assert places == sorted(places)
    assert set(places) == set(range(FIRST + BUCKETS))
    sizes = [places.count(bucket) for bucket in range(FIRST, FIRST + BUCKETS)]
    assert max(sizes) - min(sizes) <= 1
    assert bucket_of(total + 5, total) == FIRST + BUCKETS - 1  # more records than were announced


def test_runs_do_not_depend_on_each_other() -> None:
    """A run that leaves early gives its last row at once; the others give what they would have given alone."""
    total = 1000
    long = [float((index * 37) % 101) for index in range(total)]
    other = [float((index * 53) % 89) for index in range(total)]
    alone = thinned([long], total)[0]
    assert thinned([long, other], total)[0] == alone
    thinning, found, left = Thinning(total), list[tuple[int, float]](), list[tuple[int, float]]()
    for index in range(total):
        runs = ("a", "b") if index <= 500 else ("a",)
        rows = Rows(runs, index, 0, {"x": [long[index], other[index]][: len(runs)]})
        given_rows = list(thinning.add(rows))
        if index == 500:
            given_rows += list(thinning.rest(["b"]))
        for one in given_rows:
            found += [
                (one.step, one.of(place)["x"]) for place, run in enumerate(one.runs) if run == "a" and one.of(place)
            ]
            left += [
                (one.step, one.of(place)["x"]) for place, run in enumerate(one.runs) if run == "b" and one.of(place)
            ]
    found += [(one.step, one.of(0)["x"]) for one in thinning.rest(["a"]) if one.of(0)]
    assert found == alone
    assert left[-1] == (500, other[500])
    assert len(left) == len(set(left))
