"""``workbench new claim`` writes a claim that works."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import Answer, runs_of
from workbench.claims.catalog import choose
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


@pytest.mark.parametrize("arguments", [(), ("--claims", "mine/deep")])
def test_all_files_are_written(cli: Cli, folder: Path, arguments: tuple[str, ...]) -> None:
    """`new claim` writes all files into ``claims`` or the folder given, and prints the command that runs them."""
    answer = cli("new", "claim", "faster", *arguments)
    place = Path(arguments[-1] if arguments else "claims")
    code, figure, yaml = (place / "faster" / name for name in ("measure.py", "figure.py", "experiment.yaml"))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"wrote {code}\nwrote {figure}\nwrote {yaml}\nrun it: workbench reproduce faster --claims {place}\n"
    )
    (one,) = choose(["faster"], folder / place)
    assert one.claim.title == "Tanh against sigmoid"
    assert "$" not in code.read_text() + figure.read_text() + yaml.read_text()
    assert f"workbench reproduce faster --claims {place}\n" in code.read_text()


@pytest.mark.parametrize("name", ["1st", "a-b", "a b", "", "../up", "a.b"])
def test_bad_names_are_refused(cli: Cli, folder: Path, name: str) -> None:
    """A name that is no Python identifier is refused with exit code 2, and nothing is written."""
    answer = cli("new", "claim", name)
    assert answer.code == 2
    assert answer.err == (
        f"workbench: new claim: NAME must be a Python identifier, got {name!r}; write workbench new claim my_claim\n"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "existing", [f"claims/faster/{name}" for name in ("measure.py", "figure.py", "experiment.yaml")]
)
def test_existing_files_are_spared(cli: Cli, folder: Path, existing: str) -> None:
    """An existing file, any of the three, stops `new claim`, stays as it is, and nothing is written beside it."""
    file = folder / existing
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    answer = cli("new", "claim", "faster")
    assert answer.code == 2
    assert answer.err == (f"workbench: new claim: {existing} must not exist; choose another name, or remove it\n")
    assert [path for path in folder.rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["xor", "all"])
def test_names_of_the_workbenchs_own_are_taken(cli: Cli, folder: Path, name: str) -> None:
    """Names of the workbench's own are refused, as such a claim could not be reproduced; nothing is written."""
    answer = cli("new", "claim", name)
    assert answer.code == 2
    assert answer.err == f"workbench: new claim: {name} is a name of the workbench's own; choose another name\n"
    assert list(folder.iterdir()) == []


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
