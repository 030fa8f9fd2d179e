"""A pack's data on the device, and the batches its replicas draw from it.

Replicas with the same split share one copy: parts are [S, N, ...] with S distinct splits, and `split_of` [R] is each
replica's index into them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Generator, Tensor

from workbench.data.datasets import NO_TARGET
from workbench.data.splits import PartArrays, Split
from workbench.nn.losses import Target

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class DataPart:
    """Inputs and encoded targets of one part.

    Where each position has a target, y are class numbers [S, N, T], K where there is none, and `one_hot` [K + 1, K] is
    their encoding, in which that row is 0: whole texts in one-hot form would not fit.
    """

    x: Shaped[Tensor, "S N I"]
    y: Shaped[Tensor, "S N K"]
    one_hot: Float[Tensor, "K1 K"] | None = None

    @property
    def size(self) -> int:
        """N, the number of examples of one split."""
        return self.x.shape[1]

    @cached_property
    def stacked(self) -> tuple[Shaped[Tensor, "SN I"], Shaped[Tensor, "SN K"]]:
        """The examples of all splits, concatenated, with targets as they are kept."""
        return self.x.flatten(0, 1), self.y.flatten(0, 1)

    @cached_property
    def labels(self) -> Int64[Tensor, "S N *T"]:
        """The class of each example of a classification, or of each position."""
        if self.one_hot is not None:
            return self.y
        return self.y.argmax(2) if self.y.shape[2] > 1 else (self.y > 0.5).squeeze(2).long()

    def encoded(self, y: Shaped[Tensor, "R B K"]) -> Float[Tensor, "R B *T K"]:
        """Encode targets that were taken from this part."""
        if self.one_hot is None:
            return y
        return self.one_hot.index_select(0, y.reshape(-1)).view(*y.shape, -1)


@dataclass(frozen=True)
class PackData:
    """All parts of a pack's data; `n_classes` is None for regression.

    `unit` is the size of 1 of a single real target in the data's own unit, by split; None for other targets. A language
    model learns from the tokens `unlabeled` [S, N, T]; None where they are those of the training part.
    """

    train: DataPart
    valid: DataPart
    test: DataPart
    split_of: Int64[Tensor, " R"]
    n_classes: int | None
    unit: Float[Tensor, " S"] | None = None
    unlabeled: Int64[Tensor, "S N T"] | None = None

    def select(self, index: Tensor) -> "PackData":
        """The same data for the replicas in `index`."""
        return replace(self, split_of=self.split_of[index])

    def batch(self, rows: Int64[Tensor, "R B"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the training examples at `rows` of the stacked splits, as `epoch_rows` numbers them."""
        replicas, size = rows.shape
        flat = rows.reshape(-1)
        x, y = self.train.stacked
        targets = y.index_select(0, flat).view(replicas, size, -1)
        return x.index_select(0, flat).view(replicas, size, *x.shape[1:]), self.train.encoded(targets)

    def chunk(self, part: DataPart, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Examples start:stop of a part, for every replica."""
        return self.by_replica(part.x[:, start:stop]), part.encoded(self.by_replica(part.y[:, start:stop]))

    def by_replica(self, of_splits: Shaped[Tensor, " S *rest"]) -> Shaped[Tensor, " R *rest"]:
        """Index values by split to values by replica; a view where there is only one split."""
        if len(of_splits) == 1:
            return of_splits.expand(len(self.split_of), *of_splits.shape[1:])
        neighbors = self._neighbors
        return of_splits.index_select(0, self.split_of) if neighbors is None else of_splits[neighbors]

    @cached_property
    def _neighbors(self) -> slice | None:
        """The replicas' splits as a slice, which copies nothing, where they are consecutive; else None."""
        if self.split_of.device.type != "cpu":
            return None
        splits = self.split_of.tolist()
        first, end = splits[0], splits[0] + len(splits)
        return slice(first, end) if splits == list(range(first, end)) else None

    def first_examples(self, replica: int, count: int = 256) -> Shaped[Tensor, "1 B I"]:
        """The first training examples of one replica, in float64 (tokens in int64) on the CPU."""
        x = self.train.x[int(self.split_of[replica]), :count].cpu().unsqueeze(0)
        return x.double() if x.is_floating_point() else x

    def epoch_rows(self, orders: Sequence[Generator]) -> Int64[Tensor, "R N"]:
        """Draw a permutation of the training examples for each replica from its generator, as rows of the stack."""
        size = self.train.size
        order = torch.stack([torch.randperm(size, generator=stream) for stream in orders])
        return order.to(self.split_of.device) + self.split_of.unsqueeze(1) * size


def encode(
    y: np.ndarray, n_classes: int | None, target: Target, weights: Float64[Tensor, " K"] | None = None
) -> Tensor:
    """Encode targets as float64 [N, K]: one-hot, for `weighted` times the class's weight, or as one column.

    Those of positions stay class numbers [N, T], with K where there is none.
    """
    if target == "positions":
        return torch.as_tensor(np.where(y == NO_TARGET, n_classes or 0, y))
    if target in ("one_hot", "weighted"):
        one_hot = torch.nn.functional.one_hot(torch.as_tensor(y), n_classes or -1).double()
        return one_hot if weights is None else one_hot * weights
    return torch.as_tensor(y).double().reshape(len(y), -1)


def balanced_weights(y: np.ndarray, n_classes: int) -> Float64[Tensor, " K"]:
    """N/(K N_c) for each class c of N labels in K classes, so that all classes weigh the same.

    An absent class has the weight of one with an example. Source: King and Zeng 2001.
    """
    counts = torch.as_tensor(y).bincount(minlength=n_classes).clamp_(min=1)
    return len(y) / (n_classes * counts.double())


def pack_data(
    splits: Sequence[Split],
    split_of: Sequence[int],
    n_classes: int | None,
    target: Target,
    dtype: torch.dtype,
    device: torch.device,
    units: Sequence[float | None] = (),
) -> PackData:
    """Stack distinct splits and move them to the device; classes are weighted as in each split's training part."""
    weights = [balanced_weights(one.train.y, n_classes or 0) if target == "weighted" else None for one in splits]

    one_hot = one_hot_table(n_classes or 0, dtype, device)

    def stacked(parts: Sequence[PartArrays]) -> DataPart:
        x = torch.stack([in_dtype(torch.as_tensor(part.x), dtype) for part in parts])
        pairs = zip(parts, weights, strict=True)
        encoded = [encode(part.y, n_classes, target, weight) for part, weight in pairs]
        if target == "positions":
            return DataPart(x.to(device), torch.stack(encoded).to(device), one_hot)
        return DataPart(x.to(device), torch.stack([y.to(dtype) for y in encoded]).to(device))

    train, valid, test = (stacked([getattr(split, name) for split in splits]) for name in PARTS)
    known = [one for one in units if one is not None]
    unit = torch.tensor(known, dtype=dtype, device=device) if len(known) == len(splits) else None
    return PackData(train, valid, test, torch.tensor(split_of, dtype=torch.int64, device=device), n_classes, unit)


def one_hot_table(n_classes: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "K1 K"]:
    """Encoding of each class, and of no target in the last row."""
    return torch.eye(n_classes + 1, dtype=dtype, device=device)[:, :-1].contiguous()


def in_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert numbers; tokens stay int64."""
    return x if x.dtype == torch.int64 else x.to(dtype)


def choose_target(accepts: Sequence[Target], n_classes: int | None, at_positions: bool = False) -> Target | None:
    """Choose the first encoding in `accepts` that the data's targets allow, or None."""
    of_examples = not at_positions
    possible: dict[Target, bool] = {
        "real": n_classes is None,
        "binary": n_classes == 2 and of_examples,
        "one_hot": n_classes is not None and of_examples,
        "weighted": n_classes is not None and of_examples,
        "positions": at_positions,
    }
    return next((target for target in accepts if possible[target]), None)
