"""A pack's storage: names are views of one tensor, aligned, weights first."""

import pytest
import torch

from workbench.nn.params import ALIGNMENT, Layout, Params, aligned

SHAPES = {"l1.W": (3, 5), "l1.b": (3,), "l2.W": (20, 3), "l2.b": (20,)}


@pytest.fixture
def params() -> Params:
    """Two replicas of an odd-sized net, all zeros."""
    return Params.zeros(Layout(SHAPES), 2, torch.empty(0, dtype=torch.float64))


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 16), (15, 16), (16, 16), (17, 32)])
def test_aligned_rounds_up(size: int, expected: int) -> None:
    """The next multiple of 16, which a multiple of 16 is itself."""
    assert aligned(size) == expected


def test_layout_worked_by_hand() -> None:
    """Sizes 15, 60, 3, 20 take 16, 64, 16, 32 numbers; both weights come before both biases."""
    layout = Layout(SHAPES)
    assert layout.slots == {"l1.W": (0, (3, 5)), "l2.W": (16, (20, 3)), "l1.b": (80, (3,)), "l2.b": (96, (20,))}
    assert layout.n_weights == 80
    assert layout.size == 128


def test_every_parameter_of_every_replica_starts_aligned(params: Params) -> None:
    """Every parameter and replica starts at the alignment that gives batched products the same bits in any pack."""
    for view in params.values():
        assert view.storage_offset() % ALIGNMENT == 0
        assert view.stride(0) % ALIGNMENT == 0


def test_names_are_views_of_flat(params: Params) -> None:
    """Writing a parameter writes the storage and the other way round; no two parameters overlap."""
    for number, view in enumerate(params.values(), start=1):
        view.fill_(number)
    for number, view in enumerate(params.values(), start=1):
        assert (view == number).all()
    assert float(params.flat.sum()) == 2 * (1 * 15 + 2 * 60 + 3 * 3 + 4 * 20)
    params.flat.fill_(9)
    assert all((view == 9).all() for view in params.values())


def test_weights_are_the_weights_and_nothing_else(params: Params) -> None:
    """`weights` [R, n] covers every W of a replica and no b."""
    for name, view in params.items():
        view.fill_(1 if name.endswith(".W") else 100)
    assert params.weights.shape == (2, 80)
    assert params.weights.sum(1).tolist() == [75, 75]
    assert params.weights.data_ptr() == params.flat.data_ptr()


def test_stack_puts_each_replica_in_its_row() -> None:
    """Row r is replica r's own, in the dtype asked for, with zeros in the gaps."""
    rows = [{name: torch.full(shape, float(r + 1)).double() for name, shape in SHAPES.items()} for r in range(3)]
    params = Params.stack(rows, torch.float32, torch.device("cpu"))
    assert params.flat.dtype == torch.float32
    for view in params.values():
        assert view.flatten(1).unique(dim=1).tolist() == [[1], [2], [3]]
    assert params.flat.sum(1).tolist() == [98, 196, 294]


def test_with_flat_keeps_names_over_another_storage(params: Params) -> None:
    """The same slots, no copy, and the old storage untouched."""
    other = torch.arange(3 * 128, dtype=torch.float32).view(3, 128)
    renamed = params.with_flat(other)
    assert list(renamed) == list(params)
    assert renamed["l2.W"][2].flatten().tolist() == list(range(2 * 128 + 16, 2 * 128 + 76))
    renamed["l2.W"].zero_()
    assert not other[:, 16:76].any()
    assert not params.flat.any()


def test_buffers_follow_what_is_trained() -> None:
    """Behind weights and biases, aligned, each replica's own; gradients have the same places and no buffers."""
    rows = [{name: torch.ones(shape).double() for name, shape in SHAPES.items()} for _ in range(2)]
    buffers = [{"l1.slope": torch.tensor(float(r + 2)), "l1.running_mean": torch.full((3,), 9.0 + r)} for r in range(2)]
    params = Params.stack(rows, torch.float64, torch.device("cpu"), buffers)
    layout = params.layout
    assert list(params) == ["l1.W", "l2.W", "l1.b", "l2.b", "l1.slope", "l1.running_mean"]
    assert layout.slots["l1.slope"] == (128, ())
    assert layout.slots["l1.running_mean"] == (144, (3,))
    assert (layout.n_weights, layout.n_trained, layout.size) == (80, 128, 160)
    assert params["l1.slope"].tolist() == [2, 3]
    assert params["l1.running_mean"].tolist() == [[9] * 3, [10] * 3]
    assert params.trained.shape == (2, 128)
    assert params.trained.sum(1).tolist() == [98, 98]
    grads = Params.zeros(layout.trained, 2, params.flat)
    assert list(grads) == ["l1.W", "l2.W", "l1.b", "l2.b"]
    assert all(grads.layout.slots[name] == layout.slots[name] for name in grads)
    assert grads.flat.shape == params.trained.shape
