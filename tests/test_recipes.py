"""Each recipe of docs/own.md, one after another in a copy of the checkout: one code place, one yaml each.

What the page says is picked up by itself is asked for in a fresh interpreter, with the repository's own tests where
they go by the options that there are.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outer import environment

ROOT = Path(__file__).parents[1]
FOLDERS = ("workbench", "hydra_plugins", "conf", "experiments", "tests", "docs")
PAGE = (ROOT / "docs" / "own.md").read_text()
CLI = ("-m", "workbench")
TEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "slow or not slow")
SMALL = ("data=wine", "architecture.hidden=[4]", "train.epochs=1", "device=cpu", "certificate=false")

SINE = '''

def sine() -> Activation:
    """f(z) = sin z."""
    return Activation(torch.sin, lambda z, a: torch.cos(z), (-1.0, 1.0))
'''
SHIFT = '''"""A layer that adds one number to each of its inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.core.axes import Units
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder


@dataclass(frozen=True)
class Shift(Layer):
    """z = x + c of `width` units, c a parameter."""

    name: str
    width: int

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return {f"{self.name}.b": torch.full((self.width,), 0.1, dtype=torch.float64)}

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, None]:
        return x + params[f"{self.name}.b"].unsqueeze(1), None

    def backward(
        self,
        params: Arrays,
        tape: None,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        grads[f"{self.name}.b"].copy_(grad_out.sum(1))
        return grad_out if need_grad_in else None
'''
SHIFTED = '''

def shifted(n_in: PositiveInt, n_out: PositiveInt) -> Model:
    """Shift the inputs, then one affine layer."""
    from workbench.nn.layers.shift import Shift

    return Model((Shift("l0", n_in), Dense("l1", n_in, n_out)))
'''
ECHO = '''"""A layer that adds to each position a share of the one before."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.core.axes import AtPositions
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder


@dataclass(frozen=True)
class Echo(Layer):
    """out_t = x_t + c ∘ x_{t-1} for x [R, B, T, U], with c [U] a parameter and x_{-1} = 0."""

    takes_positions: ClassVar[bool] = True

    name: str
    width: int

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return {f"{self.name}.c": torch.full((self.width,), 0.5, dtype=torch.float64)}

    def forward(self, params: Arrays, x: AtPositions, mode: Mode = EVALUATION) -> tuple[AtPositions, AtPositions]:
        before = torch.zeros_like(x)
        before[:, :, 1:] = x[:, :, :-1]
        return x + before * params[f"{self.name}.c"][:, None, None], before

    def backward(
        self,
        params: Arrays,
        tape: AtPositions,
        grad_out: AtPositions,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> AtPositions | None:
        grads[f"{self.name}.c"].copy_((grad_out * tape).sum((1, 2)))
        if not need_grad_in:
            return None
        grad_in = grad_out.clone()
        grad_in[:, :, :-1] += grad_out[:, :, 1:] * params[f"{self.name}.c"][:, None, None]
        return grad_in
'''
ECHOED = '''

def echo(inputs: Inputs, n_out: PositiveInt, per_position: bool, embedding: PositiveInt = 8) -> Model:
    """Tokens, rows of a picture or features, each with an echo of the one before; an affine output."""
    from workbench.nn.layers.echo import Echo
    from workbench.nn.layers.masked import masked
    from workbench.nn.layers.readout import Mean
    from workbench.nn.layers.views import Unflatten

    width = inputs.size // inputs.shape[0] if inputs.vocabulary is None else embedding
    first = (
        Unflatten((inputs.shape[0], width))
        if inputs.vocabulary is None
        else Embedding("l1", inputs.vocabulary, width, inputs.padding)
    )
    readout = () if per_position else (Mean(),)
    return masked(Model((first, Echo("l2", width), *readout, Dense("l3", width, n_out))), inputs.padding)
'''
AND = '''

def conjunction() -> Dataset:
    """The four points of AND; training, validation and test part are these four."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    return Dataset("conjunction", x, np.array([0, 0, 0, 1], dtype=np.int64), 2, split=False)
'''
LARGEST = '''

def act_max() -> Quantity:
    """Largest a of a layer."""
    return lambda seen: {name: one.a.amax((1, 2)) for name, one in seen.units.items()}
'''
BACKWARDS = '''"""Packs in this process, the last one first."""

from collections.abc import Sequence

from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask, Worker
from workbench.tracking.base import Sink


class Backwards(Executor):
    """The executor of ``hydra/launcher=packed_backwards``."""

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        worker = Worker(sink)
        for task in reversed(tasks):
            yield task, worker.do(task, on_progress)
'''
LAUNCHER = """_target_: hydra_plugins.workbench.PackedLauncher
executor:
  _target_: workbench.sweeps.executors.backwards.Backwards
"""
HELLO = '''"""``workbench hello``: a greeting."""

import argparse

HELP = "say good day"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME")


def run(options: argparse.Namespace) -> int:
    """Greet."""
    print(f"good day, {options.name}")
    return 0
'''


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository's folders, and a folder beside it for the runs."""

    root: Path
    here: Path

    def snapshot(self) -> dict[str, bytes]:
        """Content of every file that a change could touch."""
        files = (file for folder in FOLDERS for file in (self.root / folder).rglob("*") if file.is_file())
        return {
            str(file.relative_to(self.root)): file.read_bytes() for file in files if "__pycache__" not in file.parts
        }

    def add(self, file: str, text: str) -> None:
        """Append to a file, or write a new one."""
        place = self.root / file
        place.parent.mkdir(exist_ok=True)
        with place.open("a") as stream:
            stream.write(text)

    def python(self, *words: str, inside: bool = False) -> str:
        """Run a fresh interpreter that imports this copy, which must end well, and return what it prints."""
        paths = {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "", "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root if inside else self.here,
            env=environment(**paths),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def cli(self, *words: str) -> str:
        """Run a command of the workbench from this copy and return what it prints."""
        return self.python(*CLI, *words)

    def tests(self, *words: str) -> None:
        """Run tests of this copy; that there are none is an error too."""
        self.python(*TEST, *words, inside=True)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, compiled once: what one recipe adds is no matter for the next."""
    root = tmp_path_factory.mktemp("copied") / "checkout"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.tar.xz"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, root / file)
    return root


@pytest.fixture
def checkout(copied: Path, tmp_path: Path) -> Checkout:
    """The copy in which recipes are followed, and an empty folder for the runs of one."""
    return Checkout(copied, tmp_path)


def activation(copy: Checkout) -> None:
    """The gradient check, the tests of options and of activations, and the messages know it."""
    said = copy.cli("check", "activation=sine")
    assert "agree" in said
    assert "sine" in copy.cli("train", "--help")
    files = ("config/test_conf.py", "nn/test_activations.py", "test_bad_input.py", "certificates/test_forward.py")
    copy.tests(*(f"tests/{file}" for file in files), "-k", "sine or [activation] or rellu or second_forms")


def layer(copy: Checkout) -> None:
    """The gradient check goes through it, and no table of twins asks for it."""
    assert "agree" in copy.cli("check", "architecture=shifted")
    files = ("config/test_conf.py", "nn/test_wide_layers.py", "certificates/test_forward.py", "engine/test_train.py")
    copy.tests(*(f"tests/{file}" for file in files), "-k", "shifted or [architecture] or cases_are or second_forms")


def mixing_layer(copy: Checkout) -> None:
    """The gradient check goes through it with rows, and with tokens and padding; the tests of options know it."""
    assert "agree" in copy.cli("check", "architecture=echo")
    tokens = ("data=agreement", "data.examples=100", "loss=softmax_nll")
    assert "agree" in copy.cli("check", "architecture=echo", *tokens)
    files = ("config/test_conf.py", "certificates/test_forward.py", "engine/test_train.py")
    copy.tests(*(f"tests/{file}" for file in files), "-k", "echo or [architecture] or cases_are or second_forms")


def data(copy: Checkout) -> None:
    """A run trains on it, and the tests of options and of data sets know it."""
    copy.cli("train", *SMALL[1:], "data=conjunction", "loss=binary_nll")
    files = ("config/test_conf.py", "data/test_datasets.py", "test_bad_input.py")
    copy.tests(*(f"tests/{file}" for file in files), "-k", "conjunction or [data] or mnist")


def diagnostic(copy: Checkout) -> None:
    """A run keeps its metric by layer, and the tests of quantities go on."""
    copy.cli("train", *SMALL, "diagnostics=full", "diagnostics.budget=null", "diagnostics.spacing=1")
    names = "import sqlite3; print(sqlite3.connect('mlflow.db').execute('select distinct key from metrics').fetchall())"
    assert "act_max/l1" in copy.python("-c", names)
    files = ("config/test_conf.py", "diagnostics/test_quantities.py")
    copy.tests(*(f"tests/{file}" for file in files), "-k", "quantity or by_hand or relu")


def executor(copy: Checkout) -> None:
    """A sweep trains by it, and the list of launchers has it."""
    said = copy.cli("train", "-m", *SMALL, "activation=relu,tanh", "hydra/launcher=packed_backwards")
    assert "2 runs" in said
    copy.tests("tests/test_bad_input.py", "-k", "joblib")


def claim(copy: Checkout) -> None:
    """The list of claims has it, and it is reproduced and judged."""
    assert "\n faster " in copy.cli("claims")
    assert "Tanh against sigmoid" in copy.cli("reproduce", "faster")
    copy.tests("tests/config/test_conf.py", "-k", "claim and faster")


def command(copy: Checkout) -> None:
    """Help lists it, completion offers it, and it runs."""
    assert "say good day" in copy.cli("--help")
    assert copy.cli("hello", "you") == "good day, you\n"
    offered = "import os; os.environ['COMP_LINE'] = 'workbench hel'; from workbench.cli.completion import complete"
    assert copy.python("-c", f"{offered}; complete(['query=bash'])") == "hello\n"
    copy.tests("tests/test_architecture.py", "-k", "hello or listed_nowhere")


@dataclass(frozen=True)
class Recipe:
    """A row of the page: what its first column names, what is written where, and what then works."""

    row: str
    files: dict[str, str]
    works: Callable[[Checkout], None]


CLAIM = ("measure.py", "figure.py", "experiment.yaml")  # its files
RECIPES = [
    Recipe(
        "activation",
        {
            "workbench/nn/activations.py": SINE,
            "conf/activation/sine.yaml": "_target_: workbench.nn.activations.sine\n",
        },
        activation,
    ),
    Recipe(
        "layer",
        {
            "workbench/nn/layers/shift.py": SHIFT,
            "workbench/nn/builders.py": SHIFTED,
            "conf/architecture/shifted.yaml": "_target_: workbench.nn.builders.shifted\n",
        },
        layer,
    ),
    Recipe(
        "mixing layer",
        {
            "workbench/nn/layers/echo.py": ECHO,
            "workbench/nn/sequence_builders.py": ECHOED,
            "conf/architecture/echo.yaml": "_target_: workbench.nn.sequence_builders.echo\nembedding: 8\n",
        },
        mixing_layer,
    ),
    Recipe(
        "data set",
        {
            "workbench/data/datasets.py": AND,
            "conf/data/conjunction.yaml": "_target_: workbench.data.datasets.conjunction\n",
        },
        data,
    ),
    Recipe(
        "diagnostic",
        {
            "workbench/diagnostics/quantities.py": LARGEST,
            "conf/diagnostics/full.yaml": "",  # its line is put into the mapping
        },
        diagnostic,
    ),
    Recipe(
        "executor",
        {
            "workbench/sweeps/executors/backwards.py": BACKWARDS,
            "conf/hydra/launcher/packed_backwards.yaml": LAUNCHER,
        },
        executor,
    ),
    Recipe("claim", {f"experiments/faster/{name}": "" for name in CLAIM}, claim),
    Recipe("command", {"workbench/cli/commands/hello.py": HELLO}, command),
]


def _follow(recipe: Recipe, copy: Checkout) -> None:
    for file, text in recipe.files.items():
        copy.add(file, text)
    if recipe.row == "diagnostic":
        file = copy.root / "conf" / "diagnostics" / "full.yaml"
        line = "  act_max: {_target_: workbench.diagnostics.quantities.act_max}\n"
        file.write_text(file.read_text().replace("units: true", f"{line}units: true"))
    if recipe.row == "claim":  # the files that `workbench new claim` writes
        copy.cli("new", "claim", "faster", "--into", "mine")
        for name in CLAIM:
            shutil.copy(copy.here / "mine" / "faster" / name, copy.root / "experiments" / "faster" / name)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.row)
def test_a_recipe_needs_no_more_than_it_says(recipe: Recipe, checkout: Checkout) -> None:
    """Only the places that the page names are touched, and all that it promises works."""
    before = checkout.snapshot()
    _follow(recipe, checkout)
    after = checkout.snapshot()
    assert {file for file in after if after[file] != before.get(file)} == recipe.files.keys()
    assert before.keys() <= after.keys()
    recipe.works(checkout)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.row)
def test_the_page_names_the_places(recipe: Recipe) -> None:
    """The row of a recipe has every file that it touches, with <name> for what is chosen."""
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {recipe.row}")]
    (row,) = rows[-1:]
    for file in recipe.files:
        place = file.removeprefix("workbench/").removesuffix(".py")
        assert place in row or any(f"{folder}/" in row for folder in _folders(place)), file


def _folders(place: str) -> list[str]:
    """The folders a place lies in, without the name that is chosen: ``nn/layers``, ``conf/<group>``."""
    folder = place.rsplit("/", 1)[0]
    return [folder, folder.replace("/activation", "/<group>"), folder.replace("/faster", "/<claim>")]
