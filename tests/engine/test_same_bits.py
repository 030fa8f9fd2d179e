"""A replica's weights, losses and scores are the same bits alone and in any pack, at any place in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import blobs, build, make_pack, stems
from workbench.config.instantiate import call_stacked
from workbench.config.options import option
from workbench.engine.replicas import Pack
from workbench.engine.stages import make_trainer
from workbench.engine.threads import one_thread
from workbench.nn.activations import Activation
from workbench.nn.builders import highway_mlp, maxout_mlp, mlp, residual_mlp
from workbench.nn.initializers import Scheme, constant, glorot, he
from workbench.nn.layers.norms import Norm
from workbench.nn.model import Model
from workbench.nn.pretraining import Pretraining
from workbench.nn.schedules import cosine, step, warmup

WIDTHS = [1, 2, 3, 5, 7, 9, 13, 16, 17, 31, 33, 48, 65]
BATCHES = [1, 2, 3, 5, 7, 11, 16, 27, 32]
DTYPES = [torch.float32, torch.float64]
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
Make = Callable[[int, int], Model]
ARCHITECTURES: dict[str, Callable[[list[int], Activation, Norm, float], Make]] = {
    "mlp": lambda hidden, f, norm, rate: lambda i, o: mlp(hidden, i, o, f, norm, rate),
    "one neuron": lambda hidden, f, norm, rate: lambda i, o: mlp([], i, o, f),
    "maxout_mlp": lambda hidden, f, norm, rate: lambda i, o: maxout_mlp(hidden, 3, i, o),
    "highway_mlp": lambda hidden, f, norm, rate: lambda i, o: highway_mlp(hidden[0], 2, i, o, f),
    "residual_mlp": lambda hidden, f, norm, rate: lambda i, o: residual_mlp(hidden[0], 2, i, o, f, norm),
}
SCHEDULES: list[Callable[[Tensor], Any]] = [
    lambda values: step(2, values),
    lambda values: warmup(3, cosine(values)),
]


def _rows(seeds: Sequence[int], values: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor([values[seed % len(values)] for seed in seeds], dtype=dtype)


def _optimizer(name: str, seeds: Sequence[int], dtype: torch.dtype) -> Any:
    nodes = []
    for seed in seeds:
        own = {"lr": 0.05 / (1 + seed % 3), "weight_decay": 0.01 * (seed % 2), "momentum": 0.3 * (seed % 3)}
        node = option("optimizer", name)
        nodes.append({**node, **{key: value for key, value in own.items() if key in node}})
    return call_stacked("optimizer", nodes, lambda row: torch.tensor(row, dtype=dtype))


def _trained(pack: Pack, batch_size: int, epochs: int = 2) -> list[tuple[list[int], list[dict[str, float]]]]:
    """Return each replica's final weights as integers, and the metrics of all its records."""
    trainer = make_trainer(pack, batch_size)
    with one_thread():
        records = list(trainer.run(epochs))
    size = range(len(pack))
    bits = [trainer.final[one].view(BITS[pack.dtype]).tolist() for one in size]
    return [
        (bits[one], [record.of(record.replicas.index(one)) for record in records if one in record.replicas])
        for one in size
    ]


CASES = st.fixed_dictionaries(
    {
        "architecture": st.sampled_from(sorted(ARCHITECTURES)),
        "hidden": st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=2),
        "activation": st.sampled_from([name for name in stems("activation") if name != "unit_step"]),
        "norm": st.sampled_from(stems("norm")),
        "rate": st.sampled_from([0.0, 0.3]),
        "loss": st.sampled_from(["softmax_nll", "binary_nll", "squared_error", "softmax_mse", "smoothed", "logistic"]),
        "optimizer": st.sampled_from(stems("optimizer")),
        "schedule": st.sampled_from(SCHEDULES),
        "dtype": st.sampled_from(DTYPES),
        "batch_size": st.sampled_from(BATCHES),
        "features": st.sampled_from([1, 2, 5, 13, 16]),
        "classes": st.sampled_from([2, 3, 5]),
        "seeds": st.lists(st.integers(0, 99), min_size=2, max_size=5, unique=True),
    }
)
LOSSES = {
    "smoothed": lambda: build("loss", "binary_nll", smoothing=0.1),
    "logistic": lambda: build("loss", "squared_error", output=option("activation", "sigmoid")),
}


