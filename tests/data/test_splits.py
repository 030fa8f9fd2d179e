"""Splits: sizes, class shares, no example in two parts, and no look at validation or test data when scaling."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference import blobs, build
from workbench.core.errors import DataError
from workbench.data.datasets import Dataset
from workbench.data.splits import Split, split


def _numbered(n: int = 200, classes: int | None = 4) -> Dataset:
    """Example i has x = (i, i²), so that every part shows which examples it holds; unequal classes."""
    index = np.arange(n)
    y = index[:, None].astype(float) if classes is None else np.minimum(index % 7, classes - 1)
    return Dataset("numbered", np.stack([index, index**2], 1).astype(float), y, classes)


def _rows(parts: Split) -> list[np.ndarray]:
    return [part.x[:, 0].astype(int) for part in parts]


@pytest.mark.parametrize(("valid", "test"), [(0.1, 0.1), (0.25, 0.15), (0.2, 0.5)])
@pytest.mark.parametrize("classes", [4, None])
def test_parts_share_out_every_example(valid: float, test: float, classes: int | None) -> None:
    """Each example is in exactly one part with its own target, and the parts have the fractions asked for."""
    dataset = _numbered(classes=classes)
    parts = split(dataset, 0, valid, test, standardize=False)
    train_rows, valid_rows, test_rows = _rows(parts)
    assert sorted(np.concatenate([train_rows, valid_rows, test_rows])) == list(range(200))
    assert abs(len(valid_rows) - 200 * valid) <= 1
    assert abs(len(test_rows) - 200 * test) <= 1
    for rows, part in zip(_rows(parts), parts, strict=True):
        assert np.array_equal(part.y, dataset.y[rows])
        assert np.array_equal(part.x, dataset.x[rows])


def test_digits_are_split_as_the_defaults_say() -> None:
    """A tenth each of 1797 examples: 180 and 180, 1437 remain."""
    assert [len(part.x) for part in split(build("data", "digits"), 0, 0.1, 0.1, True)] == [1437, 180, 180]


@pytest.mark.parametrize("seed", range(5))
def test_classes_keep_their_shares(seed: int) -> None:
    """Each class's number in a part is its share of the part, but for the two roundings of splitting twice."""
    dataset = _numbered()
    shares = np.bincount(dataset.y) / 200
    for part in split(dataset, seed, 0.2, 0.2, False):
        counts = np.bincount(part.y, minlength=4)
        assert (np.abs(counts - shares * len(part.y)) < 2).all()


def test_seeds_split_differently_and_repeat_themselves() -> None:
    """The same seed repeats the split, and another seed changes every part of it."""
    first, again, other = (split(_numbered(), seed, 0.2, 0.2, False) for seed in (0, 0, 1))
    for one, same, different in zip(_rows(first), _rows(again), _rows(other), strict=True):
        assert np.array_equal(one, same)
        assert set(one) != set(different)


@pytest.mark.parametrize("classes", [4, None])
def test_scaling_is_fitted_on_the_training_part(classes: int | None) -> None:
    """Every part is (x - μ)/σ with μ and σ of the raw training part, computed here by hand; so are real targets."""
    raw = split(_numbered(classes=classes), 3, 0.2, 0.2, standardize=False)
    scaled = split(_numbered(classes=classes), 3, 0.2, 0.2, standardize=True)
    mean, std = raw.train.x.mean(0), raw.train.x.std(0)
    for before, after in zip(raw, scaled, strict=True):
        np.testing.assert_allclose(after.x, (before.x - mean) / std, rtol=1e-10, atol=1e-13)
        if classes is None:
            expected = (before.y - raw.train.y.mean(0)) / raw.train.y.std(0)
            np.testing.assert_allclose(after.y, expected, rtol=1e-10, atol=1e-13)
        else:
            assert np.array_equal(after.y, before.y)
    np.testing.assert_allclose(scaled.train.x.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.train.x.std(0), 1, rtol=1e-12)
    assert (np.abs(scaled.valid.x.mean(0)) > 1e-3).any()


