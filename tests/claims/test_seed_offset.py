"""Another offset of the seeds is a study on fresh seeds: every table that holds something drawn is another one."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from jaxtyping import config
from workbench.experiments.attention.measure import Task

from workbench.claims.catalog import catalog, choose
from workbench.claims.study import Study
from workbench.engine.threads import one_thread

OFFSETS = 0, 1000
SMALL: dict[str, dict[str, Any]] = {  # beside so many seeds, of what else is drawn
    "backpropagation": dict.fromkeys(("nets", "rounded", "differenced", "scalar", "misprinted"), 1)
    | {"curves": 2, "layers": [3], "examples": [2]},
    "batch_norm": {"depths": [4], "widths": [128]},
    "bert": {"labels": [50, 64]},
    "dying_relu": {"seeds": 20, "digits_seeds": 2, "nets": 2000, "slopes": 20},
    "losses": {"nets": 3, "logits": 50},
    "piecewise_linear": {"nets": 3, "digits_seeds": 2},
    "pretraining": {"nets": 2, "jacobians": 2},
    "relu_family": {"layers": 5, "z": 500},
    "residual": {"depths": [10, 12], "highway": [10]},
    "universal_approximation": {"steps": 2, "points": 64, "candidates": 32},
    "xor": {"inits": 10, "steps": 20, "hidden": [1, 4], "others": []},
}
EVEN = {name: {"tanh": 0.0, "sigmoid": 0.0} for name in ("functions", "64", "256")}
RECALL = ["data=recall", "data.seed=null", "data.pairs=2", "data.length=8", "data.examples=100", "train.epochs=1"]
CONSTANTS: dict[str, dict[str, Any]] = {  # of a claim's code
    "attention": {"NETS": 2, "TASKS": [Task("recall", RECALL)], "step_times.LENGTHS": (16, 20, 24)},
    "backpropagation": {"printed_formulas.SMOOTH": ("tanh",)},
    "batch_norm": {"PAPER_EPOCHS": 1},
    "bert": {
        "TASKS": {
            "number": ["data=agreement", "data.clauses=0", "data.examples=600", "data.seed=null"],
            "documents": ["data=documents", "data.count=4"],
        },
        "UNLABELED": {"number": 60, "documents": 60},
        "EPOCHS": {"number": 1, "documents": 1},
        "FINE_TUNING": 1,
        "MANY": 64,
    },
    "dying_relu": {"SHORT": ["train.epochs=20", "train.batch_size=32", "diagnostics=off"]},
    "image_representation": {"linear_probes.TOLERANCE": 0.1},
    "layer_norm": {"EPOCHS": {2: 1, 128: 1}},
    "losses": {
        "DECIDING": ("wine", 2),
        "FEW": {"diabetes": ["data=diabetes", "train.epochs=1"], "digits": ["data=digits", "train.epochs=1"]},
    },
    "pretraining": {"WIDE": 16, "NARROW": 16},
    "representation": {"HIDDEN": (16,), "SHOWN": ()},
    "relu_speed": {"DEPTHS": (3,), "processor_times": SimpleNamespace(in_processes=lambda count, draw: [EVEN])},
    "saturation": {"DEPTHS": (3,), "DEEP": 3},
    "universal_approximation": {"SIZES": [2, 16], "SEVERAL": {2: [16], 3: [16]}, "UNITS": [4, 8]},
}
CELLS: dict[str, dict[str, dict[str, Any]]] = {  # of a claim's parts, in place of more
    "backpropagation": {name: {"erratum": []} for name in ("compressed", "skipped_layer", "readings")},
    "bert": {"helps_with_more": {"labels": [64]}},
    "dying_relu": {
        "helps_narrow": {"width": [5]},
        "helps_digits": {"depth": [1], "width": [4]},
        "more_alive": {"depth": [5], "width": [2]},
    },
    "losses": {"bad_start": {"data": ["wine"]}},
    "representation": {"untrained": {"units": [4]}},
    "residual": {"residual_holds": {"depth": [10, 12]}},
    "softplus": {"relu_better": {"depth": [3]}},
}
FEW_IMAGES = ("batch_norm", "image_representation", "layer_norm", "pretraining", "residual", "saturation", "softplus")
FEW_EPOCHS = {"pretraining.epochs=20": "pretraining.epochs=1"}
NOT_DRAWN = {("universal_approximation", "constructed"), ("relu_family", "fits")}
QUICK = ("xor",)  # of which parts once stayed as they were


def small_arms(name: str, arms: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The arms of a claim with one epoch, and few images where it trains on digits alone."""
    few = ["train.epochs=1", *["split.limit=100"] * (name in FEW_IMAGES)]
    return {arm: [*(FEW_EPOCHS.get(override, override) for override in over), *few] for arm, over in arms.items()}


def measured(name: str, offset: int, patch: pytest.MonkeyPatch) -> Study:
    """The study of a claim at a tiny size, one epoch and one tuning seed, its seeds beginning from the offset."""
    (entry,) = choose([name])
    code: Any = entry.load()
    for constant, value in CONSTANTS.get(name, {}).items():
        *module, last = constant.split(".")
        patch.setattr(getattr(code, module[0]) if module else code, last, value)
    parts = dict(entry.claim.parts)
    for part, cells in CELLS.get(name, {}).items():
        parts[part] = parts[part].model_copy(update={"cells": {**parts[part].cells, **cells}})
    changes: dict[str, Any] = {"tuning_seeds": 1, "parts": parts}
    if name not in ("xor", "universal_approximation"):
        changes["arms"] = small_arms(name, entry.claim.arms)
    made = replace(entry, claim=entry.claim.model_copy(update=changes))
    study = Study(made, {**entry.claim.profiles["quick"], "seeds": 2, **SMALL.get(name, {}), "seed_offset": offset})
    with one_thread():
        assert list(code.measure(study))
    return study


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in catalog()]
)
def test_every_sampled_table_is_drawn_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sampled table changes with the seed offset; tables computed without any draw stay the same."""
    config.update("jaxtyping_disable", True)  # shapes are checked by other tests, and take most of the time
    one, two = (measured(name, offset, monkeypatch) for offset in OFFSETS)
    assert one.tables.keys() == two.tables.keys()
    if name != "backpropagation":
        assert one.tables
    for key, table in one.tables.items():
        columns = [column for column in table.columns if column != "seed"]
        same = table[columns].equals(two.tables[key][columns])
        assert same is ((name, key) in NOT_DRAWN), key