def _pack(case: dict[str, Any], seeds: Sequence[int]) -> Pack:
    dtype, binary = case["dtype"], case["loss"] in ("binary_nll", "smoothed")
    activation = build("activation", case["activation"])
    slopes = [{"slope": value} if "slope" in activation.constants else {} for value in (0.01, 0.3, -0.2)]
    pack = make_pack(
        blobs(60, case["features"], 2 if binary else case["classes"]),
        seeds,
        loss=case["loss"] if case["loss"] not in LOSSES else "binary_nll" if binary else "squared_error",
        architecture=ARCHITECTURES[case["architecture"]](
            case["hidden"], activation, build("norm", case["norm"]), case["rate"]
        ),
        optimizer=_optimizer(case["optimizer"], seeds, dtype),
        schedule=case["schedule"](_rows(seeds, [0.5, 0.9, 1.0])),
        clip_norm=_rows(seeds, [0.1, float("inf"), 1.0], dtype),
        schemes=[Scheme(he() if seed % 2 else glorot(), constant(0.1), slopes[seed % 3]) for seed in seeds],
        split_seeds=[seed % 2 for seed in seeds],
        dtype=dtype,
    )
    if case["loss"] in LOSSES:
        pack = replace(pack, objective=replace(pack.objective, loss=LOSSES[case["loss"]]()))
    return pack


def _check(case: dict[str, Any]) -> None:
    least = _pack(case, case["seeds"]).objective.model.least_batch
    size = max(least, case["batch_size"])
    packed = _trained(_pack(case, case["seeds"]), size)
    for place, seed in enumerate(case["seeds"]):
        (alone,) = _trained(_pack(case, [seed]), size)
        assert alone[0] == packed[place][0]
        assert alone[1] == packed[place][1]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(CASES)
def test_a_training_alone_is_that_in_a_pack(case: dict[str, Any]) -> None:
    """A training has the same bits alone and in a pack, for nets, losses and optimizers of any sizes and dtype."""
    _check(case)


@pytest.mark.exhaustive
@settings(max_examples=300, deadline=None)
@given(CASES)
def test_many_trainings_alone_are_those_in_a_pack(case: dict[str, Any]) -> None:
    """Trainings of 300 random cases have the same bits alone and in a pack."""
    _check(case)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("hidden", [[1], [5, 3]])
def test_pretrained_layers_too(hidden: list[int], tied: bool) -> None:
    """Pretrainings with tied and free decoders, on a last batch of one example, have the same bits in any pack."""

    def pack(seeds: Sequence[int]) -> Pack:
        rates = _rows(seeds, [0.1, 0.05, 0.02], torch.float32)
        own = make_pack(blobs(60, 5, 3), seeds, activation="sigmoid", hidden=hidden, dtype=torch.float32)
        return replace(own, pretraining=Pretraining(2, rates, 0.2, tied, 1))

    packed = _trained(pack([0, 1, 2]), 47)
    for seed in range(3):
        assert _trained(pack([seed]), 47) == [packed[seed]]


@pytest.mark.slow
def test_a_bias_before_a_normalization_too() -> None:
    """A bias before batch norm, whose gradient is rounding that adamw enlarges, has the same bits in any pack."""

    def pack(seeds: Sequence[int]) -> Pack:
        return make_pack(
            blobs(60, 13, 3),
            seeds,
            architecture=lambda i, o: mlp([7, 13], i, o, build("activation", "sigmoid"), build("norm", "batch")),
            optimizer=_optimizer("adamw", [0] * len(seeds), torch.float32),
            dtype=torch.float32,
        )

    packed = _trained(pack(range(5)), 5, epochs=5)
    for seed in range(5):
        assert _trained(pack([seed]), 5, epochs=5) == [packed[seed]]
