"""Flip rates: how often verdicts on other seeds have another label."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.claims import made_up
from tests.claims.small import EXACT, write
from tests.outer import Answer
from workbench.claims.offsets import flips
from workbench.claims.report import offsets_report
from workbench.claims.rules import Label
from workbench.claims.verdict import Reproduction

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
SEES_THE_SEED = """
import workbench as wb


def measure(study):
    yield wb.Cell("p", wb.Exact(4, int(study.offset == 2000)))
"""


def labeled(label: Label, digits: Label) -> Reproduction:
    """The mixed claim with another label, and with one for its part on digits."""
    one = made_up.mixed()
    parts = [part.model_copy(update={"label": digits}) if part.name == "digits" else part for part in one.parts]
    return one.model_copy(update={"label": label, "parts": parts})


def test_a_rate_is_the_share_of_other_labels() -> None:
    """The flip rate is the share of offsets with another label: 1/4, 2/4 or 0; a claim judged once has none."""
    found = {
        0: {"dying_relu": labeled(Label.mixed, Label.refuted), "xor": made_up.proved()},
        1000: {"dying_relu": labeled(Label.mixed, Label.inconclusive)},
        2000: {"dying_relu": labeled(Label.supported, Label.supported)},
        3000: {"dying_relu": labeled(Label.mixed, Label.refuted)},
    }
    rates = {line.part: line.rate for line in flips(found)}
    assert rates == {"": 0.25, "dies": 0, "narrow": 0, "digits": 0.5, "deep": 0, "wide": 0}
    assert {line.claim for line in flips(found)} == {"dying_relu"}
    text = offsets_report(found)
    assert "1 of their parts is\nsupported on some seeds and refuted on others: digits." in text
    found[2000] = found[1000]
    assert "None of their parts is\nsupported on some seeds and refuted on others." in offsets_report(found)
    assert "| dying\\_relu | the whole claim | verdict | 1 supported, 3 mixed | 4 | 25 % |\n" in text
    assert "| dying\\_relu | digits | decides | 1 supported, 2 refuted, 1 inconclusive | 4 | 50 % |\n" in text


@pytest.mark.slow
def test_verdicts_of_several_stores_are_compared(cli: Cli, folder: Path) -> None:
    """Verdicts of three offsets in two stores are compared; a single offset is refused."""
    write(folder / "own", code=SEES_THE_SEED, changes=EXACT)
    stores = [f"sqlite:///{folder}/{name}.db" for name in ("a", "b")]
    for offset, store in (("0", stores[0]), ("1000", stores[0]), ("2000", stores[1])):
        assert cli("reproduce", "small", "--claims", "own", "--uri", store, "--seed-offset", offset).code == 0
    refused = cli("claims", "--offsets", stores[1])
    assert refused.code == 2
    assert "must hold verdicts at two seed offsets or more, got 2000; measure them first" in refused.err
    answer = cli("claims", "--offsets", *stores)
    assert (answer.code, answer.err) == (0, "")
    assert "| small | the whole claim | verdict | 2 supported, 1 refuted | 3 | 33 % |\n" in answer.out
