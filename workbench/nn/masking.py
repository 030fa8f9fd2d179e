"""What a net learns from text without labels: to guess tokens that were hidden, or the next token.

Masked (Devlin et al. 2019, section 3.1): a share of the tokens is chosen, and loss is taken at them alone. Of the
chosen, 80 % become the mask token, 10 % a token drawn uniformly, 10 % stay. Next: the target at each position is the
token after it. Choices are hashes of the replica's key and the position, as for dropout.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.nn.layers.base import Mode
from workbench.nn.layers.dropout import WORD, words

Tokens = Int64[Tensor, "R B T"]
AS_MASK, AS_RANDOM = 0.8, 0.9  # cumulative shares of the chosen tokens that become the mask token, another token


@dataclass(frozen=True)
class Masking:
    """Hide a share `rate` of the tokens; `mask` is the token that hides them, larger than all others."""

    rate: float
    mask: int
    padding: int | None = None

    def __call__(self, x: Tokens, y: Float[Tensor, "R B T K"], mode: Mode) -> tuple[Tokens, Float[Tensor, "R B T K"]]:
        """Return the tokens with the chosen ones hidden, and targets at the chosen positions alone.

        Raises ShapeError for a training pass without keys, which would hide the same places at every step.
        """
        if mode.training and mode.keys is None:
            raise ShapeError("Masking: a training pass needs Mode.keys [R], got None; give one per replica")
        keys = torch.zeros(len(x), dtype=torch.int64, device=x.device) if mode.keys is None else mode.keys
        drawn = [words(keys, f"mask.{purpose}", *x.shape[1:]) for purpose in ("choice", "kind", "token")]
        chosen = drawn[0] < round(self.rate * WORD)
        if self.padding is not None:
            chosen &= x != self.padding
        hidden = torch.where(drawn[1] < round(AS_RANDOM * WORD), self._token(drawn[2]), x)
        hidden.masked_fill_(drawn[1] < round(AS_MASK * WORD), self.mask)
        return torch.where(chosen, hidden, x), y * chosen.unsqueeze(3)

    def _token(self, drawn: Tokens) -> Tokens:
        """Turn uniform integers below 2³² into tokens that are neither mask nor padding."""
        if self.padding is None:
            return drawn % self.mask
        token = drawn % (self.mask - 1)
        return token + (token >= self.padding)


def next_tokens(x: Int64[Tensor, "S N T"], none: int, padding: int | None = None) -> Int64[Tensor, "S N T"]:
    """The token after each position, `none` at the last one and before padding."""
    y = torch.cat([x[..., 1:], torch.full_like(x[..., :1], none)], -1)
    return y if padding is None else y.masked_fill(y == padding, none)
