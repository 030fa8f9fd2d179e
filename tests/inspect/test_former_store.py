"""A store that an earlier state of version 0.1.0 wrote, before modules moved, is read as it is."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import Answer

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
STORE = Path(__file__).parents[1] / "golden" / "store_0.1.0.tar.xz"  # a sweep of 2 x 2 runs, a run, a verdict


@pytest.fixture
def former(folder: Path) -> Path:
    """The current folder, with the store in it."""
    with tarfile.open(STORE) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.mark.slow
def test_every_command_reads_it(cli: Cli, former: Path) -> None:
    """Every command reads the store: arms, a run, a diagnosis, the verdict; files lie where the store was moved to."""
    compared = cli("compare", "--format", "csv")
    assert (compared.code, compared.err) == (0, "")
    assert {line.partition(",")[0] for line in compared.out.splitlines()[1:]} >= {"relu", "sigmoid"}
    shown = cli("show", "relu seed=1")
    assert shown.code == 0
    assert "2b07f5e6" in shown.out
    assert cli("diagnose", "sigmoid seed=0").code == 0
    (verdict,) = [line for line in cli("claims").out.splitlines() if "piecewise_linear" in line]
    assert "supported" in verdict
    drawn = cli("figures", "relu seed=0", "-o", "drawn")
    assert drawn.code == 0
    assert "gradient_flow" in drawn.out


@pytest.mark.parametrize("name", ["relu seed=0", "wine tanh batch epochs=2 hidden=[4] seed=7"])
def test_its_runs_train_again_to_the_same_bits(cli: Cli, former: Path, name: str) -> None:
    """Runs train again to the same bits from the store's configuration, whose functions stand where they stood."""
    answer = cli("verify", name)
    assert answer.code == 0, answer.out + answer.err
    assert "same bits" in answer.out
