"""Reference forward pass, written again from textbooks and `torch.nn.functional`, one replica at a time.

Nothing here uses the code that it checks: activations, losses, layers and architectures each have a second form, under
the name of the function that makes the first. Inputs are [B, I], or [B, *P, I] with positions; parameters are those of
one replica, by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Function = Callable[..., Tensor]


def _softplus(z: Tensor, beta: float = 1.0, shift: float = 0.0, drop: float = 0.0) -> Tensor:
    return torch.logaddexp(torch.zeros_like(z), beta * (z - shift)) / beta - drop


ACTIVATIONS: dict[str, Function] = {
    "identity": lambda z: z,
    "unit_step": lambda z: torch.where(z < 0, 0.0, 1.0).to(z.dtype),
    "sigmoid": torch.special.expit,
    "scaled_sigmoid": lambda z, slope=1.0, offset=0.0: slope * (4 * torch.special.expit(z) - 2) + offset,
    "tanh": lambda z: 2 * torch.special.expit(2 * z) - 1,
    "hard_tanh": F.hardtanh,
    "softsign": F.softsign,
    "relu": F.relu,
    "leaky_relu": lambda z, slope=0.01: F.leaky_relu(z, slope),
    "absolute": lambda z: torch.where(z < 0, -z, z),
    "softplus": _softplus,
    "elu": lambda z, alpha=1.0: F.elu(z, alpha),
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "bump": lambda z: torch.exp(-z * z),
    "monomial": lambda z, degree=2: torch.stack([z] * int(degree)).prod(0),
}


def _moved(y: Tensor, smoothing: float, classes: int) -> Tensor:
    return (1 - smoothing) * y + smoothing / classes


LOSSES: dict[str, Function] = {  # (z, y, h) -> mean over examples, h being the output after its activation
    "squared_error": lambda z, y, h: 0.5 * F.mse_loss(h, y, reduction="sum") / len(z),
    "softmax_mse": lambda z, y, h: F.mse_loss(torch.softmax(z, 1), y),
    "binary_nll": lambda z, y, h, smoothing=0.0: (
        F.binary_cross_entropy_with_logits(z, _moved(y, smoothing, 2), reduction="sum") / len(z)
    ),
    "softmax_nll": lambda z, y, h, smoothing=0.0: F.cross_entropy(z, _moved(y, smoothing, z.shape[1])),
    "weighted_nll": lambda z, y, h, smoothing=0.0: (
        y.sum(1) @ F.cross_entropy(z, _moved((y > 0).to(z), smoothing, z.shape[1]), reduction="none") / len(z)
    ),
    "perceptron": lambda z, y, h: F.relu(z * (1 - 2 * y)).sum() / len(z),
}
OUTPUTS: dict[str, Function] = {  # z -> h, where the loss has no activation for it
    "squared_error": ACTIVATIONS["identity"],
    "softmax_mse": lambda z: torch.softmax(z, 1),
    "binary_nll": torch.special.expit,
    "softmax_nll": lambda z: torch.softmax(z, 1),
    "weighted_nll": lambda z: torch.softmax(z, 1),
    "perceptron": ACTIVATIONS["unit_step"],
}


@dataclass
class ReferenceNet:
    """The layers of one replica: parameters and buffers by name, activation, and norm (``batch``, ``layer`` or empty).

    A `training` pass draws dropout masks from `key`. In nets of sequences, `padding` is the token that fills up, and
    `per_position` tells whether each position has an output; `picture` is the shape (H, W, C) of inputs that are
    pictures. `seen` collects z and a by (name, ``z`` or ``a``), with positions as examples.
    """

    params: Mapping[str, Tensor]
    activation: Function
    norm: str = ""
    eps: float = 1e-5
    training: bool = False
    key: int = 0
    padding: int | None = None
    per_position: bool = False
    picture: tuple[int, ...] = ()
    seen: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def affine(self, name: str, x: Tensor) -> Tensor:
        """W x + b for every example."""
        return self._see(name, "z", F.linear(x, self.params[f"{name}.W"], self.params[f"{name}.b"]))

    def units(self, name: str, z: Tensor) -> Tensor:
        """f(z)."""
        return self._see(name, "a", self.activation(z))

    def _see(self, name: str, part: str, values: Tensor) -> Tensor:
        self.seen[name, part] = values.flatten(0, -2)
        return values

    def convolved(self, name: str, x: Tensor, kernel: tuple[int, int], padding: list[int], dilation: int = 1) -> Tensor:
        """W ∗ x + b of pictures [B, H, W, C]; `padding` is left, right, above, below."""
        W = self.params[f"{name}.W"]
        W = W.view(len(W), *kernel, -1).permute(0, 3, 1, 2)
        padded = F.pad(x.permute(0, 3, 1, 2), padding)
        z = F.conv2d(padded, W, self.params[f"{name}.b"], dilation=dilation)
        return self._see(name, "z", z.permute(0, 2, 3, 1))

    def normalized(self, name: str, x: Tensor) -> Tensor:
        """Apply the net's norm, if it has one."""
        if not self.norm:
            return x
        gamma, beta = self.params[f"{name}.gamma"], self.params[f"{name}.beta"]
        if self.norm == "layer":
            return F.layer_norm(x, x.shape[-1:], gamma, beta, self.eps)
        mean, var = (self.params[f"{name}.running_{part}"].clone() for part in ("mean", "var"))
        examples = x.flatten(0, -2)
        return F.batch_norm(examples, mean, var, gamma, beta, self.training, eps=self.eps).view(x.shape)

    def dropped(self, name: str, x: Tensor, rate: float) -> Tensor:
        """Inverted dropout, with masks hashed from key, name and position."""
        if not (rate and self.training):
            return x
        masked: Tensor = x * mask(self.key, name, rate, x[..., 0].numel(), x.shape[-1]).view(x.shape).to(x.dtype)
        return masked / (1 - rate)

    def maxout(self, name: str, x: Tensor, units: int) -> Tensor:
        """The maximum over each unit's pieces."""
        pieces = torch.split(self.affine(name, x), units, 1)
        self.seen[name, "a"] = torch.stack(pieces).amax(0)
        return self.seen[name, "a"]

    def highway(self, name: str, x: Tensor) -> Tensor:
        """T H + (1 - T) x."""
        h = self.units(name, self.affine(name, x))
        t: Tensor = torch.special.expit(self.affine(f"{name}.gate", x))
        return t * h + (1 - t) * x


