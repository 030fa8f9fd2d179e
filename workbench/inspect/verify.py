"""Is a run what it says? It is trained again from what the store holds, and its weights and numbers are compared.

Bits are promised on a CPU of the same kind, with the same torch and code: alone and in any pack where one thread
computes with the package's own functions, else in the same pack. Elsewhere two runs drift apart from their last bits
on, and what is promised is a tolerance of the final losses and scores: see TOLERANCES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose

import torch

from workbench.inspect.rebuild import Again, kept_weights, repeat, spec_of
from workbench.runs.run_writer import DIGEST, WEIGHTS
from workbench.tracking.find_run import FullRun
from workbench.tracking.saved_view import TIMES
from workbench.tracking.store import Store

TOLERANCES = {"float64": 1e-6, "float32": 0.01}  # of a final loss relative to it, of a score absolute
SCORES = ("accuracy", "r2")
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Verification:
    """What came of it. `same` says whether the run is confirmed, `lines` say how and why."""

    same: bool
    lines: list[str]


def verify(store: Store, kept: FullRun) -> Verification:
    """Train a run again, alone and, where that gives other bits, with its pack; compare what it ended with.

    The weights that were kept of it must be those too.
    """
    found = _trained_again(store, kept)
    wrong = kept_weights(store, kept)[2] if WEIGHTS in kept.files else ""
    if not wrong:
        return found
    said = f"{WEIGHTS}: not what the run ended with, {wrong}; put the file back with the run, or remove it"
    return Verification(False, [*found.lines, said])


def _trained_again(store: Store, kept: FullRun) -> Verification:
    spec = spec_of(kept)
    again, reasons = repeat(store, kept)
    digest = kept.run.tags.get(DIGEST, "")
    company = "alone" if again.size == 1 else f"in its pack of {again.size}"
    lines = [f"trained again {company}, from its config.yaml: {spec.config.train.epochs} epochs"]
    if digest == again.digest:
        return _same_weights(kept, again, [*lines, f"weights: the same bits, sha256 {digest[:16]}…"])
    if not reasons:
        lines.append(f"weights: DIFFER, sha256 {digest[:16]}… was kept, {again.digest[:16]}… came")
        return Verification(False, [*lines, *_differences(kept, again.metrics, 0.0)])
    tolerance = TOLERANCES[spec.config.dtype.name]
    wrong = _differences(kept, again.metrics, tolerance)
    lines += [f"weights: other bits, as must be expected: {reason}" for reason in reasons]
    lines.append(f"final losses and scores: {'DIFFER' if wrong else 'the same'} within {tolerance:g}")
    return Verification(not wrong, [*lines, *wrong])


def timeless(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that do not measure time, which is never the same."""
    return {name: value for name, value in metrics.items() if not name.startswith(TIMES)}


def _same_weights(kept: FullRun, again: Again, lines: list[str]) -> Verification:
    """Equal weights have equal metrics; those of several threads may be rounded otherwise in a pack of another size."""
    eps = torch.finfo(again.params.flat.dtype).eps
    room = 64 * eps if kept.run.tags.get("pack", "/1").rpartition("/")[2] != str(again.size) else 0.0
    was, came = kept.run.metrics, timeless(again.metrics)
    other = [name for name, value in came.items() if was.get(name) != value]
    wrong = [
        name for name in other if name not in was or not isclose(was[name], came[name], rel_tol=room, abs_tol=room)
    ]
    rounded = f", {len(other) - len(wrong)} but for rounding" if len(other) > len(wrong) else ""
    lines.append(f"final metrics: {len(came) - len(other)} of {len(came)} the same to the last bit{rounded}")
    return Verification(not wrong, [*lines, *(_line(name, kept, came[name]) for name in wrong)])


def _differences(kept: FullRun, metrics: Mapping[str, float], tolerance: float) -> list[str]:
    """Final losses and scores that differ by more, each in words."""
    wrong = []
    for name in kept.run.metrics.keys() | metrics.keys():
        part, _, quantity = name.partition("/")
        if part not in PARTS or quantity not in ("loss", *SCORES):
            continue
        one, other = kept.run.metrics.get(name), metrics.get(name)
        absolute, relative = (tolerance, 0.0) if quantity in SCORES else (0.0, tolerance)
        if one is None or other is None or not isclose(one, other, rel_tol=relative, abs_tol=absolute):
            wrong.append(_line(name, kept, other))
    return sorted(wrong)


def _line(name: str, kept: FullRun, came: float | None) -> str:
    return f"  {name}: {kept.run.metrics.get(name)} was kept, {came} came"
