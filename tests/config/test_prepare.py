"""Preparing a pack from a configuration: what does not fit is refused, nodes inside nodes, values per replica."""

from pathlib import Path

import pytest
import torch

import workbench as wb
from workbench.config import prepare as prepare_module
from workbench.config import validate as checks
from workbench.config.compose import configure_each
from workbench.config.prepare import build_pack, prepare
from workbench.config.validate import validate, validate_all
from workbench.core.errors import ConfigError
from workbench.nn.schedules import Cosine, Warmup

SMALL = ("data=wine", "architecture.hidden=[4]")
REFUSED = [
    ("activation=unit_step", "activation: must have a slope, but f' of unit_step is 0 everywhere: no gradient reaches"),
    (
        "loss=squared_error activation@loss.output=unit_step",
        "loss.output: must have a slope, but f' of this one is 0 everywhere and no gradient passes it; "
        "write activation@loss.output=sigmoid, or take loss=perceptron, which has a unit step",
    ),
    (
        "norm=batch train.batch_size=1",
        "train.batch_size: must be at least 2 for norm=batch, whose statistics are those of the batch, got 1; "
        "write train.batch_size=32 or norm=layer",
    ),
    ("train.clip_norm=-1", "train.clip_norm: must be above 0, or null, got -1.0; write for example train.clip_norm=1"),
    ("train.clip_norm=0", "train.clip_norm: must be above 0, or null, got 0.0"),
    ("train.clip_norm=inf", "train.clip_norm: must be at most 3.4e+38, got inf; write for example train.clip_norm=1"),
    (
        "data=breast_cancer loss=binary_nll target=input",
        "loss: binary_nll needs binary targets, but target=input has real targets; write loss=squared_error",
    ),
    (
        "loss=squared_error activation@loss.output=leaky_relu loss.output.slope=5",
        "loss.output.slope: must be less than or equal to 1, got 5",
    ),
    (
        "schedule=warmup schedule@schedule.then=cosine schedule.then.floor=2",
        "schedule.then.floor: must be less than or equal to 1, got 2",
    ),
    ("schedule=warmup schedule.steps=0", "schedule.steps: must be greater than or equal to 1, got 0"),
    ("schedule=step schedule.factor=0", "schedule.factor: must be greater than 0, got 0"),
    ("architecture.dropout=1", "architecture.dropout: must be less than 1, got 1"),
    ("loss.smoothing=1", "loss.smoothing: must be less than 1, got 1"),
    ("activation=leaky_relu activation.slope=2", "activation.slope: must be less than or equal to 1, got 2"),
    ("optimizer=adam optimizer.beta1=1", "optimizer.beta1: must be less than 1, got 1"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[overrides for overrides, _ in REFUSED])
def test_what_does_not_fit_is_refused(overrides: str, message: str) -> None:
    """The error names the dotted key, the rule, what came and what to write."""
    with pytest.raises(ConfigError) as caught:
        validate(wb.configure(*SMALL, *overrides.split()))
    assert str(caught.value).startswith(message)


def test_an_autoencoder_of_labels_is_refused() -> None:
    """An autoencoder with labels as target is refused: three classes are not its 13 inputs."""
    spec = wb.configure("data=wine", "architecture=autoencoder", "target=label", "loss=softmax_nll")
    with pytest.raises(ConfigError, match="an autoencoder must give back its 13 inputs, got 3 outputs to learn; write"):
        validate(spec)


def test_an_autoencoder_learns_its_inputs() -> None:
    """An autoencoder brings its target and loss; targets are the standardized inputs of the same examples."""
    spec = wb.configure("data=wine", "architecture=autoencoder")
    assert (spec.config.target.name, spec.choices["loss"]) == ("input", "squared_error")
    pack = build_pack([spec])
    assert torch.equal(pack.data.train.x, pack.data.train.y)
    assert pack.data.n_classes is None


def test_a_unit_step_alone_is_a_perceptron() -> None:
    """A unit step with no layer below it is valid: the perceptron loss trains it, and targets are binary."""
    spec = wb.configure("data=breast_cancer", "architecture=perceptron", "loss=perceptron", "activation=unit_step")
    validate(spec)
    assert prepare(spec).target == "binary"


def test_nodes_inside_nodes_are_built() -> None:
    """`activation@loss.output` and `schedule@schedule.then` choose the parts of a loss and of a schedule."""
    spec = wb.configure(*SMALL, "loss=squared_error", "activation@loss.output=tanh")
    z = torch.tensor([[[0.5]]])
    assert torch.equal(prepare(spec).loss.predict(z), torch.tanh(z))
    plain = wb.configure(*SMALL, "loss=squared_error")
    assert torch.equal(prepare(plain).loss.predict(z), z)
    pack = build_pack(
        [
            wb.configure(*SMALL, "schedule=warmup", "schedule@schedule.then=cosine", f"schedule.then.floor={floor}")
            for floor in (0.25, 0.5)
        ]
    )
    assert isinstance(pack.schedule, Warmup)
    assert isinstance(pack.schedule.then, Cosine)
    assert pack.schedule.then.floor.tolist() == [0.25, 0.5]
    assert pack.schedule.steps == 100


def test_parts_are_settings_of_the_run() -> None:
    """The names and the values of parts stand beside those of groups, under their dotted keys."""
    spec = wb.configure(*SMALL, "loss=squared_error", "activation@loss.output=leaky_relu", "loss.output.slope=0.2")
    settings = spec.settings
    assert (settings["loss"], settings["loss.output"], settings["loss.output.slope"]) == (
        "squared_error",
        "leaky_relu",
        0.2,
    )
    assert settings["activation"] == "relu"


def test_values_of_replicas_are_stacked() -> None:
    """Cuts (infinite where a run has none), slopes and optimizer's values are one per replica, in the runs' order."""
    rows = ["train.clip_norm=2 activation.slope=0.1", "activation.slope=0.2 optimizer.lr=0.5", "train.clip_norm=3"]
    specs = [wb.configure(*SMALL, "activation=leaky_relu", *row.split()) for row in rows]
    pack = build_pack(specs)
    assert pack.clip_norm is not None
    assert pack.clip_norm.tolist() == [2, float("inf"), 3]
    assert pack.optimizer.lr.tolist() == pytest.approx([0.1, 0.5, 0.1])
    assert pack.initial_params()["l1.slope"].tolist() == pytest.approx([0.1, 0.2, 0.01])
    assert build_pack(specs[1:2]).clip_norm is None


def test_decoupled_decay_is_no_part_of_the_objective() -> None:
    """adamw's λ stays with the optimizer; adam's is a penalty."""
    objectives = {
        name: build_pack([wb.configure(*SMALL, f"optimizer={name}", "optimizer.weight_decay=0.1")]).objective
        for name in ("adam", "adamw")
    }
    assert objectives["adam"].weight_decay is not None
    assert objectives["adamw"].weight_decay is None


def test_runs_that_differ_in_seeds_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each distinct run is looked at, the first of those that differ in seeds alone stands for them."""
    seen: list[tuple[int, float]] = []
    monkeypatch.setattr(
        checks, "validate", lambda spec: seen.append((spec.config.seed, spec.resolved["optimizer"]["lr"]))
    )
    settings = [{"seed": seed, "optimizer.lr": lr} for lr in (0.1, 0.2) for seed in (3, 4, 5)]
    validate_all(configure_each(SMALL, settings))
    assert seen == [(3, 0.1), (3, 0.2)]
    settings += [{"seed": 3, "optimizer.lr": 0.1, "split.test": 0.2}]
    seen.clear()
    validate_all(configure_each(SMALL, settings))
    assert seen == [(3, 0.1), (3, 0.2), (3, 0.1)]


SAME = ["seed=3", "split.seed=4", "optimizer.lr=0.5", "optimizer=adam", "schedule=cosine", "init=glorot", "bias=zero"]
OTHER = [
    *("data=digits", "architecture.hidden=[5]", "activation=tanh", "norm=layer", "loss=softmax_mse", "target=input"),
    *("dtype=float64", "train.batch_size=8", "certificate=false", "diagnostics=off", "pretraining=autoencoder"),
]


@pytest.mark.slow
def test_what_runs_share_is_made_once() -> None:
    """Runs that differ in seeds, start or update have one model, and one whose model may differ has its own."""
    base = prepare(wb.configure(*SMALL))
    assert base.model is build_pack([wb.configure(*SMALL, "seed=7")]).objective.model
    assert [one for one in SAME if prepare(wb.configure(*SMALL, one)) is not base] == []
    assert [one for one in OTHER if prepare(wb.configure(*SMALL, one)) is base] == []


def test_splits_are_those_that_are_asked_for() -> None:
    """Data prepared once gives each split seed its own examples."""
    first, other = (wb.configure(*SMALL, f"split.seed={seed}") for seed in (0, 1))
    assert prepare(first) is prepare(other)
    one, two = (prepare(spec).split(spec.config.split) for spec in (first, other))
    assert not (one.train.x == two.train.x).all()


def test_only_programs_asked_for_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last PREPARED programs asked for are kept and older ones dropped, so that a long search gathers no models."""
    monkeypatch.setattr(prepare_module, "PREPARED", 2)
    nets = [wb.configure("data=wine", f"architecture.hidden=[{width}]") for width in (3, 4, 5)]
    first, second, _ = (prepare(spec) for spec in nets)
    assert prepare(nets[1]) is second
    assert prepare(nets[0]) is not first


def test_a_file_is_read_again_where_it_changed_or_another_stands_at_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders with a file of one name, then the second file with other numbers."""
    lines = [f"{number},{'ab'[number % 2]}" for number in range(40)]
    for folder, first in (("first", 1.0), ("second", 2.0), ("second", 3.25)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "x.csv").write_text("\n".join(["n,kind", f"{first},a", *lines[1:]]) + "\n")
        monkeypatch.chdir(tmp_path / folder)
        spec = wb.configure("data=table", "data.path=x.csv", "data.target=kind")
        assert prepare(spec).dataset.x[0, 0] == first
