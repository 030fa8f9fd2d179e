"""Whole trainings against torch's own modules, optimizers and autograd, with everything that can be combined at once.

Batch norm, a cut gradient, a schedule, momentum and weight decay meet in one training, as they do in a user's; each
replica has numbers of its own. Weights, running statistics and recorded losses are torch's to 1e-9 in float64.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import cos, pi
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.reference import blobs, build, make_pack
from workbench.core.seeds import generator
from workbench.engine.history import Record
from workbench.engine.replicas import Pack
from workbench.engine.stages import AnyTrainer, make_trainer
from workbench.nn.builders import mlp
from workbench.nn.optimizers import Optimizer, adam, sgd
from workbench.nn.pretraining import autoencoder
from workbench.nn.pretraining_stages import stages
from workbench.nn.schedules import Schedule, constant, cosine, step, warmup

EPOCHS, BATCH, SEEDS = 3, 13, (5, 8)
LR, PRETRAINING_LR = (0.1, 0.03), (0.02, 0.05)
MOMENTUM, DECAY, CLIP = (0.9, 0.5), (0.03, 0.2), (1.5, 1.2)
FLOOR, FACTOR = (0.1, 0.3), (0.5, 0.7)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}

Parameters = list[dict[str, Any]]
Cost = Callable[[Tensor, Tensor], Tensor]


def _row(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Rule:
    """An optimizer here and in torch, from the parameters and the learning rate of replica r.

    Where `decoupled`, torch's optimizer shrinks the weights itself, and J has no penalty.
    """

    ours: Callable[[], Optimizer]
    theirs: Callable[[int, Parameters, float], torch.optim.Optimizer]
    decoupled: bool = False


RULES = {
    "sgd": Rule(
        lambda: sgd(_row(LR), _row(MOMENTUM), _row(DECAY)),
        lambda r, groups, lr: torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM[r]),
    ),
    "nesterov": Rule(
        lambda: sgd(_row(LR), _row(MOMENTUM), _row(DECAY), nesterov=True),
        lambda r, groups, lr: torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM[r], nesterov=True),
    ),
    "adamw": Rule(
        lambda: adam(_row(LR), _row((0.9, 0.8)), _row((0.99, 0.9)), _row((1e-3, 1e-2)), _row(DECAY), decoupled=True),
        lambda r, groups, lr: torch.optim.AdamW(groups, lr=lr, betas=((0.9, 0.99), (0.8, 0.9))[r], eps=(1e-3, 1e-2)[r]),
        decoupled=True,
    ),
}

# a schedule here, and its factor for replica r at step t of n, counted from 0
SCHEDULES: dict[str, tuple[Callable[[], Schedule], Callable[[int, int, int], float]]] = {
    "constant": (constant, lambda r, t, n: 1.0),
    "cosine": (lambda: cosine(_row(FLOOR)), lambda r, t, n: FLOOR[r] + (1 - FLOOR[r]) * (1 + cos(pi * t / n)) / 2),
    "warmup": (
        lambda: warmup(4, cosine(_row(FLOOR))),
        lambda r, t, n: min(1, (t + 1) / 4) * (FLOOR[r] + (1 - FLOOR[r]) * (1 + cos(pi * t / n)) / 2),
    ),
    "step": (lambda: step(3, _row(FACTOR)), lambda r, t, n: FACTOR[r] ** (t // 3)),
}


def _pack(rule: str, schedule: str) -> Pack:
    """Two replicas of a 5-4-3-4 net with batch norm behind both hidden layers."""
    return make_pack(
        blobs(60, 5, 4),
        SEEDS,
        architecture=lambda n_in, n_out: mlp([4, 3], n_in, n_out, build("activation", "tanh"), build("norm", "batch")),
        optimizer=RULES[rule].ours(),
        schedule=SCHEDULES[schedule][0](),
        clip_norm=_row(CLIP),
    )


def _blocks(pack: Pack, r: int) -> list[nn.Sequential]:
    """Replica r's initial net in torch: affine, norm, activation of each hidden layer, and the output layer."""
    params = pack.initial_params()
    blocks = []
    for name in ("l1", "l2", "l3"):
        W, b = params[f"{name}.W"][r], params[f"{name}.b"][r]
        own = [nn.BatchNorm1d(len(W), dtype=W.dtype), nn.Tanh()] if f"{name}.gamma" in params else []
        blocks.append(nn.Sequential(_linear(W, b), *own))
    return blocks


