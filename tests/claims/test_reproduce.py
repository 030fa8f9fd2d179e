"""Claims of a folder of one's own, reproduced from the command line into a store."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mlflow.entities import Run

from tests.claims.small import EXACT, PROVES, TRAINS, TUNES, write
from tests.outer import Answer, all_runs, client_of, runs_of
from workbench.claims.catalog import choose
from workbench.claims.reproduction import reproduce
from workbench.claims.study import Study
from workbench.claims.verdict import Reproduction
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
OWN = ("--claims", "own")
FAILS = TRAINS.replace("    yield", "    raise ArithmeticError('by zero')\n    yield")
SINE = '''
import torch
from workbench.nn.activations import Activation


def sine() -> Activation:
    """sin z."""
    return Activation(torch.sin, lambda z, a: torch.cos(z), (-1.0, 1.0), max_slope=1.0)
'''


@pytest.fixture
def own(folder: Path, store: Store) -> Path:
    """The small claim in the folder ``own``."""
    write(folder / "own")
    return folder / "own"


def verdicts(store: Store) -> list[Run]:
    """The runs that are verdicts, oldest first."""
    return [run for run in all_runs(store) if run.data.tags["kind"] == "verdict"]


def read(store: Store, run: Run, path: str) -> str:
    """A text artifact."""
    return Path(client_of(store).download_artifacts(run.info.run_id, path)).read_text()


def record(store: Store, run: Run) -> Reproduction:
    """The verdict that a run keeps."""
    return Reproduction.model_validate_json(read(store, run, "verdict.json"))


@pytest.mark.slow
def test_reproduce_again_and_changed(cli: Cli, own: Path, store: Store) -> None:
    """Runs are trained once; a verdict is kept, and is measured anew with `--again` or for another version."""
    first = cli("reproduce", "small", *OWN)
    assert (first.code, first.err) == (0, "")
    (verdict,), trained = verdicts(store), runs_of(store)
    assert len(trained) == 4
    kept = cli("reproduce", "small", *OWN)
    assert kept.code == 0
    assert "(kept from before; --again measures it anew)" in kept.out
    assert f"verdict's run: http://127.0.0.1:5000/#/experiments/{verdict.info.experiment_id}/runs/" in kept.out
    assert (len(verdicts(store)), len(runs_of(store))) == (1, 4)

    anew = cli("reproduce", "small", *OWN, "--again")
    assert anew.code == 0
    assert "kept from before" not in anew.out
    assert [len(verdicts(store)), len(runs_of(store))] == [2, 4], "runs are found by their key"
    one, two = (record(store, run) for run in verdicts(store))
    assert [one.parts, one.label, one.rule_hash, one.runs] == [two.parts, two.label, two.rule_hash, two.runs]
    assert one.run != two.run

    write(own, code=TRAINS.replace('"tanh", "relu"', '"relu", "tanh"'), changes={"claim.version": 2})
    changed = cli("reproduce", "small", *OWN)
    assert changed.code == 0
    assert [len(verdicts(store)), len(runs_of(store))] == [3, 4]
    three = record(store, verdicts(store)[-1])
    effect = [each.parts[0].deciding.judgment.effect for each in (one, three)]
    assert effect[1] == pytest.approx(-(effect[0] or 0))


@pytest.mark.slow
def test_other_seeds_are_another_study(cli: Cli, own: Path, store: Store) -> None:
    """Another seed offset gives a second verdict with its own settings and command; a negative offset is refused."""
    assert cli("reproduce", "small", *OWN).code == 0
    assert cli("reproduce", "small", *OWN, "--seed-offset", "1000").code == 0
    one, two = (record(store, run) for run in verdicts(store))
    assert {int(run.data.params["seed"]) for run in runs_of(store)} == {0, 1, 1000, 1001}
    assert (two.settings, one.settings) == ({"seeds": 2, "seed_offset": 1000}, {"seeds": 2})
    assert two.command == f"workbench reproduce small --profile quick --seed-offset 1000 --claims {own}"
    for words in ([], ["--seed-offset", "1000"]):
        assert "kept from before" in cli("reproduce", "small", *OWN, *words).out
    refused = cli("reproduce", "small", *OWN, "--seed-offset", "-1")
    assert (refused.code, len(verdicts(store))) == (2, 2)
    assert "--seed-offset must be from 0 to 499999" in refused.err


@pytest.mark.slow
def test_verdict_holds_rule_tables_figure_and_links(cli: Cli, own: Path, store: Store) -> None:
    """A verdict's run, whose address is printed, keeps all that is needed to read and repeat it."""
    answer = cli("reproduce", "small", *OWN)
    (run,) = verdicts(store)
    files = {file.path for file in client_of(store).list_artifacts(run.info.run_id)}
    assert {"registration.json", "verdict.json", "figure.svg", "losses.csv"} <= files
    one = record(store, run)
    assert json.loads(read(store, run, "registration.json"))["rules"]["parts"]["p"]["rule"]["than"] == 0
    rows = list(csv.DictReader(io.StringIO(read(store, run, "losses.csv"))))
    finals = [each.data.metrics["train/loss"] for each in runs_of(store) if each.data.params["activation"] == "relu"]
    assert sorted(float(row["loss"]) for row in rows) == pytest.approx(sorted(finals))
    assert ElementTree.fromstring(read(store, run, "figure.svg")).tag.endswith("svg")
    assert Path("figures/small/figure.svg").read_text() == read(store, run, "figure.svg")
    tags = run.data.tags
    assert (tags["claim"], tags["version"], tags["profile"]) == ("small", "1", "quick")
    assert (tags["rule_hash"], tags["verdict"]) == (one.rule_hash, str(one.label))
    assert (one.run, one.runs, one.settings, one.profile) == (run.info.run_id, 4, {"seeds": 2}, "quick")
    assert tags["link"] == (
        f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        + tags["link"].partition(run.info.run_id)[2]
    )
    assert f"verdict's run: {tags['link']}\n" in answer.out
    (sweep,) = one.sweeps
    assert sweep.id == tags["sweep"]
    assert sweep.link.startswith(f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs?")
    assert one.command == f"workbench reproduce small --profile quick --claims {own}"
    assert run.data.metrics["effect/p"] == pytest.approx(one.parts[0].deciding.judgment.effect)
    tanh, relu = (
        {
            int(each.data.params["seed"]): each.data.metrics["train/loss"]
            for each in runs_of(store)
            if each.data.params["activation"] == arm
        }
        for arm in ("tanh", "relu")
    )
    assert run.data.metrics["effect/p"] == pytest.approx(sum(tanh[seed] - relu[seed] for seed in (0, 1)) / 2)


@pytest.mark.slow
def test_claims_and_compare_know_what_was_reproduced(cli: Cli, own: Path, store: Store) -> None:
    """The list has the last verdict; the runs are a sweep like any other."""
    before = cli("claims", *OWN)
    assert before.code == 0
    assert re.search(r"small +- +- +-", before.out)
    cli("reproduce", "small", *OWN)
    (run,) = verdicts(store)
    after = cli("claims", *OWN)
    assert after.code == 0
    assert re.search(rf"small +\S {run.data.tags['verdict']}", after.out)
    compared = cli("compare", run.data.tags["sweep"])
    assert (compared.code, compared.err) == (0, "")
    assert re.search(r"relu +│ +2", compared.out)
    assert re.search(r"tanh +│ +2", compared.out)
    assert cli("compare").code == 0


@pytest.mark.slow
def test_a_report_of_kept_verdicts_is_that_of_measuring(cli: Cli, own: Path, store: Store, folder: Path) -> None:
    """Without a verdict it is refused; else the page equals that of the measurement, and nothing is trained."""
    write(folder / "own", "other", PROVES, EXACT)
    refused = cli("claims", *OWN, "--report", "again")
    assert (refused.code, "measure them first: workbench reproduce all --profile quick" in refused.err) == (2, True)
    assert not (folder / "again").exists()
    assert cli("reproduce", "small", *OWN, "--report", "out").code == 0
    before = len(all_runs(store))
    answer = cli("claims", *OWN, "--report", "again")
    assert answer.code == 0
    assert (
        "other: no verdict by its present rules; measure it: workbench reproduce other --profile quick\n" in answer.out
    )
    assert len(all_runs(store)) == before
    for name in ("report.html", "report.md", "figures/small.svg"):
        assert (folder / "again" / name).read_bytes() == (folder / "out" / name).read_bytes()
    assert cli("claims", *OWN, "--report", "again", "--profile", "full").code == 2
    elsewhere = f"sqlite:///{folder}/elsewhere.db"
    assert cli("reproduce", "other", *OWN, "--uri", elsewhere).code == 0
    both = cli("claims", *OWN, "--report", "again", "--also", elsewhere)
    assert (both.code, "other: no verdict" in both.out) == (0, False)
    page = (folder / "again" / "report.md").read_text()
    assert all(f"#claim-{name})" in page for name in ("small", "other"))


@pytest.mark.slow
def test_rule_is_kept_before_anything_is_trained(cli: Cli, own: Path, store: Store) -> None:
    """A verdict's run begins before all others and holds the rule, even where measuring fails."""
    write(own, code=FAILS)
    answer = cli("reproduce", "small", *OWN)
    assert answer.code == 1
    assert "workbench: small: could not be measured: ArithmeticError: by zero" in answer.err
    assert "Traceback" not in answer.err
    (run,), trained = verdicts(store), runs_of(store)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ArithmeticError: by zero"
    assert "verdict" not in run.data.tags
    assert [file.path for file in client_of(store).list_artifacts(run.info.run_id)] == ["registration.json"]
    (rule,) = Path(client_of(store).download_artifacts(run.info.run_id, "")).glob("registration.json")
    assert len(trained) == 4
    assert rule.stat().st_mtime * 1000 <= min(each.info.start_time for each in trained) + 1
    assert run.info.start_time <= min(each.info.start_time for each in trained)
    write(own)
    refused = cli("reproduce", "small", *OWN)
    assert refused.code == 2, "what was seen before it failed was seen"
    assert "Changed: code of small/measure.py: raise ArithmeticError('by zero') -> yield" in refused.err
    write(own, changes={"claim.version": 2})
    assert cli("reproduce", "small", *OWN).code == 0, "a failed attempt is no verdict"
    assert len(runs_of(store)) == 4


@pytest.mark.slow
def test_changed_rule_must_be_a_new_version(cli: Cli, own: Path, store: Store) -> None:
    """A changed rule is refused before anything is written, with the version to write; a new version is measured."""
    write(own, code=PROVES, changes=EXACT)
    assert cli("reproduce", "small", *OWN).code == 0
    before = [run.info.run_id for run in all_runs(store)]
    changed = EXACT | {"claim.parts.p.says": "Other."}
    write(own, code=PROVES, changes=changed)
    answer = cli("reproduce", "small", *OWN, "--again")
    assert answer.code == 2
    (kept,) = verdicts(store)
    folder = re.escape(str(own / "small"))
    assert re.match(
        r"workbench: claim small: what is fixed before its runs must stay as it is within a version: version 1 was "
        rf"registered as [0-9a-f]{{16}} in run {kept.info.run_id}, {folder} is now [0-9a-f]{{16}}. "
        r'Changed: rule parts.p.says: "Slower." -> "Other.". Write version: 2 in '
        rf"{folder}/experiment.yaml, or undo the change\n$",
        answer.err,
    )
    assert [run.info.run_id for run in all_runs(store)] == before
    write(own, code=PROVES, changes=changed | {"claim.version": 2})
    assert cli("reproduce", "small", *OWN).code == 0
    assert [run.data.tags["version"] for run in verdicts(store)] == ["1", "2"]
    write(own, code=PROVES, changes=EXACT | {"claim.title": "Only the title"})
    assert cli("reproduce", "small", *OWN).code == 0, "what is shown may change"


@pytest.mark.slow
@pytest.mark.parametrize("of", [("other",), ("small", "other")])
def test_one_failure_spares_the_others(cli: Cli, own: Path, store: Store, of: tuple[str, ...]) -> None:
    """A claim that fails is named with exit code 1, and the other claim still has its verdict."""
    write(own, code=FAILS)
    write(own, "other", PROVES, EXACT)
    answer = cli("reproduce", *of, *OWN, "--processes", "1")
    assert answer.code == len(of) - 1
    assert answer.err.count("workbench: ") == len(of) - 1
    assert [run.data.tags.get("verdict") for run in verdicts(store)] == [None, "supported"][2 - len(of) :]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("smal",), "workbench: claim: unknown name 'smal'; did you mean 'small'? options: all, "),
        (("small", "--profile", "ful"), "workbench: claim small: --profile: unknown name 'ful'; options: quick\n"),
        (("small", "--claims", "nowhere"), "workbench: --claims: must be a folder, got 'nowhere'; make one with: "),
        (("small", "--claims", "figures"), "workbench: --claims: "),
    ],
)
def test_bad_requests_write_nothing(
    cli: Cli, own: Path, store: Store, arguments: tuple[str, ...], message: str
) -> None:
    """A wrong name, profile or folder ends with exit code 2, one line, no run and no experiment."""
    Path("figures").mkdir()
    answer = cli("reproduce", *(() if "--claims" in arguments else OWN), *arguments)
    assert answer.code == 2
    assert answer.err.startswith(message)
    assert answer.err.count("\n") == 1
    assert all_runs(store) == []
    assert len(client_of(store).search_experiments()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claim.version": 0}, "small/experiment.yaml: claim.version: greater than or equal to 1, got '0'"),
        ({"claim.parts.p.rule": {"kind": "abov", "than": 1}}, "claim.parts.p.rule: Input tag 'abov' found"),
        ({"train.epoch": 3}, "'epoch' not in"),
    ],
)
def test_bad_files_are_named(cli: Cli, own: Path, store: Store, changes: dict[str, object], message: str) -> None:
    """A wrong claim file is named without a traceback, and nothing is trained."""
    write(own, changes=changes)
    answer = cli("reproduce", "small", *OWN)
    assert answer.code in (1, 2)
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert runs_of(store) == []


