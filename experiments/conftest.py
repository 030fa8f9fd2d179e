"""The claims that come with the workbench are measured by their tests, small: these run after the other tests."""

import pytest
from jaxtyping import config

import tests.settings  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that measures a claim."""
    for item in items:
        if item.path.name == "test_measure.py":
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check no shapes: it makes training six times slower."""
    config.update("jaxtyping_disable", True)
