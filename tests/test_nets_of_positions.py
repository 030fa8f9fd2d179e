"""What holds for nets of features holds for those of pictures and tokens: packs, and commands."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.outer import Answer, runs_of
from workbench.config.compose import configure
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
NETS = {
    "cnn": ("data=digits", "architecture=cnn", "architecture.channels=[2,2]", "architecture.hidden=[4]"),
    "lstm": ("data=counter", "data.examples=120", "architecture=lstm", "architecture.width=4"),
    "transformer": (
        *("data=agreement", "data.examples=120", "architecture=transformer", "architecture.width=8"),
        *("architecture.blocks=1", "architecture.feed_forward=6", "architecture.heads=2"),
    ),
}
USUAL = ("train.epochs=3", "train.batch_size=50")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_sweep_in_packs_equals_runs_alone(name: str) -> None:
    """Final weights are the same bits alone and in a pack; metrics are the same numbers."""
    jobs = [Job(configure([*NETS[name], *USUAL, f"seed={seed}"]), str(seed), "") for seed in range(3)]
    together = train_pack(jobs, MemorySink())
    for place, job in enumerate(jobs):
        alone = train_pack([job], MemorySink())
        assert torch.equal(alone.final[0], together.final[place])
        metrics = dict(together.results[place].metrics)
        assert alone.results[0].metrics == pytest.approx(metrics, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_every_command_reads_these_runs(cli: Cli, store: Store, folder: Path, name: str) -> None:
    """Each command answers with code 0 for a swept pair of runs with full diagnostics, which rate dead units."""
    assert cli("train", "-m", *NETS[name], *USUAL, "diagnostics=full", "seed=range(2)").code == 0
    run = runs_of(store)[0]
    assert cli("compare").code == 0
    for command in ("show", "diagnose", "figures", "verify"):
        answer = cli(command, run.info.run_id)
        assert answer.code == 0, (command, answer.out, answer.err)
    assert any(key.startswith("dead_rate/") for key in run.data.metrics)
