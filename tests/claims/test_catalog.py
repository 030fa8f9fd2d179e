"""The catalog of claims: what it lists, what its files must hold, and what a verdict depends on."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.claims.small import DRAWS, EXACT, PROVES, TRAINS, entry, write
from workbench.claims.catalog import catalog, choose
from workbench.config.schema import packaged
from workbench.core.errors import ConfigError, UnknownNameError


def test_shipped_claims_have_code_that_measures_and_draws() -> None:
    """The catalog lists every shipped yaml with a claim, no other, and its code has `measure` and `draw`."""
    shipped = catalog()
    assert "xor" in shipped
    assert "activations_on_digits" not in shipped
    for name, one in shipped.items():
        assert one.folder is None
        assert one.code == packaged("experiments") / name / "measure.py"
        assert callable(one.load().measure)
        assert callable(one.load_figure().draw)


def test_own_claims_come_first_and_are_chosen_by_name(tmp_path: Path) -> None:
    """Chosen claims come in the order asked for, each once; `all` gives the catalog's order, own claims first."""
    write(tmp_path, "zebra", PROVES, EXACT)
    write(tmp_path, "ant", PROVES, EXACT)
    names = list(catalog(tmp_path))
    assert names[:2] == ["ant", "zebra"]
    assert names[2:] == list(catalog())
    assert [one.name for one in choose(["xor", "zebra", "xor"], tmp_path)] == ["xor", "zebra"]
    assert [one.name for one in choose(["zebra", "all"], tmp_path)] == names
    assert choose(["zebra"], tmp_path)[0].folder == tmp_path


def test_unknown_claim_names_the_closest() -> None:
    """An unknown claim's error suggests the closest name and lists all claims, with `all`."""
    with pytest.raises(UnknownNameError) as error:
        choose(["xro"])
    text = str(error.value)
    assert text.startswith("claim: unknown name 'xro'; did you mean 'xor'? options: all, ")
    assert all(name in text for name in catalog())


def test_a_name_of_the_workbenchs_own_is_taken(tmp_path: Path) -> None:
    """Two claims of one name would share a store's verdicts."""
    write(tmp_path, "xor", PROVES, EXACT)
    with pytest.raises(ConfigError, match="--claims: xor is a claim of the workbench's own; give yours another name"):
        catalog(tmp_path)


def test_folder_without_claims(tmp_path: Path) -> None:
    """A folder without claims is refused with how to make the first; experiments without a claim do not count."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "experiment.yaml").write_text("# @package _global_\ntrain: {epochs: 1}\n")
    with pytest.raises(ConfigError) as error:
        catalog(tmp_path)
    assert str(error.value) == (
        f"--claims: {tmp_path} must hold NAME/experiment.yaml, NAME/measure.py and NAME/figure.py of a claim; "
        f"make the first with: workbench new claim NAME --into {tmp_path}"
    )


@pytest.mark.parametrize(("file", "function"), [("measure.py", "measure"), ("figure.py", "draw")])
def test_yaml_without_its_code(tmp_path: Path, file: str, function: str) -> None:
    """A yaml without its code is refused; the error names both files and the missing function."""
    write(tmp_path)
    yaml, code = tmp_path / "small" / "experiment.yaml", tmp_path / "small" / file
    code.unlink()
    with pytest.raises(ConfigError) as error:
        catalog(tmp_path)
    assert str(error.value) == f"{yaml}: its code {code} must exist, with a function {function}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def draw(figure, study): ...", "must define a function measure, which is missing"),
        ("measure = 3", "must define a function measure, which is missing"),
        ("def measure(study:", "must be a Python module that can be imported: SyntaxError"),
        ("import nothing_of_this_name", "must be a Python module that can be imported: ModuleNotFoundError"),
    ],
)
def test_code_that_is_none(tmp_path: Path, code: str, message: str) -> None:
    """Code that is no module, or lacks `measure`, is refused with the file and what is wrong with it."""
    with pytest.raises(ConfigError) as error:
        entry(tmp_path, code).load()
    assert str(error.value).startswith(f"{tmp_path / 'small' / 'measure.py'}: {message}")


def test_module_of_a_claim_is_fresh(tmp_path: Path) -> None:
    """Two loads do not share state, and its folder can be imported from."""
    (tmp_path / "beside_small.py").write_text("VALUE = 7\n")
    made = entry(tmp_path, "from beside_small import VALUE\n" + TRAINS)
    first: Any = made.load()
    first.VALUE = 8
    second: Any = made.load()
    assert second.VALUE == 7


def test_code_imports_the_modules_of_its_folder(tmp_path: Path) -> None:
    """A claim imports its folder's modules as they are now, not those of a namesake claim or of an older source."""
    relative = "from .proof import VALUE\n" + TRAINS
    for folder, value in (("first", 1), ("second", 2), ("second", 3)):
        write(tmp_path / folder, code=relative)
        (tmp_path / folder / "small" / "proof.py").write_text(f"VALUE = {value}  # {'#' * value}\n")
        (one,) = choose(["small"], tmp_path / folder)
        module: Any = one.load()
        assert value == module.VALUE


def test_a_folder_in_the_former_layout_is_told_how_to_move(tmp_path: Path) -> None:
    """The commands that are advised make the claim readable."""
    write(tmp_path / "now")
    (tmp_path / "experiment").mkdir()
    code = (tmp_path / "now" / "small" / "measure.py").rename(tmp_path / "small.py")
    code.write_text(TRAINS + DRAWS)
    (tmp_path / "now" / "small" / "experiment.yaml").rename(tmp_path / "experiment" / "small.yaml")
    with pytest.raises(ConfigError, match="move yours: ") as error:
        catalog(tmp_path)
    subprocess.run(str(error.value).partition("move yours: ")[2].partition(";")[0], shell=True, check=True)
    with pytest.raises(ConfigError, match="must exist, with a function draw"):
        catalog(tmp_path)
    (tmp_path / "small" / "figure.py").write_text(DRAWS)
    assert [one.name for one in choose(["small"], tmp_path)] == ["small"]
