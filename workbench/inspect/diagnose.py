"""``workbench diagnose``: findings of the rules in a run or in the arms of a sweep, with numbers and remedies.

Remedies are not guessed: each rule names overrides to try, and beside them stands the best run of the same sweep in
which the rule finds nothing, with how it differs and its score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.config.arms import canonical, is_number, matters
from workbench.inspect.logged_run import LoggedRun, RunSeries, typical
from workbench.inspect.symptoms import GRADIENTS, RULES, Finding, Symptom

SCORE = "valid/loss"
RATE = "optimizer.lr"
FAR = 3.0  # times the median learning rate of the sweep


@dataclass(frozen=True)
class Diagnosis:
    """Findings in one arm: the worst of each rule and layer, in how many runs, and what may help.

    `silent` are the rules that could not judge any of its runs; `lines` say all of it for a terminal.
    """

    arm: str
    runs: int
    lines: list[str]
    silent: list[str]
    findings: list["Worst"]

    @property
    def is_healthy(self) -> bool:
        """Whether no rule found anything."""
        return not self.lines


@dataclass(frozen=True)
class Worst:
    """The worst finding of a rule in a layer: in how many of the arm's runs there is one, and the run it is of."""

    finding: Finding
    count: int
    run: str


def diagnose(arm: str, runs: Sequence[LoggedRun], others: Sequence[LoggedRun] = ()) -> Diagnosis:
    """Find what went wrong in an arm's runs; `others` are all runs of the sweep, to compare with."""
    lines: list[str] = []
    all_worst: list[Worst] = []
    all_series = [RunSeries(run) for run in runs]
    for rule in (GRADIENTS, *RULES):
        findings = [(series, finding) for series in all_series for finding in rule.findings(series)]
        for layer in dict.fromkeys(finding.layer for _, finding in findings):
            of_layer = [(series, finding) for series, finding in findings if finding.layer == layer]
            series, worst = max(of_layer, key=lambda pair: pair[1].size)
            all_worst.append(Worst(worst, len(of_layer), series.run.name))
            lines.append(_sentence(all_worst[-1], len(runs)))
        if findings:
            lines += [f"  {line}" for line in _help(rule, findings[0][0].run, others)]
    silent = [rule.name for rule in RULES if not any(map(rule.can_judge, all_series))]
    return Diagnosis(arm, len(runs), lines, silent, all_worst)


def _sentence(worst: Worst, total: int) -> str:
    finding = worst.finding
    place = f"layer {finding.layer}: " if finding.layer else ""
    among = f" ({worst.count} of {total} runs; worst: {worst.run})" if total > 1 else ""
    return f"{finding.rule}: {place}{finding.says}{among}"


def _help(rule: Symptom, run: LoggedRun, others: Sequence[LoggedRun]) -> Iterator[str]:
    tries = [override for override in rule.tries if not _has(run, override)]
    if tries:
        yield f"try: {', '.join(tries)}"
    yield from _rate(run, others)
    free = [
        other for other in others if other is not run and not rule.findings(RunSeries(other)) and SCORE in other.metrics
    ]
    if free:
        best = min(free, key=lambda other: (other.params.get("seed") != run.params.get("seed"), other.metrics[SCORE]))
        ours = f" instead of {run.metrics[SCORE]:.4g}" if SCORE in run.metrics else ""
        changed = ", ".join(_differences(run, best)) or "nothing but chance"
        yield f"not found in: {best.name} ({changed}), whose {SCORE} is {best.metrics[SCORE]:.4g}{ours}"


def _has(run: LoggedRun, override: str) -> bool:
    """Whether a run has this setting; ``init=glorot or he`` means either of both."""
    key, _, values = override.partition("=")
    return run.params.get(key, "") in values.split(" or ")


def _rate(run: LoggedRun, others: Sequence[LoggedRun]) -> Iterator[str]:
    """Yield how far the learning rate is from the median of the sweep, where it is far."""
    rates = {float(other.params[RATE]) for other in others if is_number(other.params.get(RATE))}
    usual = typical(rates)
    rate = float(run.params[RATE]) if is_number(run.params.get(RATE)) else 0.0
    if len(rates) > 1 and usual > 0 and rate > FAR * usual:
        yield f"its learning rate {rate:g} is {rate / usual:.3g} times the median of its sweep, {usual:g}"


def _differences(run: LoggedRun, other: LoggedRun) -> Iterator[str]:
    """Yield differing settings, as ``bias small_positive instead of zero``."""
    changed = [key for key, value in other.params.items() if canonical(run.params.get(key, "")) != canonical(value)]
    changed = [key for key in changed if matters(key)]
    for key in changed:
        if not any(key.startswith(f"{group}.") for group in changed):
            yield f"{key} {other.params[key]} instead of {run.params.get(key, 'none')}"
