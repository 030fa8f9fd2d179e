"""Commands and code of README and docs: each is accepted as it stands, and each page runs from first block to last.

A block of Python or yaml whose first line is a comment with a path, such as ``# sine.py``, is a file that commands
of its page need; other Python is run. RUN, SWEEP, A and B are those of a store with two small sweeps.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from markdown_it import MarkdownIt

from tests.data_files import write_idx_folder
from tests.outer import SMALL, Answer, Trained, trained
from tests.test_own_data_page import write_houses
from workbench.cli.parser import command_names, make_parser, takes_overrides
from workbench.config.compose import command_line

pytest_plugins = ["tests.outer_fixtures"]

ROOT = Path(__file__).parents[1]
LANGUAGES = ("bash", "python", "yaml", "text")
CHEAP = ("claims", "compare", "diagnose", "explain", "show")  # commands that run in the default tests too
ONLY_ACCEPTED = {  # what is in a command that is not run: why
    "data=openml": "downloads",
    "device=cuda": "needs a GPU",
    "packed_ray": "needs a Ray cluster: make test-ray",
    "packed_slurm": "needs a SLURM cluster: make test-slurm",
    "workbench ui": "serves until it is stopped",
    "workbench play": "serves until it is stopped; tests/play has its tests",
    "workbench bench": "takes minutes; tests/test_bench.py runs each part",
    "check --all": "takes a minute; .ci/run runs it",
    "reproduce all": "takes minutes",
    "--profile full": "takes minutes",
    "--seed-offset": "takes minutes",
    "--details": "prints more of the same verdict",
    "--end RUN": "needs a run whose process is gone",
    "workbench demo": "takes seconds; tests/test_demo.py runs it",
    "--offsets": "needs verdicts at two seed offsets",
    "claims --report": "needs verdicts; tests/claims/test_reproduce.py writes it",
    "--out figures": "takes seconds to draw",
}
SHELL = {  # what a line begins with that is no command of the workbench: why it is not run
    "make": "its target is looked up",
    "python3 -m venv": "make does it",
    ".venv/bin/python -m pip": "make does it",
    "eval": "changes the shell that reads it",
}
FILE = re.compile(r"# ([\w./]+\.(?:py|yaml))\n")


class Block(NamedTuple):
    """A fenced block of a page, with the line it begins on."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The path that its first line names."""
        match = FILE.match(self.text)
        return match[1] if match and self.language != "bash" else None

    @property
    def commands(self) -> list[list[str]]:
        """Words of each command of the shell."""
        if self.language != "bash":
            return []
        lines = self.text.replace("\\\n", "").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    name, tokens = str(page.relative_to(ROOT)), MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [Block(name, token.map[0] + 1, token.info, token.content) for token in tokens if token.type == "fence"]


