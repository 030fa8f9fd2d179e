"""Every command that reads runs back, over a server: a real one, on loopback."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer, trained
from tests.servers import mlflow_server

pytestmark = pytest.mark.slow
pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """The address of ``mlflow server`` with one worker, ended with the module."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "server.db")
    with mlflow_server(folder) as begun:
        begun.wait()
        yield begun.uri


def test_commands_read_a_server(cli: Cli, server: str, folder: Path) -> None:
    """Compare with its figures, show, verify, diagnose and figures, with links to the server's own pages."""
    trained("-m", *SMALL, "activation=relu,tanh", "seed=0,1", f"tracking.uri={server}")
    compared = cli("compare", "--uri", server, "--out", "figures/all")
    assert (compared.code, compared.err) == (0, "")
    assert f"runs and charts: {server}/#/experiments/" in compared.out
    assert len(list((folder / "figures").glob("*/*.png"))) == 4
    table = cli("compare", "--uri", server, "--by", "activation", "--format", "csv")
    assert table.out.startswith("arm,metric,mean,low,high,n,unfinished,disagree\nrelu,")
    shown = cli("show", "tanh seed=1", "--uri", server)
    assert (shown.code, shown.err) == (0, "")
    assert f"runs and charts: {server}/#/experiments/" in shown.out
    verified = cli("verify", "tanh seed=1", "--uri", server)
    assert (verified.code, verified.err) == (0, "")
    assert "weights: the same bits" in verified.out
    assert cli("diagnose", "--uri", server).code == 0
    drawn = cli("figures", "relu seed=0", "--uri", server)
    assert (drawn.code, drawn.err) == (0, "")
    assert "figures/gradient_flow.png (" in cli("show", "relu seed=0", "--uri", server).out
