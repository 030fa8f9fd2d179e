"""``workbench new`` writes files that work as they stand, or none."""

import errno
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.outer import Answer, finish, runs_of, start
from workbench.claims.catalog import choose
from workbench.cli.commands.new import KINDS
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


FOLDERS = {  # of the yaml of each kind
    "activation": "mine/activation",
    "layer": "mine/architecture",
    "data": "mine/data",
    "diagnostic": "mine/diagnostics",
}


@pytest.mark.parametrize("arguments", [(), ("--into", "mine/deep")])
def test_all_files_of_a_claim_are_written(cli: Cli, folder: Path, arguments: tuple[str, ...]) -> None:
    """`new claim` writes all files into ``claims`` or the folder given, and prints the command that runs them."""
    answer = cli("new", "claim", "faster", *arguments)
    place = Path(arguments[-1] if arguments else "claims")
    yaml, figure, code = (place / "faster" / name for name in ("experiment.yaml", "figure.py", "measure.py"))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"wrote {yaml}\nwrote {figure}\nwrote {code}\nrun it: workbench reproduce faster --claims {place}\n"
    )
    (one,) = choose(["faster"], folder / place)
    assert one.claim.title == "Tanh against sigmoid"
    assert "$" not in code.read_text() + figure.read_text() + yaml.read_text()
    assert f"workbench reproduce faster --claims {place}\n" in code.read_text()


@pytest.mark.parametrize("kind", FOLDERS)
def test_code_yaml_and_test_are_written(cli: Cli, folder: Path, kind: str) -> None:
    """Each other kind is a module, its test and one yaml; what they are called is what was asked for."""
    answer = cli("new", kind, "own_one", "--into", "it's mine")
    yaml = Path(FOLDERS[kind].replace("mine", "it's mine"), "own_one.yaml")
    assert (answer.code, answer.err) == (0, "")
    written = [yaml, Path("own_one.py"), Path("test_own_one.py")]
    assert answer.out.splitlines()[:3] == [f"wrote {file}" for file in written]
    assert "own_one.own_one" in yaml.read_text()
    assert not [file for file in written if "$" in file.read_text() or "NAME" in file.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOLDERS)
def test_what_is_written_works(cli: Cli, store: Store, folder: Path, kind: str) -> None:
    """The printed commands end well: the written test passes, and the new option trains or is checked."""
    commands = [line.partition(": ")[2] for line in cli("new", kind, "own_one").out.splitlines() if "it: " in line]
    for command in commands:
        program, *words = shlex.split(command)
        short = ("train.epochs=1",) if words[0] == "train" else ()
        module = ("-m", program) if program == "workbench" else ()
        done = finish(start([*module, *words, *short], folder, module=False))
        assert done.code == 0, done.out + done.err
    assert len(commands) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("activation", "torch.cos(z)", "a"),
        ("layer", "grad_out.sum(1)", "grad_out.mean(1)"),
        ("data", "[0, 0, 0, 1]", "[0, 0, 1, 1]"),
        ("diagnostic", "amax", "amin"),
    ],
)
def test_written_test_finds_a_mistake(cli: Cli, folder: Path, kind: str, right: str, wrong: str) -> None:
    """A written test fails once the code beside it is wrong."""
    cli("new", kind, "own_one")
    code = folder / "own_one.py"
    assert right in code.read_text()
    code.write_text(code.read_text().replace(right, wrong))
    assert finish(start(["-m", "pytest", "test_own_one.py"], folder, module=False)).code == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["1st", "a-b", "", "../up", "a.b", "class"])
