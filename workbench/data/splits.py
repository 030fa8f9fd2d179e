"""Training, validation and test part of a data set, drawn and scaled from a seed.

The scaling to mean 0 and variance 1 is fitted on the training part only, per feature, or over all features where they
share a unit; for regression the targets are scaled too. So are the values that fill blanks. Splits are stratified by
class. Limits and label noise, which make a data set harder, change the training part alone.
"""

from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler

from workbench.core.errors import DataError
from workbench.core.seeds import stream_seed
from workbench.data.datasets import NO_TARGET, Array, Dataset
from workbench.data.files import REAL
from workbench.data.notation import number


class PartArrays(NamedTuple):
    """x [N, I] and y: class numbers [N] or real values [N, K]."""

    x: Array
    y: Array


class Split(NamedTuple):
    """The three parts of one data set for one seed."""

    train: PartArrays
    valid: PartArrays
    test: PartArrays


class Change(NamedTuple):
    """Changes to the parts of any data set, made in this order.

    `limit` is the number of training examples that stay; `label_noise` the share of them whose class becomes another
    one, or the standard deviation of noise on real targets, in units of the targets' own; `binarize` makes an input 1
    above that share of its range in the training part, else 0 (a range for each feature, or one where they share a
    unit).
    """

    limit: int | None = None
    label_noise: float = 0.0
    binarize: float | None = None


UNCHANGED = Change()
DROPPED = 0.1  # of a part's size: most rows of a group that are left out, so that the part has its size
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.33)  # of validation and test part, proposed where the configured ones fail


def split(
    dataset: Dataset, seed: int, valid: float, test: float, standardize: bool, change: Change = UNCHANGED
) -> Split:
    """Split, change, fill and scale a data set; `valid` and `test` are shares of all examples.

    An official test part replaces the drawn one. Raises DataError where a class has too few examples to appear in each
    part, or a change does not fit the data.
    """
    parts = _drawn(dataset, seed, valid, test)
    train = _limited(dataset, parts.train, seed, change.limit)
    parts = parts._replace(train=_relabeled(dataset, train, seed, change.label_noise))
    if dataset.fill:
        parts = _filled(dataset, parts)
    if change.binarize is not None:
        if dataset.vocabulary is not None:
            raise DataError(f"split.binarize: {dataset.name} has tokens, which have no range; drop split.binarize")
        parts = _binarized(dataset, parts, change.binarize)
    return _scaled(dataset, parts) if standardize and dataset.vocabulary is None else parts


def target_unit(dataset: Dataset, seed: int, valid: float, test: float, change: Change = UNCHANGED) -> float | None:
    """Deviation by which `split` divides a single real target to standardize it; None for classes and several targets.

    Raises DataError as `split`.
    """
    if dataset.n_classes is not None or dataset.y.shape[1] != 1:
        return None
    narrow = replace(dataset, x=dataset.x[:, :1], fill="")  # targets are drawn and changed without regard to inputs
    targets = split(narrow, seed, valid, test, False, change._replace(binarize=None)).train.y
    return float(StandardScaler().fit(targets).scale_[0])


def fill_values(dataset: Dataset, seed: int, valid: float, test: float, change: Change = UNCHANGED) -> Array | None:
    """Values [I] by which `split` fills blanks; None where it fills none. Raises DataError as `split`."""
    if not dataset.fill:
        return None
    parts = split(replace(dataset, fill=""), seed, valid, test, False, change._replace(binarize=None))
    values: Array = _imputer(dataset, parts).statistics_
    return values


def held_by_float32(dataset: Dataset, parts: Split, standardized: bool) -> Split:
    """Return the parts themselves; raises DataError where a number exceeds float32's largest."""
    largest = max(float(np.abs(end)) for part in parts for of in part for end in (of.min(), of.max()))
    if largest <= float(np.finfo(np.float32).max):
        return parts
    then = "write dtype=float64" if standardized else "write split.standardize=true, or dtype=float64"
    raise DataError(f"{dataset.name}: numbers must be at most 3.4e38 in size, as float32 is, got {largest:.3g}; {then}")


def shuffled(x: Array, seed: int, padding: int | None) -> Array:
    """Put the tokens of each sequence of x [N, T] into an order of its own; padding stays at the end."""
    places = np.random.default_rng(stream_seed(seed, "data", "shuffled")).random(x.shape)
    if padding is not None:
        places[x == padding] = 1.0
    ordered: Array = np.take_along_axis(x, places.argsort(1, kind="stable"), 1)
    return ordered


