"""The functions of ``import workbench as wb`` that do what commands do."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.terminal import plain_console

if TYPE_CHECKING:
    from workbench.certificates.certificate import Certificate
    from workbench.config.schema import RunSpec
    from workbench.sweeps.sweep import Finished


def train(*arguments: str) -> "Finished | None":
    """Train as ``workbench train`` with these arguments; returns None where Hydra only shows something (``--help``)."""
    from workbench.sweeps.command_line import train_as_told

    return train_as_told(arguments, plain_console())


def check(spec: "RunSpec") -> "Certificate":
    """Check gradients of a run against autograd and central differences, at its initial weights."""
    from workbench.certificates.certificate import certify

    return certify(spec)


def compare(
    *sweeps: str,
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    kind: str | None = None,
    table: str | None = None,
    uri: str | None = None,
    out: str | None = None,
) -> list[Path]:
    """Compare a sweep (by default the newest) by arm, or two sweeps with each other, as ``workbench compare`` does.

    `by` names the parameters that define arms. With `kind` (csv, parquet, latex, markdown) or a file for the `table`,
    only the table is written; otherwise also figures, to `out`. Returns the files written.
    """
    from workbench.inspect.comparison import ComparisonRequest
    from workbench.inspect.comparison import compare as compared

    return compared(ComparisonRequest(sweeps, uri, by, metrics, kind, table, out), plain_console())