@pytest.mark.slow
def test_cells_that_do_not_fit_are_named(cli: Cli, own: Path, store: Store) -> None:
    """A verdict without all of its cells is none."""
    write(own, code=PROVES, changes=EXACT | {"claim.parts.p.cells": {"depth": [1]}})
    answer = cli("reproduce", "small", *OWN)
    assert answer.code == 1
    assert "part p must be measured in every cell, missing: {'depth': 1}" in answer.err
    write(own, code=PROVES, changes={"claim.version": 2})
    answer = cli("reproduce", "small", *OWN, "--again")
    assert answer.code == 1
    assert "TypeError: rule above: needs a sample as evidence, got Exact" in answer.err


@pytest.mark.slow
def test_interrupt_leaves_nothing_running(cli: Cli, own: Path, store: Store) -> None:
    """The verdict's run is KILLED, and the other claims are not begun."""
    write(own, code=FAILS.replace("ArithmeticError('by zero')", "KeyboardInterrupt"))
    write(own, "other", PROVES, EXACT)
    answer = cli("reproduce", "small", "other", *OWN, "--processes", "1")
    assert answer.code == 130
    assert [run.info.status for run in verdicts(store)] == ["KILLED"]
    assert {run.info.status for run in runs_of(store)} == {"FINISHED"}


