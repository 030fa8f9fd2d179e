"""Two-dimensional convolution of every replica at once (LeCun et al. 1998; as in all nets, a cross-correlation).

Of a picture x [R, B, H, W, C], with kernel h × w, stride s and dilation d, on x surrounded by zeros:

    z[m, n] = b + Σ_ij W_ij x[s m + d i, s n + d j]

W is [R, O, h·w·C], the weights W_ij [O, C] row by row, and b is [R, O]. With the windows as rows of a matrix X
[R, B·M·N, h·w·C] this is z = X Wᵀ + b, and with delta = dC/dz (Goodfellow et al. 2016, section 9.5):

    dW = deltaᵀ X        db = Σ_B,m,n delta        grad_in[m, n] = Σ_ij W_ijᵀ D[m - d i, n - d j]

D holds delta[m, n] at (s m, s n) and zeros elsewhere: grad_in is the convolution of D with the kernel turned round.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.windows import Blocks, Maps, Picture, Windows, blocks, kept, multiplied, placed, windows
from workbench.nn.products import product_into


class ConvTape(NamedTuple):
    """Shape of the input, the padded input, its patches where they are few, and the output at all positions."""

    shape: torch.Size
    padded: Tensor
    patches: Blocks | None
    z: Float[Tensor, "R BMN O"]


@dataclass(frozen=True)
class Conv2d(Layer):
    """Convolution from `channels_in` to `channels_out`; `padding` is rows above, below, columns left and right."""

    takes_positions: ClassVar[bool] = True

    name: str
    channels_in: int
    channels_out: int
    kernel: tuple[int, int]
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def fan_in(self) -> int:
        """Numbers of a window."""
        return self.kernel[0] * self.kernel[1] * self.channels_in

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Draw W and b; as many outputs as the kernel has places use an input, so that fan_out is h·w·O."""
        w_name, b_name = f"{self.name}.W", f"{self.name}.b"
        streams = generator(seed, "weights", w_name), generator(seed, "weights", b_name)
        fan_out = self.kernel[0] * self.kernel[1] * self.channels_out
        W, b = scheme.sample(*streams, self.channels_out, self.fan_in, fan_out)
        return {w_name: W, b_name: b}

    def forward(self, params: Arrays, x: Picture, mode: Mode = EVALUATION) -> tuple[Maps, ConvTape]:
        padded = self._padded(x)
        view = self._windows(padded)
        patches = kept(view)
        W, b = params[f"{self.name}.W"].transpose(1, 2), params[f"{self.name}.b"].unsqueeze(1)
        z = multiplied(view, W, b, patches)
        return z.view(*view.shape[:4], self.channels_out), ConvTape(x.shape, padded, patches, z)

    def _windows(self, padded: Tensor) -> Windows:
        return windows(padded, self.kernel, self.stride, self.dilation)

    def _padded(self, x: Tensor) -> Tensor:
        """Surround x with zeros; raises ShapeError where it is no picture, or smaller than the kernel."""
        if x.ndim != 5 or x.shape[4] != self.channels_in:
            raise ShapeError(
                f"Conv2d {self.name!r}: x must be [R, B, H, W, {self.channels_in}], got {list(x.shape)}; "
                "view features as a picture before it, or fix channels_in"
            )
        top, bottom, left, right = self.padding
        rows, columns = x.shape[2] + top + bottom, x.shape[3] + left + right
        least = [self.dilation * (size - 1) + 1 for size in self.kernel]
        if rows < least[0] or columns < least[1]:
            raise ShapeError(
                f"Conv2d {self.name!r}: a picture with its padding must have {least[0]} x {least[1]} pixels or more, "
                f"got {rows} x {columns}; take a smaller kernel, or more padding"
            )
        return placed(x, rows, columns, top, left) if any(self.padding) else x

    def backward(
        self,
        params: Arrays,
        tape: ConvTape,
        grad_out: Maps,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Picture | None:
        delta = grad_out.flatten(1, 3)
        if recorder:
            recorder.add_delta(self.name, delta, of_units=False)
        dW = grads[f"{self.name}.W"]
        for of, rows in tape.patches or blocks(self._windows(tape.padded)):
            product_into(dW[of], delta[of].transpose(1, 2), rows)
        torch.sum(delta, 1, out=grads[f"{self.name}.b"])
        return self._grad_in(params[f"{self.name}.W"], tape.shape, grad_out) if need_grad_in else None

    def _grad_in(self, W: Tensor, shape: torch.Size, delta: Maps) -> Picture:
        """Convolve D with the kernel turned round, where the windows are those that end at a pixel of x."""
        (top, bottom, left, right), (height, width) = self.padding, shape[2:4]
        reach = [self.dilation * (size - 1) for size in self.kernel]
        rows, columns = height + top + bottom + reach[0], width + left + right + reach[1]
        D = placed(delta, rows, columns, reach[0], reach[1], self.stride)
        seen = D[:, :, top : top + height + reach[0], left : left + width + reach[1]]
        turned = W.view(len(W), self.channels_out, *self.kernel, self.channels_in).flip(2, 3)
        turned = turned.permute(0, 2, 3, 1, 4).flatten(1, 3)
        return multiplied(windows(seen, self.kernel, 1, self.dilation), turned, None).view(shape)

    def preactivations(self, tape: ConvTape) -> Iterator[tuple[str, Tensor]]:
        yield f"{self.name}.W", tape.z

    def products(self) -> Iterator[tuple[int, int]]:
        yield self.channels_out, self.fan_in
