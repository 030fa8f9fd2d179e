"""The feed-forward workbench: check what a lecture on feed-forward networks and backpropagation claims.

import workbench as wb
sweep = wb.sweep(activation=["relu", "tanh"], seed=range(5))
sweep.compare()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench import proofs
    from workbench.api.estimators import Classifier, Regressor
    from workbench.api.looking import Explanation, Reproduced, check, compare, explain, reproduce
    from workbench.api.own import as_arrays, register
    from workbench.api.runs import Run
    from workbench.api.sweeps import Sweep
    from workbench.api.training import configure, sweep, train
    from workbench.claims.evidence import ArmScores, Cell, Estimate, Exact, PerSeed, Rate, Rates, Witness
    from workbench.claims.study import Study
    from workbench.claims.trained_arms import Arm, Trained, Tuned
    from workbench.config.keywords import option
    from workbench.core.version import __version__ as __version__
    from workbench.sweeps.callbacks import EpochEnd

__all__ = [
    "Arm",
    "ArmScores",
    "Cell",
    "Classifier",
    "EpochEnd",
    "Estimate",
    "Exact",
    "Explanation",
    "Figure",
    "PerSeed",
    "Rate",
    "Rates",
    "Regressor",
    "Reproduced",
    "Run",
    "Study",
    "Sweep",
    "Trained",
    "Tuned",
    "Witness",
    "as_arrays",
    "check",
    "compare",
    "configure",
    "explain",
    "option",
    "proofs",
    "register",
    "reproduce",
    "sweep",
    "train",
]

_NAMES = {
    "workbench.api.estimators": ("Classifier", "Regressor"),
    "workbench.api.looking": ("Explanation", "Reproduced", "check", "compare", "explain", "reproduce"),
    "workbench.api.own": ("as_arrays", "register"),
    "workbench.api.runs": ("Run",),
    "workbench.api.sweeps": ("Sweep",),
    "workbench.api.training": ("configure", "sweep", "train"),
    "workbench.claims.evidence": ("ArmScores", "Cell", "Estimate", "Exact", "PerSeed", "Rate", "Rates", "Witness"),
    "workbench.claims.study": ("Study",),
    "workbench.claims.trained_arms": ("Arm", "Trained", "Tuned"),
    "workbench.config.keywords": ("option",),
    "workbench.core.version": ("__version__",),
    "workbench.sweeps.callbacks": ("EpochEnd",),
    "matplotlib.figure": ("Figure",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line answers ``--help`` without torch."""
    from importlib import import_module

    if name == "proofs":
        return import_module("workbench.proofs")
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
