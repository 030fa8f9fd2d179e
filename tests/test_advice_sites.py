"""Every text of the source that tells a user to write something: a command that is refused with it, then followed."""

import re
from collections.abc import Callable
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.advice_cases import CASES, ELSEWHERE, FILES, MORE, NO_LINE
from tests.advised import ROOT, assert_advice_works, is_of, sites
from tests.outer import Answer

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def test_each_text_has_a_case() -> None:
    """A new or changed advice needs a command here, or a test elsewhere that holds it; none is left of an old one."""
    assert sites() == {*CASES, *ELSEWHERE}
    assert CASES.keys().isdisjoint(ELSEWHERE)
    assert CASES.keys() >= NO_LINE


@pytest.mark.parametrize("site", ELSEWHERE)
def test_other_texts_are_held_by_a_test(site: str) -> None:
    """Every text without a case stands in part in the test that is named for it."""
    file, part = ELSEWHERE[site]
    assert part in site
    assert part in (ROOT / "tests" / file).read_text()


@pytest.mark.parametrize(
    ("extra", "module"), [("ray", "ray"), ("slurm", "submitit"), ("search", "optuna"), ("postgres", "psycopg")]
)
def test_an_extra_that_is_advised_holds_what_is_missing(extra: str, module: str) -> None:
    """``pip install 'workbench[extra]'`` installs it; no other extra is advised."""
    texts = "".join(file.read_text() for file in (ROOT / "workbench").rglob("*.py"))
    assert extra in (advised := set(re.findall(r"workbench\[(\w+)\]", texts)))
    needed = [Requirement(text) for text in requires("workbench") or []]
    assert module in {one.name for one in needed if one.marker is not None and one.marker.evaluate({"extra": extra})}
    assert advised <= set(metadata("workbench").get_all("Provides-Extra") or [])


def _refused(cli: Cli, folder: Path, command: str) -> tuple[list[str], str]:
    for name, content in FILES.items():
        if name.partition("/")[0] in command:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    words = command.split(" ")
    answer = cli(*words)
    assert answer.code == 2
    return words, answer.err


@pytest.mark.slow
@pytest.mark.parametrize("site", CASES)
def test_advice_is_followed(cli: Cli, folder: Path, site: str) -> None:
    """The message is made by this text, and what it says to write is taken."""
    words, said = _refused(cli, folder, CASES[site])
    assert is_of(site, said)
    assert_advice_works(cli, words, said, site in NO_LINE)


@pytest.mark.slow
@pytest.mark.parametrize("command", MORE)
def test_advice_is_followed_in_other_cases(cli: Cli, folder: Path, command: str) -> None:
    """Advice is followed in other cases that lead to the same texts."""
    words, said = _refused(cli, folder, command)
    assert_advice_works(cli, words, said, command.endswith("gap_target.csv"))
