"""Pruning of a search: trials behind the median of earlier trials are given up at an epoch's end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from workbench.core.errors import ConfigError
from workbench.engine.history import Record
from workbench.runs.train_pack import Job

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TRIAL = "trial"  # the tag with a run's number in its search
Direction = Literal["minimize", "maximize"]
Marks = Mapping[int, float]  # an objective after each epoch


def load_optuna() -> ModuleType:
    """Import Optuna, which logs warnings only.

    Raises ConfigError where it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "hydra/sweeper=search: needs Optuna, which is not installed; write pip install 'workbench[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(frozen=True)
class Pruning:
    """Optuna's median rule for the trials of a batch, against the `finished` ones of the batches before it.

    A trial is the mean of its replicas, and is given up as a whole: never before `after` epochs, or before `least`
    trials have finished.
    """

    metric: str
    direction: Direction
    finished: tuple[Marks, ...]
    least: int = 5
    after: int = 1

    def watch(self, jobs: Sequence[Job]) -> Callable[[Record], Sequence[int]]:
        """Make a function that returns the replicas of a pack of `jobs` to give up after each record."""
        optuna = load_optuna()
        pruner = optuna.pruners.MedianPruner(self.least, self.after)
        study = optuna.create_study(direction=self.direction)
        study.add_trials([_frozen(marks, value=list(marks.values())[-1]) for marks in self.finished if marks])
        trials = [job.tags[TRIAL] for job in jobs]
        epochs = jobs[0].spec.config.train.epochs
        marks: dict[str, dict[int, float]] = {trial: {} for trial in trials}

        def give_up(record: Record) -> list[int]:
            if self.metric not in record.metrics or not 0 < record.epoch < epochs:
                return []
            values_of: dict[str, list[float]] = {}
            for replica, value in zip(record.replicas, record.metrics[self.metric], strict=True):
                values_of.setdefault(trials[replica], []).append(value)
            hopeless = set()
            for trial, values in values_of.items():
                marks[trial][record.epoch] = fmean(values)
                if not isfinite(fmean(values)) or pruner.prune(study, _frozen(marks[trial])):
                    hopeless.add(trial)
            diverged = {divergence.replica for divergence in record.diverged}
            return [replica for replica in record.replicas if trials[replica] in hopeless and replica not in diverged]

        return give_up


def _frozen(marks: Marks, value: float | None = None) -> "FrozenTrial":
    optuna = load_optuna()
    state = optuna.trial.TrialState.RUNNING if value is None else optuna.trial.TrialState.COMPLETE
    frozen: FrozenTrial = optuna.trial.create_trial(state=state, value=value, intermediate_values=dict(marks))
    return frozen
