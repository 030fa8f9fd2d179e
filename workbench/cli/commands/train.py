"""``workbench train``: one run, or with -m a sweep."""

from collections.abc import Sequence

from workbench.cli.options import without_json

HELP = "train one run, or with -m a sweep"


def run_overrides(arguments: Sequence[str]) -> int:
    """Train; returns 1 where a run failed, or its gradients disagree with autograd unless ``certificate=off``."""
    from workbench.core.terminal import plain_console
    from workbench.sweeps.command_line import train_as_told

    words, as_json = without_json(arguments)
    finished = train_as_told(words, plain_console(), as_json)
    return int(finished is not None and finished.is_wrong)
