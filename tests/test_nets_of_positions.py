"""What holds for nets of features holds for those of pictures and tokens: packs, and commands."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch

from tests.outer import Answer, runs_of
from workbench.config.compose import configure
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import SplitConfig
from workbench.engine.replicas import Pack
from workbench.engine.stages import make_trainer
from workbench.inspect.rebuild import final_weights, spec_of
from workbench.nn.params import Params
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink
from workbench.tracking.find_run import find_run
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
@pytest.mark.parametrize("name", NETS)
def test_every_command_reads_these_runs(cli: Cli, store: Store, folder: Path, name: str) -> None:
    """Each command answers with code 0 for a swept pair of runs with full diagnostics, which rate dead units."""
    assert cli("train", "-m", *NETS[name], *USUAL, "diagnostics=full", "seed=range(2)").code == 0
    run = runs_of(store)[0]
    assert cli("compare").code == 0
    for command in ("show", "diagnose", "figures", "verify"):
        answer = cli(command, run.info.run_id)
        assert answer.code == 0, (command, answer.out, answer.err)
    assert any(key.startswith("dead_rate/") for key in run.data.metrics)
    assert cli("export", run.info.run_id, "-o", "model").code == 0
    model, pack, params = mlflow.pyfunc.load_model("model"), *rebuilt(store, run.info.run_id)
    x = pack.data.test.x[:1]
    z, _ = pack.objective.model.forward(params, x)
    raw = prepare(spec_of(find_run(store, run.info.run_id))).split(SplitConfig(seed=0, standardize=False)).test.x
    given = raw if name != "cnn" else raw.astype("float32")
    torch.testing.assert_close(torch.as_tensor(model.predict(given)), pack.objective.loss.predict(z)[0])


def rebuilt(store: Store, run: str) -> tuple[Pack, Params]:
    """A run's pack and final weights."""
    pack, params, _ = final_weights(store, find_run(store, run))
    return pack, params


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETS, "masked"])
def test_training_goes_on_from_a_snapshot(name: str) -> None:
    """A trainer that is restored after any record ends with the same bits as one that was never stopped."""
    more = ("pretraining=masked_lm", "pretraining.epochs=2") if name == "masked" else ()
    net = NETS.get(name, NETS["transformer"])
    pack = build_pack([configure([*net, *USUAL, *more, "split.seed=0", f"seed={seed}"]) for seed in range(2)])
    whole = make_trainer(pack, 50)
    snapshots = [(whole.snapshot().copied(), record.step) for record in whole.run(2)]
    for snapshot, _ in snapshots[:-1]:
        again = make_trainer(pack, 50)
        again.restore(snapshot)
        list(again.run(2))
        assert all(torch.equal(again.final[replica], whole.final[replica]) for replica in range(2))
