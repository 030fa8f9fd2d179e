"""A user's arrays and functions: options without a package, found in the current folder and in that of the options."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.outer import Answer
from workbench.config.prepare import prepare
from workbench.core.errors import ConfigError, DataError, UnknownNameError
from workbench.nn.activations import Activation, tanh

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
TINY = ("architecture.hidden=[4]", "train.epochs=1")
MODULE = '''
import torch
from workbench.nn.activations import Activation

def sine(rate: float = 1.0) -> Activation:
    """f(z) = sin(rate z)."""
    return Activation(lambda z: torch.sin(rate * z), lambda z, a: rate * torch.cos(rate * z), (-1.0, 1.0))
'''


def steep_tanh(rate: float = 2.0) -> Activation:
    """A function of this module; it stands for a user's."""
    return tanh()


def inputs(rows: int = 60) -> np.ndarray:
    """Standard normal inputs [rows, 3]."""
    return np.random.default_rng(0).normal(size=(rows, 3))


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.where(inputs()[:, 0] > 0, "up", "down"), 2),
        (np.arange(60) % 3, 3),
        (inputs()[:, :2], None),
        (np.arange(60) % 2 == 0, 2),
    ],
)
def test_arrays_become_a_data_set(folder: Path, y: np.ndarray, classes: int | None) -> None:
    """What is prepared holds the arrays' numbers; labels are numbered by their sorted order."""
    loss = "softmax_nll" if classes else "squared_error"
    dataset = prepare(wb.configure(data=wb.as_arrays(inputs(), y), loss=loss)).dataset
    assert np.array_equal(dataset.x, inputs())
    assert dataset.n_classes == classes
    assert np.array_equal(dataset.y, np.unique(y, return_inverse=True)[1] if classes else y)
    wb.as_arrays(inputs(), y)
    assert len(list((folder / ".workbench" / "data").iterdir())) == 1


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(60, dtype=int), "as_arrays: y: must hold at least two classes, got 0"),
        (np.arange(59), "must have x [N, I] and N targets"),
        (np.full(60, np.nan), "targets"),
    ],
)
def test_arrays_that_cannot_be_learned(folder: Path, y: np.ndarray, said: str) -> None:
    """They are refused before a file is written."""
    with pytest.raises(DataError) as caught:
        wb.as_arrays(inputs(), y)
    assert said in str(caught.value)
    assert not (folder / ".workbench").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_a_registered_function_is_an_option() -> None:
    """It is chosen by its name, with its defaults as values that can be changed, and named among the options."""
    wb.register("activation", "steep", steep_tanh)
    spec = wb.configure(activation=wb.option("steep", rate=3))
    assert spec.resolved["activation"] == {"_target_": f"{__name__}.steep_tanh", "rate": 3}
    assert wb.configure("activation=steep").resolved["activation"]["rate"] == 2.0
    with pytest.raises(UnknownNameError, match=r"unknown name 'stepe'; did you mean 'steep'\? options: .*relu"):
        wb.configure(activation="stepe")
    assert wb.check(activation="steep", data="xor", loss="binary_nll", **{"split.standardize": False}).agrees


@pytest.mark.usefixtures("registered")
def test_a_file_with_the_name_of_a_registered_option_is_named(folder: Path) -> None:
    """A file with that name is refused by a reason that names it, though Hydra's text begins with a blank line."""
    wb.register("activation", "steep", steep_tanh)
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "steep.yaml").write_text(f"_target_: {__name__}.steep_tanh\n")
    with pytest.raises(ConfigError, match="'activation/steep' is validated against ConfigStore schema"):
        wb.configure(activation="steep", config_dir="own")


def test_what_cannot_be_registered() -> None:
    """Groups that there are not, names that are taken, functions that others cannot find or of another kind."""
    with pytest.raises(UnknownNameError, match="register: unknown name 'units'"):
        wb.register("units", "steep", steep_tanh)
    with pytest.raises(ConfigError, match="activation=relu is an option of the workbench's own; choose another name"):
        wb.register("activation", "relu", steep_tanh)
    with pytest.raises(ConfigError, match="must stand at the top of a module"):
        wb.register("activation", "steep", lambda: tanh())
    with pytest.raises(ConfigError, match="must return Loss, got Activation"):
        wb.register("loss", "steep", steep_tanh)


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["in the current folder", "beside the options"])
def test_a_module_is_found_without_a_package(cli: Cli, folder: Path, beside: bool) -> None:
    """A function in a module of the current folder, or of the folder of ``--config-dir``, checks and trains."""
    name = f"units_of_{folder.name.replace('-', '_')}_{beside}"
    (folder / "mine" / "activation").mkdir(parents=True)
    (folder / "mine" / "activation" / "sine.yaml").write_text(f"_target_: {name}.sine\nrate: 1.0\n")
    (folder / "mine" / f"{name}.py" if beside else folder / f"{name}.py").write_text(MODULE)
    answer = cli("check", "--config-dir", "mine", "activation=sine", "activation.rate=2", "data=wine", *TINY)
    assert (answer.code, answer.err) == (0, "")
    assert "agrees" in answer.out
    assert wb.configure("activation=sine", config_dir="mine").choices["activation"] == "sine"


def test_an_executor_that_is_not_found_is_named(cli: Cli) -> None:
    """The message names what was looked for, and where a module of one's own belongs."""
    answer = cli("train", "-m", "data=xor", "seed=0,1", "hydra.launcher.executor._target_=nowhere.Executor")
    assert answer.code == 2
    assert "_target_: 'nowhere.Executor' cannot be used: Python does not find it; put its module into the" in answer.err


@pytest.mark.slow
def test_a_run_with_own_functions_is_verified(folder: Path) -> None:
    """What was trained here may be called again here; a run that is looked up needs its module allowed."""
    name = f"own_units_of_{folder.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(MODULE)
    run = wb.train(f"activation._target_={name}.sine", *TINY, data="wine")
    assert run.verify().same
    assert wb.Run.find(run.id, allow=[name]).verify().same
    with pytest.raises(ConfigError, match=f"add --allow {name}"):
        wb.Run.find(run.id).verify()
