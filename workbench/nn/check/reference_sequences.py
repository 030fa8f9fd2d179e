"""Second forms of architectures of sequences, as in `reference_forward`: inputs are tokens [B, T] of one replica."""

from collections.abc import Callable
from math import cos, sin, sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.nn.check.reference_forward import ReferenceNet


def _attention(net: ReferenceNet, name: str, x: Tensor, heads: int, allowed: Tensor) -> Tensor:
    """Attention over x [B·T, U] to the keys that are allowed [B, T, T]."""
    batch, time, _ = allowed.shape
    q, k, v = (part.view(batch, time, heads, -1) for part in net.affine(name, x).chunk(3, 1))
    scores = torch.einsum("bthd,bshd->bhts", q, k) / sqrt(q.shape[3])
    weights = scores.masked_fill(~allowed.unsqueeze(1), -torch.inf).softmax(3).nan_to_num(0.0)
    return net.affine(f"{name}.out", torch.einsum("bhts,bshd->bthd", weights, v).reshape(x.shape))


def _sinusoid(t: int, u: int, width: int) -> float:
    angle: float = t / 10000 ** ((u - u % 2) / width)
    return cos(angle) if u % 2 else sin(angle)


def _embedded(net: ReferenceNet, x: Tensor, width: int, positions: str, scale: float) -> Tensor:
    h = scale * F.embedding(x, net.params["l1.W"])
    if positions == "learned":
        h = h + net.params["l1.position.W"][: x.shape[1]]
    if positions == "sinusoidal":
        waves = torch.tensor([[_sinusoid(t, u, width) for u in range(width)] for t in range(x.shape[1])], dtype=h.dtype)
        stored = net.params["l1.position.waves"]
        single = torch.equal(stored, stored.float().to(h.dtype))  # rounded, where training is in float32
        h = h + (waves.float().to(h.dtype) if single else waves)
    return h.flatten(0, 1)


def read(h: Tensor, present: Tensor, readout: str) -> Tensor:
    """The last of the present positions of h [B, T, U], or their mean."""
    if readout == "last":
        return torch.stack([row[max(int(n) - 1, 0)] for row, n in zip(h, present.sum(1), strict=True)])
    kept = h * present.unsqueeze(2)
    return kept.sum(1) / present.sum(1, keepdim=True).clamp(min=1)


def _transformer(
    net: ReferenceNet,
    x: Tensor,
    width: int,
    blocks: int,
    heads: int,
    feed_forward: int,
    causal: bool = True,
    placement: str = "pre",
    positions: str = "learned",
    readout: str = "last",
    tied: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    present = torch.ones_like(x, dtype=torch.bool) if net.padding is None else x != net.padding
    allowed = present.unsqueeze(1).expand(-1, x.shape[1], -1)
    allowed = allowed.tril() if causal else allowed
    h = net.dropped("l1", _embedded(net, x, width, positions, sqrt(width) if tied else 1.0), dropout)
    for number in range(blocks):
        attention, up, down = (f"l{3 * number + step}" for step in (2, 3, 4))
        inner = net.normalized(attention, h) if placement == "pre" else h
        h = h + net.dropped(attention, _attention(net, attention, inner, heads, allowed), dropout)
        h = h if placement == "pre" else net.normalized(attention, h)
        inner = net.normalized(up, h) if placement == "pre" else h
        inner = net.affine(down, net.units(up, net.affine(up, inner)))
        h = h + net.dropped(down, inner, dropout)
        h = h if placement == "pre" else net.normalized(up, h)
    last = f"l{3 * blocks + 2}"
    h = (net.normalized(last, h) if placement == "pre" else h).view(*x.shape, width)
    h = h if net.per_position else read(h, present, readout)
    return F.linear(h, net.params["l1.W" if tied else f"{last}.W"], net.params[f"{last}.b"])


def _tcn(net: ReferenceNet, x: Tensor, width: int, blocks: int | None, kernel: int, dropout: float = 0.0) -> Tensor:
    present = torch.ones_like(x, dtype=torch.bool) if net.padding is None else x != net.padding
    h, last = F.embedding(x, net.params["l1.W"]), sum(name.endswith(".W") for name in net.params)
    for number in range(2, last, 2):
        inner, d = h, 2 ** (number // 2 - 1)
        for name in (f"l{number}", f"l{number + 1}"):
            z = net.convolved(name, inner.unsqueeze(2), (kernel, 1), [0, 0, d * (kernel - 1), 0], d).squeeze(2)
            inner = net.dropped(name, net.units(name, net.normalized(name, z)), dropout)
        h = net.units(f"l{number + 1}.sum", h + inner)
    return net.affine(f"l{last}", h if net.per_position else read(h, present, "last"))


ARCHITECTURES: dict[str, Callable[..., Tensor]] = {"transformer": _transformer, "tcn": _tcn}
