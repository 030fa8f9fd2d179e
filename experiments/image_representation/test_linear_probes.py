"""Probes on representations whose accuracy is known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from workbench.experiments.image_representation import linear_probes

from tests.reference import blobs, make_pack
from workbench.data.datasets import Dataset


def rings() -> Dataset:
    """Two classes that no line separates and |x| does."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    x = (1 + 2 * y + 0.1 * rng.standard_normal(400)) * rng.choice([-1, 1], 400)
    return Dataset("rings", x[:, None], y.astype(np.int64), 2)


def test_a_probe_is_logistic_regression_on_scaled_features() -> None:
    """The probe equals scikit-learn's logistic regression on inputs scaled by hand."""
    pack = make_pack(blobs(), [0], split_seeds=[3])
    x, y = pack.data.train.x[0].numpy(), pack.data.train.y[0].argmax(1).numpy()
    test, expected = pack.data.test.x[0].numpy(), pack.data.test.y[0].argmax(1).numpy()
    scaled = [(one - x.mean(0)) / x.std(0) for one in (x, test)]
    right = LogisticRegression(max_iter=1000, tol=1e-3).fit(scaled[0], y).score(scaled[1], expected)
    assert linear_probes.of_pixels(pack.data) == [pytest.approx(right)]


@pytest.mark.slow
def test_all_components_keep_what_there_is_and_one_does_not() -> None:
    """Sixteen components of sixteen features keep the accuracy, and a single component loses it."""
    data = make_pack(blobs(800), [0, 1], split_seeds=[0, 1]).data
    raw, whole, one = linear_probes.of_pixels(data), linear_probes.of_pixels(data, 16), linear_probes.of_pixels(data, 1)
    assert np.mean(np.abs(np.subtract(raw, whole))) < 0.06
    assert all(few < many - 0.2 for few, many in zip(one, raw, strict=True))


def test_layers_are_probed_one_by_one_for_every_replica() -> None:
    """Each layer is probed by itself: |x| in the first tells the classes apart, a second layer of zeros does not."""
    pack = make_pack(rings(), [0, 1], activation="relu", hidden=[2, 2], loss="softmax_nll")
    params = pack.initial_params()
    params["l1.W"].copy_(torch.tensor([[1.0], [-1.0]]).double())
    params["l2.W"].zero_()
    first, second = linear_probes.of_layers(pack.objective.model, params, pack.data)
    assert first == [1.0, 1.0]
    assert max(second) < 0.7
    assert max(linear_probes.of_pixels(pack.data)) < 0.7
