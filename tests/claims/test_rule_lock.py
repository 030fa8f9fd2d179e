"""The rules of the shipped claims are those that were written down, or have a new version."""

import json
from pathlib import Path

import pytest

from tests import golden_rules
from tests.golden_rules import FILE, changed, main, shipped

REGENERATE = "then write the file anew: python -m tests.golden_rules"


@pytest.mark.slow
def test_rules_of_shipped_claims_are_locked() -> None:
    """A rule that changes after its runs were seen decides nothing."""
    kept, now = json.loads(FILE.read_text()) if FILE.exists() else {}, shipped()
    names = changed(kept, now)
    assert not names, (
        f"what is fixed of {names} changed: raise `version` in experiments/{names[0]}/experiment.yaml, {REGENERATE}"
    )
    lowered = [name for name in kept.keys() & now.keys() if now[name]["version"] < kept[name]["version"]]
    assert not lowered, f"the version of {lowered} went down"
    assert now == kept, f"claims or versions are new: {REGENERATE}"


OLD = {"xor": {"version": 1, "registration": "a"}, "gone": {"version": 1, "registration": "b"}}


@pytest.mark.parametrize(
    ("now", "names"),
    [
        ({"xor": {"version": 1, "registration": "a"}}, []),
        ({"xor": {"version": 1, "registration": "c"}}, ["xor"]),
        ({"xor": {"version": 2, "registration": "c"}}, []),
        ({"new": {"version": 1, "registration": "c"}}, []),
    ],
)
def test_changed_rules_are_found(now: golden_rules.Rules, names: list[str]) -> None:
    """A changed rule is found only under the same version, not for a new version or a new claim."""
    assert changed(OLD, now) == names


@pytest.mark.slow
def test_file_is_written_over_by_a_new_version_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The generator refuses what the test refuses."""
    file = tmp_path / "golden" / "rules.json"
    monkeypatch.setattr(golden_rules, "FILE", file)
    rule = {"version": 1, "registration": "a"}
    monkeypatch.setattr(golden_rules, "shipped", lambda: {"xor": rule})
    assert main() == 0
    assert json.loads(file.read_text()) == {"xor": rule}
    file.write_text(json.dumps({"xor": {"version": 1, "registration": "b"}}))
    assert main() == 1
    assert capsys.readouterr().err == (
        "raise `version` in experiments/xor/experiment.yaml first: its rule, configurations, data or "
        "measuring code changed\n"
    )
    assert json.loads(file.read_text())["xor"]["registration"] == "b"
    rule["version"] = 2
    assert main() == 0
    assert json.loads(file.read_text()) == {"xor": rule}
