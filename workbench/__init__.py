"""The feed-forward workbench: check what a lecture on feed-forward networks and backpropagation claims.

import workbench as wb
sweep = wb.train("-m", "activation=relu,tanh", "seed=range(5)")
wb.compare(sweep.sweep)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench import proofs
    from workbench.api import check, compare, train
    from workbench.claims.evidence import ArmScores, Cell, Estimate, Exact, PerSeed, Rate, Rates, Witness
    from workbench.claims.reproduction import reproduce
    from workbench.claims.study import Study
    from workbench.claims.trained_arms import Arm, Trained, Tuned
    from workbench.config.compose import configure
    from workbench.core.version import __version__ as __version__

__all__ = [
    "Arm",
    "ArmScores",
    "Cell",
    "Estimate",
    "Exact",
    "Figure",
    "PerSeed",
    "Rate",
    "Rates",
    "Study",
    "Trained",
    "Tuned",
    "Witness",
    "check",
    "compare",
    "configure",
    "proofs",
    "reproduce",
    "train",
]

_EVIDENCE = ("ArmScores", "Cell", "Estimate", "Exact", "PerSeed", "Rate", "Rates", "Witness")
_HOMES = {
    **dict.fromkeys(("check", "compare", "train"), "workbench.api"),
    **dict.fromkeys(_EVIDENCE, "workbench.claims.evidence"),
    "reproduce": "workbench.claims.reproduction",
    "Study": "workbench.claims.study",
    **dict.fromkeys(("Arm", "Trained", "Tuned"), "workbench.claims.trained_arms"),
    "Figure": "matplotlib.figure",
    "configure": "workbench.config.compose",
    "__version__": "workbench.core.version",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line answers ``--help`` without torch."""
    from importlib import import_module

    if name == "proofs":
        return import_module("workbench.proofs")
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
