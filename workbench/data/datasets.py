"""Data sets as arrays, one function each; every function is a choice of the ``data`` group.

Sources: scikit-learn's bundled copies of digits (UCI, 8x8 images), breast cancer Wisconsin, wine and diabetes
(Efron et al. 2004); XOR from the lecture's slide "Perceptron vs. Logistic Neuron"; continuous functions to approximate;
rings as on its slide "The Importance of Representation".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from workbench.seeds import stream_seed

Array = NDArray[Any]
CURVES: Mapping[str, Callable[[Array], Array]] = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "corner": lambda x: np.abs(x - 0.3),
    "runge": lambda x: 1 / (1 + 25 * (2 * x - 1) ** 2),
}


@dataclass(frozen=True)
class Dataset:
    """Inputs x [N, I] in float64 with targets y: class numbers [N] or real values [N, K].

    `n_classes` is None for regression. Where `split` is false, the examples are the whole problem: every part holds
    all of them. Features `same_unit`, like the pixels of an image, are scaled by one mean and one variance.
    """

    name: str
    x: Array
    y: Array
    n_classes: int | None
    split: bool = True
    same_unit: bool = False

    @property
    def task(self) -> str:
        """``classification`` or ``regression``."""
        return "regression" if self.n_classes is None else "classification"

    @cached_property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of shapes, types and bytes."""
        content = sha256()
        for array in (self.x, self.y):
            content.update(f"{array.shape}{array.dtype.str}".encode())
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()[:16]


def _classes(name: str, bunch: Any, same_unit: bool = False) -> Dataset:
    labels = np.asarray(bunch.target, dtype=np.int64)
    return Dataset(
        name,
        np.asarray(bunch.data, dtype=np.float64),
        labels,
        int(labels.max()) + 1,
        same_unit=same_unit,
    )


def digits() -> Dataset:
    """1797 images of 8x8 gray levels, 10 classes."""
    return _classes("digits", sklearn_datasets.load_digits(), same_unit=True)


def breast_cancer() -> Dataset:
    """569 tumors, 30 features, 2 classes."""
    return _classes("breast_cancer", sklearn_datasets.load_breast_cancer())


def wine() -> Dataset:
    """178 wines, 13 features, 3 classes."""
    return _classes("wine", sklearn_datasets.load_wine())


def diabetes() -> Dataset:
    """442 patients, 10 features, disease progression after a year (real)."""
    bunch: Any = sklearn_datasets.load_diabetes(scaled=False)
    return Dataset(
        "diabetes",
        np.asarray(bunch.data, np.float64),
        np.asarray(bunch.target, np.float64)[:, None],
        None,
    )


def xor() -> Dataset:
    """The four points of XOR; training, validation and test part are these four."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    return Dataset("xor", x, np.array([0, 1, 1, 0], dtype=np.int64), 2, split=False)


def curve(target: Literal["sine", "corner", "runge"] = "sine", points: Annotated[int, Ge(2)] = 257) -> Dataset:
    """A continuous function at equidistant points of [0, 1], first and last included; every part holds all of them."""
    x = np.linspace(0, 1, points)[:, None]
    return Dataset("curve", x, CURVES[target](x), None, split=False)


def annuli(
    coordinates: Literal["cartesian", "polar"] = "cartesian",
    points: Annotated[int, Ge(4)] = 5000,
    noise: Annotated[float, Ge(0)] = 0.1,
    seed: int = 0,
) -> Dataset:
    """Two rings: radius 1 (class 0) and 2 (class 1), half of the points each, radii N(1 or 2, noise²), angles uniform.

    Features are (x, y), or (r, θ) of the same points with θ = atan2(y, x) in [-π, π]. Source: the picture on the
    lecture's slide "The Importance of Representation".
    """
    stream = np.random.default_rng(stream_seed(seed, "data", "annuli"))
    y = np.arange(points, dtype=np.int64) % 2
    r, turn = 1 + y + noise * stream.standard_normal(points), stream.uniform(-np.pi, np.pi, points)
    x = np.stack([r * np.cos(turn), r * np.sin(turn)], 1)
    polar = np.stack([np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])], 1)
    return Dataset("annuli", polar if coordinates == "polar" else x, y, 2)
