"""Bad inputs by the hundred, made from what is right: each is refused, or done right, as a user must find it.

For each: an exit code that is documented, no traceback, no control character, a message with a place and a way out,
nothing changed by what was refused, no run left RUNNING, under ten seconds and one GiB. What fails is printed as a
command that gives it again; ``python -m tests.bad.survey KIND COUNT SEED`` looks for more.
"""

from collections.abc import Iterator

import pytest

from tests.bad.kinds import KINDS
from tests.bad.stage import Stage
from tests.bad.survey import survey

COUNTS = {"overrides": 240, "yaml": 200, "data": 160, "spool": 80, "checkpoints": 80, "paths": 120, "names": 120}
FEW, PART = 10, 40  # cases of each kind in the slow tests, and at a time in the exhaustive ones
PARTS = [(kind, part) for kind, count in COUNTS.items() for part in range(count // PART)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A process that answers, and its folder."""
    made = Stage(tmp_path_factory.mktemp("bad"))
    yield made
    made.close()


def _none_wrong(stage: Stage, kind: str, count: int, start: int) -> None:
    found = survey(stage, KINDS[kind], count, start)
    assert found.codes.total() >= count * 0.9
    assert not found.wrong, f"{len(found.wrong)} things are wrong:\n\n{found.report}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(COUNTS))
def test_bad_inputs_are_refused(stage: Stage, kind: str) -> None:
    """A few bad inputs of each kind are refused or done right."""
    _none_wrong(stage, kind, FEW, 1000)


def test_a_thousand_are_made() -> None:
    """Bad inputs number at least a thousand, with some of every kind."""
    assert COUNTS.keys() == KINDS.keys()
    assert len(PARTS) * PART >= 1000


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_many_bad_inputs_are_refused(stage: Stage, kind: str, part: int) -> None:
    """All bad inputs of a part of a kind are refused or done right."""
    _none_wrong(stage, kind, PART, part)
