"""The wheel, installed outside the checkout, does all that the checkout does."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.outer import Answer, environment, finish

ROOT = Path(__file__).resolve().parents[1]
WHERE = """
import sys
import workbench, hydra_plugins.workbench as plugin
from workbench.cli.entry import main

print(workbench.__file__, plugin.__file__)
sys.exit(main(["demo", "nothing"]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with what is installed here: no network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("workbench-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in a folder of their own."""
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def runs(installed: Path, folder: Path, *commands: list[str]) -> list[Answer]:
    """Python processes side by side in `folder` that import from `installed` first."""
    started = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment(PYTHONPATH=str(installed)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    return [finish(process) for process in started]


def test_wheel_holds_code_conf_and_experiments(wheel: Path) -> None:
    """The wheel holds every module, option and experiment of the checkout, and no test."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = ("workbench", "hydra_plugins")
    files = [file for package in packages for file in (ROOT / package).rglob("*") if file.is_file()]
    modules = {str(file.relative_to(ROOT)) for file in files if file.suffix != ".pyc"}  # templates and pages too
    conf = {f"workbench/{file.relative_to(ROOT)}" for file in (ROOT / "conf").rglob("*.yaml")}
    experiments = {f"workbench/{file.relative_to(ROOT)}" for file in (ROOT / "experiments").rglob("*.py")}
    assert names >= modules | conf | experiments
    assert not [name for name in names if name.startswith("tests") or name.endswith(".db")]
    assert "hydra_plugins/__init__.py" not in names  # a namespace package, which others share


@pytest.mark.slow
def test_installed_package_trains_and_finds_its_experiments(installed: Path, tmp_path: Path) -> None:
    """The installed package trains a sweep with its launcher and lists the demos, with the checkout out of reach."""
    sweep = ["train", "-m", "data=wine", "activation=relu,tanh", "train.epochs=1"]
    listed = ["-m", "workbench", "claims"]
    demo, train, claims = runs(installed, tmp_path, ["-c", WHERE], ["-m", "workbench", *sweep], listed)
    for path in demo.out.split():
        assert Path(path).is_relative_to(installed)
        assert not Path(path).is_relative_to(ROOT)
    assert (train.code, train.err) == (0, "")
    assert "2 runs of 2 arms" in train.out
    assert "2 finished" in train.out
    assert (demo.code, len(demo.out.split())) == (2, 2)
    assert demo.err == "workbench: demo: unknown name 'nothing'; options: activations_on_digits\n"
    assert (claims.code, claims.err) == (0, "")
    assert "xor" in claims.out
    names = {file.name for file in tmp_path.iterdir()}
    assert names - {"mlflow.db-wal", "mlflow.db-shm"} == {"mlartifacts", "mlflow.db", "mlflow.db.lock"}
