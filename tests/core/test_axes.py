"""The axis helpers, and that shapes in annotations are enforced in tests and cost nothing outside them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from jaxtyping import TypeCheckError

from tests.reference import blobs, build, make_pack
from workbench.core.axes import is_per_replica, per_replica
from workbench.data.batches import DataPart
from workbench.diagnostics.units import count
from workbench.engine.train import step
from workbench.nn.activations import relu
from workbench.nn.layers.activate import Activate
from workbench.nn.optimizers import sgd
from workbench.nn.params import Params

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5)])
def test_per_replica_values_meet_their_own_replica(shape: tuple[int, ...]) -> None:
    """[R] becomes [R, 1, …]: row r of any tensor is multiplied by value r."""
    like = torch.ones(shape)
    product = like * per_replica(torch.tensor([1.0, 2.0, 3.0]), like)
    assert [row.unique().tolist() for row in product] == [[1], [2], [3]]


def test_per_replica_parameters_are_recognized() -> None:
    """SGD's rates vary within a pack; what a loss or an architecture takes does not."""
    hints = get_type_hints(sgd, include_extras=True)
    assert {name for name, hint in hints.items() if is_per_replica(hint)} == {"lr", "momentum", "weight_decay"}
    assert not is_per_replica(float)
    assert not is_per_replica(torch.Tensor)


def _wrong_step() -> None:
    pack = make_pack(blobs(60, 3, 4), [0, 1])
    params = pack.initial_params()
    grads = Params.zeros(params.layout.trained, 2, params.flat)
    step(pack, params, grads, {}, torch.ones(2, 5, 3).double(), torch.ones(2, 6, 4).double())


WRONG: dict[str, Callable[[], object]] = {
    "nn: no axis R": lambda: Activate("l1", build("activation", "relu")).forward({}, torch.ones(4, 3)),
    "data: N of x and y differ": lambda: DataPart(torch.ones(1, 4, 2), torch.ones(1, 5, 2)),
    "diagnostics: integers": lambda: count(relu(), torch.ones(1, 2, 3, dtype=torch.int64)),
    "engine: B of x and y differ": _wrong_step,
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_wrong_shapes_are_caught_in_tests(case: str) -> None:
    """Each package's annotations are checked: what breaks one raises."""
    with pytest.raises(TypeCheckError):
        WRONG[case]()


@pytest.mark.slow
def test_shapes_are_not_checked_outside_tests() -> None:
    """A user's run pays nothing: the same wrong call passes the annotation there."""
    code = (
        "import torch; from workbench.nn.activations import relu; from workbench.nn.layers.activate import Activate; "
        "Activate('l1', relu()).forward({}, torch.ones(4, 3)); import sys; print('beartype' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False"]
