"""Packs trained as job arrays of a SLURM cluster, submitted by submitit.

``squeue`` tells which jobs SLURM still has, never ``sacct``, which many clusters do not offer. Nothing is requeued: a
job that has begun runs must not begin them again unasked.
"""

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from workbench.core import signals
from workbench.core.errors import ConfigError, Terminated
from workbench.runs.train_pack import Result
from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask
from workbench.sweeps.executors.remote import (
    SECONDS_TO_END,
    Brief,
    WorkerSettings,
    brief,
    check_reach,
    end_all,
    full,
    settle,
    shared,
)
from workbench.tracking.base import Sink
from workbench.tracking.locks import private
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo")
OF_SUBMITIT = ("array_parallelism", "setup", "additional_parameters")  # no options of sbatch
KEY = "hydra.launcher.executor"
JOBS_PER_ARRAY = 1000  # SLURM's MaxArraySize is 1001 where nobody has set another
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_TO_APPEAR = 20.0  # for the answer of a job that SLURM has no longer, on a slow shared disk


def load_submitit() -> Any:
    """Import submitit; raises ConfigError where it or SLURM is missing."""
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "hydra/launcher=packed_slurm: needs submitit, which is not installed; write pip install 'workbench[slurm]'"
        ) from error
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        raise ConfigError(
            f"hydra/launcher=packed_slurm: needs SLURM's commands, found no {', '.join(missing)}; run it on a "
            "cluster's login node, or here with hydra/launcher=packed_processes"
        )
    return submitit


class Slurm(Executor):
    """The executor of ``hydra/launcher=packed_slurm``; `more` are further options of sbatch by their long names."""

    def __init__(
        self,
        partition: str | None = None,
        time: int = 60,
        cpus_per_task: int = 1,
        gpus_per_node: int = 0,
        mem_gb: float | None = None,
        folder: str = "slurm",
        setup: Sequence[str] = (),
        parallel: int = 16,
        more: dict[str, Any] | None = None,
    ) -> None:
        """Raise ConfigError for numbers that cannot be."""
        for name, value, least in (
            ("time", time, 1),
            ("cpus_per_task", cpus_per_task, 1),
            ("gpus_per_node", gpus_per_node, 0),
            ("parallel", parallel, 1),
        ):
            if value < least:
                raise ConfigError(f"{KEY}.{name}: must be at least {least}, got {value}")
        self.submitit = load_submitit()
        self.folder, self.parallel = Path(folder).absolute(), parallel
        self.cpus_per_task = cpus_per_task
        self.parameters: dict[str, Any] = {
            "job_name": "workbench",
            "time": time,
            "cpus_per_task": cpus_per_task,
            "array_parallelism": parallel,
            "setup": list(setup),
            "additional_parameters": {"no-requeue": True, **(more or {})},
            **({"partition": partition} if partition else {}),
            **({"mem": f"{round(mem_gb * 1024)}MB"} if mem_gb else {}),
            **({"gpus_per_node": gpus_per_node} if gpus_per_node else {}),
        }

    def ready(self, store: Store) -> None:
        """Test the job's options; raises ConfigError where SLURM refuses them, or the store is out of reach."""
        options = {**self.parameters, **self.parameters["additional_parameters"]}
        flags = [_flag(key, value) for key, value in options.items() if key not in OF_SUBMITIT]
        dry_run = subprocess.run(["sbatch", "--test-only", *flags, "--wrap=true"], capture_output=True, text=True)
        if dry_run.returncode:
            reason = (dry_run.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise ConfigError(
                f"{KEY}: must be what this SLURM cluster can run, it said: {reason}; got {' '.join(flags)}"
            )
        partition = self.parameters.get("partition")
        nodes = _output_of(
            "sinfo", "--noheader", "--Node", "--format=%n", *([f"--partition={partition}"] if partition else [])
        )
        check_reach(store, nodes or [])
        private(self.folder)  # the jobs that will lie there hold the store's address, with its password

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Submit all packs, and collect their answers; a job without an answer costs its pack."""
        shared_sink = shared(sink, "packed_slurm")
        settings = WorkerSettings(shared_sink.store.uri, shared_sink.experiment_id, self.cpus_per_task)
        pending: dict[Any, PackTask] = {}
        missing_since: dict[Any, float] = {}
        try:
            for start in range(0, len(tasks), JOBS_PER_ARRAY):
                chunk = list(tasks[start : start + JOBS_PER_ARRAY])
                pending |= zip(self._submit(chunk, settings), chunk, strict=True)
            while pending:
                for job in self._ended(list(pending), missing_since):
                    task = pending.pop(job)
                    on_progress(task.epochs)
                    yield task, _answer(job, task, shared_sink)
                if pending:
                    sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            signals.ending()
            if pending:
                _cancel(pending, shared_sink)

    def _submit(self, tasks: Sequence[PackTask], settings: WorkerSettings) -> list[Any]:
        private(self.folder)
        executor = self.submitit.SlurmExecutor(folder=self.folder, max_num_timeout=0)
        executor.update_parameters(**self.parameters)
        return list(executor.map_array(_train, tasks, [settings] * len(tasks)))

    def _ended(self, jobs: Sequence[Any], missing_since: dict[Any, float]) -> list[Any]:
        """Jobs with an answer, and those that SLURM has not had for too long to expect one."""
        queued = _output_of("squeue", "--noheader", "--array", "--me", "--format=%i")
        for job in jobs:
            if queued is not None and job.job_id not in queued:
                missing_since.setdefault(job, monotonic())
        late = [job for job in jobs if monotonic() - missing_since.get(job, monotonic()) > SECONDS_TO_APPEAR]
        return [job for job in jobs if job.paths.result_pickle.exists() or job in late]


def _flag(key: str, value: Any) -> str:
    return f"--{key.replace('_', '-')}" + ("" if value is True else f"={value}")


def _answer(job: Any, task: PackTask, sink: "MlflowSink") -> list[Result]:
    log = f"see {job.paths.stderr}"
    if not job.paths.result_pickle.exists():
        return settle(sink, task, f"its SLURM job {job.job_id} ended without an answer; {log}")
    error = job.exception()
    if error is not None:
        return settle(sink, task, f"its SLURM job {job.job_id} failed: {str(error).splitlines()[-1]}; {log}")
    answer = job.result()
    if answer is None:
        return settle(sink, task, f"its SLURM job {job.job_id} was ended by SLURM, for its time limit or others; {log}")
    return full(task, answer)


def _cancel(pending: dict[Any, PackTask], sink: "MlflowSink") -> None:
    """End jobs by SIGTERM, which lets them close their runs, and wait for that."""
    names = {job.job_id for job in pending}
    subprocess.run(["scancel", *sorted(names)], capture_output=True, check=False)
    late = monotonic() + SECONDS_TO_END
    while names & set(_output_of("squeue", "--noheader", "--array", "--me", "--format=%i") or names):
        if monotonic() > late:
            break
        sleep(SECONDS_BETWEEN_LOOKS / 4)
    end_all(sink, pending.values(), "its sweep was ended")


def _output_of(*command: str) -> list[str] | None:
    """Words that a SLURM command prints; None where it fails."""
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    return completed.stdout.split() if completed.returncode == 0 else None


def _train(task: PackTask, settings: WorkerSettings) -> list[Brief] | None:
    """Train one pack in a job; None where SLURM ends it early: USR2 before its time limit, TERM when it must go."""
    signals.listen(signal.SIGTERM, signal.SIGUSR2)
    try:
        return [brief(result) for result in settings.worker().do(task, lambda epochs: None)]
    except Terminated:
        return None
