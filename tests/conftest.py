"""Settings by test: whether shapes in annotations are checked; and what the garbage collector looks at."""

import gc
from pathlib import Path

import pytest
from jaxtyping import config

import tests.settings  # noqa: F401

# Checking them makes training six times slower: only where each function with shapes is called, not where nets train.
CHECKED = ("nn", "data", "diagnostics", "engine/test_checkpoint.py", "core/test_axes.py")
# Many nets, of layers, activations and losses that other files of nn call.
UNCHECKED = ("nn/check/test_gradcheck.py", "nn/test_mistakes.py")
HERE = Path(__file__).parent
assert all((HERE / part).exists() for part in (*CHECKED, *UNCHECKED)), "CHECKED must name what there is"


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collection, which would look through all of it each time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check shapes in the tests of CHECKED, and in no others."""
    place = item.path.relative_to(HERE)
    checked, unchecked = (any(place.is_relative_to(part) for part in parts) for parts in (CHECKED, UNCHECKED))
    config.update("jaxtyping_disable", unchecked or not checked)
