"""Page of the errata: ``python -m workbench.lecture.errata_page > docs/errata.md`` writes it."""

from workbench.lecture.errata import ERRATA
from workbench.lecture.erratum import HARMLESS_BELOW, Case

NOTHING = "History: there is nothing to run."
HEAD = """# Errata of the lecture

What its slides print, what it must be, and what happens when the printed formula is run. Written by
`python -m workbench.lecture.errata_page > docs/errata.md`; the tests recompute every number. Where it says "remark",
the slide is right, and what is said is what it does not say.

A relative error of the gradient is the worst parameter's ‖printed − true‖ / max(‖printed‖, ‖true‖), where the true
gradient is a central difference of J; "none" is an error below 1e-8, as far as differences can tell. A net 3-4-2 has
3 inputs, 4 hidden units (tanh unless the line says otherwise) and 2 outputs. There are m = 6 examples where the line
does not say otherwise, in float64 with fixed seeds.
"""


def shown(case: Case, outcome: float | str) -> str:
    """Format a case's result to three digits."""
    if isinstance(outcome, str):
        return outcome
    return "none" if case.harmless and outcome < HARMLESS_BELOW else f"{outcome:.3g}"


def markdown() -> str:
    """Write the page ``docs/errata.md``, with every number computed anew."""
    lines = [HEAD]
    for erratum in ERRATA:
        lines += [f"## {erratum.id}: {erratum.slide}", "", f"- printed: {erratum.printed}"]
        lines += [f"- {'remark' if erratum.remark else 'correct'}: {erratum.correct}", ""]
        lines += (
            ["| case | measured | result |", "|---|---|---|"]
            if erratum.cases
            else ["History: there is nothing to run."]
        )
        for case in erratum.cases:
            cells = (case.where.replace("|", "\\|"), case.unit, shown(case, case.outcome()))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
