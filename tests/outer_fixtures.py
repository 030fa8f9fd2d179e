"""Fixtures of the outer half's tests: the command line in this process, an empty store, a trained sweep."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from tests.outer import SMALL, Answer, Trained, trained
from workbench.cli.entry import main
from workbench.tracking.client import connect
from workbench.tracking.store import Store, find_store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: its migrations are paid once."""
    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    connect(Store(f"sqlite:///{file}"))
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no store named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def store(folder: Path, empty_database: Path) -> Store:
    """The empty store of the current folder."""
    shutil.copy(empty_database, folder / "mlflow.db")
    return find_store(None)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget, after the test, the options that it registers: another test's file may have their names."""
    repo = ConfigStore.instance().repo
    groups = {name: dict(node) if isinstance(node, dict) else node for name, node in repo.items()}
    monkeypatch.setattr(ConfigStore.instance(), "repo", groups)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Answer]]:
    """``workbench ...`` in this process."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as leaving:  # argparse's way
            code = leaving.code if isinstance(leaving.code, int) else 1
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Trained:
    """Two activations, two learning rates and two seeds on wine: two packs."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_database, folder / "mlflow.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        finished = trained(
            "-m",
            *SMALL,
            "activation=relu,tanh",
            "optimizer.lr=0.1,0.02",
            "seed=range(2)",
            "optimizer.momentum=0.5",
            "tracking.experiment=swept",
        )
        store = find_store(None)
    finally:
        os.chdir(before)
    assert finished is not None
    return Trained(finished, store, "")
