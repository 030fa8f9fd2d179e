"""Linear probes: accuracy of softmax regression on frozen representations (Alain and Bengio 2016).

The probe is the same for every representation: features standardized on the training part, and an L2 penalty with
C = 1.
"""

from collections.abc import Iterable, Iterator

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
            train, test = _reduced(train, test, components)
        found.append(accuracy(train, labels, test, expected))
    return found


def of_layers(model: Model, params: Params, data: PackData, first: int = 0) -> list[list[float]]:
    """Probe the activations of each hidden layer, from number `first` on; accuracies [layers, R]."""
    train, test = ([*_activations(model, params, whole(data, part))][first:] for part in ("train", "test"))
    return [of_codes(*pair, data) for pair in zip(train, test, strict=True)]


def of_codes(train: Iterable[Array], test: Iterable[Array], data: PackData, components: int = 0) -> list[float]:
    """Probe codes [N, U] of both parts by replica, or their first principal components; accuracies [R].

    Codes with no more than so many features are probed as they are.
    """
    found = []
    for own_train, own_test, (_, labels, _, expected) in zip(train, test, _parts(data), strict=True):
        if 0 < components < own_train.shape[1]:
            own_train, own_test = _reduced(own_train, own_test, components, "covariance_eigh")
        found.append(accuracy(own_train, labels, own_test, expected))
    return found


def _reduced(train: Array, test: Array, components: int, solver: str = "full") -> tuple[Array, Array]:
    """Principal components of the training part, for both parts."""
    pca = PCA(min(components, *train.shape), svd_solver=solver).fit(train)
    return pca.transform(train), pca.transform(test)


def _activations(model: Model, params: Params, x: Tensor) -> Iterator[Array]:
    """Yield the activations of each layer of units [R, N, U]."""
    _, tape = model.forward(params, x)
    return (units.a.double().numpy() for units in model.units(tape))


def whole(data: PackData, part: str) -> Tensor:
    """Inputs of a whole part for every replica [R, N, I]."""
    own = getattr(data, part)
    return data.chunk(own, 0, own.size)[0]


def labels_of_test(data: PackData) -> list[NDArray[np.int64]]:
    """Class numbers [N] of the test part, by replica."""
    return [expected for _, _, _, expected in _parts(data)]


def _parts(data: PackData) -> Iterator[tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]]:
    """Yield training inputs and labels, test inputs and labels, of every replica."""
    for split in data.split_of.tolist():
        train, test = (
            (part.x[split].double().numpy(), part.y[split].argmax(1).numpy()) for part in (data.train, data.test)
        )
        yield *train, *test
