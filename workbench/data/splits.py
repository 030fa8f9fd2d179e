"""Training, validation and test part of a data set, drawn and scaled from a seed.

The scaling to mean 0 and variance 1 is fitted on the training part only, per feature, or over all features where they
share a unit; for regression the targets are scaled too. Classes keep their shares in each part.
"""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from workbench.data.datasets import Array, Dataset
from workbench.errors import DataError
from workbench.seeds import stream_seed


class PartArrays(NamedTuple):
    """x [N, I] and y: class numbers [N] or real values [N, K]."""

    x: Array
    y: Array


class Split(NamedTuple):
    """The three parts of one data set for one seed."""

    train: PartArrays
    valid: PartArrays
    test: PartArrays


def split(dataset: Dataset, seed: int, valid: float, test: float, standardize: bool) -> Split:
    """Parts with the given fractions of the examples.

    Raises DataError where a class has too few examples to appear in each part.
    """
    everything = np.arange(len(dataset.x))
    if not dataset.split:
        return _scaled(dataset, Split(*(PartArrays(dataset.x, dataset.y),) * 3), standardize)
    draw = stream_seed(seed, "data", "split", bits=32)
    labels = dataset.y if dataset.n_classes else None
    try:
        rest, test_rows = train_test_split(everything, test_size=test, random_state=draw, stratify=labels)
        train_rows, valid_rows = train_test_split(
            rest,
            test_size=valid / (1 - test),
            random_state=draw,
            stratify=None if labels is None else labels[rest],
        )
    except ValueError as error:
        raise DataError(
            f"{dataset.name}: cannot split off {valid:g} and {test:g} of {len(everything)}: {error}"
        ) from error
    parts = (PartArrays(dataset.x[rows], dataset.y[rows]) for rows in (train_rows, valid_rows, test_rows))
    return _scaled(dataset, Split(*parts), standardize)


def inputs_as_targets(parts: Split) -> Split:
    """The same parts with their inputs as what is to be learned, for an autoencoder."""
    return Split(*(PartArrays(part.x, part.x) for part in parts))


def _scaled(dataset: Dataset, parts: Split, standardize: bool) -> Split:
    if not standardize:
        return parts
    columns = (-1, 1) if dataset.same_unit else parts.train.x.shape
    scale_x = StandardScaler().fit(parts.train.x.reshape(columns))
    scale_y = None if dataset.n_classes else StandardScaler().fit(parts.train.y)

    def scaled(part: PartArrays) -> PartArrays:
        x = scale_x.transform(part.x.reshape(-1, columns[1])).reshape(part.x.shape)
        return PartArrays(x, part.y if scale_y is None else scale_y.transform(part.y))

    return Split(scaled(parts.train), scaled(parts.valid), scaled(parts.test))
