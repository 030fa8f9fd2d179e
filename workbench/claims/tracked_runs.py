"""Tracked runs of a claim's reproduction: those that are kept already are found, and the others are trained."""

from collections.abc import Mapping

from rich.console import Console

from workbench.certificates.trained import disagreements
from workbench.claims.verdict import SweepLink
from workbench.config.schema import Rerun, RunSpec
from workbench.core.errors import ConfigError
from workbench.sweeps.checks import check_together
from workbench.sweeps.finished_runs import find_finished
from workbench.sweeps.jobs import in_sweep, make_jobs
from workbench.sweeps.sweep import new_sweep, train_jobs
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import ReusableRun, reusable_runs
from workbench.tracking.store import member_tag, sweep_link, ui_base


class TrackedRuns:
    """The tracked runs of one reproduction, as members of its sweep: those that are kept already, and new ones."""

    def __init__(self, name: str, sink: MlflowSink, console: Console) -> None:
        self.name, self.sink, self.console = name, sink, console
        self.sweep = new_sweep()
        self.metrics: set[str] = set()
        self.disagreements: list[str] = []
        self._kept: dict[str, ReusableRun] | None = None

    def train_kept(self, specs: list[RunSpec], arms: list[str]) -> list[Mapping[str, float]]:
        """The last metrics of the runs, of which those that are not kept are trained.

        Raises ConfigError where a run fails: a verdict without it would be another one.
        """
        if self._kept is None:
            self.sink.end_gone()
            self._kept = reusable_runs(self.sink.store, specs[0].config.tracking.experiment)
        check_together(specs)
        jobs = in_sweep(make_jobs(specs, arms), self.sweep)
        ledger = find_finished(jobs, self._kept, Rerun["failed"])
        self.sink.tag((one.run for one in ledger.results.values()), member_tag(self.sweep), "run")
        if ledger.to_train:
            self.console.print(f"{self.name}: {len(ledger.to_train)} runs to train of {len(jobs)}", highlight=False)
        results = train_jobs(jobs, self.sink, self.console, done=ledger.results)
        self.disagreements += disagreements(
            (one.job.spec, one.job.name, one.disagreement) for one in results if one.job.spec.config.certificate
        )
        for result in results:
            if result.error:
                raise ConfigError(f"claim {self.name}: its runs must not fail: {result.job.name}: {result.error}")
            self._kept[result.job.tags["key"]] = ReusableRun(
                result.run, result.outcome, result.metrics, disagreement=result.disagreement
            )
        found = [self._kept[job.tags["key"]].metrics for job in jobs]
        self.metrics |= {name for metrics in found for name in metrics}
        return found

    def links(self, run: str) -> list[SweepLink]:
        """Addresses of the runs in the saved view of the sweep whose own run is `run`."""
        if not self.metrics:
            return []
        saved = self.sink.save_view(run, self.sweep, self.metrics)
        link = sweep_link(ui_base(self.sink.store), self.sink.experiment_id, self.sweep, saved)
        return [SweepLink(id=self.sweep, link=link)]
