"""Give the command of one case again: what it says, and what is wrong with that."""

import sys
import tempfile
from pathlib import Path

from tests.bad.case import case_of
from tests.bad.stage import Stage


def main() -> None:
    """The case is the only argument."""
    case = case_of(sys.argv[1])
    stage = Stage(Path(tempfile.mkdtemp(prefix="workbench-bad-")))
    answer, wrong = stage.answered(case)
    stage.close()
    print(f"cd {stage.work / case.cwd}; {case.command}\n{answer.out}{answer.err}")
    print(f"exit code {answer.code}, {answer.seconds:.1f} s, {answer.peak_gib:.2f} GiB")
    print(*(f"WRONG: {one}" for one in wrong), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
