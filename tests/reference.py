"""References that several tests measure against: torch twins by name, and packs made without Hydra."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests import data_files
from workbench.config.compose import configure
from workbench.config.instantiate import call
from workbench.config.options import option, options
from workbench.config.prepare import build_pack
from workbench.core.errors import ConfigError
from workbench.data.batches import choose_target, pack_data
from workbench.data.datasets import Dataset
from workbench.data.splits import split
from workbench.engine.replicas import CONSTANT, Pack
from workbench.engine.train import Trainer
from workbench.nn.builders import mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.inputs import Inputs
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer, sgd
from workbench.nn.params import Params
from workbench.nn.schedules import Schedule

EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {  # where a value is ???
    ("bias", "constant"): {"value": 0.25},
    ("init", "constant"): {"value": 0.5},
}

DRAWN = ("recall", "copy", "parity_stream", "counter", "agreement")  # sequences of tokens, by a rule
OF_TOKENS = (*DRAWN, "text", "documents")  # data sets that only some architectures take

ACTIVATION_TWINS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": nn.Identity(),
    "sigmoid": torch.sigmoid,
    "scaled_sigmoid": lambda z: -2 * z.sign() * torch.expm1(-z.abs()) * torch.sigmoid(z.abs()),  # 4σ - 2
    "tanh": torch.tanh,
    "hard_tanh": F.hardtanh,
    "softsign": F.softsign,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "absolute": torch.abs,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "bump": lambda z: torch.exp(-z * z),
    "monomial": lambda z: z * z,
    "unit_step": lambda z: (z >= 0).to(z.dtype) + 0 * z,  # its gradient is 0, not absent
    "softplus": lambda z: F.softplus(z, threshold=50),  # torch's own 20 is off by 2e-9
}

# (logits [B, K], targets [B, K]) -> the mean over examples, by torch's own functions
LOSS_TWINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_error": lambda z, y: 0.5 * F.mse_loss(z, y, reduction="sum") / len(z),
    "binary_nll": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(z),
    "softmax_nll": lambda z, y: F.cross_entropy(z, y.argmax(1)),
    "weighted_nll": lambda z, y: F.cross_entropy(z, y.argmax(1), weight=y.amax(0), reduction="sum") / len(z),
    "softmax_mse": lambda z, y: F.mse_loss(z.softmax(1), y),
    "perceptron": lambda z, y: F.relu(z * (1 - 2 * y)).sum() / len(z),
}


def build(group: str, name: str, **given: Any) -> Any:
    """The object that an option describes, made as the command line makes it; `given` overrides its values."""
    return call(group, {**option(group, name), **example(group, name), **given})


def example(group: str, name: str) -> dict[str, Any]:
    """Values for what an option leaves open."""
    return data_files.examples().get(name, {}) if group == "data" else EXAMPLES.get((group, name), {})


def stems(group: str) -> list[str]:
    """The names of a group's options."""
    return options(group)


def targets(accepts: Sequence[str], shape: tuple[int, int, int], stream: torch.Generator) -> Tensor:
    """Random targets [R, B, K] in the first encoding that a loss accepts."""
    if accepts[0] == "real":
        return torch.randn(shape, generator=stream, dtype=torch.float64)
    if accepts[0] == "binary":
        return torch.randint(2, shape, generator=stream).double()
    one_hot = F.one_hot(torch.randint(shape[2], shape[:2], generator=stream), shape[2]).double()
    return one_hot * torch.arange(1, shape[2] + 1) if accepts[0] == "weighted" else one_hot


def blobs(n: int = 200, features: int = 16, classes: int = 16, seed: int = 0) -> Dataset:
    """Overlapping Gaussian classes of equal size, as many features and classes as a test needs."""
    draw = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = draw.normal(size=(classes, features))[y] + draw.normal(size=(n, features))
    return Dataset("blobs", x, y.astype(np.int64), classes)


KINDS = (Inputs((4,)), Inputs((2, 2, 1)), Inputs((4,), vocabulary=5), Inputs((4, 4, 1)))  # of inputs, tried in turn


def inputs_of(architecture: str, **sizes: Any) -> Inputs:
    """The first of these inputs that an architecture of these sizes takes."""
    node = {**option("architecture", architecture), **sizes}
    given = {
        "n_out": 4,
        "activation": build("activation", "relu"),
        "norm": build("norm", "none"),
        "per_position": False,
    }
    for inputs in KINDS:
        with suppress(ConfigError):
            call("architecture", node, inputs=inputs, n_in=inputs.size, **given)
            return inputs
    raise AssertionError(f"{architecture} takes no inputs of a known kind")


