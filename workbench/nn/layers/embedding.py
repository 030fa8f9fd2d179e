"""An embedding: a vector of each token, out = scale W[token] (Bengio et al. 2003; Vaswani et al. 2017, section 3.4).

W is [R, V, U], one row per token of the vocabulary. With grad = dC/dout [R, B, T, U]:

    dW_v = scale Σ_{b,t: token = v} grad_bt

Rows are added up in the order of the batch, on the CPU by `index_add_`, elsewhere as a product with one-hot rows, so
that a replica's sums have the same bits in any pack and at each run. W starts as N(0, 1/scale²): the output has
variance 1, torch's own default, whatever the scheme of the other weights, as a table has no fan. With scale = √U
(Vaswani et al. 2017), W also suits an output layer that shares it.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme, normal_noise
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.products import product

Tokens = Int64[Tensor, "R B T"]
Vectors = Float[Tensor, "R B T U"]


@dataclass(frozen=True)
class Embedding(Layer):
    """Map tokens below `vocabulary` to vectors of `width` numbers.

    The row of the token `padding` starts at 0 and gets no gradient. Where W is `shared` with the output layer, whose
    backward pass runs before, the gradient is added to the one there.
    """

    takes_positions: ClassVar[bool] = True

    name: str
    vocabulary: int
    width: int
    padding: int | None = None
    scale: float = 1.0
    shared: bool = False

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        name = f"{self.name}.W"
        W = normal_noise(generator(seed, "weights", name), (self.vocabulary, self.width)).div_(self.scale)
        if self.padding is not None:
            W[self.padding] = 0
        return {name: W}

    def forward(self, params: Arrays, x: Tokens, mode: Mode = EVALUATION) -> tuple[Vectors, Tokens]:
        if x.ndim != 3 or x.dtype != torch.int64:
            raise ShapeError(
                f"Embedding {self.name!r}: tokens must be int64 [R, B, T], got {x.dtype} {list(x.shape)}; "
                "add the replica axis or give the data's tokens as integers"
            )
        rows = self._rows(x)
        table = params[f"{self.name}.W"].flatten(0, 1)
        out = table.index_select(0, rows).view(*x.shape, self.width)
        return out if self.scale == 1 else out.mul_(self.scale), x

    def _rows(self, tokens: Tokens) -> Int64[Tensor, " N"]:
        """Number each token's row in the tables of all replicas, one below the other."""
        replicas = len(tokens)
        if replicas == 1:
            return tokens.flatten()
        first = torch.arange(0, replicas * self.vocabulary, self.vocabulary, device=tokens.device)
        return (tokens + first.view(-1, 1, 1)).flatten()

    def backward(
        self,
        params: Arrays,
        tape: Tokens,
        grad_out: Vectors,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> None:
        """Write dW; tokens have no gradient, so the result is None."""
        if recorder:
            recorder.add_delta(self.name, grad_out.flatten(1, 2), of_units=False)
        sums = self._sums(tape, grad_out)
        if self.scale != 1:
            sums.mul_(self.scale)
        if self.padding is not None:
            sums[:, self.padding] = 0
        dW = grads[f"{self.name}.W"]
        if self.shared:
            dW.add_(sums)
        else:
            dW.copy_(sums)

    def _sums(self, tokens: Tokens, grad_out: Vectors) -> Float[Tensor, "R V U"]:
        """Sum the gradient over the positions of each token."""
        if grad_out.device.type == "cpu":
            sums = grad_out.new_zeros(len(tokens) * self.vocabulary, self.width)
            sums.index_add_(0, self._rows(tokens), grad_out.reshape(-1, self.width))
            return sums.view(len(tokens), self.vocabulary, self.width)
        return one_hot_sums(tokens, grad_out, self.vocabulary)


def one_hot_sums(tokens: Tokens, values: Vectors, vocabulary: int) -> Float[Tensor, "R V U"]:
    """Sum values over the positions of each token, as a product with one-hot rows."""
    every = torch.arange(vocabulary, device=tokens.device).view(1, -1, 1)
    one_hot = (tokens.flatten(1).unsqueeze(1) == every).to(values.dtype)
    return product(one_hot, values.flatten(1, 2))
