"""Limits, label noise and binarized inputs work for any data set, and change what they should alone."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import blobs, build
from workbench.config.compose import configure
from workbench.config.prepare import build_pack
from workbench.core.errors import ConfigError, DataError
from workbench.data.splits import Change, Split, split

PLAIN = split(blobs(), 0, 0.2, 0.2, False)


def changed(seed: int = 0, **values: float) -> Split:
    """Split 200 examples of 16 classes, 120 of them for training, with these changes."""
    return split(blobs(), seed, 0.2, 0.2, False, Change(**values))  # type: ignore[arg-type]


def rows(part: np.ndarray) -> set[bytes]:
    """Return the examples of a part, without their order."""
    return {row.tobytes() for row in part}


@pytest.mark.slow
@given(st.integers(16, 120))
def test_a_limit_keeps_so_many_and_every_class_its_share(limit: int) -> None:
    """`limit` labeled training examples are kept, and each class has its share to within one example."""
    train = changed(limit=limit).train
    assert len(train.x) == len(rows(train.x)) == limit
    assert rows(np.column_stack(train)) <= rows(np.column_stack(PLAIN.train))
    shares = np.bincount(PLAIN.train.y) * limit / 120
    assert (np.abs(np.bincount(train.y, minlength=16) - shares) <= 1).all()


def test_more_examples_hold_the_fewer() -> None:
    """A larger limit adds examples to those of a smaller one, and exchanges none."""
    for fewer, more in pairwise(rows(changed(limit=limit).train.x) for limit in (16, 30, 61, 119, 120)):
        assert fewer < more


def test_a_rare_class_is_kept() -> None:
    """A limit keeps one example of each class before it keeps a second example of any class."""
    dataset = blobs()
    rare = replace(dataset, y=np.where(np.arange(200) < 10, 0, 1), n_classes=2)
    assert sorted(split(rare, 0, 0.2, 0.2, False, Change(limit=2)).train.y) == [0, 1]


@pytest.mark.parametrize("values", [{"limit": 40}, {"label_noise": 0.5}])
def test_validation_and_test_part_stay_as_they_are(values: dict[str, float]) -> None:
    """A limit and label noise change the training part alone, and leave the validation and test part as they are."""
    for before, after in zip(PLAIN[1:], changed(**values)[1:], strict=True):
        assert np.array_equal(before.x, after.x)
        assert np.array_equal(before.y, after.y)


@pytest.mark.slow
@given(st.floats(0, 1))
def test_label_noise_makes_its_share_of_labels_wrong(noise: float) -> None:
    """The share of labels asked for is changed to existing classes, and the inputs stay the same."""
    train = changed(label_noise=noise).train
    assert (train.y != PLAIN.train.y).sum() == round(120 * noise)
    assert set(train.y) <= set(range(16))
    assert np.array_equal(train.x, PLAIN.train.x)


def test_wrong_labels_are_any_of_the_others() -> None:
    """Wrong labels are uniform over the other classes, to four standard errors."""
    dataset = replace(blobs(6000, classes=4), y=np.arange(6000) % 4)
    train = split(dataset, 0, 0.2, 0.2, False, Change(label_noise=1.0)).train
    before = split(dataset, 0, 0.2, 0.2, False).train.y
    counts = np.bincount((train.y - before) % 4, minlength=4) / len(before)
    assert counts == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=4 * np.sqrt(2 / 9 / len(before)))


def test_noise_on_real_targets_is_in_their_deviations() -> None:
    """Label noise of 0.5 adds half a standard deviation to real training targets, and none to the test's."""
    dataset = build("data", "curve", points=4001)
    clean, noisy = (split(dataset, 0, 0.2, 0.2, False, Change(label_noise=noise)) for noise in (0.0, 0.5))
    added = noisy.train.y - clean.train.y
    assert added.std() == pytest.approx(0.5 * clean.train.y.std(), rel=4 / np.sqrt(2 * 4001))
    assert np.array_equal(noisy.test.y, clean.test.y)
    assert np.array_equal(noisy.train.y, split(dataset, 0, 0.2, 0.2, False, Change(label_noise=0.5)).train.y)


@pytest.mark.parametrize("same_unit", [True, False])
def test_binarized_inputs_are_cut_in_the_training_parts_range(same_unit: bool) -> None:
    """Inputs are 1 above 30 % of the training range, over all pixels or by feature, before any scaling."""
    dataset = replace(blobs(), same_unit=same_unit)
    parts = split(dataset, 0, 0.2, 0.2, False, Change(binarize=0.3))
    raw = PLAIN.train.x
    low, high = (raw.min(), raw.max()) if same_unit else (raw.min(0), raw.max(0))
    for before, after in zip(PLAIN, parts, strict=True):
        assert np.array_equal(after.x, (before.x - low > 0.3 * (high - low)).astype(float))
    scaled = split(dataset, 0, 0.2, 0.2, True, Change(binarize=0.3)).train.x
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert len(np.unique(scaled)) == 2 if same_unit else 32


def test_seeds_change_other_examples() -> None:
    """Another seed keeps other examples under a limit, and the same seed repeats the same wrong labels."""
    kept = [rows(changed(seed, limit=40).train.x) for seed in (0, 1)]
    assert kept[0] != kept[1]
    assert np.array_equal(changed(3, label_noise=0.3).train.y, changed(3, label_noise=0.3).train.y)


def test_an_official_test_part_is_kept() -> None:
    """The last examples in their order, whatever the seed; the rest is parted by `valid`, and `test` does nothing."""
    dataset = replace(blobs(), official_test=60)
    for seed in (0, 1):
        parts = split(dataset, seed, 0.25, 0.9 if seed else 0.1, False)
        assert np.array_equal(parts.test.x, dataset.x[140:])
        assert (len(parts.train.x), len(parts.valid.x)) == (105, 35)
        assert rows(parts.train.x) | rows(parts.valid.x) == rows(dataset.x[:140])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": 15}, "split.limit: must be from 16 to the 120 examples of the training part of blobs, got 15; "),
        ({"limit": 121}, "split.limit: must be from 16 to the 120 examples of the training part of blobs, got 121; "),
        ({"label_noise": 1.5}, "split.label_noise: must be at most 1 for classes, a share of the labels, got 1.5"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, float], message: str) -> None:
    """A limit beyond the training part or below the classes, and a noise above 1, are refused."""
    with pytest.raises(DataError) as refused:
        changed(**values)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("setting", ["limit=0", "label_noise=-0.1", "label_noise=nan", "binarize=1", "binarize=-0.5"])
def test_values_out_of_range_are_refused(setting: str) -> None:
    """A value out of range is refused by a message that gives the key, its range and an example."""
    key = f"split.{setting.partition('=')[0]}"
    with pytest.raises(ConfigError, match=rf"^{key}: must be at .*; write for example {key}="):
        configure([f"split.{setting}"])


def test_runs_train_on_what_is_asked_for() -> None:
    """Overrides of limit, binarize and label noise reach the pack's training data."""
    run = ["data=digits", "split.limit=100", "split.binarize=0.5", "split.standardize=false", "split.label_noise=0.5"]
    pack, clean = build_pack([configure(run)]), build_pack([configure(run[:-1])])
    assert pack.data.train.size == 100
    assert set(pack.data.train.x.unique().tolist()) == {0, 1}
    assert int((pack.data.train.y.argmax(2) != clean.data.train.y.argmax(2)).sum()) == 50
