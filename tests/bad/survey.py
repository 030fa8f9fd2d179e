"""Many bad inputs at once, and what is wrong with the answers, by what they have in common.

python -m tests.bad.survey KIND COUNT [SEED]
"""

import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.kinds import KINDS
from tests.bad.stage import Stage


@dataclass
class Survey:
    """How many answers there were by exit code, and the cases with something wrong by a short form of what it was."""

    codes: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, list[tuple[Case, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def report(self) -> str:
        """The shortest case of each kind, the most frequent first."""
        lines = []
        for cases in sorted(self.wrong.values(), key=len, reverse=True):
            case, fault = min(cases, key=lambda one: len(one[0].text))
            lines += [f"{len(cases)} x {fault[:500]}", f"    {case.command[:400]}", f"    {case.pasted[:3000]}", ""]
        return "\n".join(lines)


def survey(stage: Stage, cases: st.SearchStrategy[Case], count: int, start: int) -> Survey:
    """The answers to `count` cases; the same `start` makes the same cases."""
    found = Survey()

    @seed(start)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def each(case: Case) -> None:
        answer, wrong = stage.answered(case)
        found.codes[answer.code] += 1
        for fault in wrong:
            found.wrong[_short(fault)].append((case, fault))

    each()
    return found


def _short(fault: str) -> str:
    """A fault without numbers, names and places."""
    short = re.sub(r"'[^']*'|\"[^\"]*\"|/\S+|0x\w+|\d+|\^+", "_", fault)
    return f"{short[:40]}...{short[-70:]}"


def main() -> None:
    """Print what was found; exit code 1 where there was something."""
    kind, count, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    stage, begun = Stage(Path(tempfile.mkdtemp(prefix="workbench-bad-"))), time.monotonic()
    found = survey(stage, KINDS[kind], count, start)
    stage.close()
    seconds = time.monotonic() - begun
    print(f"{kind}: {found.codes.total()} cases in {seconds:.0f} s, by exit code {dict(found.codes)}\n\n{found.report}")
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