def inputs_as_targets(parts: Split) -> Split:
    """Replace the targets by the inputs, for an autoencoder."""
    return Split(*(PartArrays(part.x, part.x) for part in parts))


def _drawn(dataset: Dataset, seed: int, valid: float, test: float) -> Split:
    """Draw the examples of each part, as copies; raises DataError where a class or a part has too few."""
    if not dataset.split:
        return Split(*(_taken(dataset, np.arange(len(dataset.x))) for _ in range(3)))
    try:
        return Split(*(_taken(dataset, rows) for rows in _rows(dataset, seed, valid, test)))
    except ValueError as error:
        raise _no_split(dataset, seed, valid, test, error) from error


def _rows(dataset: Dataset, seed: int, valid: float, test: float) -> tuple[Array, Array, Array]:
    """Draw the rows of training, validation and test part; raises ValueError where a class or a part has too few."""
    everything = np.arange(len(dataset.x))
    drawn = len(everything) - dataset.official_test
    learning_rows, test_rows = np.split(everything, [drawn])
    if not dataset.official_test:
        learning_rows, test_rows = _parted(dataset, learning_rows, seed, test, ceil(test * drawn))
    share = valid if dataset.official_test else valid / (1 - test)
    train_rows, valid_rows = _parted(dataset, learning_rows, seed, share, ceil(valid * drawn))
    return train_rows, valid_rows, test_rows


def _parted(dataset: Dataset, rows: Array, seed: int, share: float, size: int) -> tuple[Array, Array]:
    """Draw rows into two parts, the second with this share, or with groups this size.

    Raises ValueError where a class has too few examples, or there are too few groups.
    """
    kind = StratifiedShuffleSplit if _by_class(dataset) else ShuffleSplit
    state = stream_seed(seed, "data", "split", bits=32)
    if dataset.groups is not None:
        first, second = _parted_by_group(dataset.groups[rows], size, np.random.default_rng(state))
    else:
        first, second = next(kind(1, test_size=share, random_state=state).split(rows, dataset.y[rows]))
    return rows[first], rows[second]


def _parted_by_group(groups: Array, size: int, stream: np.random.Generator) -> tuple[Array, Array]:
    """Draw whole groups [N] into two parts, the second with `size` rows, so that every seed of a pack has as many.

    Groups go into it in a random order as long as they fit; where none does, one goes into it whole. Rows that lack
    then are the first of the smallest group left, whose others go into no part; where these were more than a tenth of
    `size`, the part stays short.

    Raises ValueError for fewer than two groups.
    """
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"two parts need two groups or more, got {len(names)}")
    lack, order, chosen = size, stream.permutation(len(names)), np.zeros(len(names), bool)
    for one in order:
        if sizes[one] <= lack:
            chosen[one], lack = True, lack - sizes[one]
    if not chosen.any():
        chosen[order[0]], lack = True, 0
    second, cut = chosen[group], np.zeros(len(groups), bool)
    enough = [one for one in np.flatnonzero(~chosen) if lack <= sizes[one] <= lack + DROPPED * size]
    if lack and enough:
        cut = group == min(enough, key=lambda one: sizes[one])
        second[np.flatnonzero(cut)[:lack]] = True
    return np.flatnonzero(~second & ~cut), np.flatnonzero(second)


def _by_class(dataset: Dataset) -> bool:
    """Whether each example has a class, and parts are drawn without regard to groups."""
    return bool(dataset.n_classes) and not dataset.at_positions and dataset.groups is None


def _no_split(dataset: Dataset, seed: int, valid: float, test: float, error: ValueError) -> DataError:
    """Make the error for shares that cannot be drawn; it proposes shares that can, where there are any."""
    drawn = len(dataset.x) - dataset.official_test
    shares = f"{valid:g}" if dataset.official_test else f"{valid:g} and {test:g}"
    begin = f"{dataset.name}: cannot split off {shares} of {drawn}: {str(error).partition('. ')[0].rstrip('.')}"
    for share in SHARES:
        with suppress(ValueError):
            _rows(dataset, seed, share, share)
            more = "" if dataset.official_test else f" split.test={share:g}"
            return DataError(f"{begin}; write for example split.valid={share:g}{more}")
    if not dataset.n_classes or not _by_class(dataset):
        return DataError(f"{begin}; three parts need three examples or more, add some")
    counts = np.bincount(dataset.y[:drawn], minlength=dataset.n_classes)
    rare = int(np.where(counts, counts, drawn + 1).argmin())
    are_numbers = dataset.classes and all(number(name) is not None for name in dataset.classes)
    return DataError(
        f"{begin}; each class needs an example in each part, but class {rare} of 0 to {dataset.n_classes - 1} has "
        f"{counts[rare]}: add examples of it, or take it out{f', or {REAL}' if are_numbers else ''}"
    )


