"""Another offset of the seeds is a study on fresh seeds: every table that holds something drawn is another one."""

from dataclasses import replace
from typing import Any

import pytest
from jaxtyping import config

from workbench.claims.catalog import catalog, choose
from workbench.claims.study import Study
from workbench.engine.threads import one_thread

OFFSETS = 0, 1000
SMALL: dict[str, dict[str, Any]] = {  # beside so many seeds, of what else is drawn
    "backpropagation": dict.fromkeys(("nets", "rounded", "differenced", "scalar", "misprinted"), 1)
    | {"curves": 2, "layers": [2, 3, 7], "examples": [1, 33]},
    "batch_norm": {"depths": [4], "widths": [128]},
    "dying_relu": {"digits_seeds": 2, "nets": 2000, "slopes": 20},
    "losses": {"nets": 3, "logits": 50},
    "piecewise_linear": {"nets": 3, "digits_seeds": 2},
    "pretraining": {"nets": 2, "jacobians": 2},
    "relu_family": {"layers": 5, "z": 500},
    "residual": {"depths": [10, 100], "highway": [10]},
    "universal_approximation": {"steps": 2, "points": 256, "candidates": 128},
    "xor": {"inits": 40, "steps": 50, "hidden": [1, 4], "others": []},
}
CONSTANTS: dict[str, dict[str, Any]] = {"layer_norm": {"EPOCHS": {2: 1, 128: 1}}}
NOT_DRAWN = {("universal_approximation", "constructed"), ("relu_family", "fits")}
QUICK = ("xor",)  # of which parts once stayed as they were


def measured(name: str, offset: int) -> Study:
    """The study of a claim at a tiny size, one epoch and one tuning seed, its seeds beginning from the offset."""
    (entry,) = choose([name])
    code: Any = entry.load()
    for constant, value in CONSTANTS.get(name, {}).items():
        assert hasattr(code, constant)
        setattr(code, constant, value)
    changes: dict[str, Any] = {"tuning_seeds": 1}
    if name not in ("xor", "universal_approximation"):
        changes["arms"] = {arm: [*over, "train.epochs=1"] for arm, over in entry.claim.arms.items()}
    made = replace(entry, claim=entry.claim.model_copy(update=changes))
    study = Study(made, {**entry.claim.profiles["quick"], "seeds": 2, **SMALL.get(name, {}), "seed_offset": offset})
    with one_thread():
        assert list(code.measure(study))
    return study


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in catalog()]
)
def test_every_sampled_table_is_drawn_anew(name: str) -> None:
    """Those that are computed without any draw are the same."""
    config.update("jaxtyping_disable", True)  # shapes are checked by other tests, and take most of the time
    one, two = (measured(name, offset) for offset in OFFSETS)
    assert one.tables.keys() == two.tables.keys()
    if name != "backpropagation":
        assert one.tables
    for key, table in one.tables.items():
        columns = [column for column in table.columns if column != "seed"]
        same = table[columns].equals(two.tables[key][columns])
        assert same is ((name, key) in NOT_DRAWN), key
