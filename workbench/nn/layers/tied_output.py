"""An affine output layer that shares the embedding's table (Press and Wolf 2017): z = x Wᵀ + c, W [R, V, U].

Its backward pass runs before the embedding's, so it writes dW, and the embedding adds its own sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.dense import Dense, DenseTape
from workbench.nn.layers.embedding import Embedding


@dataclass(frozen=True)
class TiedOutput(Layer):
    """Affine layer `name` from the embedding's vectors to one number per token, with biases c of its own."""

    name: str
    embedding: Embedding

    @cached_property
    def dense(self) -> Dense:
        """The same layer with weights of its own."""
        return Dense(self.name, self.embedding.width, self.embedding.vocabulary)

    def _shared(self, arrays: Arrays) -> Arrays:
        """Hand the embedding's table over under the names of `dense`."""
        return {f"{self.name}.W": arrays[f"{self.embedding.name}.W"], f"{self.name}.b": arrays[f"{self.name}.b"]}

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        name, dense = f"{self.name}.b", self.dense
        return {name: scheme.bias.sample(generator(seed, "weights", name), dense.fan_out, dense.fan_in)}

    def forward(
        self, params: Arrays, x: Float[Tensor, "R B U"], mode: Mode = EVALUATION
    ) -> tuple[Float[Tensor, "R B V"], DenseTape]:
        return self.dense.forward(self._shared(params), x, mode)

    def backward(
        self,
        params: Arrays,
        tape: DenseTape,
        grad_out: Float[Tensor, "R B V"],
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Float[Tensor, "R B U"] | None:
        return self.dense.backward(self._shared(params), tape, grad_out, self._shared(grads), need_grad_in, recorder)

    def products(self) -> Iterator[tuple[int, int]]:
        yield from self.dense.products()
