"""Every optimizer with every kind of net: a pack of replicas that differ in all they may is as many single runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference import blobs, build, make_pack, stems
from tests.sampling import sampled
from workbench.config.instantiate import call_stacked
from workbench.config.options import option
from workbench.engine.history import History
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer
from workbench.nn.builders import maxout_mlp, mlp, residual_mlp
from workbench.nn.initializers import Scheme, constant, glorot, he
from workbench.nn.layers.batch_norm import batch_norm
from workbench.nn.layers.layer_norm import layer_norm
from workbench.nn.model import Model
from workbench.nn.schedules import cosine, inverse_time, step, warmup

REPLICAS = 8
LEAKY = build("activation", "leaky_relu")
ARCHITECTURES: dict[str, Callable[[int, int], Model]] = {
    "mlp": lambda n_in, n_out: mlp([9, 6], n_in, n_out, LEAKY),
    "residual_mlp, layer norm": lambda n_in, n_out: residual_mlp(7, 2, n_in, n_out, LEAKY, layer_norm()),
    "maxout_mlp": lambda n_in, n_out: maxout_mlp([5, 5], 3, n_in, n_out),
    "mlp, batch norm, dropout": lambda n_in, n_out: mlp([9, 6], n_in, n_out, LEAKY, batch_norm(), 0.2),
}


def _rows(values: Sequence[float], seeds: Sequence[int]) -> Tensor:
    return torch.tensor([values[seed % len(values)] for seed in seeds], dtype=torch.float64)


SCHEDULES: list[Callable[[Sequence[int]], Any]] = [
    lambda seeds: step(30, _rows([0.5, 0.8, 1.0], seeds)),
    lambda seeds: warmup(20, cosine(_rows([0.0, 0.1, 0.5], seeds))),
    lambda seeds: inverse_time(_rows([0.0, 0.01, 0.1], seeds)),
]


def _optimizer(name: str, seeds: Sequence[int]) -> Any:
    """Per-replica values that depend on the seed alone."""
    lr = {"sgd": 0.1, "nesterov": 0.05, "adagrad": 0.05}.get(name, 0.01)
    nodes = []
    for seed in seeds:
        node = option("optimizer", name)
        own = {"lr": lr / (1 + seed), "weight_decay": 0.01 * (seed % 3), "momentum": 0.1 * seed, "beta1": 0.1 * seed}
        nodes.append({**node, **{key: value for key, value in own.items() if key in node}})
    return call_stacked("optimizer", nodes, lambda row: torch.tensor(row, dtype=torch.float64))


def _number(architecture: str, optimizer: str) -> int:
    return 2 * stems("optimizer").index(optimizer) + list(ARCHITECTURES).index(architecture)


def _pack(architecture: str, optimizer: str, seeds: Sequence[int]) -> Pack:
    slopes = [0.01, 0.3, -0.2]
    schemes = [Scheme(he() if seed % 2 else glorot(), constant(0.1), {"slope": slopes[seed % 3]}) for seed in seeds]
    return make_pack(
        blobs(100, 7, 4),
        seeds,
        architecture=ARCHITECTURES[architecture],
        optimizer=_optimizer(optimizer, seeds),
        schedule=SCHEDULES[_number(architecture, optimizer) % len(SCHEDULES)](seeds),
        clip_norm=_rows([1.0, float("inf"), 0.3], seeds),
        schemes=schemes,
        split_seeds=[seed % 2 for seed in seeds],
    )


def _train(pack: Pack) -> tuple[Tensor, list[dict[str, float]]]:
    """Train for 100 steps and return the final parameters and the last metrics of each replica."""
    trainer = Trainer(pack, 4)
    records = list(trainer.run(5))
    assert records[-1].step == 100
    last = [records[-2].of(replica) | records[-1].of(replica) for replica in range(len(pack))]
    return torch.stack([trainer.final[replica] for replica in range(len(pack))]), last


@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    sampled(product(sorted(ARCHITECTURES), stems("optimizer")), 5, pytest.mark.slow, pytest.mark.exhaustive),
)
def test_packed_replicas_equal_single_runs(architecture: str, optimizer: str) -> None:
    """100 steps of 8 replicas with their own seed, split, rate, schedule, cut, slope and scheme: the bits of alone."""
    packed, metrics = _train(_pack(architecture, optimizer, range(REPLICAS)))
    assert packed.isfinite().all()
    assert len({row["train/loss"] for row in metrics}) == REPLICAS
    for seed in range(REPLICAS):
        alone, (own,) = _train(_pack(architecture, optimizer, [seed]))
        assert torch.equal(alone[0], packed[seed])
        assert metrics[seed] == own


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp, batch norm, dropout", "residual_mlp, layer norm"])
def test_survivors_keep_what_is_theirs(architecture: str) -> None:
    """Replicas beside one that diverges keep their own schedule, clipping, slope, noise and statistics, bit for bit."""

    def pack(seeds: Sequence[int]) -> Pack:
        whole = _pack(architecture, "nesterov", seeds)
        lr = torch.tensor([1e200 if seed == 1 else 0.05 for seed in seeds], dtype=torch.float64)
        assert whole.clip_norm is not None
        return replace(whole, optimizer=replace(whole.optimizer, lr=lr), schedule=SCHEDULES[1](seeds))

    trainer = Trainer(pack([0, 1, 2]), 4)
    history = History(list(trainer.run(5)))
    assert list(history.diverged) == [1]
    assert history.diverged[1].quantity
    for position, seed in ((0, 0), (2, 2)):
        alone, _ = _train(pack([seed]))
        assert torch.equal(alone[0], trainer.final[position])
