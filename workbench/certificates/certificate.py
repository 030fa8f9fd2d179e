"""The certificate: how far hand-written gradients agree with autograd and central differences.

`certify` checks one composed configuration. Trained packs are checked by `workbench.certificates.trained`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.table import Table

from workbench.certificates.forward import Forward, Nodes, forward_rows
from workbench.certificates.trained import EXAMPLES, describe, examples, spot_points
from workbench.config.prepare import build_pack
from workbench.config.schema import Device, Dtype, RunSpec
from workbench.config.validate import validate_all
from workbench.core.terminal import FittingTable
from workbench.nn.check.gradcheck import CURVE_ENTRIES, ENTRIES, Agreement, difference_curve, gradcheck
from workbench.nn.check.spot_check import deviations, off_kinks
from workbench.nn.layers.base import within
from workbench.nn.layers.recurrent import Recurrent


@dataclass(frozen=True)
class Certificate:
    """Agreement by parameter, error of all parameters together against differences by step, and other deviations."""

    rows: list[Agreement]
    curve: dict[float, float]
    spots: list[str] = field(default_factory=list)
    forward: list[Forward] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether the forward pass and every parameter's gradient are confirmed, and a spot check finds nothing."""
        return all(row.agrees for row in self.rows) and all(row.agrees for row in self.forward) and not self.spots


def certify(spec: RunSpec) -> Certificate:
    """Check gradients of a training pass at the run's initial weights on its first training examples, on the CPU.

    Where examples have many positions, fewer of them and fewer entries are tried; differences are not compared where
    backpropagation is truncated, as it does not compute the derivative of J. Includes the stages of a pretraining,
    and what a spot check of the trained run would find. Raises ConfigError where the run could not be trained.
    """
    validate_all([spec])
    exact = replace(spec.config, device=Device["cpu"], dtype=Dtype["float64"])
    pack = build_pack([replace(spec, config=exact)])
    params = pack.initial_params()
    whole, *before = map(off_kinks, spot_points(pack, params, range(1)))
    problem, mode = (whole.objective, whole.params, whole.x, whole.y), whole.mode
    truncated = any(isinstance(layer, Recurrent) and layer.truncate for layer in within(pack.objective.model))
    share = 0 if truncated else examples(pack.objective) / EXAMPLES
    entries = int(ENTRIES * share)
    rows = gradcheck(*problem, entries, mode)
    for number, stage in enumerate(before, start=1):
        agreements = gradcheck(stage.objective, stage.params, stage.x, stage.y, entries, stage.mode)
        rows += [replace(row, name=f"pretraining {number}: {row.name}") for row in agreements]
    spots = [describe(deviation) for point in (whole, *before) for deviation in deviations(point)[0]]
    forward = forward_rows(Nodes.of(spec.resolved), whole, before)
    curve = {} if truncated else difference_curve(*problem, int(CURVE_ENTRIES * share), mode)
    return Certificate(rows, curve, spots, forward)


def printed_table(title: str, caption: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """Make an empty table with headings of texts and of numbers."""
    table = FittingTable(title=title, caption=caption)
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    table.add_column("")
    return table


def certificate_table(certificate: Certificate) -> Table:
    """Table of a certificate, with a row per parameter."""
    table = printed_table(
        "hand-written gradients of a training pass",
        "relative errors; float64 but for the column float32; kinks: entries set aside there",
        ["parameter"],
        ["shape", "‖gradient‖", "vs autograd", "vs differences", "float32", "entries", "kinks"],
    )
    for row in certificate.rows:
        table.add_row(
            row.name,
            "x".join(map(str, row.shape)),
            f"{row.norm:.3g}",
            f"{row.autograd_error:.1e}",
            f"{row.difference_error:.1e}",
            f"{row.single_error:.1e}",
            str(row.compared),
            str(row.at_kinks),
            "agrees" if row.agrees else "DISAGREES",
        )
    return table


def curve_line(certificate: Certificate) -> str:
    """The error against central differences for each step h, in one line."""
    if not certificate.curve:
        return "differences are not compared: truncated backpropagation does not compute the derivative of J"
    return "all parameters against differences, by step h: " + ", ".join(
        f"{step:.0e}: {error:.0e}" for step, error in certificate.curve.items()
    )


def as_record(certificate: Certificate) -> dict[str, Any]:
    """Certificate for other programs, with what each part and the whole come to."""
    return {
        "agrees": certificate.agrees,
        "forward": [{**asdict(row), "agrees": row.agrees} for row in certificate.forward],
        "parameters": [{**asdict(row), "agrees": row.agrees} for row in certificate.rows],
        "by_step": [{"step": step, "error": error} for step, error in certificate.curve.items()],
        "spots": certificate.spots,
    }