@pytest.mark.slow
def test_interrupt_in_training_leaves_nothing_running(
    cli: Cli, own: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt in training exits with code 130 and leaves no run open, the runs in training included."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.engine.train.Trainer._train_epoch", interrupted)
    assert cli("reproduce", "small", *OWN).code == 130
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}


@pytest.mark.slow
def test_tuned_claim_at_the_edge_is_inconclusive(cli: Cli, own: Path, store: Store) -> None:
    """A claim tuned at rates far too small is inconclusive: the grid's largest rate is best for both arms."""
    changes = {"claim.learning_rates": [1e-6, 2e-6, 3e-6, 4e-6, 5e-6], "claim.parts.p.rule.than": -9}
    write(own, code=TUNES, changes=changes)
    assert cli("reproduce", "small", *OWN).code == 0
    one = record(store, verdicts(store)[0])
    assert one.label == "inconclusive"
    assert one.parts[0].deciding.judgment.reason == "best learning rate on the grid's edge: tanh, relu"
    assert all(choice.endswith(", at the edge of the grid") for choice in one.tuning.values())
    assert len(runs_of(store)) == 2 * (5 + 2) + 2 * 2
    assert one.runs == 18


BOTH = TRAINS.replace(
    "    yield",
    """    memory = study.train(tracked=False)
    rows = [
        {"kept": kept, "memory": new}
        for arm in ("relu", "tanh")
        for metric in ("train/loss", "valid/accuracy", "test/loss")
        for kept, new in zip(trained.values(arm, metric), memory.values(arm, metric), strict=True)
    ]
    study.keep("both", rows)
    yield""",
)


