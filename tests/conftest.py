"""Settings of all tests: shapes in annotations are checked, one thread computes, hypothesis repeats itself exactly."""

from pathlib import Path

import pytest
from jaxtyping import config, install_import_hook

PACKAGES_WITH_SHAPES = [f"workbench.{name}" for name in ("core.axes", "nn", "data", "diagnostics", "engine")]
install_import_hook(PACKAGES_WITH_SHAPES, "beartype.beartype")  # before anything imports them

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

# Checking them makes training six times slower: only where each function with shapes is called, not where nets train.
CHECKED = ("nn", "data", "diagnostics", "engine/test_checkpoint.py", "test_axes.py")
UNCHECKED = "nn/test_gradcheck.py"  # 200 nets, of layers, activations and losses that other files of nn call
HERE = Path(__file__).parent
assert all((HERE / part).exists() for part in (*CHECKED, UNCHECKED)), "conftest.py: CHECKED must name what there is"

torch.set_num_threads(1)
settings.register_profile("workbench", deadline=None, derandomize=True, database=None)
settings.load_profile("workbench")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check shapes in the tests of CHECKED, and in no others."""
    place = item.path.relative_to(HERE)
    checked = any(place.is_relative_to(part) for part in CHECKED) and not place.is_relative_to(UNCHECKED)
    config.update("jaxtyping_disable", not checked)
