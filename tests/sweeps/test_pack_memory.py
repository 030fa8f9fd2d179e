"""Compare what a pack is said to take with what its tensors take, from its building to the end of an epoch."""

import subprocess
import sys
from pathlib import Path

import pytest

from workbench.bench.memory import peak_bytes
from workbench.config.compose import configure_each
from workbench.config.prepare import build_pack, prepare
from workbench.config.validate import validate_all
from workbench.core.errors import ConfigError
from workbench.engine.stages import make_trainer
from workbench.sweeps.packing import group, pack_bytes
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

MIB = 2**20
TOKENS = ["data=recall", "data.examples=200"]
PEAK = """
import resource, sys
from workbench.cli.entry import main
code = main(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("replicas", [1, 8])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["norm=batch"],
        ["diagnostics=full"],
        ["architecture=residual_mlp", "optimizer=adam"],
        ["architecture=maxout_mlp"],
        ["data=wine", "architecture.hidden=[6]"],
        ["data=xor", "architecture.hidden=[2]"],
        ["architecture.hidden=[32,32,32,32]", "dtype=float64"],
        pytest.param(["architecture=cnn"], marks=pytest.mark.slow),
        pytest.param(["architecture=lstm"], marks=pytest.mark.slow),
        pytest.param([*TOKENS, "architecture=elman"], marks=pytest.mark.slow),
        pytest.param([*TOKENS, "architecture=transformer", "diagnostics=full"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_pack_takes_no_more_than_is_said(overrides: list[str], replicas: int) -> None:
    """A pack takes no more than is said, and what is said is at most three times that plus 2 MiB for small packs."""
    specs = configure_each(
        [*overrides, "train.epochs=1", "certificate=false"], [{"seed": seed} for seed in range(replicas)]
    )
    looking = prepare(specs[0]).diagnostics

    def train() -> None:
        for _ in make_trainer(build_pack(specs), specs[0].config.train.batch_size, looking).run(1):
            pass

    said, took = pack_bytes(specs, range(replicas)), peak_bytes(train)
    assert took <= said <= 3 * took + 2 * MIB


def peak_of_process(folder: Path, replicas: int, *overrides: str) -> int:
    """Bytes of a process that trains so many runs in an empty folder."""
    command = ["train", "-m", f"seed=range({replicas})", "train.epochs=2", *overrides]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    code, peak = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    return int(peak)


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "hidden"), [(1, 560), (1, 1100), (8, 180), (64, 11)])
def test_a_process_takes_what_is_said_above_a_small_nets(store: Store, replicas: int, hidden: int) -> None:
    """A process takes at most 1.5 times what is said beyond the process of a two-unit net; both check gradients."""
    net = f"architecture.hidden=[{hidden},{hidden}]"
    specs = configure_each([net], [{"seed": seed} for seed in range(replicas)])
    small = peak_of_process(store.home.parent, replicas, "architecture.hidden=[2]")
    large = peak_of_process(store.home.parent, replicas, net, "sweep.pack_gib=10")
    assert large - small <= 1.5 * pack_bytes(specs, range(replicas))


def test_packs_fit_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs fit the free memory whatever `pack_gib` allows; where several are trained at once, all of them together."""
    specs = configure_each(["architecture.hidden=[200,200]", "sweep.pack_gib=100"], [{"seed": n} for n in range(8)])
    assert len(group(specs)) == 1
    whole = pack_bytes(specs, range(8))
    monkeypatch.setattr("workbench.config.prepare.available", lambda: int(0.6 * whole))
    packs = group(specs)
    assert len(packs) > 1
    assert all(pack_bytes(specs, pack) <= 0.6 * whole for pack in packs)
    assert all(pack_bytes(specs, pack) <= 0.3 * whole for pack in group(specs, parallel=2))


def test_a_run_that_needs_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is refused where it, or the check of its gradients unless that is off, takes more memory than there is."""
    specs = configure_each(["architecture.hidden=[1000,1000]"], [{}])
    monkeypatch.setattr("workbench.config.prepare.available", lambda: 100 * MIB)
    with pytest.raises(ConfigError, match=r"certificate: one run would take .* write certificate=false"):
        validate_all(specs)
    validate_all(configure_each(["architecture.hidden=[1000,1000]", "certificate=false"], [{}]))
    monkeypatch.setattr("workbench.config.prepare.available", lambda: 30 * MIB)
    with pytest.raises(ConfigError, match="architecture: one run would take"):
        validate_all(specs)


@pytest.mark.slow
def test_data_that_need_more_than_there_is_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that need more memory than there is are refused, and fewer examples, as advised, are accepted."""
    few = ["data=curve", "loss=squared_error", "architecture.hidden=[2]", "certificate=false", "train.epochs=1"]
    many = [*few, "data.points=5000000"]
    monkeypatch.setattr("workbench.config.prepare.available", lambda: 36 * MIB)
    with pytest.raises(ConfigError, match=r"data: one run would take .* take fewer examples: smaller data\.points"):
        validate_all(configure_each(many, [{}]))
    validate_all(configure_each(few, [{}]))
