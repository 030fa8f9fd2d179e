"""Linear probes: accuracy of softmax regression on frozen representations (Alain and Bengio 2016).

The probe is the same for every representation: features standardized on the training part, and an L2 penalty with
C = 1.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from workbench.data.batches import PackData
from workbench.nn.model import Model
from workbench.nn.params import Params

Array = NDArray[np.float64]
ITERATIONS, TOLERANCE = 300, 1e-3


def accuracy(train: Array, labels: NDArray[np.int64], test: Array, expected: NDArray[np.int64]) -> float:
    """Compute the test accuracy of a probe on features [N, U] with class numbers [N]."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=ITERATIONS, tol=TOLERANCE))
    return float(probe.fit(train, labels).score(test, expected))


def of_pixels(data: PackData, components: int | None = None) -> list[float]:
    """Probe the inputs of every replica, or so many principal components of its training part; accuracies [R]."""
    found = []
    for train, labels, test, expected in _parts(data):
        if components:
            pca = PCA(components, svd_solver="full").fit(train)
            train, test = pca.transform(train), pca.transform(test)
        found.append(accuracy(train, labels, test, expected))
    return found


def of_layers(model: Model, params: Params, data: PackData, first: int = 0) -> list[list[float]]:
    """Probe the activations of each hidden layer, from number `first` on; accuracies [layers, R]."""
    codes = zip(
        *([*_activations(model, params, _whole(data, part))][first:] for part in ("train", "test")), strict=True
    )
    labels = [(train_labels, expected) for _, train_labels, _, expected in _parts(data)]
    return [
        [
            accuracy(own_train, own, own_test, expected)
            for own_train, own_test, (own, expected) in zip(train, test, labels, strict=True)
        ]
        for train, test in codes
    ]


def _activations(model: Model, params: Params, x: Tensor) -> Iterator[Array]:
    """Yield the activations of each layer of units [R, N, U]."""
    _, tape = model.forward(params, x)
    return (units.a.double().numpy() for units in model.units(tape))


def _whole(data: PackData, part: str) -> Tensor:
    own = getattr(data, part)
    return data.chunk(own, 0, own.size)[0]


def _parts(data: PackData) -> Iterator[tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]]:
    """Yield training inputs and labels, test inputs and labels, of every replica."""
    for split in data.split_of.tolist():
        train, test = (
            (part.x[split].double().numpy(), part.y[split].argmax(1).numpy()) for part in (data.train, data.test)
        )
        yield *train, *test
