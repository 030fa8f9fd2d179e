"""Estimators of scikit-learn: the workbench's nets behind ``fit`` and ``predict``, without a store.

Inputs are standardized by what they are fitted on, and so are real targets. All examples are learned.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from workbench.api.training import configure
from workbench.config.instantiate import call
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.core.errors import NumericsError
from workbench.data.datasets import Dataset
from workbench.data.held import holding
from workbench.nn.layers.base import EVALUATION
from workbench.nn.losses import Loss
from workbench.nn.model import Model
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink, Outcome

Array = NDArray[Any]
QUIET = ("certificate=false", "diagnostics=off", "split.standardize=false", "sweep.checkpoint_seconds=null")
MOST_SEED = 2**31 - 1


class _Net(BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """A multilayer perceptron; all settings that have no parameter of their own are given as `overrides`."""

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        optimizer: str = "sgd",
        lr: float = 0.1,
        weight_decay: float = 0.0,
        epochs: int = 30,
        batch_size: int = 32,
        overrides: Sequence[str] = (),
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.overrides = overrides
        self.random_state = random_state

    def _learn(self, dataset: Dataset, loss: str) -> None:
        """Train on all examples; sets `weights_`, `spec_` and `n_outputs_`. Raises NumericsError where that fails."""
        spec = configure(
            *QUIET,
            f"loss={loss}",
            *self.overrides,
            activation=self.activation,
            architecture={"hidden": tuple(self.hidden)},
            optimizer={"lr": self.lr, "weight_decay": self.weight_decay},
            train={"epochs": self.epochs, "batch_size": self.batch_size},
            seed=int(check_random_state(self.random_state).randint(MOST_SEED)),
        )
        with holding(dataset) as node:
            of_data = RunSpec(spec.config, {**spec.resolved, "data": node}, spec.choices, spec.overrides)
            trained = train_pack([Job(of_data, type(self).__name__, "")], MemorySink())
            params = build_pack([of_data]).initial_params()
        (result,) = trained.results
        if result.outcome is not Outcome.finished:
            raise NumericsError(
                f"{type(self).__name__}: training must end with finite numbers, but it {result.outcome.value} "
                f"{result.error}; choose a smaller lr, got {self.lr}"
            )
        self.spec_ = spec
        params.flat[0].copy_(trained.final[0])
        self.weights_ = {name: values[0].numpy().copy() for name, values in params.items()}

    def _outputs(self, x: ArrayLike) -> Array:
        """Output activations [n, K], in float64, so that they do not depend on what else is in the batch."""
        check_is_fitted(self)
        raw = validate_data(self, x, reset=False, dtype=np.float64)
        activation, norm = (call(group, self.spec_.resolved[group]) for group in ("activation", "norm"))
        sizes = {"n_in": self.n_features_in_, "n_out": self.n_outputs_}
        model: Model = call(
            "architecture", self.spec_.resolved["architecture"], **sizes, activation=activation, norm=norm
        )
        loss: Loss = call("loss", self.spec_.resolved["loss"])
        params = {name: torch.from_numpy(values).double().unsqueeze(0) for name, values in self.weights_.items()}
        inputs = torch.from_numpy(self.scaler_.transform(raw)).unsqueeze(0)
        z, _ = model.forward(params, inputs, EVALUATION)
        outputs: Array = loss.predict(z)[0].numpy()
        return outputs


class Classifier(ClassifierMixin, _Net):  # type: ignore[misc]
    """Classifier with softmax outputs and likelihood loss, whose gradients are written by hand.

    `hidden` are widths of the hidden layers, `epochs` passes over the data in batches of `batch_size`, `lr` and
    `weight_decay` the optimizer's; ``overrides=("optimizer=adam", "init=glorot")`` sets anything else as on the command
    line. `random_state` seeds weights and order.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Classifier":
        """Learn from inputs X [n, I] and labels y [n] of two classes or more; raises ValueError for others."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        self.n_outputs_ = len(self.classes_)
        if self.n_outputs_ < 2:
            raise ValueError(f"Classifier: y must hold two classes or more, got 1 class, {self.classes_[0]!r}")
        self.scaler_ = StandardScaler().fit(X)
        self._learn(Dataset("arrays", self.scaler_.transform(X), numbers, self.n_outputs_, split=False), "softmax_nll")
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities [n, classes] of each class, in the order of `classes_`."""
        return self._outputs(X)

    def predict(self, X: ArrayLike) -> Array:
        """The likeliest class of each example: labels [n]."""
        likeliest = self._outputs(X).argmax(1)
        classes: Array = self.classes_[likeliest]
        return classes


class Regressor(RegressorMixin, _Net):  # type: ignore[misc]
    """Regressor with an affine output and squared error; parameters are those of `Classifier`."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Regressor":
        """Learn from inputs X [n, I] and real targets y [n]."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        targets = column_or_1d(y, warn=True).astype(np.float64).reshape(-1, 1)
        self.n_outputs_ = 1
        self.scaler_, self.target_scaler_ = StandardScaler().fit(X), StandardScaler().fit(targets)
        scaled = self.target_scaler_.transform(targets)
        self._learn(Dataset("arrays", self.scaler_.transform(X), scaled, None, split=False), "squared_error")
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predicted targets [n]."""
        scaled = self._outputs(X)
        values: Array = self.target_scaler_.inverse_transform(scaled)[:, 0]
        return values