def _linear(W: Tensor, b: Tensor) -> nn.Linear:
    linear = nn.Linear(W.shape[1], W.shape[0], dtype=W.dtype)
    linear.load_state_dict({"weight": W.clone(), "bias": b.clone()})
    return linear


@dataclass(frozen=True)
class Reference:
    """Replica r of a pack, trained by torch."""

    pack: Pack
    r: int
    rule: str
    cut: list[bool]  # whether each step's gradient was longer than its norm may be

    def data(self, part: str) -> tuple[Tensor, Tensor]:
        """Inputs and one-hot targets of the replica's own split."""
        own, rows = int(self.pack.data.split_of[self.r]), getattr(self.pack.data, part)
        return rows.x[own], rows.y[own]

    def train(
        self, net: nn.Module, cost: Cost, x: Tensor, y: Tensor, epochs: int, lr: float, schedule: str
    ) -> Iterable[int]:
        """Train; yields the epoch, from 0, before the first one and after each."""
        rule, r, factor = RULES[self.rule], self.r, SCHEDULES[schedule][1]
        weights = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
        rest = [own for own in net.parameters() if all(own is not weight for weight in weights)]
        decay, penalty = (DECAY[r], 0.0) if rule.decoupled else (0.0, DECAY[r])
        groups = [{"params": weights, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer = rule.theirs(r, groups, lr)
        total = epochs * -(-len(x) // BATCH)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: factor(r, t, total))
        order = generator(SEEDS[r], "order")
        yield 0
        for epoch in range(epochs):
            net.train()
            for rows in torch.split(torch.randperm(len(x), generator=order), BATCH):
                optimizer.zero_grad()
                squares = sum(weight.square().sum() for weight in weights)
                (cost(net(x[rows]), y[rows]) + penalty / 2 * squares).backward()
                self._clip([own.grad for own in (*weights, *rest) if own.grad is not None])
                optimizer.step()
                rates.step()
            net.eval()
            yield epoch + 1

    def _clip(self, grads: list[Tensor]) -> None:
        """Cut to the norm exactly: torch's clip_grad_norm_ adds 1e-6 to what it divides by."""
        length = float(nn.utils.get_total_norm(grads))
        self.cut.append(length > CLIP[self.r])
        for grad in grads:
            grad.mul_(min(1.0, CLIP[self.r] / length))


def _cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y.argmax(1))


def _half_squared(z: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (z - y).square().sum(1).mean()


def _trained(pack: Pack) -> tuple[AnyTrainer, list[Record]]:
    trainer = make_trainer(pack, BATCH)
    return trainer, list(trainer.run(EPOCHS))


def _train_whole(reference: Reference, blocks: list[nn.Sequential], schedule: str, records: list[Record]) -> None:
    """The whole net's training; recorded losses of the engine's, one before it and one after each epoch, are its."""
    net = nn.Sequential(*blocks).eval()
    x, y = reference.data("train")
    for epoch in reference.train(net, _cross_entropy, x, y, EPOCHS, LR[reference.r], schedule):
        for part in ("train", "valid"):
            own, targets = reference.data(part)
            expected = _cross_entropy(net(own).detach(), targets)
            assert records[epoch].metrics[f"{part}/loss"][reference.r] == pytest.approx(float(expected), rel=1e-9)


def _check_final(pack: Pack, trainer: AnyTrainer, r: int, blocks: list[nn.Sequential]) -> None:
    """Weights, gains and running statistics of the engine's replica are those of torch's net."""
    final = pack.initial_params().with_flat(trainer.final[r].unsqueeze(0))
    expected: dict[str, Tensor] = {}
    for name, block in zip(("l1", "l2", "l3"), blocks, strict=True):
        affine, norm = block[0], block[1] if len(block) > 1 else None
        expected |= {f"{name}.W": affine.weight, f"{name}.b": affine.bias}
        if isinstance(norm, nn.BatchNorm1d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            expected |= {f"{name}.gamma": norm.weight, f"{name}.beta": norm.bias}
            expected |= {f"{name}.running_mean": norm.running_mean, f"{name}.running_var": norm.running_var}
    assert sorted(expected) == sorted(final)
    for name, values in expected.items():
        torch.testing.assert_close(
            final[name][0], values.detach(), **CLOSE, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize(
    ("rule", "schedule"),
    [("sgd", "warmup"), ("sgd", "constant"), ("nesterov", "step"), ("adamw", "cosine"), ("adamw", "step")],
)
def test_a_whole_training_is_torchs(rule: str, schedule: str) -> None:
    """Batch norm, clipping, schedule, momentum and decay together: weights, running statistics, losses."""
    pack = _pack(rule, schedule)
    trainer, records = _trained(pack)
    for r in range(len(SEEDS)):
        reference, blocks = Reference(pack, r, rule, []), _blocks(pack, r)
        _train_whole(reference, blocks, schedule, records)
        assert {True, False} == set(reference.cut)
        _check_final(pack, trainer, r, blocks)


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_a_training_with_stages_before_it_is_torchs(rule: str) -> None:
    """Two auto-encoders at pretraining's rate, the output layer alone at the net's own, then the whole with a schedule.

    Momentum, decay and clipping hold in every stage, and begin anew in it; codes are those of running statistics.
    """
    rates = autoencoder(_row(PRETRAINING_LR), epochs=2, corruption=0.0, frozen_epochs=1)
    pack = replace(_pack(rule, "cosine"), pretraining=rates)
    trainer, records = _trained(pack)
    assert len(records) == 2 * 3 + 2 + EPOCHS + 2
    for r in range(len(SEEDS)):
        reference, blocks = Reference(pack, r, rule, []), _blocks(pack, r)
        (codes, y), schedule = reference.data("train"), "constant"
        for number, block in enumerate(blocks[:-1], start=1):
            net = nn.Sequential(block, _decoder(pack, r, number))
            for epoch in reference.train(net, _half_squared, codes, codes, 2, PRETRAINING_LR[r], schedule):
                if epoch:
                    _check_stage(records[3 * (number - 1) + epoch], f"pretrain.{number}/loss", r, net, codes, codes)
            codes = block(codes).detach()
        for epoch in reference.train(blocks[-1], _cross_entropy, codes, y, 1, LR[r], schedule):
            _check_stage(records[6 + epoch], "frozen/loss", r, blocks[-1], codes, y)
        _train_whole(reference, blocks, "cosine", records[8:])
        _check_final(pack, trainer, r, blocks)


def _check_stage(record: Record, name: str, r: int, net: nn.Module, x: Tensor, y: Tensor) -> None:
    cost = _half_squared if name.startswith("pretrain") else _cross_entropy
    assert record.metrics[name][r] == pytest.approx(float(cost(net(x), y).detach()), rel=1e-9)


def _decoder(pack: Pack, r: int, number: int) -> nn.Linear:
    """The stage's own layer, which the whole net has not, as the replica draws it."""
    own = stages(pack.objective.model, pack.pretraining)[number - 1].model.init(SEEDS[r], pack.schemes[r])
    return _linear(own[f"d{number}.W"], own[f"d{number}.b"])
