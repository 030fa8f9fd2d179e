"""Inputs of an architecture: what the numbers of an example are."""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Inputs:
    """Shape of an example: (I,) features, (H, W, C) a picture with channels last, (T,) tokens out of `vocabulary`.

    `vocabulary` is None for features and pictures. `padding` is the token that fills short examples up, at their end;
    None where none does. A picture reaches the first layer as H·W·C features, row by row.
    """

    shape: tuple[int, ...]
    vocabulary: int | None = None
    padding: int | None = None

    @property
    def kind(self) -> str:
        """``tokens``, ``picture`` or ``features``."""
        if self.vocabulary is not None:
            return "tokens"
        return "picture" if len(self.shape) == 3 else "features"

    @property
    def size(self) -> int:
        """Numbers of an example."""
        return prod(self.shape)