def test_bad_names_are_refused(cli: Cli, folder: Path, kind: str, name: str) -> None:
    """A name that is no Python identifier is refused with exit code 2, and nothing is written."""
    answer = cli("new", kind, name)
    assert answer.code == 2
    assert answer.err == (
        f"workbench: new {kind}: NAME must be a Python identifier, got {name!r}; write workbench new {kind} my_{kind}\n"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "existing",
    [
        *(f"claims/faster/{name}" for name in ("measure.py", "figure.py", "experiment.yaml")),
        *(f"{place}/faster.yaml" for place in FOLDERS.values()),
        *("faster.py", "test_faster.py"),
    ],
)
def test_existing_files_are_spared(cli: Cli, folder: Path, existing: str) -> None:
    """An existing file, any of those to write, stops `new`, stays as it is, and nothing is written beside it."""
    file = folder / existing
    kind = next((kind for kind, place in FOLDERS.items() if existing.startswith(place)), "activation")
    kind = "claim" if existing.startswith("claims") else kind
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    answer = cli("new", kind, "faster")
    assert answer.code == 2
    assert answer.err == (f"workbench: new {kind}: {existing} must not exist; choose another name, or remove it\n")
    assert [path for path in folder.rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("claim", "xor"),
        ("claim", "all"),
        ("activation", "relu"),
        ("layer", "mlp"),
        ("data", "digits"),
        ("diagnostic", "full"),
        ("diagnostic", "grad_norm"),
    ],
)
def test_names_of_the_workbenchs_own_are_taken(cli: Cli, folder: Path, kind: str, name: str) -> None:
    """Names of the workbench's own are refused, as they could not be told apart; nothing is written."""
    answer = cli("new", kind, name)
    assert answer.code == 2
    assert answer.err == f"workbench: new {kind}: {name} is a name of the workbench's own; choose another name\n"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [("activation", "torch"), ("data", "math"), ("layer", "Shift")])
def test_names_that_others_have_are_refused(cli: Cli, folder: Path, kind: str, name: str) -> None:
    """A name of a module that Python would find in its place, or that the written code uses, is refused."""
    answer = cli("new", kind, name)
    assert answer.code == 2
    assert answer.err.endswith(f"{name} must be no module or name that its code uses; choose another name\n")
    assert list(folder.iterdir()) == []


def test_a_write_that_fails_leaves_no_file(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the second file takes the first one with it."""
    right = Path.open

    def full(path: Path, *given: Any, **options: Any) -> Any:
        if path.name == "test_own_one.py":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return right(path, *given, **options)

    monkeypatch.setattr(Path, "open", full)
    answer = cli("new", "activation", "own_one")
    assert (answer.code, answer.out) == (2, "")
    assert "No space left on device" in answer.err
    assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_written_claim_reproduces(cli: Cli, folder: Path, store: Store) -> None:
    """A newly written claim reproduces with fewer epochs and seeds, and its yaml is an experiment for `train`, too."""
    cli("new", "claim", "faster")
    yaml = folder / "claims" / "faster" / "experiment.yaml"
    text = yaml.read_text()
    for before, after in (("epochs: 10", "epochs: 1"), ("{seeds: 10}", "{seeds: 6}"), ("[8, 32]", "[2]")):
        assert before in text
        text = text.replace(before, after)
    yaml.write_text(text)
    answer = cli("reproduce", "faster", "--claims", "claims")
    assert (answer.code, answer.err) == (0, "")
    assert "Tanh against sigmoid" in answer.out
    final = [run for run in runs_of(store) if not run.info.run_name.startswith("tuning")]
    assert len(final) == 2 * 6
    shown = cli("train", "--config-dir", "claims", "experiment=faster", "--cfg", "job")
    assert shown.code == 0
    assert "epochs: 1\n" in shown.out
    assert "experiment: faster\n" in shown.out


def test_too_few_seeds_are_refused_before_anything_runs(cli: Cli, folder: Path) -> None:
    """Every command that reads an own claim of too few seeds refuses it before anything runs, and names enough."""
    cli("new", "claim", "faster")
    yaml = folder / "claims" / "faster" / "experiment.yaml"
    yaml.write_text(yaml.read_text().replace("{seeds: 10}", "{seeds: 5}"))
    for command in (("reproduce", "faster"), ("claims",)):
        answer = cli(*command, "--claims", "claims")
        assert answer.code == 2
        assert "claim.profiles.quick.seeds: part smaller_loss could only stay open, got 5" in answer.err
        assert "it takes at least 6" in answer.err
    assert not (folder / "mlflow.db").exists()
