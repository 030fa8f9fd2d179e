"""Settings from the page: they say what the command line says, are refused as there, and are data alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.outer import Answer
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.play.settings import (
    DRAWN,
    Settings,
    compose,
    offer,
    overrides_of,
    save_points,
    sweep_words,
    word_choices,
)

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
OFFER = offer(None)


def test_settings_become_the_overrides_of_a_sweep() -> None:
    """Options come first, and what is usual is left out; the sweep has the seeds, epochs and folder."""
    side = {"activation": "tanh", "architecture.hidden": [8, 8], "optimizer.lr": 0.3, "bias": "zero"}
    overrides = overrides_of(side, OFFER)
    assert overrides == ["split.seed=0", "activation=tanh", "architecture.hidden=[8,8]", "optimizer.lr=0.3"]
    words = sweep_words(overrides, 4, 7, Path("/mine"))
    assert words[:4] == ["train", "-m", "--config-dir", "/mine"]
    assert words[4:] == [*overrides, "seed=range(4)", "train.epochs=7"]


def test_a_pack_is_composed_for_the_seeds() -> None:
    """Runs differ in their seeds alone."""
    specs = compose(overrides_of({"data": "xor", "activation": "tanh"}, OFFER), 3, None)
    assert [spec.config.seed for spec in specs] == [0, 1, 2]
    assert {spec.choices["activation"] for spec in specs} == {"tanh"}


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ({"activation": "rleu"}, ["activation=rleu"]),
        ({"optimizer.lr": -1}, ["optimizer.lr=-1"]),
        ({"architecture.hidden": [8, 0]}, ["architecture.hidden=[8,0]"]),
        ({"norm": "batch", "train.batch_size": 1}, ["norm=batch", "train.batch_size=1"]),
        ({"data": "digits", "loss": "binary_nll"}, ["data=digits", "loss=binary_nll"]),
        ({"init": "constant"}, ["init=constant"]),
        ({"data": "spirals", "data.classes": 1}, ["data=spirals", "data.classes=1"]),
    ],
)
def test_what_is_refused_gets_the_command_lines_message(cli: Cli, side: dict[str, Any], words: list[str]) -> None:
    """The page and ``workbench train -m`` say the same."""
    said = cli("train", "-m", "split.seed=0", *words, "seed=range(2)").err
    with pytest.raises(WorkbenchError) as refused:
        compose(overrides_of(side, OFFER), 2, None)
    assert f"workbench: {refused.value}\n" == said


@pytest.mark.parametrize(
    "side",
    [
        {"activation._target_": "os.system"},
        {"data": "npz", "data.path": "/etc/passwd"},
        {"data": "table", "data.path": "secret"},
        {"data": "annuli", "data.path": "secret"},
        {"tracking.uri": "http://elsewhere"},
        {"hydra/launcher": "packed_slurm"},
        {"activation": "relu,tanh"},
        {"activation": "${oc.env:HOME}"},
        {"data": "annuli", "data.coordinates": "${oc.env:HOME}"},
        {"optimizer.lr": "${oc.env:HOME}"},
        {"optimizer.lr": "range(3)"},
        {"optimizer.lr": "../x"},
        {"loss": "squared_error", "loss.output": "os"},
    ],
)
def test_paths_targets_and_interpolations_are_refused(side: dict[str, Any]) -> None:
    """Whatever is no option, and no plain value of a chosen option, never reaches Hydra."""
    with pytest.raises(ConfigError, match=r"^play: "):
        overrides_of(side, OFFER)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {}, "folder": "/"}',
        '{"a": {"activation": {"_target_": "os.system"}}}',
        '{"a": {"optimizer.lr": NaN}}',
        '{"a": {}, "seeds": 33}',
        '{"a": {}, "seeds": true}',
        '{"a": {}, "points": [[0, 0, 9]]}',
        '{"a": {}, "points": [[0, Infinity, 1]]}',
        '{"a": {"architecture.hidden": ["x"]}}',
    ],
)
def test_malformed_settings_are_refused(text: str) -> None:
    """Settings hold what the schema says, and nothing else."""
    with pytest.raises(ValidationError):
        Settings.model_validate_json(text)


def test_drawn_points_become_data(tmp_path: Path) -> None:
    """They train as arrays from a file, in the coordinates that they were drawn in."""
    points = [(x / 10, (-1) ** label * 0.5, label) for label in (0, 1) for x in range(10)]
    file = save_points(points, tmp_path)
    overrides = overrides_of({"data": DRAWN, "activation": "tanh"}, OFFER, file)
    (spec,) = compose(overrides, 1, None)
    assert spec.resolved["data"]["path"] == str(file)
    assert not spec.config.split.standardize
    assert save_points(points, tmp_path) == file


def test_options_of_a_folder_are_offered_with_their_numbers(tmp_path: Path) -> None:
    """Texts in a user's yaml may be paths: the page cannot set them."""
    (tmp_path / "activation").mkdir()
    (tmp_path / "activation" / "leaky.yaml").write_text(
        "_target_: workbench.nn.activations.leaky_relu\nslope: 0.2\nfile: mine.csv\n"
    )
    offered = offer(tmp_path)
    assert offered["activation"]["leaky"] == {"activation.slope": 0.2}
    assert offered["activation"]["relu"] == {}
    with pytest.raises(ConfigError, match=r"^play: 'activation\.file' must be a value"):
        overrides_of({"activation": "leaky", "activation.file": "x"}, offered)


def test_words_have_choices() -> None:
    """A value that is a word is chosen from those that its function takes."""
    choices = word_choices()
    assert choices["data.coordinates"] == ["cartesian", "polar"]
    assert all(len(words) > 1 for words in choices.values())


def test_a_pack_that_is_too_large_is_refused() -> None:
    """The message says what to choose."""
    side = {"data": "digits", "architecture.hidden": [3000, 3000]}
    with pytest.raises(ConfigError, match=r"^play: the pack must take at most .* choose fewer seeds or a smaller net"):
        compose(overrides_of(side, OFFER), 32, None)


def test_only_classes_are_shown(tmp_path: Path) -> None:
    """A regression of the user's own is refused."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("_target_: workbench.data.datasets.diabetes\n")
    side = {"data": "mine"}
    with pytest.raises(ConfigError, match="loss: softmax_nll needs"):
        compose(overrides_of(side, offer(tmp_path)), 1, tmp_path)
    with pytest.raises(ConfigError, match=r"^play: data must have features and classes, got data=mine"):
        compose(overrides_of({**side, "loss": "squared_error"}, offer(tmp_path)), 1, tmp_path)
