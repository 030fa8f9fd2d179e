"""The estimators keep scikit-learn's contract, and learn what the command learns."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_wine, make_regression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import workbench as wb
from workbench.core.errors import ConfigError, NumericsError

SMALL = {"hidden": (8,), "epochs": 12, "lr": 0.2, "random_state": 0}


def _name(check: Any) -> str:
    return str(getattr(check, "func", check).__name__)


CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{_name(check)}")
    for made in (wb.Classifier(**SMALL), wb.Regressor(**SMALL))
    for estimator, check in estimator_checks_generator(made)
    if _name(check) != "check_array_api_input"  # for a setting of scikit-learn's that is off
]


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_estimators_keep_the_contract(estimator: Any, check: Any) -> None:
    """Each check of scikit-learn's own passes."""
    check(estimator)


@pytest.mark.slow
def test_classifier_learns_labels_of_any_type() -> None:
    """Wine is told apart on folds it has not seen, with its names as labels and probabilities that sum to 1."""
    wine = load_wine()
    names = wine.target_names[wine.target]
    net = wb.Classifier(**SMALL)
    assert cross_val_score(make_pipeline(MinMaxScaler(), net), wine.data, names, cv=3).mean() > 0.9
    net.fit(wine.data, names)
    chances = net.predict_proba(wine.data)
    assert np.array_equal(net.classes_, sorted(wine.target_names))
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-12)
    assert np.array_equal(net.predict(wine.data), net.classes_[chances.argmax(1)])


def test_regressor_predicts_in_the_targets_own_unit() -> None:
    """A linear function is learned, and in another unit with an offset the predictions are those, converted."""
    x, y = make_regression(200, 4, random_state=0)
    net = wb.Regressor(**SMALL).fit(x, y)
    assert net.score(x, y) > 0.9
    converted = wb.Regressor(**SMALL).fit(x, 1e6 + 100 * y).predict(x)
    np.testing.assert_allclose(converted, 1e6 + 100 * net.predict(x), rtol=1e-6)


@pytest.mark.slow
def test_a_seed_decides_the_weights_and_overrides_the_rest() -> None:
    """Equal seeds give equal bits, others do not; overrides reach what has no parameter, with the command's errors."""
    wine = load_wine()
    first, same, other = (
        wb.Classifier(**{**SMALL, "random_state": seed}).fit(wine.data, wine.target) for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first.weights_[name], same.weights_[name]) for name in first.weights_)
    assert not np.array_equal(first.weights_["l1.W"], other.weights_["l1.W"])
    adam = wb.Classifier(**{**SMALL, "lr": 0.01}, overrides=("optimizer=adam", "norm=batch")).fit(
        wine.data, wine.target
    )
    assert adam.score(wine.data, wine.target) > 0.9
    with pytest.raises(ConfigError, match=r"unknown key; did you mean train\.epochs"):
        wb.Classifier(overrides=("train.epoch=3",)).fit(wine.data, wine.target)
    with pytest.raises(NumericsError, match="choose a smaller lr, got 1e"):
        wb.Classifier(**{**SMALL, "lr": 1e30}).fit(wine.data, wine.target)