PAGES = {
    str(page.relative_to(ROOT)): blocks(page) for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
BLOCKS = [block for page in PAGES.values() for block in page]
COMMANDS = {shlex.join(words): block for block in reversed(BLOCKS) for words in block.commands}


HYDRAS = [name for name in command_names() if takes_overrides(name) and name not in CHEAP]
IS_WORKBENCH = re.compile(r"(\.venv/bin/)?workbench$")


def not_run(words: Sequence[str]) -> str | None:
    """Why a command is accepted but not run; None for one that runs."""
    line = " ".join(words)
    begun = [why for part, why in SHELL.items() if line.startswith(part)]
    return next(iter([*begun, *(why for part, why in ONLY_ACCEPTED.items() if part in line)]), None)


class Folder(NamedTuple):
    """A folder with runs and files of a user's own, and what RUN, SWEEP, A and B are there."""

    path: Path
    names: dict[str, str]

    def filled(self, words: Sequence[str]) -> list[str]:
        """Words of a command after its own name, with names of this folder's runs."""
        return [self.names.get(word, word) for word in words[1:]]


@pytest.fixture(scope="module")
def stock(swept: Trained, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Two small sweeps, and the files that pages name."""
    assert swept.store.file is not None
    path = tmp_path_factory.mktemp("user") / "here"
    shutil.copytree(swept.store.file.parent, path)
    rows = np.random.default_rng(0).normal(size=(60, 3)).round(2)
    cars = [f"{length};{width};".replace(".", ",") + ("van" if x > 0 else "car") for length, width, x in rows]
    (path / "autos.csv").write_text("\n".join(["length;width;kind", *cars]))
    np.savetxt(path / "houses.csv", rows, delimiter=",", header="area,rooms,price", comments="")
    (path / "notes.txt").write_text("\n".join(f"note {n}: write what was seen\n" for n in range(40)))
    np.savez(path / "points.npz", x=rows, y=np.arange(60) % 2)
    (path / "mnist").mkdir()
    write_idx_folder(path / "mnist")
    with chdir(path):
        other = trained("-m", *SMALL, "activation=relu,tanh", "optimizer.momentum=0.9", "tracking.experiment=swept")
    sweep, run = swept.finished.sweep, other.results[0].run
    return Folder(path, {"RUN": run, "SWEEP": sweep, "A": sweep, "B": other.sweep})


@pytest.fixture
def here(stock: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The folder as the current one, and where Python imports from."""
    monkeypatch.chdir(stock.path)
    monkeypatch.syspath_prepend(stock.path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return stock


def is_soon_tried(line: str, page: str) -> bool:
    """Whether a command is tried in the default tests: where Hydra does not compose it, or a stranger sees it first."""
    words = line.split()
    return page == "README.md" or not (IS_WORKBENCH.match(words[0]) and words[1] in HYDRAS)


def write_or_compare(block: Block) -> None:
    """Write the file that a block holds; one that a command of its page wrote must be what the page shows."""
    assert block.file is not None
    file, text = Path(block.file), block.text.split("\n", 1)[1]
    if file.exists():
        assert file.read_text() == text, f"{block.page}:{block.line}: {file} is shown as it is not written"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def accept(words: Sequence[str]) -> None:
    """Parse a command of the workbench, and compose its configurations, without what they would do."""
    if takes_overrides(words[0]):
        rest = [word for word in words[1:] if word != "--all"]
        command_line(rest, lambda spec: None, lambda runs, executor: [{}] * len(runs))
    else:
        make_parser().parse_args(words)


def test_blocks_name_their_language() -> None:
    """Each block says what it is, and no command is in one that is not run."""
    assert [block for block in BLOCKS if block.language not in LANGUAGES] == []
    hidden = re.compile(r"^(workbench|make) \w+", re.MULTILINE)
    assert [block for block in BLOCKS if block.language == "text" and hidden.search(block.text)] == []


@pytest.mark.parametrize("line", [line for line, block in COMMANDS.items() if is_soon_tried(line, block.page)])
def test_a_command_is_accepted(line: str, here: Folder, cli: Callable[..., Answer]) -> None:
    """The parser takes each command, and composing each of the README; what is cheap is run."""
    words = shlex.split(line)
    if IS_WORKBENCH.match(words[0]):
        words = here.filled(words)
        is_cheap = words[-1] == "--help" or (words[0] in CHEAP and not not_run(words))
        run(words, cli) if is_cheap else accept(words)
    else:
        assert not_run(words), f"{line}: name in SHELL why it is not run"
        assert words[0] != "make" or f"\n{words[1]}:" in (ROOT / "Makefile").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("page", [name for name, page in PAGES.items() if any(b.language != "text" for b in page)])
def test_a_page_runs(page: str, here: Folder, cli: Callable[..., Answer], tmp_path: Path) -> None:
    """Commands that no page before has end with exit code 0, one after the other; Python raises nothing."""
    shutil.copytree(here.path, tmp_path / "here")
    with chdir(tmp_path / "here"), pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(tmp_path / "here")
        if page == "docs/own_data.md":
            write_houses(Path("houses.csv"))  # with the blanks and counters that this page is about
        names: dict[str, Any] = {"x": np.zeros((2, 13), dtype=np.float32)}  # the inputs of the small sweeps' nets
        writes_own = any(words[:2] == ["workbench", "new"] for block in PAGES[page] for words in block.commands)
        for block in PAGES[page] if not writes_own else ():  # a file may stand below the command that reads it
            if block.file:
                write_or_compare(block)
        for block in PAGES[page]:
            if block.file:
                write_or_compare(block)
            elif block.language == "python":
                exec(compile(block.text, f"{page}:{block.line}", "exec"), names)
            for words in block.commands:
                is_first = COMMANDS[shlex.join(words)] == block
                if IS_WORKBENCH.match(words[0]) and is_first:
                    accept(here.filled(words)) if not_run(words) else run(shortened(here.filled(words)), cli)


def run(words: Sequence[str], cli: Callable[..., Answer]) -> None:
    """Run a command, which must end well."""
    answer = cli(*words)
    assert answer.code == 0, f"{shlex.join(words)}\n{answer.out[-2000:]}\n{answer.err}"


def shortened(words: list[str]) -> list[str]:
    """Train one epoch where a command says nothing of epochs."""
    is_long = words[0] == "train" and not any("epochs=" in word or word.startswith("--") for word in words)
    return [*words, "train.epochs=1"] if is_long else words


@pytest.mark.parametrize("part", [*ONLY_ACCEPTED, *SHELL])
def test_an_exception_is_of_some_command(part: str) -> None:
    """No reason stays when its command has gone."""
    assert any(part in line for line in COMMANDS)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Pages, links, anchors and navigation hold; what is generated is there. With --quiet, mkdocs would count none."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    texts = {name: (tmp_path / f"{name}.html").read_text() for name in ("options", "commands", "python")}
    for name, wanted in (("options", "activation=leaky_relu"), ("commands", "--seed-offset"), ("python", '.sweep"')):
        assert wanted in texts[name]
