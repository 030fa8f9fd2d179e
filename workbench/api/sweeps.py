"""A sweep that a store keeps: its runs, their numbers, and how its arms compare."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from workbench.api.runs import InStore, Run
from workbench.core.errors import ConfigError, unknown_name
from workbench.core.terminal import plain_console
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from workbench.tracking.reader import ReadSweep

LARGER_IS_BETTER = ("accuracy", "r2")


class Sweep(InStore):
    """A sweep in a store; `sweep` returns one, `Sweep.find` finds others."""

    @classmethod
    def find(cls, name: str | None = None, uri: str | None = None, allow: Sequence[str] = ()) -> "Sweep":
        """Find a sweep by its id, or the beginning of it; without one, the newest.

        `uri` is the store's address (default: $MLFLOW_TRACKING_URI, else ./mlflow.db); `allow` are modules of yours
        whose functions its configurations may name. Raises UnknownNameError for an id that the store does not have,
        and TrackingError where there is no sweep.
        """
        from workbench.tracking.reader import read_sweep

        store = find_store(uri)
        read = read_sweep(store, name, histories=False)
        sweep = cls(read.id, store, allow)
        sweep.__dict__["stored"] = read
        return sweep

    @cached_property
    def stored(self) -> "ReadSweep":
        """Read the sweep: its runs with their last metrics, without series."""
        return self._read(lambda metric: False)

    def _read(self, wanted: Callable[[str], bool]) -> "ReadSweep":
        from workbench.tracking.reader import read_sweep

        return read_sweep(self.store, self.id, wanted=wanted)

    @property
    def runs(self) -> list[Run]:
        """List the runs by arm, in the order they were made."""
        return [Run(run.id, self.store, self.allow) for run in self.stored.runs]

    @property
    def arms(self) -> list[str]:
        """Names of the arms; runs of one arm differ in their seeds alone."""
        return list(dict.fromkeys(run.arm for run in self.stored.runs))

    def frame(self) -> "pd.DataFrame":
        """A row for each run, by its id: arm, seed, outcome, the params that differ, last metrics."""
        from workbench.inspect.frames import runs_frame

        return runs_frame(self.stored.runs, self.stored.keys)

    def history(self, pattern: str = "*") -> "pd.DataFrame":
        """Series of the metrics whose names match a pattern such as ``"grad_norm/*"``, a column for each.

        A row for each run and step, with the columns run, arm, seed, step and epoch.
        """
        from workbench.inspect.frames import history_frame

        return history_frame(self._read(lambda name: fnmatchcase(name, pattern)).runs, pattern)

    def plot(self, metric: str = "valid/loss", by: str | Sequence[str] = ()) -> "Figure":
        """Draw a metric over epochs, mean and 95 % interval over the runs of each arm.

        `by` names parameters that define arms. Raises UnknownNameError for a metric or a parameter that no run has.
        """
        from workbench.inspect.comparison import curves
        from workbench.inspect.regroup import by_params

        self._check_metric("plot", metric)
        runs = self._read(lambda name: name == metric).runs
        return curves(by_params(runs, _names(by)) if by else runs, metric, f"{self.stored.name} ({self.id})")

    def compare(self, by: str | Sequence[str] = (), metrics: str | Sequence[str] = ()) -> "pd.DataFrame":
        """A row for each arm and metric: mean, low, high (95 % t interval), n, and runs that did not finish.

        `by` names parameters that define arms, `metrics` those to compare (default: all). Raises UnknownNameError for
        names that no run has.
        """
        from workbench.inspect.comparison import ComparisonRequest, compared

        request = ComparisonRequest([self.id], self.store.uri, _names(by), _names(metrics))
        return compared([self.stored], request).numbers

    def show(self, out: str | None = None) -> None:
        """Print the table of its arms as ``workbench compare`` does; with a folder `out`, also draw figures there."""
        from workbench.inspect.comparison import ComparisonRequest, compare

        compare(ComparisonRequest([self.id], self.store.uri, out=out), plain_console())

    def best(self, metric: str = "valid/loss") -> Run:
        """The finished run with the least value of a metric, or the largest of an accuracy or r2.

        Raises UnknownNameError for a metric that no run has.
        """
        self._check_metric("best", metric)
        sign = -1 if metric.rpartition("/")[2] in LARGER_IS_BETTER else 1
        finished = [run for run in self.stored.runs if run.outcome == "finished" and metric in run.metrics]
        if not finished:
            raise ConfigError(f"best: must have a run that finished with {metric}, but none did; see frame()")
        return Run(min(finished, key=lambda run: sign * run.metrics[metric]).id, self.store, self.allow)

    def _check_metric(self, who: str, metric: str) -> None:
        known = {name for run in self.stored.runs for name in run.metrics}
        if metric not in known:
            raise unknown_name(who, metric, known)

    def __len__(self) -> int:
        return len(self.stored.runs)

    def __repr__(self) -> str:
        arms = self.arms
        named = ", ".join(arms[:4]) + (", ..." if len(arms) > 4 else "")
        return f"<Sweep {self.id}: {len(self)} runs of {len(arms)} arms: {named}>"

    def _repr_html_(self) -> str:
        from workbench.inspect.comparison import ComparisonRequest, compared

        text = compared([self.stored], ComparisonRequest([self.id])).text
        return f"<p>{escape(self.stored.name)} ({self.id})</p>{text.to_html(index=False)}"


def _names(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
