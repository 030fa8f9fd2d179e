"""Divergence is data: the replica is named with step, layer and quantity, keeps finite numbers, disturbs nobody."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
import pytest
import torch

from tests.reference import blobs, make_pack
from workbench.core.seeds import generator
from workbench.data.datasets import Dataset
from workbench.engine.epoch_plan import Plan
from workbench.engine.failure import first_failures
from workbench.engine.history import Divergence, History, Record
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer
from workbench.nn.initializers import Initializer, Scheme, constant, normal_noise

HUGE = 1e200


def _train(pack: Pack, epochs: int = 3, batch_size: int = 16) -> tuple[Trainer, History]:
    trainer = Trainer(pack, batch_size)
    return trainer, History(list(trainer.run(epochs)))


def _line(n: int = 4, y: float = 0.0, x: float = 1.0) -> Dataset:
    """n equal examples of one feature, so that a step is a step on one number."""
    return Dataset("line", np.full((n, 1), x), np.full((n, 1), y), None, split=False)


def _ones(lr: Sequence[float], dataset: Dataset, hidden: Sequence[int] = (), activation: str = "identity") -> Pack:
    """Replicas whose weights all start at 1 and whose biases start at 0, on squared error."""
    one = Initializer(lambda stream, shape: torch.ones(shape, dtype=torch.float64), lambda fan_in, fan_out: 1.0)
    return make_pack(
        dataset,
        list(range(len(lr))),
        loss="squared_error",
        hidden=hidden,
        activation=activation,
        lr=lr,
        schemes=[Scheme(one, constant(0.0))] * len(lr),
        standardize=False,
    )


def test_step_layer_and_quantity_worked_by_hand() -> None:
    """z = w = 1, so step 1 makes w = b = -1e200; at step 2 z = -2e200 is finite, ½z² is not: l1's loss at step 2."""
    trainer, history = _train(_ones([HUGE, 0.1], _line()), batch_size=1)
    assert history.diverged == {0: Divergence(0, 2, "l1", "loss")}
    assert trainer.final[0].isfinite().all()
    pack = _ones([HUGE, 0.1], _line())
    assert torch.equal(trainer.final[0], pack.initial_params().flat[0])  # the last epoch mark


@pytest.mark.parametrize(
    ("lr", "x", "expected"),
    [
        # 1-1-1 net of ones on x: z1 = x, z2 = x; delta2 = x, so dW2 = x², dW1 = x²
        (0.1, 1e200, (1, "l2", "loss")),  # ½ x² of the first forward pass is beyond 1e308
        (1e200, 1.0, (2, "l2", "z")),  # weights -1e200 each: z1 = -2e200, z2 = 2e400
    ],
)
def test_first_failure_of_a_deeper_net(lr: float, x: float, expected: tuple[int, str, str]) -> None:
    """The first quantity in the order of computation is the one reported, not what follows from it."""
    _, history = _train(_ones([lr], _line(x=x), hidden=[1]), batch_size=1)
    assert history.diverged[0] == Divergence(0, *expected)


def test_first_failure_may_be_a_gradient() -> None:
    """x = 1e160, w = 1e-10: ½z² = 5e299 is finite, dW = z·x = 1e310 is not."""
    small = Initializer(lambda stream, shape: torch.full(shape, 1e-10).double(), lambda fan_in, fan_out: 1.0)
    pack = make_pack(
        _line(x=1e160),
        [0],
        loss="squared_error",
        hidden=[],
        schemes=[Scheme(small, constant(0.0))],
        standardize=False,
    )
    _, history = _train(pack, batch_size=1)
    assert history.diverged[0] == Divergence(0, 1, "l1", "gradient")


def test_first_failure_may_be_a_delta() -> None:
    """w1 = 1e-200, w2 = 1e280: z2 = 1e80 and ½z2² are finite, delta1 = w2·z2 = 1e360 is not; no gradient is earlier."""
    values = iter([1e-200, 1e280])
    weights = Initializer(
        lambda stream, shape: torch.full(shape, next(values), dtype=torch.float64), lambda fan_in, fan_out: 1.0
    )
    pack = make_pack(
        _line(),
        [0],
        loss="squared_error",
        hidden=[1],
        activation="identity",
        schemes=[Scheme(weights, constant(0.0))],
        standardize=False,
    )
    _, history = _train(pack, batch_size=4)
    assert history.diverged[0] == Divergence(0, 1, "l1", "delta")


def test_first_failure_may_be_parameters() -> None:
    """lr = 1e308 and dW = 1e10: the loss and the gradient are finite, lr·dW is not."""
    _, history = _train(_ones([1e308], _line(x=1e5)), batch_size=1)
    assert history.diverged[0] == Divergence(0, 1, "l1", "parameters")


def test_a_failure_seen_only_at_the_epochs_end_names_its_last_step() -> None:
    """A loss that is not finite only after the epoch's last finite step is dated to that step, without a layer."""
    _, history = _train(_ones([HUGE], _line()), batch_size=4)
    assert history.diverged == {0: Divergence(0, 1, "", "")}


def test_steps_count_on_over_epochs() -> None:
    """Each step multiplies z = w + b by 1 - 2·lr ≈ -2e24: ½z² passes 1e308 at step 8, in the second epoch of four."""
    _, history = _train(_ones([1e24], _line()), epochs=10, batch_size=1)
    assert 0.5 * 2e24**6 * 2e24**6 < 1.8e308  # the loss of step 7
    assert 2 * 7 * np.log10(2e24) > 309  # that of step 8
    assert history.diverged[0] == Divergence(0, 8, "l1", "loss")


