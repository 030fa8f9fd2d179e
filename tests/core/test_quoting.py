"""Overrides in messages: what a shell makes of them, and Hydra of that, is the value."""

import shlex
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from workbench.core.quoting import override

SIGNS = st.sampled_from(list("ab\\\"'${}[](),=: ;~\t%€éß#"))
TEXTS = st.text(st.one_of(SIGNS, st.characters(exclude_categories=["Cs", "Cc"])), min_size=1)


@pytest.mark.slow
@given(value=st.one_of(TEXTS, st.lists(TEXTS, max_size=3)))
@example(value="a\\")
@example(value="\\${x}")
@example(value="true")
@example(value="1")
@example(value=".5")
@example(value="../own-data/houses.2.csv")
@example(value=["a-b", "/x.y", "_.5", "e-5", "inf.csv"])
@example(value=["Unnamed: 0", "it's"])
def test_an_override_comes_back(value: Any) -> None:
    """Blanks, quotes, backslashes, interpolations and words with a meaning come back from shell and Hydra unchanged."""
    (word,) = shlex.split(override("data.key", value))
    parsed = OverridesParser.create().parse_override(word)
    config = OmegaConf.create({"key": parsed.value()})
    assert parsed.key_or_group == "data.key"
    assert OmegaConf.to_container(config, resolve=True) == {"key": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("price", "data.key=price"),
        (["a", "b c"], """'data.key=[a,"b c"]'"""),
        (None, "data.key=null"),
        ("/tmp/own data.csv", """'data.key="/tmp/own data.csv"'"""),
        ("data/houses.csv", "data.key=data/houses.csv"),
    ],
)
def test_what_is_plain_stays_plain(value: Any, text: str) -> None:
    """Overrides are quoted only where that is needed."""
    assert override("data.key", value) == text
