"""The claims that come with the workbench are measured by their tests, small: these run after the other tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that measures a claim."""
    for item in items:
        if item.path.name == "test_measure.py":
            item.add_marker(pytest.mark.slow)
