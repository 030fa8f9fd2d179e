"""Class weights: balanced over the training part of each split, and the gradient of torch's weighted cross entropy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from tests.reference import assert_alone_as_together, blobs, build, make_pack
from workbench.data.batches import balanced_weights, encode
from workbench.data.datasets import Dataset
from workbench.data.splits import split
from workbench.engine.train import Trainer


def uneven(n: int = 200) -> Dataset:
    """Return blobs of three classes with 7, 2 and 1 of ten examples."""
    dataset = blobs(n, features=4, classes=10)
    return Dataset("uneven", dataset.x, np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 2])[dataset.y], 3)


def test_weights_are_scikit_learns() -> None:
    """The weights are `compute_class_weight("balanced")`, and of an absent class finite."""
    labels = split(uneven(), 0, 0.1, 0.1, True).train.y
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3).numpy(), expected, rtol=1e-14)
    assert balanced_weights(np.array([0, 0, 1, 1]), 3).tolist() == pytest.approx([2 / 3, 2 / 3, 4 / 3])


def test_all_parts_have_the_weights_of_the_training_part() -> None:
    """Two splits whose training parts differ: targets of each part are one-hot times the weights of its own split."""
    dataset = uneven(60)
    data = make_pack(dataset, [0, 1], loss="weighted_nll", split_seeds=[0, 1]).data
    for number, seed in enumerate((0, 1)):
        parts = split(dataset, seed, 0.1, 0.1, True)
        weights = balanced_weights(parts.train.y, 3)
        for part, of_split in zip((data.train, data.valid, data.test), parts, strict=True):
            assert torch.equal(part.y[number], encode(of_split.y, 3, "one_hot") * weights)
            assert part.labels[number].tolist() == of_split.y.tolist()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_value_and_gradient_are_torchs(smoothing: float) -> None:
    """C is the sum of CrossEntropyLoss(weight=...) by the number of examples; its gradient is autograd's."""
    stream = torch.Generator().manual_seed(0)
    z = torch.randn(2, 9, 3, generator=stream, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(3, (2, 9), generator=stream)
    weights = torch.tensor([[0.5, 2.0, 7.0], [1.0, 0.25, 3.0]], dtype=torch.float64)
    y = F.one_hot(labels, 3) * weights.unsqueeze(1)
    value, delta = build("loss", "weighted_nll", smoothing=smoothing).value_and_delta(z.detach(), y)
    for replica in range(2):
        each = F.cross_entropy(z[replica], labels[replica], reduction="none", label_smoothing=smoothing)
        expected = (weights[replica][labels[replica]] * each).mean()
        if not smoothing:
            criterion = torch.nn.CrossEntropyLoss(weight=weights[replica], reduction="sum")
            assert torch.allclose(criterion(z[replica], labels[replica]) / 9, expected, rtol=1e-14)
        assert torch.allclose(value[replica], expected, rtol=1e-13)
        (gradient,) = torch.autograd.grad(expected, z)
        assert torch.allclose(delta[replica], gradient[replica], rtol=1e-12, atol=1e-15)


def test_equal_classes_have_no_weights() -> None:
    """Where the training part has as many examples of each class, loss and gradient are those of softmax_nll."""
    y = encode(np.arange(12) % 3, 3, "weighted", balanced_weights(np.arange(12) % 3, 3)).unsqueeze(0)
    z = torch.randn(1, 12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for weighted, plain in zip(
        *(build("loss", name).value_and_delta(z, y) for name in ("weighted_nll", "softmax_nll")), strict=True
    ):
        assert torch.equal(weighted, plain)


@pytest.mark.slow
def test_a_rare_class_is_found() -> None:
    """Two overlapping classes, one twenty times rarer: with weights, far more of its examples are recognized."""
    stream = np.random.default_rng(0)
    labels = (np.arange(2100) % 21 == 0).astype(np.int64)
    dataset = Dataset("rare", stream.normal(size=(2100, 1)) + 1.5 * labels[:, None], labels, 2)
    recall = {}
    for loss in ("softmax_nll", "weighted_nll"):
        trainer = Trainer(make_pack(dataset, [0], loss=loss, hidden=[4]), 32)
        list(trainer.run(3))
        data = trainer.pack.data
        z, _ = trainer.pack.objective.model.forward(trainer.params, data.train.x)
        right = trainer.pack.objective.loss.winner(z)[0][data.train.labels[0] == 1]
        recall[loss] = right.double().mean()
    assert recall["softmax_nll"] < 0.3
    assert recall["weighted_nll"] > 0.6


def test_a_replica_learns_the_same_alone_and_in_a_pack() -> None:
    """Three seeds with splits and weights of their own end with the same bits alone and together."""
    run = ["data=wine", "loss=weighted_nll", "architecture.hidden=[4]", "split.limit=40"]
    assert_alone_as_together(run, epochs=1)