@pytest.mark.slow
def test_tracked_and_untracked_runs_are_the_same(cli: Cli, own: Path, store: Store) -> None:
    """Tracked runs, fresh or read back from the store, equal untracked runs to a relative 1e-6."""
    write(own, code=BOTH)
    for again in ((), ("--again",)):
        assert cli("reproduce", "small", *OWN, *again).code == 0
        rows = list(csv.DictReader(io.StringIO(read(store, verdicts(store)[-1], "both.csv"))))
        assert len(rows) == 12
        for row in rows:
            assert float(row["kept"]) == pytest.approx(float(row["memory"]), rel=1e-6)
    assert len(runs_of(store)) == 4


@pytest.mark.slow
def test_own_activation_in_own_claim(cli: Cli, own: Path, store: Store) -> None:
    """A claim's arm uses an activation whose yaml and module lie in the claim's folder."""
    (own / "activation").mkdir()
    (own / "activation" / "sine.yaml").write_text("_target_: sine_of_this_folder.sine\n")
    (own / "sine_of_this_folder.py").write_text(SINE)
    write(own, changes={"claim.arms.tanh": ["activation=sine"]})
    answer = cli("reproduce", "small", *OWN)
    assert (answer.code, answer.err) == (0, "")
    assert {run.data.params["activation"] for run in runs_of(store)} == {"relu", "sine"}


