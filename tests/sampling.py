"""Cases of which one stage of the tests takes some, and the next the others."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(
    cases: Iterable[Any],
    every: int,
    first: pytest.MarkDecorator | None = None,
    others: pytest.MarkDecorator = pytest.mark.slow,
) -> list[Any]:
    """Mark each `every`-th case as `first`, the first among them, and the others; a tuple holds several arguments."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=others if number % every else first or ())
        for number, case in enumerate(cases)
    ]
