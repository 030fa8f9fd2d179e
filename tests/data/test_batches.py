"""A pack's data: each replica's own split, order and targets."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from tests.reference import blobs
from workbench.core.seeds import generator
from workbench.data.batches import PackData, choose_target, encode, pack_data
from workbench.data.splits import Split, split

CPU = torch.device("cpu")
DATASET = blobs(60, 3, 4)


def _splits(*seeds: int) -> list[Split]:
    return [split(DATASET, seed, 0.2, 0.2, True) for seed in seeds]


@pytest.fixture
def data() -> PackData:
    """Five replicas over three distinct splits."""
    return pack_data(_splits(0, 1, 2), [2, 0, 1, 0, 2], 4, "one_hot", torch.float64, CPU)


def _orders(*seeds: int) -> list[Generator]:
    return [generator(seed, "order") for seed in seeds]


def _as_set(x: Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in x.tolist()}


def test_an_epoch_visits_each_example_of_the_own_split_once(data: PackData) -> None:
    """The batches of an epoch together are the replica's training part, no example twice."""
    rows = data.epoch_rows(_orders(0, 1, 2, 3, 4))
    batches = [data.batch(batch) for batch in torch.split(rows, 7, dim=1)]
    x, y = torch.cat([x for x, _ in batches], 1), torch.cat([y for _, y in batches], 1)
    assert x.shape == (5, 36, 3)
    for r, own in enumerate([2, 0, 1, 0, 2]):
        train = _splits(own)[0].train
        pairs = {(*one.tolist(), int(label)) for one, label in zip(train.x, train.y, strict=True)}
        assert {(*one.tolist(), int(label)) for one, label in zip(x[r], y[r].argmax(-1), strict=True)} == pairs
        assert len(pairs) == 36


def test_orders_are_the_seeds_own(data: PackData) -> None:
    """Orders differ from epoch to epoch and from seed to seed, and do not depend on the other replicas."""
    orders = _orders(0, 1, 2, 3, 4)
    first, second = data.epoch_rows(orders), data.epoch_rows(orders)
    assert not torch.equal(first, second)
    positions = first % 36
    assert len({tuple(row) for row in positions.tolist()}) == 5
    alone = data.select(torch.tensor([3])).epoch_rows(_orders(3))
    assert torch.equal(alone[0], first[3])
    expected = torch.randperm(36, generator=generator(3, "order"))
    assert torch.equal(positions[3], expected)


def test_chunks_are_consecutive_examples_of_the_own_split(data: PackData) -> None:
    """Evaluation walks through a part in its own order, the last chunk shorter."""
    for part, name in ((data.train, "train"), (data.valid, "valid"), (data.test, "test")):
        chunks = [data.chunk(part, start, start + 5)[0] for start in range(0, part.size, 5)]
        x = torch.cat(chunks, 1)
        for r, own in enumerate([2, 0, 1, 0, 2]):
            assert torch.equal(x[r], torch.as_tensor(getattr(_splits(own)[0], name).x))


def test_replicas_with_one_split_share_one_copy(data: PackData) -> None:
    """Three distinct splits for five replicas are three copies, and selecting replicas copies nothing."""
    assert data.train.x.shape == (3, 36, 3)
    fewer = data.select(torch.tensor([4, 1]))
    assert fewer.split_of.tolist() == [2, 0]
    assert fewer.train.x.data_ptr() == data.train.x.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_have_the_dtype_asked_for(dtype: torch.dtype) -> None:
    """Inputs and targets of each part have the dtype asked for."""
    data = pack_data(_splits(0), [0], 4, "one_hot", dtype, CPU)
    assert {part.x.dtype for part in (data.train, data.valid, data.test)} == {dtype}
    assert {part.y.dtype for part in (data.train, data.valid, data.test)} == {dtype}


def test_targets_are_encoded_as_the_loss_wants_them() -> None:
    """One-hot rows, a column of 0 and 1, or the numbers themselves; always float64 [N, K]."""
    labels = np.array([2, 0, 1])
    assert encode(labels, 4, "one_hot").tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert encode(np.array([1, 0]), 2, "binary").tolist() == [[1], [0]]
    assert encode(np.array([[1.5, 2.5]]), None, "real").tolist() == [[1.5, 2.5]]
    assert encode(labels, 4, "one_hot").dtype == torch.float64


@pytest.mark.parametrize(
    ("accepts", "n_classes", "expected"),
    [
        (["real", "one_hot"], None, "real"),
        (["real", "one_hot"], 2, "one_hot"),
        (["binary"], 2, "binary"),
        (["binary", "one_hot"], 2, "binary"),  # the loss's own first choice
        (["binary"], 3, None),
        (["binary"], None, None),
        (["one_hot"], 2, "one_hot"),
        (["one_hot"], None, None),
    ],
)
def test_target_is_the_first_that_loss_and_data_allow(
    accepts: list[str], n_classes: int | None, expected: str | None
) -> None:
    """Real numbers for regression, one column for two classes only, one-hot for any classes, else None."""
    assert choose_target(accepts, n_classes) == expected
