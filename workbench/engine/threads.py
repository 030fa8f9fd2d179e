"""How many threads compute: one for small products, which are too small to share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Compute on one thread inside, on as many as before afterwards; with `only` false, nothing changes."""
    before = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
