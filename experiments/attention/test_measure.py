"""Transformers, RNNs and CNNs: the claim measured tiny, and false variants that must not be supported."""

from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from workbench.experiments.attention import measure, paths, step_times

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 6}
FEW = ["data.examples=100", "train.epochs=1", "split.test=0.3"]
TINY = [
    replace(task, overrides=[*task.overrides, *(FEW if task.name != "text" else ["split.limit=60"])])
    for task in measure.TASKS
    if task.name in ("recall", "agreement", "text")
]
FACTS = {"tasks": lambda study: [], "NETS": 3}


def few_rates(node: dict[str, Any]) -> None:
    """Two tuning seeds, five rates, three tasks; nets that never train are compared all the same."""
    node["tuning_seeds"] = 2
    node["learning_rates"] = node["learning_rates"][1:6]
    node["parts"] = {name: one for name, one in node["parts"].items() if not name.startswith(("copy", "state"))}
    node["parts"]["over_ngrams"]["cells"] = {"task": [task.label for task in TINY]}
    for part in node["parts"].values():
        part["rule"].pop("floor", None)


def facts(node: dict[str, Any]) -> None:
    """Keep what needs no training."""
    node["parts"] = {name: node["parts"][name] for name in ("path", "positions", "cost")}


def test_the_claim_is_measured_and_drawn(monkeypatch: Any) -> None:
    """Every cell has the seeds asked for, what is exact is supported, and the figure draws both families."""
    monkeypatch.setattr(step_times, "LENGTHS", (16, 20, 24))
    study, found = studied("attention", SMALL, few_rates, {"TASKS": TINY, "NETS": 3})
    figure = Figure()
    study.entry.load_figure().draw(figure, study)
    assert len(figure.axes) == 2
    assert found["path"].label is found["positions"].label is Label.supported
    for name in ("recall_recurrent", "agreement_convolutional", "text_recurrent", "blocks"):
        assert {cell.judgment.n for cell in found[name].cells} == {6}
    assert {one["rival"] for one in study.tables["gains"].to_dict("records")} == set(measure.RIVALS)
    assert len(study.tables["scores"]) == 6 * (7 + 5 + 5)
    populations = {name: found[name].deciding.judgment.population for name in ("recall_recurrent", "text_recurrent")}
    assert populations["recall_recurrent"] == "for other seeds with fresh data for each and other tuning"
    assert populations["text_recurrent"].startswith("for other data like these")


def test_a_wrong_path_is_refuted(monkeypatch: Any) -> None:
    """Paths of one step more than there are refute the part, and so does attention that is told positions."""
    monkeypatch.setattr(step_times, "LENGTHS", (16, 20, 24))
    right = paths.least
    monkeypatch.setattr(paths, "least", lambda net, positions: right(net, positions) + (net == "tcn"))
    free = paths.permuted
    monkeypatch.setattr(paths, "permuted", lambda study, nets: free(study, nets, "architecture.positions=learned"))
    found = judged("attention", SMALL, facts, FACTS)
    assert found["path"].label is Label.refuted
    assert found["path"].deciding.at == {"net": "tcn"}
    assert found["positions"].label is Label.refuted


def test_a_transformer_gains_nothing_over_itself(monkeypatch: Any) -> None:
    """A transformer that is its own rival recalls no more."""

    def only(node: dict[str, Any]) -> None:
        few_rates(node)
        names = ("path", "positions", "cost", "recall_convolutional", "recall_recurrent", "blocks", "order", "window")
        node["parts"] = {name: node["parts"][name] for name in (*names, "over_ngrams")}
        node["parts"]["over_ngrams"]["cells"] = {"task": ["recall 4"]}

    monkeypatch.setattr(step_times, "LENGTHS", (16, 20, 24))
    itself = {
        "TASKS": TINY[:1],
        "NETS": 3,
        "RIVALS": {"recurrent": ("transformer",), "convolutional": ("transformer",)},
    }
    found = judged("attention", SMALL, only, itself)
    for name in ("recall_recurrent", "recall_convolutional"):
        assert found[name].label is Label.refuted
        assert found[name].deciding.judgment.effect == 0