def _taken(dataset: Dataset, rows: Array) -> PartArrays:
    return PartArrays(dataset.x[rows], dataset.y[rows])


def _limited(dataset: Dataset, part: PartArrays, seed: int, limit: int | None) -> PartArrays:
    """Draw `limit` examples of a part: one of each class first, then classes by their shares; limits are nested.

    Raises DataError unless classes ≤ limit ≤ examples (1 ≤ limit for regression).
    """
    if limit is None or limit == len(part.x):
        return part
    least = (dataset.n_classes or 1) if _by_class(dataset) else 1
    if not least <= limit <= len(part.x):
        raise DataError(
            f"split.limit: must be from {least} to the {len(part.x)} examples of the training part of {dataset.name}, "
            f"got {limit}; write for example split.limit={min(10 * least, len(part.x))}"
        )
    order = np.random.default_rng(stream_seed(seed, "data", "limit")).permutation(len(part.x))
    if _by_class(dataset):
        labels, before = part.y[order], np.empty(len(order))
        for label, count in enumerate(np.bincount(labels)):
            before[labels == label] = np.arange(count) / count  # share of an example's class that precedes it
        order = order[np.argsort(before, kind="stable")]
    return PartArrays(part.x[order[:limit]], part.y[order[:limit]])


def _relabeled(dataset: Dataset, part: PartArrays, seed: int, noise: float) -> PartArrays:
    """Add noise to targets: a share of wrong classes, exact to one example for every seed, or Gaussian noise.

    Raises DataError for a share above 1.
    """
    if noise == 0:
        return part
    stream = np.random.default_rng(stream_seed(seed, "noise", "labels"))
    if dataset.n_classes is None:
        return part._replace(y=part.y + noise * part.y.std(0) * stream.standard_normal(part.y.shape))
    if noise > 1:
        raise DataError(
            f"split.label_noise: must be at most 1 for classes, a share of the labels, got {noise:g}; "
            "write for example split.label_noise=0.1"
        )
    y = part.y.copy()
    there = np.flatnonzero(y != NO_TARGET)
    wrong = there[stream.permutation(len(there))[: round(noise * len(there))]]
    y.flat[wrong] = (y.flat[wrong] + stream.integers(1, dataset.n_classes, len(wrong))) % dataset.n_classes
    return part._replace(y=y)


def _filled(dataset: Dataset, parts: Split) -> Split:
    """Fill blanks by the training part's mean or median of the feature; by 0 where it has no value there."""
    imputer = _imputer(dataset, parts)
    return Split(*(part._replace(x=imputer.transform(part.x)) for part in parts))


def _imputer(dataset: Dataset, parts: Split) -> Any:
    from sklearn.impute import SimpleImputer  # which takes longer to import than most data to read

    return SimpleImputer(strategy=dataset.fill, keep_empty_features=True).fit(parts.train.x)


def _binarized(dataset: Dataset, parts: Split, share: float) -> Split:
    axis = None if dataset.same_unit else 0
    low, high = parts.train.x.min(axis), parts.train.x.max(axis)
    cut = low + share * (high - low)
    return Split(*(part._replace(x=(part.x > cut).astype(part.x.dtype)) for part in parts))


def _scaled(dataset: Dataset, parts: Split) -> Split:
    columns = (-1, 1) if dataset.same_unit else parts.train.x.shape
    scale_x = StandardScaler(copy=False).fit(parts.train.x.reshape(columns))
    scale_y = None if dataset.n_classes else StandardScaler().fit(parts.train.y)

    def scaled(part: PartArrays) -> PartArrays:
        x = scale_x.transform(part.x.reshape(-1, columns[1])).reshape(part.x.shape)
        return PartArrays(x, part.y if scale_y is None else scale_y.transform(part.y))

    return Split(scaled(parts.train), scaled(parts.valid), scaled(parts.test))
