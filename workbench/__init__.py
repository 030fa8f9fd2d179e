"""The feed-forward workbench: check what a lecture on feed-forward networks and backpropagation claims.

import workbench as wb
sweep = wb.train("-m", "activation=relu,tanh", "seed=range(5)")
wb.compare(sweep.sweep)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.commands import check, compare, train
    from workbench.compose import configure

__version__ = "0.1.0"
__all__ = ["check", "compare", "configure", "train"]

_HOMES = {"check": "commands", "compare": "commands", "configure": "compose", "train": "commands"}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line answers ``--help`` without torch."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"workbench.{_HOMES[name]}"), name)
