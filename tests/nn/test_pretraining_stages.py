"""Stages of greedy pretraining, and the auto-encoder with one matrix against autograd."""

import pytest
import torch

from tests.nn.test_layers import _compare, _randn
from tests.reference import build
from workbench.core.errors import ConfigError
from workbench.nn.activations import relu, tanh
from workbench.nn.builders import mlp, perceptron, residual_mlp
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.tied import Tied
from workbench.nn.model import Model
from workbench.nn.pretraining import NO_PRETRAINING, autoencoder
from workbench.nn.pretraining_stages import stages

LR = torch.tensor([0.1])


@pytest.mark.parametrize("replicas", [1, 3])
def test_tied_gradients_equal_autograd(replicas: int) -> None:
    """W gets both of its gradients, as decoder and as encoder."""
    dense = Dense("l1", 5, 3)
    _compare(Model((Tied("d1", Model((dense, Activate("l1", tanh()))), dense),)), _randn(replicas, 4, 5))


@pytest.mark.parametrize("tied", [False, True])
def test_a_stage_for_each_hidden_layer(tied: bool) -> None:
    """An auto-encoder of each layer's sizes on the layers below it, then the output layer; dropout is left out."""
    model = mlp([4, 3], 5, 2, tanh(), build("norm", "batch"), dropout=0.5)
    first, second, last = stages(model, autoencoder(LR, epochs=2, corruption=0.3, tied=tied, frozen_epochs=1))
    assert [(one.name, one.epochs, one.supervised) for one in (first, second, last)] == [
        ("pretrain.1", 2, False),
        ("pretrain.2", 2, False),
        ("frozen", 1, True),
    ]
    assert list(first.model.products()) == [(4, 5), (5, 4)]
    assert list(second.model.products()) == [(3, 4), (4, 3)]
    assert list(last.model.products()) == [(2, 3)]
    assert [len(one.below.layers) for one in (first, second, last)] == [0, 4, 8]
    assert [type(layer).__name__ for layer in second.model.layers[:1]] == ["Dropout"]
    assert all(one.model.is_noisy for one in (first, second))


def test_without_corruption_there_is_no_noise() -> None:
    """A stage without corruption has no noise."""
    assert not stages(mlp([4], 5, 2, relu()), autoencoder(LR, corruption=0.0))[0].model.is_noisy


def test_without_pretraining_there_is_no_stage() -> None:
    """A net without pretraining has no stages, whatever its architecture."""
    assert stages(residual_mlp(4, 2, 5, 2, relu()), NO_PRETRAINING) == ()


@pytest.mark.parametrize(
    ("model", "found"), [(perceptron(5, 2), "none"), (residual_mlp(4, 2, 5, 2, relu()), "Residual")]
)
def test_other_nets_are_refused(model: Model, found: str) -> None:
    """A net without a hidden layer, or with residual blocks, is refused by the pretraining stages."""
    with pytest.raises(ConfigError, match=f"needs a net whose hidden layers are affine .* got {found}; write arch"):
        stages(model, autoencoder(LR))
