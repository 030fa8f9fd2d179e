"""Shapes in annotations are checked in some tests."""

from pathlib import Path

import pytest
from jaxtyping import config

import tests.settings  # noqa: F401

# Checking them makes training six times slower: only where each function with shapes is called, not where nets train.
CHECKED = ("nn", "data", "diagnostics", "engine/test_checkpoint.py", "core/test_axes.py")
UNCHECKED = "nn/check/test_gradcheck.py"  # 200 nets, of layers, activations and losses that other files of nn call
HERE = Path(__file__).parent
assert all((HERE / part).exists() for part in (*CHECKED, UNCHECKED)), "conftest.py: CHECKED must name what there is"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check shapes in the tests of CHECKED, and in no others."""
    place = item.path.relative_to(HERE)
    checked = any(place.is_relative_to(part) for part in CHECKED) and not place.is_relative_to(UNCHECKED)
    config.update("jaxtyping_disable", not checked)
