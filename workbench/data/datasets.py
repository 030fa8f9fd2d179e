"""Data sets as arrays, one function each; every function is a choice of the ``data`` group.

Sources: scikit-learn's bundled copies of digits (UCI, 8x8 images), breast cancer Wisconsin, wine and diabetes
(Efron et al. 2004); XOR from the lecture's slide "Perceptron vs. Logistic Neuron"; continuous functions to approximate;
rings as on its slide "The Importance of Representation"; intertwined spirals (Lang and Witbrock 1988). Users' own files
are read in ``files`` and ``tables``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from workbench.core.axes import PositiveInt
from workbench.core.errors import DataError
from workbench.core.memory import COPIES, require_memory
from workbench.core.seeds import stream_seed
from workbench.data.sources import finite, shown
from workbench.nn.inputs import Inputs

Array = NDArray[Any]
MANY_COLUMNS = 20  # whose blanks are counted in a sentence
NO_TARGET = -1  # class number of a position without a target
CURVES: Mapping[str, Callable[[Array], Array]] = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "corner": lambda x: np.abs(x - 0.3),
    "runge": lambda x: 1 / (1 + 25 * (2 * x - 1) ** 2),
    "absolute": np.abs,
    "square": np.square,
    "wiggle": lambda x: x * np.sin(5 * x),
    "broken_wiggle": lambda x: (x > 0) + 0.2 * np.sin(5 * x),
}


@dataclass(frozen=True)
class Dataset:
    """Inputs x [N, I] in float64 (float32 for large sets) with targets y: class numbers [N] or reals [N, K].

    Pictures have a `shape` (H, W, C) with H·W·C = I, row by row. Sequences have a `vocabulary`: x [N, T] are then
    tokens, int64 from 0 to it, and y may be class numbers [N, T] with a target at each position, `NO_TARGET` where
    there is none. `padding` is the token that fills short sequences up, at their end. Where `groups` [N] is given, as
    the documents of a text are, no group is in two parts.

    `n_classes` is None for regression. With `split` false, every part holds all examples, as for XOR's four points.
    With `same_unit`, as for the pixels of an image, all features are scaled by one mean and one variance. The last
    `official_test` examples are the publisher's test part; where it is 0, the test part is drawn. Unless `fill` is
    empty, inputs may be NaN, which a split fills by the ``mean`` or ``median`` of its training part; `blanks` counts
    the examples without a value by column. `classes` are the names of the classes, where they have other names than
    their numbers; `tokens` are those of a vocabulary's tokens.
    """

    name: str
    x: Array
    y: Array
    n_classes: int | None
    split: bool = True
    same_unit: bool = False
    official_test: int = 0
    fill: Literal["", "mean", "median"] = ""
    blanks: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    vocabulary: int | None = None
    padding: int | None = None
    groups: Array | None = None

    @property
    def inputs(self) -> Inputs:
        """What an architecture is told of an example."""
        return Inputs(self.shape or self.x.shape[1:], self.vocabulary, self.padding)

    @property
    def at_positions(self) -> bool:
        """Whether each position has a target of its own."""
        return self.n_classes is not None and self.y.ndim == 2

    @property
    def task(self) -> str:
        """``classification`` or ``regression``."""
        return "regression" if self.n_classes is None else "classification"

    @property
    def on_blanks(self) -> str:
        """Sentence that counts the blanks by column and says how they are filled; empty where there are none."""
        if not self.blanks:
            return ""
        counts = [f"{count} in {shown(name, 60)}" for name, count in self.blanks.items()]
        more = f" and {len(counts) - MANY_COLUMNS} more columns" if len(counts) > MANY_COLUMNS else ""
        how = (
            f"those of numbers filled by the {self.fill} of the training part"
            if self.fill
            else "each a text of its own"
        )
        return f"blanks: {', '.join(counts[:MANY_COLUMNS])}{more}; {how}"

    def checked(self) -> "Dataset":
        """Return the data set itself; raises DataError unless x is [N, I] and finite, with N finite targets."""
        x, y = self.x, self.y
        if x.ndim != 2 or 0 in x.shape or len(y) != len(x):
            raise DataError(
                f"{self.name}: must have x [N, I] and N targets, got x {x.shape} and y {y.shape}; correct it"
            )
        finite(f"{self.name}: inputs", x, may_lack=bool(self.fill))
        finite(f"{self.name}: targets", y.reshape(len(y), -1))
        if self.vocabulary is not None:
            self._check_tokens(self.vocabulary)
        return self

    def _check_tokens(self, vocabulary: int) -> None:
        """Raise DataError for tokens or targets that are not among those there are."""
        for what, array, low, count in (
            ("tokens", self.x, 0, vocabulary),
            ("targets", self.y, NO_TARGET, self.n_classes),
        ):
            if count and not (array.dtype == np.int64 and low <= array.min() and array.max() < count):
                raise DataError(
                    f"{self.name}: {what} must be int64 from {low} to {count - 1}, got {array.dtype} from "
                    f"{array.min()} to {array.max()}; correct it"
                )

    @cached_property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of shapes, types and bytes, and of how blanks are filled."""
        content = sha256(self.fill.encode())
        for array in (self.x, self.y, *([] if self.groups is None else [self.groups])):
            content.update(f"{array.shape}{array.dtype.str}".encode())
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:16]


def _classes(name: str, bunch: Any, same_unit: bool = False, shape: tuple[int, ...] = ()) -> Dataset:
    labels = np.asarray(bunch.target, dtype=np.int64)
    return Dataset(
        name,
        np.asarray(bunch.data, dtype=np.float64),
        labels,
        int(labels.max()) + 1,
        same_unit=same_unit,
        shape=shape,
    )


