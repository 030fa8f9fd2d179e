"""Multi-head self-attention (Vaswani et al. 2017, section 3.2): each position takes a mean over what others offer.

For inputs x [R, B, T, U] and H heads of D = U/H units, with one W [R, 3U, U] for queries, keys and values:

    [Q K V] = x Wᵀ + b    S = Q Kᵀ/√D    A = softmax over keys of S    O = A V    out = [O of all heads] Woᵀ + bo

S and A are [T, T] per example and head: row t holds what position t takes from each. A key after t (`causal`) or in the
padding (`Mode.present`) has A = 0; a row with no key left is 0. With dO from the output product:

    dV = Aᵀ dO        dA = dO Vᵀ        dS = A ∘ (dA - Σ_keys dA ∘ A)        dQ = dS K/√D        dK = dSᵀ Q/√D

and dW, db and dx are those of the affine layer with delta = [dQ dK dV].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.core.errors import ConfigError, ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder, backward_at, forward_at
from workbench.nn.layers.dense import Dense, DenseTape
from workbench.nn.products import product, product_into

Sequences = Float[Tensor, "R B T U"]
PerHead = Float[Tensor, "N T D"]  # N = R·B·H
Maps = Float[Tensor, "R B H T T"]
CONTIGUOUS = torch.contiguous_format  # also where a view would do, as the order of a sum follows the strides


class AttentionTape(NamedTuple):
    """Tapes of both products, Q/√D, K and V per head, and the weights A [N, T, T] with N = R·B·H."""

    inputs: DenseTape
    output: DenseTape
    Q: PerHead
    K: PerHead
    V: PerHead
    A: Float[Tensor, "N T T"]


@dataclass(frozen=True)
class Attention(Layer):
    """Self-attention of `heads` heads over `width` units; `causal`: a position takes from itself and those before.

    W is called ``NAME.W``, the output's Wo ``NAME.out.W``. Raises ConfigError unless `heads` divides `width`.
    """

    takes_positions: ClassVar[bool] = True

    name: str
    width: int
    heads: int
    causal: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(
                f"Attention {self.name!r}: heads must divide the width {self.width}, got {self.heads} heads; "
                f"write architecture.heads={gcd(self.width, self.heads)}"
            )

    @cached_property
    def inputs(self) -> Dense:
        """The product that gives queries, keys and values."""
        return Dense(self.name, self.width, 3 * self.width)

    @cached_property
    def output(self) -> Dense:
        """The product of all heads' outputs."""
        return Dense(f"{self.name}.out", self.width, self.width)

    @property
    def children(self) -> tuple[Layer, ...]:
        return self.inputs, self.output

    def child_tapes(self, tape: AttentionTape) -> tuple[DenseTape, DenseTape]:
        return tape.inputs, tape.output

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Draw Q's, K's and V's weights one after the other, each as a matrix [U, U] of its own."""
        names = f"{self.name}.W", f"{self.name}.b"
        streams = [generator(seed, "weights", name) for name in names]
        parts = [scheme.sample(streams[0], streams[1], self.width, self.width) for _ in range(3)]
        joined = (torch.cat(kind) for kind in zip(*parts, strict=True))
        return dict(zip(names, joined, strict=True)) | self.output.init(seed, scheme)

    def forward(self, params: Arrays, x: Sequences, mode: Mode = EVALUATION) -> tuple[Sequences, AttentionTape]:
        if x.ndim != 4 or x.shape[3] != self.width:
            raise ShapeError(
                f"Attention {self.name!r}: x must be [R, B, T, {self.width}], got {list(x.shape)}; "
                "add the axes that lack or fix the width"
            )
        replicas, batch, time, _ = x.shape
        z, inputs = forward_at(self.inputs, params, x, mode)
        heads = self._split(z, 3).clone(memory_format=CONTIGUOUS).flatten(1, 3)
        Q, K, V = heads[0].mul_(self._scale), heads[1], heads[2]
        bias, alive = self._mask(x, mode.present)
        A = torch.softmax(product(Q, K.transpose(1, 2), bias), 2)
        if alive is not None:
            A = A * alive
        joined = product(A, V).view(replicas, batch, self.heads, time, -1).transpose(2, 3).contiguous()
        out, output = forward_at(self.output, params, joined.view(x.shape), mode)
        return out, AttentionTape(inputs, output, Q, K, V, A)

    @property
    def _scale(self) -> float:
        return float((self.width // self.heads) ** -0.5)

    def _split(self, z: Tensor, parts: int) -> Tensor:
        """View [R, B, T, parts·U] as [parts, R, B, H, T, D]."""
        return z.view(*z.shape[:3], parts, self.heads, -1).permute(3, 0, 1, 4, 2, 5)

    def _mask(self, x: Sequences, present: Bool[Tensor, "R B T"] | None) -> tuple[Tensor | None, Tensor | None]:
        """Make what is added to S, 0 or -∞, [1 or N, T, T], and 1 for rows with a key or 0 for those without."""
        time = x.shape[2]
        if present is None:
            return (x.new_full((1, time, time), -torch.inf).triu_(1) if self.causal else None), None
        allowed = present[:, :, None, None, :].expand(-1, -1, self.heads, time, -1)
        if self.causal:
            allowed = allowed.tril()
        allowed = allowed.reshape(-1, time, time)
        alive = allowed.any(2, keepdim=True)
        return x.new_zeros(()).where(allowed | ~alive, -torch.inf), alive.to(x.dtype)

    def backward(
        self,
        params: Arrays,
        tape: AttentionTape,
        grad_out: Sequences,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Sequences | None:
        dO = backward_at(self.output, params, tape.output, grad_out, grads, True, recorder)
        assert dO is not None
        dO = self._split(dO, 1).contiguous().view(tape.V.shape)
        dQKV = dO.new_empty(3, *dO.shape)
        product_into(dQKV[2], tape.A.transpose(1, 2), dO)
        dS = product(dO, tape.V.transpose(1, 2)).mul_(tape.A)
        dS.addcmul_(tape.A, dS.sum(2, keepdim=True), value=-1)
        if recorder:
            recorder.scores[self.name] = dS
        product_into(dQKV[0], dS, tape.K)
        dQKV[0].mul_(self._scale)
        product_into(dQKV[1], dS.transpose(1, 2), tape.Q)
        replicas, batch, time, _ = grad_out.shape
        apart = dQKV.view(3, replicas, batch, self.heads, time, -1).permute(1, 2, 4, 0, 3, 5)
        delta = apart.contiguous().view(replicas, batch, time, 3 * self.width)
        return backward_at(self.inputs, params, tape.inputs, delta, grads, need_grad_in, recorder)

    def maps(self, tape: AttentionTape) -> Iterator[tuple[str, Maps]]:
        replicas, time = len(tape.output.x), tape.A.shape[1]
        yield self.name, tape.A.view(replicas, -1, self.heads, time, time)