def blobs_for(inputs: Inputs) -> Dataset:
    """A hundred examples of such inputs, in four classes."""
    vocabulary, data = inputs.vocabulary, blobs(100, inputs.size, 4)
    return data if vocabulary is None else replace(data, x=data.x.astype(np.int64) % vocabulary, vocabulary=vocabulary)


def make_pack(
    dataset: Dataset,
    seeds: Sequence[int],
    *,
    activation: str = "tanh",
    loss: str = "softmax_nll",
    hidden: Sequence[int] = (16, 16),
    lr: float | Sequence[float] = 0.1,
    momentum: float | Sequence[float] = 0.0,
    weight_decay: float | Sequence[float] = 0.0,
    schemes: Sequence[Scheme] | None = None,
    split_seeds: Sequence[int] | None = None,
    standardize: bool = True,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    architecture: Callable[[int, int], Model] | None = None,
    optimizer: Optimizer | None = None,
    schedule: Schedule = CONSTANT,
    clip_norm: Tensor | None = None,
) -> Pack:
    """A pack of one replica per seed; a single number holds for every replica, and so does split seed 0.

    An mlp of `hidden` layers trained by sgd, unless `architecture` (n_in, n_out) and `optimizer` say otherwise.
    """
    own_splits = split_seeds or [0] * len(seeds)
    distinct = sorted(set(own_splits))
    cost = build("loss", loss)
    target = choose_target(cost.accepts, dataset.n_classes)
    assert target is not None
    data = pack_data(
        [split(dataset, seed, 0.1, 0.1, standardize) for seed in distinct],
        [distinct.index(seed) for seed in own_splits],
        dataset.n_classes,
        target,
        dtype,
        torch.device(device),
    )
    rows = [
        torch.tensor(value if isinstance(value, Sequence) else [value] * len(seeds), dtype=dtype, device=device)
        for value in (lr, momentum, weight_decay)
    ]
    optimizer = optimizer or sgd(*rows)
    penalized = not optimizer.decoupled and bool((optimizer.weight_decay > 0).any())
    make = architecture or (lambda n_in, n_out: mlp(list(hidden), n_in, n_out, build("activation", activation)))
    return Pack(
        Objective(
            make(data.train.x.shape[2], data.train.y.shape[2]), cost, optimizer.weight_decay if penalized else None
        ),
        optimizer,
        tuple(seeds),
        tuple(schemes or [Scheme(he(), constant(0.1))] * len(seeds)),
        data,
        dtype,
        torch.device(device),
        schedule,
        clip_norm,
    )


class Twin(nn.Module):
    """Net of one replica as a user of torch writes it: Linear layers with an activation between them."""

    def __init__(self, params: Params, replica: int, activation: str) -> None:
        super().__init__()
        names = [name.removesuffix(".W") for name in params if name.endswith(".W")]
        self.linears = nn.ModuleList()
        for name in names:
            W, b = params[f"{name}.W"][replica], params[f"{name}.b"][replica]
            linear = nn.Linear(W.shape[1], W.shape[0], dtype=W.dtype)
            linear.load_state_dict({"weight": W.clone(), "bias": b.clone()})
            self.linears.append(linear)
        self.activation = ACTIVATION_TWINS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        *hidden, last = self.linears
        for linear in hidden:
            x = self.activation(linear(x))
        return last(x)

    def optimizer(self, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
        """Torch's SGD that decays weights and leaves biases free."""
        groups = [
            {"params": [linear.weight for linear in self.linears], "weight_decay": weight_decay},
            {"params": [linear.bias for linear in self.linears]},
        ]
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)


def assert_alone_as_together(overrides: list[str], epochs: int) -> None:
    """Three seeds of a configuration end with the same bits alone and as one pack."""
    specs = [configure([*overrides, f"seed={seed}"]) for seed in range(3)]
    together = Trainer(build_pack(specs), batch_size=8)
    list(together.run(epochs))
    for seed, spec in enumerate(specs):
        alone = Trainer(build_pack([spec]), batch_size=8)
        list(alone.run(epochs))
        assert torch.equal(alone.final[0], together.final[seed])