def test_training_part_does_not_see_the_others() -> None:
    """Whatever the validation and test examples are, the training part comes out in the same bits."""
    dataset = _numbered(classes=None)
    _, valid_rows, test_rows = _rows(split(dataset, 0, 0.2, 0.2, False))
    changed_x, changed_y = dataset.x.copy(), dataset.y.copy()
    for rows in (valid_rows, test_rows):
        changed_x[rows] = 1e6
        changed_y[rows] = -1e6
    before = split(dataset, 0, 0.2, 0.2, True)
    after = split(replace(dataset, x=changed_x, y=changed_y), 0, 0.2, 0.2, True)
    assert np.array_equal(before.train.x, after.train.x)
    assert np.array_equal(before.train.y, after.train.y)
    assert not np.array_equal(before.test.x, after.test.x)


def test_features_of_one_unit_share_one_scale() -> None:
    """Pixels keep their contrast: one mean and one deviation over all features, of the training part."""
    dataset = replace(_numbered(), same_unit=True)
    raw, scaled = (split(dataset, 0, 0.2, 0.2, standardize) for standardize in (False, True))
    mean, std = raw.train.x.mean(), raw.train.x.std()
    for before, after in zip(raw, scaled, strict=True):
        np.testing.assert_allclose(after.x, (before.x - mean) / std, rtol=1e-10)


def test_constant_features_stay_finite() -> None:
    """A feature without variance is centered, not divided by 0."""
    dataset = _numbered()
    flat = replace(dataset, x=np.column_stack([dataset.x, np.full(200, 7.0)]))
    for part in split(flat, 0, 0.2, 0.2, True):
        np.testing.assert_allclose(part.x[:, 2], 0, atol=1e-12)


def test_unsplit_data_is_whole_in_every_part() -> None:
    """XOR: all four points train, validate and test, whatever the seed and the fractions."""
    dataset: Dataset = build("data", "xor")
    for part in split(dataset, 5, 0.3, 0.3, standardize=False):
        assert np.array_equal(part.x, dataset.x)
        assert np.array_equal(part.y, dataset.y)
    for part in split(dataset, 5, 0.3, 0.3, standardize=True):
        assert np.array_equal(part.x, 2 * dataset.x - 1)  # mean ½, deviation ½


def test_a_class_too_small_to_split_is_refused() -> None:
    """A class of one example cannot be stratified, and the error names the data set and the parts asked for."""
    dataset = blobs(40, 3, 2)
    lonely = replace(dataset, y=np.where(np.arange(40) == 0, 2, dataset.y), n_classes=3)
    with pytest.raises(DataError, match=r"^blobs: cannot split off 0\.1 and 0\.1 of 40: .*(class|member)"):
        split(lonely, 0, 0.1, 0.1, True)


@pytest.mark.parametrize("largest", [3, 7])
def test_parts_of_groups_have_their_sizes(largest: int) -> None:
    """Validation and test part are as large for every seed; no group is in two parts, and few rows are in none."""
    sizes = np.random.default_rng(0).integers(1, largest + 1, 400 // largest * 3)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    dataset = replace(_numbered(len(groups), None), groups=groups)
    for seed in range(20):
        drawn = _rows(split(dataset, seed, 0.1, 0.2, standardize=False))
        assert [len(rows) for rows in drawn[1:]] == [-(-len(groups) // 10), -(-len(groups) // 5)]
        assert len(np.unique(np.concatenate(drawn))) == sum(map(len, drawn)) >= len(groups) - 2 * largest
        assert sum(len(np.unique(groups[rows])) for rows in drawn) == len(np.unique(groups[np.concatenate(drawn)]))


def test_a_group_larger_than_its_part_goes_into_it_whole() -> None:
    """Three large groups are shared out, one each; beside them a small one does not make a part that it cannot fill."""
    groups = np.repeat(np.arange(4), [50, 50, 50, 2])
    dataset = replace(_numbered(152, None), groups=groups)
    parts = _rows(split(replace(dataset, groups=groups.clip(max=2)), 0, 0.1, 0.1, standardize=False))
    assert sorted(map(len, parts)) == [50, 50, 52]
    assert [len(rows) for rows in _rows(split(dataset, 0, 0.1, 0.1, standardize=False))][2] == 2


def test_one_group_cannot_be_parted() -> None:
    """Two parts need two groups."""
    with pytest.raises(DataError, match="two parts need two groups or more, got 1"):
        split(replace(_numbered(20, None), groups=np.zeros(20, int)), 0, 0.1, 0.1, standardize=False)
