"""Training from Python: a run, a sweep, or only their configuration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.api.runs import Run
from workbench.api.sweeps import Sweep
from workbench.config.keywords import overrides_of
from workbench.config.targets import names_in
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.core.terminal import plain_console

if TYPE_CHECKING:
    from workbench.config.schema import RunSpec
    from workbench.sweeps.callbacks import Callback
    from workbench.sweeps.sweep import Finished


def configure(*overrides: str, config_dir: str | None = None, **keywords: Any) -> "RunSpec":
    """Compose the configuration of one run, and train nothing.

    `overrides` are texts as on the command line, `keywords` the same in Python: ``optimizer={"lr": 0.1}``. `config_dir`
    is a folder with options of your own. Raises ConfigError for unknown names and keys and for values of the wrong
    type.
    """
    from pathlib import Path

    from workbench.config.compose import configure_each

    folder = None if config_dir is None else Path(config_dir)
    (spec,) = configure_each(overrides_of(overrides, keywords), [{}], folder)
    return spec


def train(*overrides: str, config_dir: str | None = None, callbacks: "Sequence[Callback]" = (), **keywords: Any) -> Run:
    """Train one run as ``workbench train`` does, and keep it in the store; arguments as for `configure`.

    Each of `callbacks` is called with an `EpochEnd` before training and after each epoch. Raises ConfigError before
    anything is trained, and WorkbenchError where the training fails.
    """
    finished = _trained([], overrides_of(overrides, keywords), config_dir, callbacks)
    (result,) = finished.results
    if not result.run or result.error:
        raise WorkbenchError(
            f"train: the run must end by itself, but it ended as {result.outcome.value}: {result.error}"
        )
    return Run(result.run, finished.store, _modules(finished))


def sweep(
    *overrides: str, config_dir: str | None = None, callbacks: "Sequence[Callback]" = (), **keywords: Any
) -> Sweep:
    """Train every combination as ``workbench train -m`` does: runs of one sweep, together where they can be.

    A list, a range or an array holds the values of its key: ``activation=["relu", "tanh"], seed=range(10)``; a tuple is
    one value. All else is as for `train`; `callbacks` hear of the runs that this process trains. Runs that fail are in
    the sweep with that outcome. Raises ConfigError before anything is trained.
    """
    finished = _trained(["-m"], overrides_of(overrides, keywords, alternatives=True), config_dir, callbacks)
    return Sweep(finished.sweep, finished.store, _modules(finished))


def _modules(finished: "Finished") -> list[str]:
    """Modules whose functions these runs have just called."""
    targets = {target for result in finished.results for target in names_in(result.job.spec.resolved)}
    return sorted({target.rpartition(".")[0] for target in targets})


def _trained(
    options: Sequence[str], overrides: Sequence[str], config_dir: str | None, called: "Sequence[Callback]"
) -> "Finished":
    from workbench.sweeps.callbacks import callbacks
    from workbench.sweeps.command_line import train_as_told

    folder = [] if config_dir is None else ["--config-dir", config_dir]
    token = callbacks.set(tuple(called))
    try:
        finished = train_as_told([*options, *folder, *overrides], plain_console())
    finally:
        callbacks.reset(token)
    if finished is None:
        raise ConfigError("sweep.dry_run: only says what would be trained, and no run comes of it; drop it in Python")
    return finished
