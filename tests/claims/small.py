"""A small claim of one's own, written into a folder by a test."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from workbench.claims.catalog import Entry, choose

CODE = """
import workbench as wb


def measure(study):
    trained = study.train({tune}study.claim.arms{end})
    study.keep("losses", [{{"loss": loss}} for loss in trained.values("relu", "train/loss")])
    yield wb.Cell("p", trained.differences("train/loss", "tanh", "relu"))
"""
TRAINS = CODE.format(tune="", end="")
TUNES = CODE.format(tune="study.tune(", end=")")
PROVES = """
import workbench as wb


def measure(study):
    yield wb.Cell("p", wb.Exact(4))
"""
DRAWS = """
def draw(figure, study):
    figure.subplots().plot([1, 2] if study.tables.get("losses") is None else study.tables["losses"]["loss"])
"""
NODE: dict[str, Any] = {
    "defaults": [{"override /data": "wine"}],
    "claim": {
        "title": "A small claim",
        "statement": "Tanh is slower.",
        "slides": ["A slide"],
        "version": 1,
        "parts": {"p": {"says": "Slower.", "measure": "difference", "rule": {"kind": "above", "than": 0}, "n": None}},
        "figure": "Losses.",
        "profiles": {"quick": {"seeds": 2}},
        "arms": {"relu": ["activation=relu"], "tanh": ["activation=tanh"]},
        "learning_rates": [0.01, 0.03, 0.1, 0.3, 1.0],
        "tuning_seeds": 1,
    },
    "architecture": {"hidden": [2]},
    "train": {"epochs": 1},
    "tracking": {"experiment": "small"},
}
EXACT = {"claim.parts.p.rule": {"kind": "always"}}


def write(folder: Path, name: str = "small", code: str = TRAINS, changes: Mapping[str, Any] | None = None) -> None:
    """Write the three files of a claim; `changes` by dotted path."""
    node = deepcopy(NODE)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = node
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "measure.py").write_text(code)
    (folder / name / "figure.py").write_text(DRAWS)
    (folder / name / "experiment.yaml").write_text("# @package _global_\n" + yaml.safe_dump(node, sort_keys=False))


def entry(folder: Path, code: str = TRAINS, changes: Mapping[str, Any] | None = None) -> Entry:
    """The claim, written and read back."""
    write(folder, code=code, changes=changes)
    (found,) = choose(["small"], folder)
    return found
