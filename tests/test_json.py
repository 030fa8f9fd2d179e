"""``--json``: one document on the output and nothing else, with the numbers that the text rounds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf, nan
from typing import Any, NamedTuple

import pytest

from tests.outer import Answer, Trained, replace_target
from workbench.api.looking import compare
from workbench.core.json_output import print_json
from workbench.nn.activations import Activation, tanh
from workbench.tracking.reader import read_sweep

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


@pytest.fixture
def said(cli: Cli, swept: Trained, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What a command over the trained sweep says as JSON, parsed; a number that JSON lacks is an error."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)

    def ask(*words: str, code: int = 0) -> Any:
        answer = cli(*words, "--json")
        assert (answer.code, answer.err) == (code, "")
        return json.loads(answer.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return ask


class _Color(Enum):
    red = "r"


class _Pair(NamedTuple):
    one: float
    other: tuple[float, ...]


@dataclass
class _Made:
    pair: _Pair
    color: _Color


def test_every_kind_of_value_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Dataclasses and named tuples are objects, tuples lists, enums names; what is not finite is null."""
    print_json({0.1: _Made(_Pair(nan, (inf, 0.1 + 0.2)), _Color.red), "δ": None})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {
        "0.1": {"pair": {"one": None, "other": [None, 0.30000000000000004]}, "color": "red"},
        "δ": None,
    }


def test_compare(said: Callable[..., Any], swept: Trained) -> None:
    """Rows of one sweep are those of the table from Python to the last digit; of two sweeps, differences of zero."""
    document = said("compare", swept.finished.sweep)
    assert [sweep["id"] for sweep in document["sweeps"]] == [swept.finished.sweep]
    expected = compare(swept.finished.sweep, uri=swept.store.uri).to_dict("records")
    assert document["arms"] == json.loads(json.dumps(expected).replace("NaN", "null"))
    assert {"arm", "metric", "mean", "low", "high", "n"} <= document["arms"][0].keys()
    twice = said("compare", swept.finished.sweep, swept.finished.sweep, "--metric", "test/loss")
    assert {(row["metric"], row["difference"]) for row in twice["arms"]} == {("test/loss", 0.0)}


def test_compare_writes_no_file_beside(cli: Cli, swept: Trained) -> None:
    """JSON goes with no other form of the table."""
    answer = cli("compare", "--json", "--format", "csv", "--uri", swept.store.uri)
    assert (answer.code, answer.out) == (2, "")
    assert "drop --format, --table and --out" in answer.err


def test_show(said: Callable[..., Any], swept: Trained) -> None:
    """A run's params, last numbers and series are those of the store."""
    run = read_sweep(swept.store, swept.finished.sweep).runs[0]
    document = said("show", run.id)
    assert (document["id"], document["arm"], document["outcome"]) == (run.id, run.arm, "finished")
    assert document["params"] == run.params
    assert document["metrics"] == run.metrics
    assert document["history"]["train/loss"] == [list(point) for point in run.history["train/loss"]]
    assert document["sweep"] == swept.finished.sweep


def test_diagnose(said: Callable[..., Any], swept: Trained) -> None:
    """An entry per arm; the rules that found nothing to read are named."""
    document = said("diagnose", swept.finished.sweep)
    assert [arm["runs"] for arm in document["arms"]] == [2, 2, 2, 2]
    assert all(len(arm["findings"]) <= len(arm["lines"]) for arm in document["arms"])
    assert all({"finding", "count", "run"} == worst.keys() for arm in document["arms"] for worst in arm["findings"])


def test_claims(said: Callable[..., Any]) -> None:
    """Every claim with its rules; the store holds no verdict."""
    document = said("claims")
    assert document["claims"]["xor"]["claim"]["parts"]
    assert {claim["last"] for claim in document["claims"].values()} == {None}


@pytest.mark.slow
def test_check(said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors by parameter, and exit code 1 with a parsable document where a derivative is wrong."""
    small = ("data=wine", "architecture.hidden=[3]", "activation=tanh")
    document = said("check", *small)
    assert document["agrees"]
    assert {row["name"] for row in document["parameters"]} == {"l1.W", "l1.b", "l2.W", "l2.b"}
    assert all(0 <= row["autograd_error"] < 1e-10 for row in document["parameters"])
    right = tanh()
    wrong = Activation(right.forward, lambda z, a: 1.001 * right.derivative(z, a), right.bounds)
    replace_target(monkeypatch, "workbench.nn.activations.tanh", lambda: wrong)
    assert not said("check", *small, code=1)["agrees"]


@pytest.mark.slow
def test_check_of_every_combination(said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A row per combination, here of the first three."""
    from itertools import islice

    from workbench.certificates import survey as surveys

    all_rows = surveys.survey
    monkeypatch.setattr(surveys, "survey", lambda: islice(all_rows(), 3))
    assert [row["agrees"] for row in said("check", "--all")["combinations"]] == [True] * 3


@pytest.mark.slow
def test_forecast(said: Callable[..., Any], cli: Cli) -> None:
    """A rehearsed sweep says its runs and packs; a training has no JSON, and says so before anything starts."""
    document = said("train", "-m", "data=wine", "activation=relu,tanh", "seed=0,1", "sweep.dry_run=true")
    assert (document["runs"], document["arms"], document["seeds"], document["left"]) == (4, 2, 2, 4)
    assert document["expected"]["packs"] == 2
    assert document["expected"]["seconds"] > 0
    refused = cli("train", "data=wine", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "write sweep.dry_run=true beside it" in refused.err


@pytest.mark.slow
def test_forecast_of_a_search(said: Callable[..., Any]) -> None:
    """A rehearsed search says its trials and how long they take at least and at most."""
    search = ("hydra/sweeper=search", "hydra.sweeper.trials=3", "optimizer.lr=interval(0.01,0.1)")
    document = said("train", "-m", "data=wine", *search, "sweep.dry_run=true")
    assert document["trials"] == 3
    assert document["least_seconds"] <= document["most_seconds"]
