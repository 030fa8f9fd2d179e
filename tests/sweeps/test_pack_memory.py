"""What a pack is said to take beside what its tensors take, from its building to the end of an epoch."""

import pytest

from workbench.bench.memory import peak_bytes
from workbench.build import build_pack, diagnostics_of
from workbench.compose import configure_each
from workbench.engine.pretraining import make_trainer
from workbench.sweeps.packs import pack_bytes

MIB = 2**20


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
    ],
    ids=" ".join,
)
def test_a_pack_takes_no_more_than_is_said(overrides: list[str], replicas: int) -> None:
    """Nor is it said to take several times as much, but for the megabyte that the smallest are given."""
    specs = configure_each([*overrides, "train.epochs=1"], [{"seed": seed} for seed in range(replicas)])
    looking = diagnostics_of(specs[0])

    def train() -> None:
        for _ in make_trainer(build_pack(specs), specs[0].config.train.batch_size, looking).run(1):
            pass

    said, took = pack_bytes(specs, range(replicas)), peak_bytes(train)
    assert took <= said <= 3 * took + 2 * MIB