def require_numbers(key: str, rows: int, features: int = 1) -> None:
    """Raise DataError where rows × (features + a target) numbers in float64 do not fit into memory."""
    require_memory(f"{key}: the data set", 8 * COPIES * rows * (features + 1), f"write a smaller {key}")


def digits() -> Dataset:
    """1797 images of 8x8 gray levels, 10 classes."""
    return _classes("digits", sklearn_datasets.load_digits(), same_unit=True, shape=(8, 8, 1))


def shifted_digits(canvas: Annotated[int, Ge(8)] = 16, seed: int = 0) -> Dataset:
    """The digits, each shifted to a uniformly drawn position on an empty canvas x canvas image; 10 classes.

    Raises DataError where the images do not fit into memory.
    """
    require_numbers("data.canvas", 1797, canvas**2)
    images: Any = sklearn_datasets.load_digits()
    stream = np.random.default_rng(stream_seed(seed, "data", "shifted_digits"))
    top, left = stream.integers(0, canvas - 7, (2, len(images.target), 1, 1))
    x = np.zeros((len(images.target), canvas, canvas))
    rows, columns = top + np.arange(8)[:, None], left + np.arange(8)
    x[np.arange(len(x))[:, None, None], rows, columns] = images.images
    labels = images.target.astype(np.int64)
    return Dataset("shifted_digits", x.reshape(len(x), -1), labels, 10, same_unit=True, shape=(canvas, canvas, 1))


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


def curve(
    target: Literal["sine", "corner", "runge", "absolute", "square", "wiggle", "broken_wiggle"] = "sine",
    points: Annotated[int, Ge(2)] = 257,
    low: float = 0.0,
    high: float = 1.0,
) -> Dataset:
    """A function at equidistant points of [low, high], ends included; every part holds all of them.

    Both wiggles and |x| are the targets of Lu, Shin, Su and Karniadakis 2020. Raises DataError for an empty interval,
    and where the points do not fit into memory.
    """
    if not low < high:
        raise DataError(
            f"data.low: must be below data.high, got {low:g} and {high:g}; "
            f"write for example data.low={high - max(1.0, abs(high)):g}"
        )
    require_numbers("data.points", points)
    x = np.linspace(low, high, points)[:, None]
    return Dataset("curve", x, CURVES[target](x), None, split=False)


def annuli(
    coordinates: Literal["cartesian", "polar"] = "cartesian",
    points: Annotated[int, Ge(4)] = 5000,
    noise: Annotated[float, Ge(0)] = 0.1,
    seed: int | None = 0,
) -> Dataset:
    """Two rings: radius 1 (class 0) and 2 (class 1), half of the points each, radii N(1 or 2, noise²), angles uniform.

    Features are (x, y), or (r, θ) of the same points with θ = atan2(y, x) in [-π, π]. Source: the picture on the
    lecture's slide "The Importance of Representation". Without a seed every split draws its own points (here, those of
    seed 0). Raises DataError where the points do not fit into memory.
    """
    require_numbers("data.points", points, 4)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", "annuli"))
    y = np.arange(points, dtype=np.int64) % 2
    r, turn = 1 + y + noise * stream.standard_normal(points), stream.uniform(-np.pi, np.pi, points)
    x = np.stack([r * np.cos(turn), r * np.sin(turn)], 1)
    polar = np.stack([np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])], 1)
    return Dataset("annuli", polar if coordinates == "polar" else x, y, 2)


def spirals(
    classes: Annotated[int, Ge(2)] = 2,
    points: Annotated[int, Ge(4)] = 1000,
    turns: Annotated[float, Gt(0)] = 1.5,
    noise: Annotated[float, Ge(0)] = 0.02,
    seed: int | None = 0,
) -> Dataset:
    """Arms of a spiral, one for each class, that wind around 0 `turns` times from radius 0 to 1.

    Points are uniform in the radius r, at the angle 2π (turns r + class/classes); N(0, noise²) is added to both
    coordinates. Without a seed every split draws its own points, as for `annuli`. Raises DataError where the points do
    not fit into memory.
    """
    require_numbers("data.points", points, 4)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", "spirals"))
    y = np.arange(points, dtype=np.int64) % classes
    r = stream.uniform(0, 1, points)
    angle = 2 * np.pi * (turns * r + y / classes)
    x = np.stack([r * np.cos(angle), r * np.sin(angle)], 1) + noise * stream.standard_normal((points, 2))
    return Dataset("spirals", x, y, classes)


def parity(
    bits: Annotated[int, Interval(ge=2, le=16)] = 4,
    copies: PositiveInt = 1,
    noise: Annotated[float, Ge(0)] = 0.0,
    seed: int = 0,
) -> Dataset:
    """All patterns of `bits` zeros and ones, `copies` times each, class 1 for an odd number of ones; XOR has two bits.

    N(0, noise²) is added to inputs. A single copy is not split: every part holds all patterns. Raises DataError where
    the patterns do not fit into memory.
    """
    require_numbers("data.copies", copies * 2**bits, bits)
    patterns = np.arange(2**bits)[:, None] >> np.arange(bits - 1, -1, -1) & 1
    x = np.repeat(patterns, copies, axis=0).astype(np.float64)
    stream = np.random.default_rng(stream_seed(seed, "data", "parity"))
    noisy = x + noise * stream.standard_normal(x.shape)
    return Dataset("parity", noisy, x.sum(1).astype(np.int64) % 2, 2, split=copies > 1)
