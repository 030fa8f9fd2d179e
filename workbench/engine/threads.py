"""How many threads compute: one for small products, which are too small to share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

KEPT_BYTES = 31 * 2**20


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Compute on one thread inside, on as many as before afterwards; with `only` false, nothing changes.

    A block that is freed once teaches glibc to keep freed memory of up to its size, instead of giving it back and
    paging it in again for every tensor.
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8)
    before = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
