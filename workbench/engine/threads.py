"""Number of threads for computation: one is fastest for small products."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FREED_BYTES = 31 * 2**20


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Compute on one thread inside the block; with `only` false, the number of threads stays.

    One large block is allocated and freed first: glibc then raises its threshold for returning freed memory to the
    system, which would page it in again for every tensor.
    """
    torch.empty(FREED_BYTES, dtype=torch.uint8)
    before = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
