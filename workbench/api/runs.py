"""A run that a store keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from workbench.core.terminal import plain_console
from workbench.tracking.store import Store, find_store

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from workbench.inspect.diagnose import Diagnosis
    from workbench.inspect.verify import Verification
    from workbench.tracking.find_run import FullRun


class InStore:
    """A run or sweep by its id in a store, read when it is first asked for.

    `allow` are modules of a user's own whose functions its configurations may name.
    """

    def __init__(self, identity: str, store: Store, allow: Sequence[str] = ()) -> None:
        self.id, self.store, self.allow = identity, store, tuple(allow)


class Run(InStore):
    """A run in a store; `train` returns one, `Run.find` finds others."""

    @classmethod
    def find(cls, name: str | None = None, uri: str | None = None, allow: Sequence[str] = ()) -> "Run":
        """Find a run by its id, the beginning of it, or its name; without one, the newest.

        `uri` is the store's address (default: $MLFLOW_TRACKING_URI, else ./mlflow.db); `allow` are modules of yours
        whose functions its configuration may name. Raises UnknownNameError for a name that the store does not have,
        and TrackingError where there is no run.
        """
        from workbench.tracking.find_run import find_run

        store = find_store(uri)
        found = replace(find_run(store, name), allowed=tuple(allow))
        run = cls(found.run.id, store, allow)
        run.__dict__["stored"] = found
        return run

    @cached_property
    def stored(self) -> "FullRun":
        """Read the run: its numbers, parameters and notes."""
        from workbench.tracking.find_run import read_run

        return replace(read_run(self.store, self.id), allowed=self.allow)

    @property
    def name(self) -> str:
        """Name of the run: the options chosen for it, ``relu lr=0.1 seed=3``."""
        return self.stored.run.name

    @property
    def outcome(self) -> str:
        """Outcome of the run: finished, diverged, pruned, failed, interrupted or killed."""
        return self.stored.run.outcome

    @property
    def params(self) -> Mapping[str, str]:
        """Configuration as flat texts by dotted key."""
        return self.stored.run.params

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last value of every metric; losses are means over examples, accuracies fractions."""
        return self.stored.run.metrics

    def history(self, pattern: str = "*") -> "pd.DataFrame":
        """Series of the metrics whose names match a pattern such as ``"grad_norm/*"``, a column for each.

        Rows are steps of the optimizer, with the column `epoch`.
        """
        from workbench.inspect.frames import history_frame

        table = history_frame([self.stored.run], pattern)
        return table.drop(columns=["run", "arm", "seed"]).set_index("step")

    def figure(self, name: str) -> "Figure":
        """Draw a figure of ``workbench figures``: ``gradient_flow``, ``saturation_over_time``, ``boundary``, ...

        Raises UnknownNameError, with their names, for a figure that the run has no numbers for.
        """
        from workbench.inspect.run_figures import figure_of

        return figure_of(self.store, self.stored, name, plain_console())

    def model(self) -> "torch.nn.Module":
        """The trained net as a torch module that needs nothing else: raw inputs [n, I] to outputs [n, O], float32.

        Weights are read where they were kept, else the run is trained again. Raises ConfigError where inputs are scaled
        by more than a line each.
        """
        from workbench.inspect.export import standalone
        from workbench.inspect.rebuild import final_weights, spec_of

        pack, params, _ = final_weights(self.store, self.stored)
        module, _, _ = standalone(spec_of(self.stored), pack, params)
        return module

    def verify(self) -> "Verification":
        """Train it again from what the store holds; its `same` says whether it ended as the run did, `lines` how."""
        from workbench.inspect.verify import verify

        return verify(self.store, self.stored)

    def diagnose(self) -> "Diagnosis":
        """Find what went wrong, by rules on the logged numbers; its `lines` say what and where."""
        from workbench.inspect.diagnose import diagnose

        return diagnose(self.name, [self.stored.run])

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {self.metrics[name]:.4g}" for name in _shown(self.metrics))
        return f"<Run {self.name} ({self.id[:8]}): {self.outcome}{', ' * bool(scores)}{scores}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{self.metrics[name]:.4g}</td></tr>" for name in self.metrics)
        return f"<b>{escape(self.name)}</b> ({self.id[:8]}): {escape(self.outcome)}<table>{rows}</table>"


def _shown(metrics: Mapping[str, float]) -> list[str]:
    scores = [name for name in ("test/accuracy", "test/r2") if name in metrics]
    return [*scores, *(name for name in ("test/loss", "valid/loss") if name in metrics)][:2]
