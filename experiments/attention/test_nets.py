"""Sizes of nets: counts are those of the engine, and all nets of a task are of one size."""

import pytest
from workbench.experiments.attention.measure import LONGER, TASKS, Task
from workbench.experiments.attention.nets import (
    Sequences,
    blocks,
    convolutional,
    matched,
    recurrent,
    sized,
    transformer,
)
from workbench.experiments.attention.scores import dataset_of

from workbench.claims.catalog import choose
from workbench.claims.study import Study
from workbench.config.prepare import prepare
from workbench.core.errors import ConfigError

(ENTRY,) = choose(["attention"])


@pytest.mark.slow
@pytest.mark.parametrize("task", [*TASKS, *LONGER], ids=lambda task: task.label)
def test_all_nets_of_a_task_have_one_size(task: Task) -> None:
    """Each arm has as many trained parameters as the TCN within 2 %, as the engine counts them."""
    study = Study(ENTRY, {})
    data = dataset_of(study, task.overrides)
    sizes = Sequences(data.vocabulary or 0, data.x.shape[1], data.n_classes or 0)
    specs = {
        arm: study.specs(*overrides, *task.overrides, *sized(arm, sizes), seeds=[0])[0]
        for arm, overrides in ENTRY.claim.arms.items()
    }
    counts = {arm: prepare(spec).n_params for arm, spec in specs.items()}
    assert counts["tcn"] == convolutional(sizes, 16)
    assert all(abs(count - counts["tcn"]) <= 0.02 * counts["tcn"] for count in counts.values()), counts


def test_counts_by_hand() -> None:
    """Three tokens, two positions, two classes: vectors, gates, blocks and output, counted one by one."""
    data = Sequences(3, 2, 2)
    assert recurrent(data, 1, 4, 5) == 3 * 5 + (4 * 5 + 4 * 4 + 4) + (4 * 2 + 2)
    assert recurrent(data, 3, 4, 5) == 3 * 5 + 3 * (4 * 5 + 4 * 4 + 4) + 4 + (4 * 2 + 2)
    assert convolutional(data, 4) == 3 * 4 + 2 * (4 * 4 * 3 + 4) + (4 * 2 + 2)
    attention, dense, norms = (3 * 16 * 16 + 3 * 16) + (16 * 16 + 16), (16 * 7 + 7) + (7 * 16 + 16), 4 * 16
    assert transformer(data, 1, True, 7) == 5 * 16 + attention + dense + norms + 2 * 16 + (16 * 2 + 2)


@pytest.mark.parametrize(("positions", "number"), [(5, 1), (6, 2), (13, 2), (14, 3), (29, 3), (30, 4)])
def test_blocks_see_all_positions(positions: int, number: int) -> None:
    """One block sees 5 positions, two see 13, three 29."""
    assert blocks(positions) == number


def test_the_nearest_size_is_taken() -> None:
    """The size nearest to 99 parameters of 7 u + v is u = 14, v = 1; a number not met within 2 % is refused."""

    def count(units: int, other: int) -> int:
        return 7 * units + other

    assert matched(count, 99, [0, 1, 2]) == (14, 1)
    with pytest.raises(ConfigError, match="must have 50 parameters within 2%, the nearest has 40 with 1 units"):
        matched(lambda units, other: 40 * units, 50, [0])