@pytest.mark.slow
def test_from_python(own: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """`reproduce` returns records, equal alone and with others, writes the report and raises errors."""
    write(own, code=PROVES, changes=EXACT)
    write(own, "other", PROVES, EXACT)
    (alone,) = reproduce("small", claims="own")
    assert (alone.name, alone.label) == ("small", "supported")
    both = reproduce("other", "small", claims="own", report="page")
    assert [one.name for one in both] == ["other", "small"]
    assert both[1] == alone
    assert (Path("page") / "report.html").is_file()
    capsys.readouterr()
    write(own, code=FAILS, changes=EXACT | {"claim.version": 2})
    with pytest.raises(ArithmeticError, match="by zero"):
        reproduce("small", claims="own")


@pytest.mark.slow
def test_a_large_figure_is_shown_as_pixels(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report stays small whatever a claim draws."""
    from workbench.claims import claim_figure

    study = Study(choose(["small"], own)[0], {})
    assert [claim_figure.suffix(figure) for figure in claim_figure.draw(study)] == [".svg", ".svg"]
    monkeypatch.setattr(claim_figure, "LARGEST_SVG", 1000)
    assert [claim_figure.suffix(figure) for figure in claim_figure.draw(study)] == [".png", ".png"]


@pytest.mark.slow
def test_seeds_are_added_until_the_claim_is_decided(cli: Cli, own: Path, store: Store) -> None:
    """The first look at ten seeds settles it; the verdict says where it looked, and repeats by its command."""
    changes = {"claim.parts.p.rule.than": -9, "claim.parts.p.rule.absent": -10, "claim.profiles.quick.seeds": 20}
    write(own, changes=changes)
    answer = cli("reproduce", "small", *OWN, "--sequential")
    assert (answer.code, answer.err) == (0, "")
    (one,) = (record(store, run) for run in verdicts(store))
    assert (one.label, one.settings) == ("supported", {"seeds": 10, "looks": "[10, 15, 20]"})
    assert {int(run.data.params["seed"]) for run in runs_of(store)} == set(range(10))
    assert one.command == f"workbench reproduce small --profile quick --sequential --claims {own}"
    assert "kept from before" in cli("reproduce", "small", *OWN, "--sequential").out


NEARLY_OPEN = """
import workbench as wb


def measure(study):
    yield wb.Cell("p", wb.PerSeed((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)))
"""


@pytest.mark.slow
def test_a_claim_has_the_same_label_alone_and_among_all(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two claims whose p values, 1/64, would not stand a correction over both; parts of one claim are corrected."""
    (folder / "none").mkdir()
    monkeypatch.setattr("workbench.claims.catalog.packaged", lambda name: folder / "none")
    for name in ("small", "other"):
        write(folder / "own", name, NEARLY_OPEN)
    alone = [reproduce(name, claims="own", again=True)[0] for name in ("other", "small")]
    together = reproduce("all", claims="own", again=True)
    assert [one.name for one in together] == ["other", "small"]
    assert {one.label for one in (*alone, *together)} == {"supported"}
    assert [one.parts for one in alone] == [one.parts for one in together]
    assert alone[0].parts[0].deciding.judgment.p == 1 / 64
    code = NEARLY_OPEN + '    yield wb.Cell("q", wb.PerSeed((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)))\n'
    part = {"says": "Again.", "measure": "difference", "rule": {"kind": "above", "than": 0}, "n": None}
    write(folder / "own", "two", code, {"claim.parts.q": part})
    assert reproduce("two", claims="own")[0].label == "inconclusive"
