"""How much memory a step needs beside what it was given: the bytes of tensors that it makes, at most at once."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import finalize

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _AllocatedBytes(TorchDispatchMode):
    """Adds up the memory of results of operations, and takes it off again when a tensor is gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, Tensor) and one.untyped_storage()._cdata not in self._known | given:
                self._hold(one.untyped_storage())
        return out

    def _hold(self, storage: UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def peak_bytes(step: Callable[[], object]) -> int:
    """What one call of `step` makes."""
    with _AllocatedBytes() as held:
        step()
    peak: int = held.peak
    return peak
