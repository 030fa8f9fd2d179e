"""Registration fixes a claim before its runs: eight ways to change it, none of which passes under the same version."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.claims.small import DRAWS, TUNES, entry, write
from tests.sampling import sampled
from workbench.claims import registration as module
from workbench.claims.catalog import FIGURE, Entry, catalog, choose
from workbench.claims.registration import Registration, changes, code_digest, composed, refuse_changed, register
from workbench.core.errors import ConfigError, TrackingError
from workbench.tracking.reader import ReadVerdict
from workbench.tracking.store import Store

MUTATIONS: list[tuple[dict[str, Any], tuple[str, str] | None, str]] = [
    ({"train.epochs": 3}, None, "configuration every arm.train.epochs: 1 -> 3"),
    ({"train.batch_size": 8}, None, "configuration every arm.train.batch_size: 32 -> 8"),
    ({"split.valid": 0.3}, None, "configuration every arm.split.valid: 0.1 -> 0.3"),
    ({"architecture.hidden": [3]}, None, "configuration every arm.architecture.hidden: [2] -> [3]"),
    (
        {"claim.learning_rates": [0.01, 0.03, 0.1, 0.3, 3.0]},
        None,
        "rule learning_rates: [0.01, 0.03, 0.1, 0.3, 1.0] -> [0.01, 0.03, 0.1, 0.3, 3.0]",
    ),
    ({"claim.tuned_by": "train/loss"}, None, 'rule tuned_by: "valid/loss" -> "train/loss"'),
    (
        {},
        ('differences("train/loss", "tanh", "relu")', 'differences("train/loss", "relu", "tanh")'),
        'code of small/measure.py: yield wb.Cell("p", trained.differences("train/loss", "tanh", "relu")) -> '
        'yield wb.Cell("p", trained.differences("train/loss", "relu", "tanh"))',
    ),
    ({"claim.parts.p.rule": {"kind": "above", "than": 0.5}}, None, "rule parts.p.rule.than: 0.0 -> 0.5"),
    ({"optimizer.lr": 0.5}, None, "configuration every arm.optimizer.lr: 0.1 -> 0.5"),
    ({"claim.arms.relu": ["activation=elu"]}, None, "configuration relu.activation._target_: "),
    ({"claim.profiles.quick.seeds": 3}, None, "rule profiles.quick.seeds: 2 -> 3"),
    ({"defaults": [{"override /data": "breast_cancer"}]}, None, "data wine(): "),
]


def registered(one: Entry) -> Registration:
    """Register a claim as `reproduce` does."""
    return register(one, composed(one))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Registration:
    """The registration of the small claim."""
    return registered(entry(tmp_path_factory.mktemp("small"), TUNES))


@pytest.fixture
def kept(small: Registration, monkeypatch: pytest.MonkeyPatch) -> tuple[Registration, list[ReadVerdict]]:
    """Build the small claim's registration, and the attempt in a store that holds it."""
    before = small
    tags = {"claim": "small", "version": "1", "registration": before.digest}
    monkeypatch.setattr(module, "artifact", lambda store, run, path: before.text.encode())
    return before, [ReadVerdict("the-run", 0, tags)]


def refusal(one: Entry, attempts: list[ReadVerdict]) -> str:
    """Return the error with which a changed claim is refused."""
    with pytest.raises(ConfigError) as error:
        refuse_changed(one, registered(one), attempts, Store("sqlite:///none.db"))
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(("edits", "code", "reason"), sampled(MUTATIONS, 4))
def test_no_change_passes_under_the_same_version(
    tmp_path: Path,
    kept: tuple[Registration, list[ReadVerdict]],
    edits: dict[str, Any],
    code: tuple[str, str] | None,
    reason: str,
) -> None:
    """A change of budget, batch, split, width, grid, metric, code, threshold or more is refused with its reason."""
    source = TUNES.replace(*code) if code else TUNES
    one = entry(tmp_path, source, edits)
    said = refusal(one, kept[1])
    assert reason in said
    assert said.endswith(f"Write version: 2 in {tmp_path}/small/experiment.yaml, or undo the change")
    second = replace(one, claim=one.claim.model_copy(update={"version": 2}))
    refuse_changed(second, kept[0], kept[1], Store("sqlite:///none.db"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "same",
    [
        lambda code: code + "\n# a comment\n",
        lambda code: code.replace("def measure(study):", 'def measure(study):\n    """Said."""'),
    ],
)
def test_what_only_shows_may_change(tmp_path: Path, small: Registration, same: Callable[[str], str]) -> None:
    """Changes of comments, docstrings, title, notes, pilots or figure leave the registration as it is."""
    shown = {
        "claim.title": "Another",
        "claim.pilots": [{"ran": "x", "seeds": "y", "changed": "z"}],
        "claim.notes": ["n"],
    }
    changed = entry(tmp_path, same(TUNES), shown)
    changed.yaml.with_name("figure.py").write_text("from .measure import measure\n\ndef draw(figure, study): ...\n")
    assert registered(changed) == small


@pytest.mark.slow
def test_code_beside_it_is_measuring_code(tmp_path: Path) -> None:
    """Modules that `measure.py` imports from its folder are registered, with the file itself; `figure.py` is not."""
    (tmp_path / "helper.py").write_text("X = 1\n")
    code = "import helper\nfrom . import proof\n" + TUNES
    write(tmp_path, code=code)
    (tmp_path / "small" / "proof.py").write_text("Y = 1\n")
    (one,) = choose(["small"], tmp_path)
    before = registered(one)
    assert set(before.code) == {"helper.py", "small/measure.py", "small/proof.py"}
    (tmp_path / "small" / "proof.py").write_text("Y = 22\n")
    assert changes(before, registered(one)) == ["code of small/proof.py: Y = 1 -> Y = 22"]


@pytest.mark.slow
def test_a_verdict_of_before_there_were_registrations_holds_its_rule(tmp_path: Path) -> None:
    """Another rule under its version is refused, though the run holds no registration to compare with."""
    one = entry(tmp_path, TUNES)
    old = ReadVerdict("old", 0, {"claim": "small", "version": "1", "rule_hash": one.claim.rule_hash})
    refuse_changed(one, registered(one), [old], Store("sqlite:///none.db"))
    other = entry(tmp_path, TUNES, {"claim.parts.p.says": "Other."})

    def missing(*_: object) -> bytes:
        raise TrackingError("no such file")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "artifact", missing)
        assert "Changed: its rule, or what cannot be named" in refusal(other, [old])


