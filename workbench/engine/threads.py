"""Number of threads for computation: one is fastest for small products.

NumPy's BLAS has threads of its own, which wait for each other by spinning: beside other programs a small product takes
many times as long as on one thread.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

from workbench.core.memory import keep_freed_memory


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Compute on one thread inside the block; with `only` false, the number of threads stays.

    From then on the process keeps freed memory.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    if not only:
        yield
        return
    torch.set_num_threads(1)
    try:
        with _pools("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _pools(with_scipy: bool) -> ThreadpoolController:
    """Find the loaded libraries with threads, which takes milliseconds; SciPy brings a BLAS of its own."""
    return ThreadpoolController()
