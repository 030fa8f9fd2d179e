"""Pre-training of Transformers: the claim measured small, and false variants that must not be supported."""

from typing import Any

import pytest
from matplotlib.figure import Figure
from workbench.experiments.bert import measure as code

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 6, "labels": [50, 200]}
SMALLER = {
    "number": ["data.examples=600", "split.test=0.1", "split.valid=0.1"],
    "documents": ["split.test=0.03", "split.valid=0.03"],
}
TINY = {  # names in the claim's code
    "TASKS": {task: [*over, *SMALLER[task]] for task, over in code.TASKS.items()},
    "UNLABELED": {"number": 300, "documents": 300},
    "EPOCHS": {"number": 1, "documents": 1},
    "FINE_TUNING": 8,
    "MANY": 200,
}


def short(node: dict[str, Any]) -> None:
    """Shrink the claim to one tuning seed and narrow nets."""
    node["tuning_seeds"] = 1
    node["parts"]["helps_with_more"]["cells"]["labels"] = [200]
    node["arms"] = {name: [*over, *narrow(over)] for name, over in node["arms"].items()}


def narrow(overrides: list[str]) -> list[str]:
    """Make a net of 8 units, in one block but where depth is asked for."""
    if "architecture=gru" in overrides:
        return ["architecture.width=4", "certificate=false"]
    return ["architecture.width=8", "architecture.feed_forward=8", "certificate=false"]


def test_the_claim_is_measured_and_drawn() -> None:
    """Every part has its cells, no arm beats the best guess, and the figure draws."""
    study, found = studied("bert", SMALL, short, TINY)
    study.entry.load_figure().draw(Figure(), study)
    assert found["bayes"].label is Label.supported
    assert {cell.judgment.n for name in ("helps", "fades", "deep") for cell in found[name].cells} == {6}
    table = study.tables["accuracy"]
    assert len(table) == 6 * (10 + 3 + 6 + 3)
    assert set(table["labels"]) == {50, 200}


def test_the_same_arm_gains_nothing() -> None:
    """No difference is supported where every arm is the net from scratch."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = {name: ["architecture.width=8", "architecture.feed_forward=8"] for name in node["arms"]}
        del node["parts"]["bidirectional_words"]
        for part in node["parts"].values():
            part["rule"].pop("floor", None)
            part["cells"] = {**part["cells"], "task": ["number"]} if part.get("cells") else {}

    tiny = {**TINY, "TASKS": {"number": TINY["TASKS"]["number"]}, "EPOCHS": {"number": 0}}  # type: ignore[index]
    found = judged("bert", SMALL, same, tiny)
    differences = {name: part for name, part in found.items() if name not in ("bayes", "fades")}
    assert {cell.judgment.effect for part in differences.values() for cell in part.cells} == {0.0}
    assert Label.supported not in {part.label for part in differences.values()}


def test_a_score_beyond_the_best_guess_is_told() -> None:
    """An accuracy above Bayes's by more than four standard errors is a counterexample, with its arm."""
    fair = [("masked", 0.88), ("left-to-right", 0.76)]
    assert code.bounded(fair, 900).counterexamples == 0
    told = code.bounded([*fair, ("left-to-right", 0.85)], 900)
    assert told.counterexamples == 1
    assert told.example == "left-to-right: 0.850 of at most 0.750"


@pytest.mark.parametrize(("labels", "epochs"), [(50, 32), (200, 10), (1000, 2), (2000, 1)])
def test_all_numbers_of_labels_have_as_many_steps(labels: int, epochs: int) -> None:
    """128 steps or so of 16 examples, and in the arm with more steps those of pre-training on top."""
    assert f"train.epochs={epochs}" in code.settings("scratch", [], "number", labels)
    more = code.settings("more steps", [], "number", 50)[-1]
    extra = code.EPOCHS["number"] * -(-code.UNLABELED["number"] // 16)
    assert int(more.rpartition("=")[2]) == pytest.approx((128 + extra) / 4, abs=1)


def test_deep_and_wide_nets_have_as_many_parameters() -> None:
    """One wide block and four blocks, and the GRU and two blocks, differ by at most 5 % of their parameters."""
    from workbench.claims.catalog import choose
    from workbench.claims.study import Study
    from workbench.config.prepare import prepare

    (entry,) = choose(["bert"])
    study = Study(entry, {})

    def size(arm: str) -> int:
        overrides = code.settings(arm, entry.claim.arms[arm], "number", code.FEW)
        return prepare(study.specs(*overrides, seeds=[0])[0]).n_params

    assert size("four blocks") == pytest.approx(size("one block"), rel=0.02)
    assert size("pre-trained gru") == pytest.approx(size("masked"), rel=0.05)
