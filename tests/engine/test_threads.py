"""Threads of computation: one for torch and for every BLAS inside the block, and as before after it."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from workbench.engine.threads import one_thread


def threads() -> tuple[int, set[int]]:
    """Threads of torch, and of the BLAS libraries that are loaded."""
    return torch.get_num_threads(), {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("fails", [False, True])
def test_one_thread_holds_for_the_block(fails: bool) -> None:
    """Torch and BLAS compute on one thread inside, also where the block ends by an error, and on two again after it."""
    np.linalg.solve(np.eye(2), np.ones(2))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2, "blas"):
            with pytest.raises(ArithmeticError) if fails else one_thread(False), one_thread():
                assert threads() == (1, {1})
                if fails:
                    raise ArithmeticError
            assert threads() == (2, {2})
            with one_thread(False):
                assert threads() == (2, {2})
    finally:
        torch.set_num_threads(before)