def digest(one: Entry) -> str:
    """Return the digest by which a kept verdict's code is known."""
    return code_digest(one, composed(one))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text", "changed"),
    [
        ("small/measure.py", TUNES + "X = 1\n", True),
        ("small/experiment.yaml", None, True),
        ("small/proof.py", "Y = 2\n", True),
        ("small/unused.py", "Y = 1\n", False),
        ("small/figure.py", DRAWS + "X = 1\n", False),
        ("small/test_measure.py", "Y = 1\n", False),
        ("helper.py", "X = 2\n", True),
        ("helper.py", "X = 1  # said\n", False),
        ("activation/sine.yaml", "_target_: helper.sine\n", True),
        ("other/measure.py", TUNES + "\n", False),
        ("notes.txt", "x", False),
    ],
)
def test_the_digest_changes_with_what_a_verdict_depends_on(
    tmp_path: Path, path: str, text: str | None, changed: bool
) -> None:
    """The digest changes with the claim's files, modules and options, not with another claim or unused files."""
    write(tmp_path, "other")
    (tmp_path / "helper.py").write_text("X = 1\n")
    code = "import helper\nfrom . import proof\n" + TUNES
    write(tmp_path, code=code)
    (tmp_path / "small" / "proof.py").write_text("Y = 1\n")
    (one,) = choose(["small"], tmp_path)
    before = digest(one)
    assert digest(one) == before
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text if text is not None else file.read_text() + "# changed\n")
    (found,) = choose(["small"], tmp_path)
    assert (digest(found) != before) is changed


@cache
def behind_saturation() -> set[Path]:
    """The files that its verdicts hang on."""
    one = catalog()["saturation"]
    return {file.resolve() for file in module.files_behind(one, composed(one))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("workbench/claims/pages/report.html", False),
        ("workbench/claims/wording.py", False),
        ("workbench/cli/commands/show.py", False),
        ("workbench/inspect/comparison.py", False),
        ("workbench/claims/report.py", False),
        ("experiments/softplus/measure.py", False),
        ("conf/debug/fast.yaml", False),
        ("conf/loss/perceptron.yaml", False),
        ("experiments/saturation/measure.py", True),
        ("workbench/claims/rules.py", True),
        ("workbench/claims/trained_arms.py", True),
        ("workbench/engine/train.py", True),
        ("workbench/nn/activations.py", True),
        ("workbench/core/stats.py", True),
        ("conf/activation/tanh.yaml", True),
        ("conf/schedule/cosine.yaml", True),
        ("conf/config.yaml", True),
    ],
)
def test_a_verdict_hangs_on_the_files_it_is_measured_by(place: str, changed: bool) -> None:
    """A page, a command, another claim or an option that is not chosen does not measure all claims anew."""
    root = Path(__file__).parents[2]
    assert (root / place).exists()
    assert ((root / place).resolve() in behind_saturation()) is changed


@pytest.mark.slow
def test_every_shipped_claim_finds_its_folder() -> None:
    """All modules that lie beside a shipped `measure.py`, but that of its figure, are registered: none is in vain."""
    for name, one in catalog().items():
        beside = {file.name for file in one.yaml.parent.glob("*.py") if not file.name.startswith(("test_", FIGURE))}
        assert set(registered(replace(one, claim=one.claim.model_copy(update={"arms": {}}))).code) == beside, name
