"""Lines that end a command: how many runs ended how, and which did not finish."""

from collections import Counter

from workbench.certificates.trained import disagreements
from workbench.config.prepare import prepare
from workbench.sweeps.sweep import Finished


def summary(finished: Finished) -> list[str]:
    """Lines with the number of runs by outcome, and the names of those that did not finish."""
    results = finished.results
    counts = Counter(result.outcome.value for result in results)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))
    lines = [counted] if counted else []
    for result in results:
        if divergence := result.divergence:
            where = f" in the {divergence.quantity} of {divergence.layer}" if divergence.layer else ""
            lines.append(f"  diverged: {result.job.name} at step {divergence.step}{where}")
        elif result.error:
            lines.append(f"  {result.outcome.value}: {result.job.name}: {result.error}")
    blanks = {prepare(result.job.spec).dataset.on_blanks: None for result in results}
    return [
        *lines,
        *filter(None, blanks),
        *finished.notes,
        *disagreements((result.job.spec, result.job.name, result.disagreement) for result in results),
    ]
