"""The experiments that come with the workbench run from end to end, shortened."""

from pathlib import Path

import pytest

import workbench as wb
from tests.outer import runs_of
from workbench.api.sweeps import Sweep
from workbench.api.training import sweep
from workbench.cli.entry import main
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

SHORT = ("train.epochs=1", "seed=0,1", "architecture.hidden=[8]")


def test_demo_trains_and_compares(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`workbench demo` runs its file as written: its sweep is trained and kept, compared and drawn."""
    trained: list[Sweep] = []

    def shortened(**keywords: str) -> Sweep:
        trained.append(sweep(*SHORT, **keywords))
        return trained[-1]

    monkeypatch.setattr(wb, "sweep", shortened, raising=False)
    assert main(["demo"]) == 0
    said = capsys.readouterr().out
    assert "6 runs of 3 arms; kept in" in said
    assert "6 finished" in said
    assert {run.data.params["activation"] for run in runs_of(store)} == {"relu", "sigmoid", "softplus"}
    for arm in ("relu", "sigmoid", "softplus"):
        assert any(line.startswith(f"│ {arm} ") for line in said.splitlines())
    figures = folder / "figures" / trained[0].id
    assert (figures / "learning_curves.png").stat().st_size > 10_000
    assert said.count(f"viewStateShareKey={trained[0].id}") == 2
