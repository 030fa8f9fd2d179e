"""Checks of the runs of a sweep before anything is trained or written."""

from collections.abc import Sequence

from workbench.config.schema import NOT_RESULT, RunSpec
from workbench.core.errors import ConfigError
from workbench.core.quoting import override


def check(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for runs that cannot be trained, or not together."""
    from workbench.config.validate import validate_all  # imports torch

    check_together(specs)
    validate_all(specs)


def check_together(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for a sweep without runs, or with sweep-wide settings that differ between runs."""
    if not specs:
        raise ConfigError("sweep: must have at least one run, got none; write for example 'seed=range(5)'")
    for key, first in specs[0].settings.items():
        values = {str(spec.settings.get(key)) for spec in specs}
        if key.partition(".")[0] in NOT_RESULT and len(values) > 1:
            shown, same = ", ".join(sorted(values)), override(key, first)
            raise ConfigError(f"{key}: must be the same for all runs of a sweep, got {shown}; write {same}")
