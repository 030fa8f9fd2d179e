"""``workbench diagnose``: what the rules find in a run or in the arms of a sweep, with numbers and with what helped.

Nothing is guessed: what is said to help is what a rule names to try, and beside it the best run of the same sweep in
which the rule finds nothing, with what it was made with and what came of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.config.arms import canonical, is_number, matters
from workbench.inspect.logged_run import Course, LoggedRun, typical
from workbench.inspect.symptoms import GRADIENTS, RULES, Finding, Symptom

SCORE = "valid/loss"
RATE = "optimizer.lr"
FAR = 3.0  # times the median learning rate of the sweep


@dataclass(frozen=True)
class Diagnosis:
    """What is found in one arm: the worst finding of each rule and layer, in how many runs, and what may help.

    `silent` are the rules that could not judge any of its runs.
    """

    arm: str
    runs: int
    lines: list[str]
    silent: list[str]

    @property
    def is_healthy(self) -> bool:
        """Whether no rule found anything."""
        return not self.lines


def diagnose(arm: str, runs: Sequence[LoggedRun], others: Sequence[LoggedRun] = ()) -> Diagnosis:
    """The findings in an arm's runs; `others` are those of its sweep, to compare with."""
    lines: list[str] = []
    courses = [Course(run) for run in runs]
    for rule in (GRADIENTS, *RULES):
        found = [(course, finding) for course in courses for finding in rule.findings(course)]
        for layer in dict.fromkeys(finding.layer for _, finding in found):
            here = [(course, finding) for course, finding in found if finding.layer == layer]
            course, worst = max(here, key=lambda one: one[1].size)
            lines.append(_sentence(worst, course, len(here), len(runs)))
        if found:
            lines += [f"  {line}" for line in _help(rule, found[0][0].run, others)]
    silent = [rule.name for rule in RULES if not any(map(rule.can_judge, courses))]
    return Diagnosis(arm, len(runs), lines, silent)


def _sentence(worst: Finding, course: Course, count: int, total: int) -> str:
    place = f"layer {worst.layer}: " if worst.layer else ""
    among = f" ({count} of {total} runs; worst: {course.run.name})" if total > 1 else ""
    return f"{worst.rule}: {place}{worst.says}{among}"


def _help(rule: Symptom, run: LoggedRun, others: Sequence[LoggedRun]) -> Iterator[str]:
    tries = [one for one in rule.tries if not _has(run, one)]
    if tries:
        yield f"try: {', '.join(tries)}"
    yield from _rate(run, others)
    free = [one for one in others if one is not run and not rule.findings(Course(one)) and SCORE in one.metrics]
    if free:
        best = min(free, key=lambda one: (one.params.get("seed") != run.params.get("seed"), one.metrics[SCORE]))
        ours = f" instead of {run.metrics[SCORE]:.4g}" if SCORE in run.metrics else ""
        changed = ", ".join(_differences(run, best)) or "nothing but chance"
        yield f"not found in: {best.name} ({changed}), whose {SCORE} is {best.metrics[SCORE]:.4g}{ours}"


def _has(run: LoggedRun, override: str) -> bool:
    """Whether a run was made with it: ``init=glorot or he`` is one of both."""
    key, _, values = override.partition("=")
    return run.params.get(key, "") in values.split(" or ")


def _rate(run: LoggedRun, others: Sequence[LoggedRun]) -> Iterator[str]:
    """Where a learning rate is far from the others of its sweep, how far."""
    rates = {float(one.params[RATE]) for one in others if is_number(one.params.get(RATE))}
    usual = typical(rates)
    own = float(run.params[RATE]) if is_number(run.params.get(RATE)) else 0.0
    if len(rates) > 1 and usual > 0 and own > FAR * usual:
        yield f"its learning rate {own:g} is {own / usual:.3g} times the median of its sweep, {usual:g}"


def _differences(run: LoggedRun, other: LoggedRun) -> Iterator[str]:
    """``bias small_positive instead of zero``: what the other was made with and the run was not."""
    changed = [key for key, value in other.params.items() if canonical(run.params.get(key, "")) != canonical(value)]
    changed = [key for key in changed if matters(key)]
    for key in changed:
        if not any(key.startswith(f"{group}.") for group in changed):
            yield f"{key} {other.params[key]} instead of {run.params.get(key, 'none')}"