def mask(key: int, name: str, rate: float, batch: int, units: int) -> Tensor:
    """Dropout mask [batch, units]: true for the units that dropout leaves."""
    salt = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    salted = _lowbias32(key ^ salt)
    left = [_lowbias32(_lowbias32(position) ^ salted) >= round(rate * 2**32) for position in range(batch * units)]
    return torch.tensor(left).view(batch, units)


def _lowbias32(x: int) -> int:
    x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
    x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
    return x ^ (x >> 16)


def _perceptron(net: ReferenceNet, x: Tensor) -> Tensor:
    return net.affine("l1", x)


def _mlp(net: ReferenceNet, x: Tensor, hidden: list[int], dropout: float = 0.0, first: int = 1) -> Tensor:
    for number in range(first, first + len(hidden)):
        name = f"l{number}"
        x = net.units(name, net.normalized(name, net.affine(name, x)))
        x = net.dropped(name, x, dropout)
    return net.affine(f"l{first + len(hidden)}", x)


def _autoencoder(net: ReferenceNet, x: Tensor, hidden: list[int], dropout: float = 0.0) -> Tensor:
    return _mlp(net, x, [*hidden, *hidden[-2::-1]], dropout)


def _maxout_mlp(net: ReferenceNet, x: Tensor, hidden: list[int], pieces: int, dropout: float = 0.0) -> Tensor:
    for number, width in enumerate(hidden, start=1):
        x = net.normalized(f"l{number}", net.maxout(f"l{number}", x, width))
        x = net.dropped(f"l{number}", x, dropout)
    return net.affine(f"l{len(hidden) + 1}", x)


def _residual_mlp(
    net: ReferenceNet,
    x: Tensor,
    width: int,
    blocks: int,
    placement: str = "pre",
    scale: str = "one",
    layers_per_block: int = 1,
    order: str = "affine_first",
    dropout: float = 0.0,
) -> Tensor:
    x, number = net.affine("l1", x), 1
    for _ in range(blocks):
        inner = net.normalized(f"l{number + 1}", x) if placement == "pre" else x
        for _ in range(layers_per_block):
            number += 1
            name = f"l{number}"
            if order == "affine_first":
                inner = net.units(name, net.affine(name, inner))
            else:
                inner = net.affine(name, net.units(name, inner))
            inner = net.dropped(name, inner, dropout)
        x = x + (inner if scale == "one" else inner / blocks**0.5)
        x = net.normalized(f"l{number}", x) if placement == "post" else x
    last = f"l{number + 1}"
    x = net.normalized(last, x) if placement == "pre" else x
    return net.affine(last, x if order == "affine_first" else net.units(last, x))


def _highway_mlp(net: ReferenceNet, x: Tensor, width: int, depth: int, gate_bias: float = -1.0) -> Tensor:
    x = net.units("l1", net.normalized("l1", net.affine("l1", x)))
    for number in range(2, depth + 2):
        x = net.normalized(f"l{number}", net.highway(f"l{number}", x))
    return net.affine(f"l{depth + 2}", x)


def _cnn(
    net: ReferenceNet,
    x: Tensor,
    channels: list[int],
    kernel: int,
    pool: int,
    hidden: list[int],
    dropout: float = 0.0,
) -> Tensor:
    x, k = x.view(len(x), *net.picture), kernel
    for name in (f"l{number}" for number in range(1, len(channels) + 1)):
        x = net.convolved(name, x, (k, k), [(k - 1) // 2, k // 2] * 2)
        x = net.units(name, net.normalized(name, x))
        x = x.unfold(1, pool, pool).unfold(2, pool, pool).amax((4, 5))
    return _mlp(net, x.flatten(1), hidden, dropout, len(channels) + 1)


ARCHITECTURES: dict[str, Callable[..., Tensor]] = {
    "perceptron": _perceptron,
    "mlp": _mlp,
    "autoencoder": _autoencoder,
    "maxout_mlp": _maxout_mlp,
    "residual_mlp": _residual_mlp,
    "highway_mlp": _highway_mlp,
    "cnn": _cnn,
}


def autoencoded(net: ReferenceNet, x: Tensor, number: int) -> Tensor:
    """Reconstruction by the auto-encoder of layer `number`, with its own decoder weights or tied ones."""
    name = f"l{number}"
    a = net.units(name, net.normalized(name, net.affine(name, x)))
    if f"d{number}.W" in net.params:
        return net.affine(f"d{number}", a)
    return a @ net.params[f"{name}.W"] + net.params[f"d{number}.b"]


NORMS = {"none": "", "batch_norm": "batch", "layer_norm": "layer"}


def second_form(table: Mapping[str, Any], node: Mapping[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """Look up the second form of a config node in a table, with the node's values; None for a user's function."""
    module, _, name = str(node["_target_"]).rpartition(".")
    if not module.startswith("workbench.nn.") or name not in table:
        return None
    return table[name], {key: value for key, value in node.items() if key != "_target_"}
