"""Specification maps: what is trained, how it is judged and drawn, and what they say of a verdict."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.claims import made_up
from tests.claims.small import TRAINS, entry
from tests.data_files import idx_arrays, write_idx_folder
from workbench.claims import wording
from workbench.claims.catalog import Entry, choose
from workbench.claims.claim_figure import draw_curve, suffix
from workbench.claims.map_rules import MAP, SETTINGS
from workbench.claims.registration import changes, composed, register
from workbench.claims.report import html_report, markdown_report, write_report
from workbench.claims.request import Request
from workbench.claims.rules import Label
from workbench.claims.specification_map import deciding_of, map_verdict, measure_map, pictures_digests
from workbench.claims.study import Study
from workbench.claims.trained_arms import Trained
from workbench.claims.verdict import MapVerdict, judge
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError, DataError

pytest_plugins = ["tests.outer_fixtures"]

DECIDES = (
    TRAINS
    + """

def deciding(study, width):
    arms = {arm: [*over, f"architecture.hidden=[{width}]"] for arm, over in study.claim.arms.items()}
    trained = study.train(study.tune(arms))
    yield wb.Cell("p", trained.differences("train/loss", "tanh", "relu"))
"""
)
PLAN: dict[str, Any] = {"part": "p", "width": [2, 4], "epochs": [1, 3], "batch": [8], "optimizer": ["sgd", "adam"]}
CHANGES = {f"claim.{MAP}": PLAN, "claim.profiles": {"quick": {"seeds": 2}, "full": {"seeds": 2, MAP: 6}}}
OWN = {"data": "wine", "width": "2", "epochs": "1", "batch": "8", "optimizer": "sgd"}


def small(place: Path, code: str = DECIDES, **more: Any) -> Entry:
    """The small claim with a map."""
    return entry(place, code, CHANGES | more)


def gain(spec: RunSpec) -> float:
    """What tanh loses to ReLU in the made-up runs: by SGD 1, by Adam −1 at width 2 and nothing clear at width 4."""
    width = spec.resolved["architecture"]["hidden"][0]
    if spec.choices["optimizer"] == "sgd":
        return 1 + 0.01 * spec.config.seed
    return (-1 if width == 2 else 0) + 0.01 * (-1) ** spec.config.seed


class Fake:
    """Stand in for training; `runs` are what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[RunSpec] = []
        monkeypatch.setattr(Study, "_train", lambda study, *given: self.train(study, *given))

    def train(self, study: Study, specs: dict[str, list[RunSpec]], tracked: bool, edge: Sequence[str] = ()) -> Trained:
        """Give every run of tanh its loss; 0.1, or the middle of Adam's rates, is the best in tuning."""
        self.runs += [spec for several in specs.values() for spec in several]
        study.runs += sum(map(len, specs.values()))

        def metrics(spec: RunSpec) -> dict[str, float]:
            off = abs(np.log(spec.config.optimizer["lr"] / (0.1 if spec.choices["optimizer"] == "sgd" else 0.003)))
            return {"train/loss": gain(spec) * (spec.choices["activation"] == "tanh"), "valid/loss": float(off)}

        return Trained({arm: [metrics(spec) for spec in several] for arm, several in specs.items()}, tuple(edge), specs)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replace training by made-up losses."""
    return Fake(monkeypatch)


def mapped(one: Entry, **settings: Any) -> tuple[Study, pd.DataFrame]:
    """A study that has measured the map of the full profile, and its table."""
    study = Study(one, {**one.claim.profiles["full"], **settings})
    return study, measure_map(study, deciding_of(one, one.load()))


@pytest.mark.slow
def test_every_specification_is_trained_and_judged(tmp_path: Path, trained: Fake) -> None:
    """Eight specifications have their width, epochs, optimizer, rates and seeds; labels are those of known effects."""
    study, table = mapped(small(tmp_path), seed_offset=1000)
    assert table[[*SETTINGS]].values.tolist() == [
        ["wine", width, epochs, 8, optimizer] for width in (2, 4) for epochs in (1, 3) for optimizer in ("sgd", "adam")
    ]
    found = {
        (spec.resolved["architecture"]["hidden"][0], spec.config.train.epochs, 8, spec.choices["optimizer"])
        for spec in trained.runs
    }
    assert found == {tuple(row) for row in table[[*SETTINGS[1:]]].values.tolist()}
    assert {spec.config.train.batch_size for spec in trained.runs} == {8}
    assert {spec.config.seed for spec in trained.runs} == {*range(1000, 1006), *range(1001000, 1001004)}
    rates = {
        name: {s.config.optimizer["lr"] for s in trained.runs if s.choices["optimizer"] == name} for name in OWN_RATES
    }
    assert rates == OWN_RATES
    labels = dict(zip(zip(table["width"], table["optimizer"], strict=True), table["label"], strict=True))
    assert labels == {
        (2, "sgd"): "supported",
        (4, "sgd"): "supported",
        (2, "adam"): "refuted",
        (4, "adam"): "inconclusive",
    }
    assert table["estimate"].tolist()[:2] == pytest.approx([1 + 10.025, -1])
    assert (table["low"] <= table["estimate"]).all()
    assert table["rates"][0] == "relu: 0.1 of 0.03, 0.1, 0.3, 1; tanh: 0.1 of 0.03, 0.1, 0.3, 1"
    assert study.runs == len(trained.runs) == 8 * 2 * (4 * 4 + 6)
    assert study.tables[MAP] is table


OWN_RATES = {"sgd": {0.03, 0.1, 0.3, 1.0}, "adam": {0.001, 0.003, 0.01, 0.03}}


@pytest.mark.slow
def test_a_map_is_counted_by_the_label_of_its_cell(tmp_path: Path, trained: Fake) -> None:
    """Four of eight agree with a supported cell, two with a refuted one; the label of the part stays."""
    one = small(tmp_path)
    _, table = mapped(one)
    for values, label, agree in (((1.0, 1.1) * 4, Label.supported, 4), ((-1.0, -1.1) * 4, Label.refuted, 2)):
        parts = judge(one.claim, [made_up.Cell("p", made_up.PerSeed(values))])
        assert one.claim.specifications is not None
        found = map_verdict(one.claim.specifications, table, parts)
        assert found == MapVerdict(part="p", label=label, own=OWN, data=["wine"], agree=agree, total=8)
        assert (parts[0].label, found.robust) == (label, False)


@pytest.mark.parametrize(
    ("label", "agree", "words"),
    [
        ("supported", 8, "(robust: 8 of 10 specifications agree)"),
        ("refuted", 10, "(robust: 10 of 10 specifications agree)"),
        ("supported", 7, "(at width 2, 1 epochs in batches of 8 with sgd on wine: 7 of 10 specifications agree)"),
        ("inconclusive", 10, "(at width 2, 1 epochs in batches of 8 with sgd on wine: 10 of 10 specifications agree)"),
    ],
)
def test_the_headline_says_robust_or_names_the_setting(label: str, agree: int, words: str) -> None:
    """Four fifths of the specifications make a decided label robust; otherwise the headline says where it holds."""
    one = made_up.mixed()
    plain = wording.headline(one)
    found = MapVerdict(part="narrow", label=Label[label], own=OWN, data=["wine"], agree=agree, total=10)
    said = wording.headline(one.model_copy(update={MAP: found}))
    assert said == plain.replace("at width 3", f"at width 3 {words}")
    assert "(" not in plain


@pytest.mark.slow
def test_a_registration_holds_the_map(tmp_path: Path) -> None:
    """A change of the map changes what is registered, the rates of its optimizers too; a claim without one has none."""
    before = register(one := small(tmp_path / "a"), composed(one))
    assert before.rules[MAP]["learning_rates"]["adam"] == [0.001, 0.003, 0.01, 0.03]
    other = small(tmp_path / "b", **{f"claim.{MAP}": PLAN | {"epochs": [1, 9], "tuning_seeds": 5}})
    assert changes(before, register(other, composed(other))) == [
        "rule specifications.epochs: [1, 3] -> [1, 9]",
        "rule specifications.tuning_seeds: 4 -> 5",
    ]
    assert f'"{MAP}"' not in entry(tmp_path / "c").claim.rule_text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({f"claim.{MAP}": PLAN | {"part": "q"}}, "must name a part with a rule above or below, and a cell of it"),
        ({f"claim.{MAP}": PLAN | {"cell": {"depth": 3}}}, "must name a part with a rule above or below"),
        ({f"claim.{MAP}": PLAN | {"optimizer": ["sdg"]}}, "optimizer sdg must have overrides"),
        ({f"claim.{MAP}": PLAN | {"learning_rates": {"sgd": [0.1, 0.03, 1.0]}}}, "at least 3, rising"),
        ({"claim.profiles": {"full": {"seeds": 2, MAP: 3}}}, "a specification could only stay open, got 3"),
        ({"claim.profiles": {"full": {"seeds": 2, MAP: "many"}}}, "must be the seeds of each specification"),
        ({f"claim.{MAP}": None}, "must be the seeds of each specification of claim.specifications"),
    ],
)
def test_maps_that_cannot_be_measured_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    """Unknown parts, cells and optimizers, and too few seeds for any label, are refused when the claim is read."""
    with pytest.raises(ConfigError, match=said):
        small(tmp_path, **changed)


@pytest.mark.slow
def test_code_without_the_deciding_cell_is_refused(tmp_path: Path, trained: Fake) -> None:
    """A claim with a map needs `deciding`, which yields the cell once."""
    one = small(tmp_path / "a", TRAINS)
    with pytest.raises(ConfigError, match=r"measure.py: must define a function deciding\(study, width\)"):
        deciding_of(one, one.load())
    with pytest.raises(ConfigError, match=r"deciding must yield p \{\} once"):
        mapped(small(tmp_path / "b", DECIDES + "    yield wb.Cell('p', wb.Rate(1, 2))\n"))


def digits_like(place: Path) -> Path:
    """A folder of pictures of ten classes."""
    arrays = idx_arrays(80, 20)
    labels = [(np.arange(len(one)) % 10).astype(np.uint8) for one in arrays[1::2]]
    return write_idx_folder(place, [arrays[0], labels[0], arrays[2], labels[1]])


FEW = PLAN | {"pictures": ["data=idx", "data.official_test=false", "data.images=90", "data.pool=2", "split.limit=20"]}


@pytest.mark.slow
def test_other_pictures_are_a_part_of_the_map(tmp_path: Path, trained: Fake) -> None:
    """With a folder of pictures every specification is measured on them too, by as many examples as the plan says."""
    one, pictures = small(tmp_path, **{f"claim.{MAP}": FEW}), digits_like(tmp_path / "shapes")
    request = Request(("small",), "full", pictures=pictures)
    assert request.settings(one.claim) == {"seeds": 2, MAP: 6, "pictures": str(pictures)}
    assert request.command("small").endswith(f"--profile full --pictures {pictures}")
    without = small(tmp_path / "without").claim.model_copy(update={"profiles": {"full": {"seeds": 2}}})
    assert request.alone("small", one.claim) == request  # beside others each claim is measured by a request of its own
    assert request.alone("small", without) == replace(request, pictures=None)
    assert re.fullmatch("[0-9a-f]{16}", pictures_digests([one], request)[0])
    assert pictures_digests([one], replace(request, pictures=None)) == ["none"]
    _, table = mapped(one, pictures=str(pictures))
    assert table["data"].tolist() == ["wine"] * 8 + ["shapes"] * 8
    used = [spec for spec in trained.runs if spec.choices["data"] == "idx"]
    assert {(spec.config.split.limit, spec.resolved["data"]["images"]) for spec in used} == {(20, 90)}
    assert len(used) == len(trained.runs) / 2


def test_pictures_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """A wrong folder, pictures of four classes, and a profile without a map are refused before anything is measured."""
    one = small(tmp_path, **{f"claim.{MAP}": FEW | {"pictures": ["data=idx"]}})
    request = Request(("small",), "full", pictures=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"data.path: the folder \S*nowhere\S* must hold train-images"):
        pictures_digests([one], request)
    with pytest.raises(ConfigError, match="must have 10 classes, as the digits have, got 4"):
        pictures_digests([one], replace(request, pictures=write_idx_folder(tmp_path / "four")))
    with pytest.raises(ConfigError, match="must have a specification map in profile quick, none has"):
        pictures_digests([one], replace(request, profile="quick"))


@pytest.mark.slow
def test_the_curve_is_drawn_and_stands_in_both_reports(tmp_path: Path, trained: Fake) -> None:
    """The second figure shows every setting, its text the agreement; without a table there is none."""
    one = small(tmp_path)
    study, _ = mapped(one)
    drawn = draw_curve(study)
    assert drawn is not None
    assert suffix(drawn.wide) == ".svg"
    for words in (b"optimizer: adam", b"width: 4", b"epochs: 3", b"data: wine", b"not told apart"):
        assert words in drawn.wide
    assert draw_curve(Study(one, {})) is None
    record = made_up.mixed()
    assert wording.curve(record) == ""
    found = MapVerdict(part="narrow", label=Label.supported, own=OWN, data=["wine"], agree=4, total=8)
    record = record.model_copy(update={MAP: found})
    assert "4 have the label of the cell that decides, supported. Its only pictures are wine" in wording.curve(record)
    page = html_report([record], {}, {record.name: drawn})
    assert page.count("<figure>") == 1
    assert "Figure 1b." in page
    assert "<figure>" not in html_report([record], {})
    text = markdown_report([record], {}, {record.name: {"wide": "a.svg", "narrow": "b.svg"}})
    assert '<img src="a.svg" alt="Specification curve: what is measured' in text
    write_report(tmp_path / "out", [record], {}, {record.name: drawn})
    assert {file.name for file in (tmp_path / "out" / "figures").iterdir()} == {
        f"dying_relu-{MAP}{end}.svg" for end in ("", "-narrow")
    }


@pytest.mark.slow
def test_a_profile_with_a_map_keeps_it_with_the_verdict(cli: Any, folder: Path, store: Any) -> None:
    """The full profile measures, says, draws and keeps the map, and reads it back; the quick one has none."""
    small(folder / "own", **{f"claim.{MAP}": PLAN | {"width": [2], "optimizer": ["sgd"], "tuning_seeds": 1}})
    command = ["reproduce", "small", "--claims", "own", "--report", "out"]
    assert "specifications" not in cli(*command).out
    for kept in (False, True):
        answer = cli(*command, "--profile", "full")
        assert (answer.code, answer.err, "kept from before" in answer.out) == (0, "", kept)
        assert re.search(r"of\s+2\s+specifications\s+agree", answer.out.replace("│", ""))
        assert "Figure 1b." in (folder / "out" / "report.html").read_text()
        assert (folder / "figures" / "small" / f"{MAP}.svg").exists()
    refused = cli(*command, "--profile", "full", "--pictures", "nowhere")
    assert (refused.code, "nowhere" in refused.err) == (2, True)


MAPS = {
    "relu_speed": "epochs",
    "saturation": "training",
    "softplus": "training",
    "layer_norm": "training",
    "pretraining": "training",
    "dying_relu": "digits",
    "image_representation": "measure",
    "losses": "losses",
    "batch_norm": "depths",
    "residual": "training",
}


def test_claims_with_maps_are_listed() -> None:
    """Every claim with a map is in the test below, and has 24 specifications or more."""
    plans = {one.name: one.claim.specifications for one in choose(["all"]) if one.claim.specifications}
    assert plans.keys() == MAPS.keys()
    assert all(len([*plan.each({"digits": []})]) >= 24 for plan in plans.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "function"), MAPS.items())
def test_the_first_specification_is_the_deciding_cell(
    name: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first specification trains is, but for rates and seeds, what the claim itself trains."""

    class Asked(Exception):
        """End a measurement where it tunes."""

    asked: list[dict[str, Any]] = []

    def tune(study: Study, arms: Any, *given: Any, **more: Any) -> None:
        arms = study.claim.arms if arms is None else arms
        for spec in (study.specs(*over, seeds=[0])[0] for over in arms.values()):
            settings = {key: value for key, value in spec.settings.items() if key != "optimizer.lr"}
            asked.append(settings)
        raise Asked

    monkeypatch.setattr(Study, "tune", lambda study, arms=None, *given, **more: tune(study, arms))
    (one,) = choose([name])
    plan, module = one.claim.specifications, one.load()
    assert plan is not None
    study = Study(one, one.claim.profiles["full"])
    with pytest.raises(Asked):
        [*getattr(module, function)(study)]
    own, first = list(asked), next(plan.each({"digits": []}))
    asked.clear()
    with pytest.raises(Asked):
        [*module.deciding(Study(one, {"seeds": 2}, changes=first.overrides), int(first.at["width"]))]
    assert asked
    for settings in asked:
        assert settings in own