def test_other_replicas_end_as_if_it_had_not_been_there() -> None:
    """Sizes in multiples of 16: the survivors' parameters and records are the same bits as without the lost one."""
    dataset = blobs(200, 16, 16)
    schemes = [Scheme(Initializer(normal_noise, lambda fan_in, fan_out: 0.3), constant(0.0))]

    def pack(seeds: Sequence[int], lr: Sequence[float]) -> Pack:
        return make_pack(
            dataset, seeds, activation="relu", loss="squared_error", lr=lr, momentum=0.9, schemes=schemes * len(seeds)
        )

    trainer, history = _train(pack([0, 1, 2], [0.01, 1e30, 0.02]), epochs=4)
    without, plain = _train(pack([0, 2], [0.01, 0.02]), epochs=4)
    assert list(history.diverged) == [1]
    assert trainer.replicas == (0, 2)
    assert torch.equal(trainer.final[0], without.final[0])
    assert torch.equal(trainer.final[2], without.final[1])
    assert trainer.final[1].isfinite().all()
    for name in plain.records[1].metrics:
        assert history.series(name, 0) == plain.series(name, 0)
        assert history.series(name, 2) == plain.series(name, 1)
    assert history.series("test/loss", 1) == ([], [])


def test_other_replicas_agree_whatever_the_sizes() -> None:
    """Odd sizes, float64: the survivors end within 1e-9 relative of a run without the lost one."""
    dataset = blobs(200, 7, 5)

    def final(seeds: Sequence[int], lr: Sequence[float], replica: int) -> torch.Tensor:
        pack = make_pack(dataset, seeds, activation="relu", loss="squared_error", hidden=[13], lr=lr)
        return _train(pack, epochs=4, batch_size=15)[0].final[replica]

    packed, alone = final([0, 1], [1e30, 0.02], 1), final([1], [0.02], 0)
    assert float((packed - alone).norm() / alone.norm()) < 1e-9


def test_records_hold_no_number_that_is_not_finite() -> None:
    """Every number of a record is finite, and records are complete for the replicas that go on."""
    dataset = blobs(100, 5, 3)
    pack = make_pack(dataset, [0, 1], activation="relu", loss="squared_error", hidden=[8], lr=[1e30, 0.01])
    _, history = _train(pack)
    assert list(history.diverged) == [0]
    for record in history.records:
        for position, replica in enumerate(record.replicas):
            assert all(isfinite(value) for value in record.of(position).values())
            if replica == 1:
                assert record.of(position).keys() == record.metrics.keys()
    lost = next(record for record in history.records if record.diverged)
    assert lost.replicas == (0, 1)
    assert "train/loss" not in lost.of(0)
    assert all(record.replicas == (1,) for record in history.records if record.step > lost.step)


def test_a_pack_whose_replicas_all_diverge_ends() -> None:
    """The loop stops with the epoch that lost the last one; every replica has finite parameters and a step."""
    trainer, history = _train(_ones([HUGE, 1e250], _line()), epochs=50, batch_size=1)
    assert sorted(history.diverged) == [0, 1]
    assert len(history.records) == 2
    assert trainer.replicas == ()
    assert sorted(trainer.final) == [0, 1]
    assert all(flat.isfinite().all() for flat in trainer.final.values())


def test_replicas_lost_in_different_epochs_keep_their_own_numbers() -> None:
    """Replica numbers are those of the pack as given, although positions move up when one leaves."""
    pack = _ones([0.1, HUGE, 1e20, 0.2], _line())
    trainer, history = _train(pack, epochs=10, batch_size=1)
    assert history.diverged[1].step < 5 <= history.diverged[2].step
    assert trainer.replicas == (0, 3)
    # x = 1, y = 0: z shrinks by 1 - 2·lr a step, w and b move together from (1, 0)
    for replica, lr in ((0, 0.1), (3, 0.2)):
        z = (1 - 2 * lr) ** 40
        w, b = trainer.final[replica][0], trainer.final[replica][16]
        assert float(w + b) == pytest.approx(z, rel=1e-9)
        assert float(w - b) == pytest.approx(1, rel=1e-9)


def test_an_epoch_without_failure_reports_none() -> None:
    """Looking at every number of a healthy epoch finds nothing."""
    pack = make_pack(blobs(100, 5, 3), [0, 1], hidden=[4], momentum=0.9)
    params = pack.initial_params()
    rows = pack.data.epoch_rows([generator(seed, "order") for seed in pack.seeds])
    plan = Plan(0, rows, pack.learning_rates(0, 8, 8))
    assert first_failures(pack, params, pack.optimizer.init(params), plan, 10) == {}


def test_history_reads_series_by_replica() -> None:
    """Steps and values of a metric over the records that hold the replica, in order."""
    records = [
        Record(0, 0, 0, (0, 1, 2), {"train/loss": [1.0, 2.0, 3.0]}),
        Record(5, 1, 0, (0, 1, 2), {"train/loss": [0.5, float("inf"), 2.5]}, (Divergence(1, 3, "l1", "z"),)),
        Record(10, 2, 0, (0, 2), {"train/loss": [0.25, 2.0], "valid/loss": [0.3, 2.1]}),
    ]
    history = History(records)
    assert history.series("train/loss", 2) == ([0, 5, 10], [3.0, 2.5, 2.0])
    assert history.series("valid/loss", 2) == ([10], [2.1])
    assert history.series("train/loss", 1) == ([0, 5], [2.0, float("inf")])
    assert history.series("nothing", 0) == ([], [])
    assert history.diverged == {1: Divergence(1, 3, "l1", "z")}
    assert records[1].of(1) == {}
    assert records[2].of(1) == {"train/loss": 2.0, "valid/loss": 2.1}
