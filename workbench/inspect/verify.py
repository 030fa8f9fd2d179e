"""``workbench verify``: train a run again from what the store holds, and compare weights and numbers.

Bits are promised on a CPU of the same kind, with the same torch and code: alone and in any pack where one thread
computes with the package's own functions, else in the same pack. Elsewhere two runs drift apart from their last bits
on, and the promise is a tolerance of the final losses and scores: see TOLERANCES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose

import torch

from workbench.inspect.rebuild import Again, repeat, spec_of, stored_weights
from workbench.runs.run_writer import DIGEST, WEIGHTS
from workbench.tracking.find_run import FullRun
from workbench.tracking.saved_view import TIMES
from workbench.tracking.store import Store

TOLERANCES = {"float64": 1e-6, "float32": 0.01}  # of a final loss relative to it, of a score absolute
SCORES = ("accuracy", "r2")
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Verification:
    """Result of a verification: `same` says whether the run is confirmed, `lines` how and why."""

    same: bool
    lines: list[str]


def verify(store: Store, stored: FullRun) -> Verification:
    """Train a run again, alone and, where that gives other bits, with its pack; compare what it ended with.

    Stored weights must be those of the run, too. Raises TrackingError where the run cannot be repeated.
    """
    result = _trained_again(store, stored)
    wrong = stored_weights(store, stored)[2] if WEIGHTS in stored.files else ""
    if not wrong:
        return result
    line = f"{WEIGHTS}: not what the run ended with, {wrong}; put the file back with the run, or remove it"
    return Verification(False, [*result.lines, line])


def _trained_again(store: Store, stored: FullRun) -> Verification:
    spec = spec_of(stored)
    again, reasons = repeat(store, stored)
    digest = stored.run.tags.get(DIGEST, "")
    company = "alone" if again.size == 1 else f"in its pack of {again.size}"
    lines = [f"trained again {company}, from its config.yaml: {spec.config.train.epochs} epochs"]
    if digest == again.digest:
        return _same_weights(stored, again, [*lines, f"weights: the same bits, sha256 {digest[:16]}…"])
    if not reasons:
        lines.append(f"weights: DIFFER, sha256 {digest[:16]}… was kept, {again.digest[:16]}… came")
        return Verification(False, [*lines, *_differences(stored, again.metrics, 0.0)])
    tolerance = TOLERANCES[spec.config.dtype.name]
    wrong = _differences(stored, again.metrics, tolerance)
    lines += [f"weights: other bits, as expected: {reason}" for reason in reasons]
    lines.append(f"final losses and scores: {'DIFFER' if wrong else 'the same'} within {tolerance:g}")
    return Verification(not wrong, [*lines, *wrong])


def timeless(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics that do not measure time, which differs in every repetition."""
    return {name: value for name, value in metrics.items() if not name.startswith(TIMES)}


def _same_weights(stored: FullRun, again: Again, lines: list[str]) -> Verification:
    """Compare metrics at equal weights, up to rounding where threads add in another order in a pack of another size."""
    eps = torch.finfo(again.params.flat.dtype).eps
    room = 64 * eps if stored.run.tags.get("pack", "/1").rpartition("/")[2] != str(again.size) else 0.0
    expected, obtained = stored.run.metrics, timeless(again.metrics)
    unequal = [name for name, value in obtained.items() if expected.get(name) != value]
    wrong = [
        name
        for name in unequal
        if name not in expected or not isclose(expected[name], obtained[name], rel_tol=room, abs_tol=room)
    ]
    rounded = f", {len(unequal) - len(wrong)} but for rounding" if len(unequal) > len(wrong) else ""
    lines.append(f"final metrics: {len(obtained) - len(unequal)} of {len(obtained)} the same to the last bit{rounded}")
    return Verification(not wrong, [*lines, *(_line(name, stored, obtained[name]) for name in wrong)])


def _differences(stored: FullRun, metrics: Mapping[str, float], tolerance: float) -> list[str]:
    """Lines on final losses and scores that differ by more than the tolerance."""
    wrong = []
    for name in stored.run.metrics.keys() | metrics.keys():
        part, _, quantity = name.partition("/")
        if part not in PARTS or quantity not in ("loss", *SCORES):
            continue
        expected, obtained = stored.run.metrics.get(name), metrics.get(name)
        absolute, relative = (tolerance, 0.0) if quantity in SCORES else (0.0, tolerance)
        if expected is None or obtained is None or not isclose(expected, obtained, rel_tol=relative, abs_tol=absolute):
            wrong.append(_line(name, stored, obtained))
    return sorted(wrong)


def _line(name: str, stored: FullRun, obtained: float | None) -> str:
    return f"  {name}: {stored.run.metrics.get(name)} was kept, {obtained} came"
