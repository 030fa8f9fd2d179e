"""The movie of `workbench explain`: numbers of the page, formulas that give them, errata run as printed."""
# ruff: noqa: E741 - l is the lecture's index of layers

import re
from math import isclose
from typing import Any

import pytest
import torch

from workbench.config.compose import configure
from workbench.lecture.erratum import HARMLESS_BELOW
from workbench.lecture.explain.as_printed import MISPRINTS, problem_of
from workbench.lecture.explain.content import Equation, Movie, steps
from workbench.lecture.explain.defaults import with_defaults
from workbench.lecture.explain.formats import number
from workbench.lecture.explain.movie import data
from workbench.lecture.explain.numbers import Key, db, dW
from workbench.lecture.explain.pages import explanation
from workbench.lecture.explain.step import exact_pack
from workbench.lecture.explain.worked import work
from workbench.lecture.misprints import MisprintProblem
from workbench.lecture.textbook import Gradients, OneExample

DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
SOFTMAX = ["data=wine", "loss=softmax_nll", "architecture.hidden=[3]", "optimizer.weight_decay=0.1"]
REGRESSION = ["data=diabetes", "loss=squared_error", "architecture.hidden=[3]", "optimizer.lr=0.1"]
CASES = {
    "2-2-1": [],
    "2-1": ["architecture.hidden=[]", "optimizer.weight_decay=0.1"],
    "2-2-12-1": ["architecture.hidden=[2,12]", "activation=leaky_relu", "activation.slope=0.3"],
    "softmax smoothed": [*SOFTMAX, "loss.smoothing=0.2"],
    "softmax mse": ["data=wine", "loss=softmax_mse"],
    "regression tanh": [*REGRESSION, "activation@loss.output=tanh"],
}
SETTINGS = {
    "2-2-1": [],
    "2-2-1 with a penalty": ["optimizer.weight_decay=0.1"],
    "2-3-1": ["architecture.hidden=[3]"],
    "2-2-2-1": ["architecture.hidden=[2,2]"],
    "softmax": SOFTMAX,
    "softmax, two hidden layers": ["data=wine", "loss=softmax_nll", "architecture.hidden=[2,3]", "seed=3"],
    "regression": REGRESSION,
}


def first_fast(cases: dict[str, list[str]]) -> list[Any]:
    """The first case in the default run, the others in the second stage."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.slow] * bool(index))
        for index, (name, case) in enumerate(cases.items())
    ]


def made(overrides: list[str]) -> tuple[dict[str, Any], list[Equation], MisprintProblem | None]:
    """The movie's data, the equations of the page, and the lecture's form of the step."""
    spec = configure(with_defaults(overrides))
    pack = exact_pack(spec)
    worked = work(spec, pack, 2)
    page = list(steps(spec, worked))
    equations = [step for step in page if isinstance(step, Equation)]
    return data(spec, pack, worked, page), equations, problem_of(spec, pack, worked)


@pytest.mark.parametrize("overrides", first_fast(CASES))
def test_numbers_are_those_of_the_page(overrides: list[str]) -> None:
    """Each number is the entry of its equation at its indices, and no entry is left out."""
    movie, equations, _ = made(overrides)
    met = set()
    for symbol, given in movie["numbers"].items():
        equation = equations[given["equation"]]
        indices = "".join(re.findall("[₀-₉,]+", symbol)).translate(DIGITS)
        place = re.findall(r"\d+" if "," in symbol else r"\d", indices) if "W" in symbol else [indices or "1", "1"]
        row, column = map(int, place)
        entry = equation.value[row - 1][column - 1]
        assert (given["value"], given["shown"]) == (entry, number(float(entry)))
        met.add((given["equation"], row, column))
    drawn = [index for index, one in enumerate(equations) if one.symbol not in ("x", "h")]  # the same as a of its layer
    entries = {
        (index, row, column)
        for index in drawn
        for row in range(1, len(equations[index].value) + 1)
        for column in range(1, len(equations[index].value[0]) + 1)
    }
    assert met == entries


@pytest.mark.parametrize("overrides", first_fast(CASES))
def test_formulas_with_numbers_give_the_number(overrides: list[str]) -> None:
    """Sums and products of the printed numbers come to the printed number, as far as four digits allow."""
    computed = 0
    for symbol, given in made(overrides)[0]["numbers"].items():
        if not given["filled"] or re.search("[fh]′?\\(|exp", given["filled"]):
            continue
        written = given["filled"].replace("−", "-").replace("·", "*")
        sizes = [abs(float(one)) for one in re.findall(r"[\d.]+(?:e[-+]\d+)?", written)]
        assert isclose(eval(written), given["value"], rel_tol=2e-3, abs_tol=1e-3 * max(sizes)), symbol
        computed += 1
    assert computed >= 8


@pytest.mark.parametrize("overrides", first_fast(CASES))
def test_scenes_show_every_number_once_and_carry_known_ones(overrides: list[str]) -> None:
    """All numbers appear, each in one scene, after what its formula needs; what flows has appeared before or now."""
    movie = made(overrides)[0]
    shown: list[str] = []
    for scene in movie["scenes"]:
        shown += scene["shows"]
        assert scene["equation"] == movie["numbers"][scene["shows"][0]]["equation"] or scene["part"] == "The net"
        assert {flow["carries"] for flow in scene["flows"]} - {""} <= set(shown)
        slots = {edge["slot"] for edge in movie["edges"]}
        assert {flow["slot"] for flow in scene["flows"]} - {""} <= slots
    assert sorted(shown) == sorted(movie["numbers"])


def printed_gradients(
    movie: dict[str, Any], erratum: dict[str, Any], problem: MisprintProblem
) -> dict[Key, float | None]:
    """The gradient's entries under an erratum: the right ones, but for those that it changes."""
    changed = {symbol: value and value["value"] for symbol, value in erratum["numbers"].items()}
    keys = [
        Key(kind, l, tuple(place))
        for kind, given in ((dW, problem.net.W), (db, problem.net.b))
        for l, tensor in given.items()
        for place in (1 + torch.ones_like(tensor).nonzero()).tolist()
    ]
    return {key: changed.get(str(key), movie["numbers"][str(key)]["value"]) for key in keys}


@pytest.mark.parametrize("overrides", first_fast(SETTINGS))
def test_errata_give_the_gradients_of_the_printed_formulas(overrides: list[str]) -> None:
    """Each erratum's gradient is its misprint's, where that can be run, and wrong where differences say so."""
    movie, _, problem = made(overrides)
    assert problem is not None
    by_id = {misprint.id: misprint for misprint in MISPRINTS}
    for erratum in movie["errata"]:
        by = by_id[erratum["id"]].by
        given = printed_gradients(movie, erratum, problem)
        try:
            got = (
                problem.gradients(by)
                if isinstance(by, OneExample)
                else by(problem.net, problem.x, problem.y, problem.lam)
            )
        except (KeyError, RuntimeError):
            assert None in given.values()
            assert erratum["outcome"].startswith("cannot run")
            continue
        for key, value in given.items():
            tensors, shapes = (got.dW, problem.net.W) if key.symbol == dW else (got.db, problem.net.b)
            entry = torch.broadcast_to(tensors[key.layer], shapes[key.layer].shape)[tuple(i - 1 for i in key.place)]
            assert value == pytest.approx(float(entry), rel=1e-9, abs=1e-12)
        gradients_change = any("∂J" in symbol for symbol in erratum["numbers"])
        assert gradients_change == (problem.error(got) > HARMLESS_BELOW)
        assert gradients_change == ("wrong" in erratum["outcome"])


def outcomes(overrides: list[str]) -> dict[str, str]:
    """Erratum -> what the page says of it."""
    return {one["id"]: one["outcome"] for one in made(overrides)[0]["errata"]}


def test_errata_of_the_default_net_by_hand() -> None:
    """On 2-2-1: W⁽³⁾ does not exist; λ is 0; z⁽³⁾ = 0.42·0 − 1·1 + 0.1 = −0.9; the mean of two deltas, 0.0326."""
    movie = made([])[0]
    errata = {one["id"]: one for one in movie["errata"]}
    assert list(errata) == ["E1", "E2", "E4", "E12"]
    assert errata["E1"]["outcome"].endswith("6 of 9 entries of the gradient are not computed")
    assert errata["E1"]["numbers"]["δ₁⁽²⁾"] is None
    assert errata["E2"]["numbers"] == {}
    assert errata["E4"]["numbers"]["z₁⁽³⁾"]["shown"] == "−0.9"
    assert errata["E12"]["numbers"]["∂J/∂b₁⁽¹⁾"]["value"] == pytest.approx((-0.0421021953 + 0.1072519300) / 2, rel=1e-8)


@pytest.mark.slow
def test_errata_are_offered_where_they_are_printed() -> None:
    """Those of softmax for softmax, that of regression for regression, none for a cost not in the lecture."""
    assert list(outcomes(SOFTMAX)) == ["E1", "E2", "E3", "E4", "E6", "E7", "E12"]
    assert list(outcomes(REGRESSION)) == ["E1", "E2", "E4", "E8", "E12"]
    assert outcomes(["data=wine", "loss=softmax_mse"]) == {}
    assert list(outcomes(["architecture.hidden=[]"])) == ["E2", "E12"]


@pytest.mark.slow
def test_forms_run_on_the_page_s_net_are_the_page_s_numbers() -> None:
    """The corrected form on the problem that errata run on gives the page's gradient, for an f with a constant, too."""
    movie, _, problem = made(["activation=leaky_relu", "activation.slope=0.3", "optimizer.weight_decay=0.1"])
    assert problem is not None
    got: Gradients = problem.gradients(OneExample())
    for key in printed_gradients(movie, {"numbers": {}}, problem):
        tensors = got.dW if key.symbol == dW else got.db
        entry = float(tensors[key.layer][tuple(i - 1 for i in key.place)])
        assert movie["numbers"][str(key)]["value"] == pytest.approx(entry, rel=1e-12)


@pytest.mark.slow
def test_the_page_of_a_plain_net_has_a_movie_and_text_leaves_it_out() -> None:
    """`explanation` begins with the movie; nets of positions have none."""
    assert isinstance(explanation(configure(with_defaults([])), 2)[1][0], Movie)
    assert not any(
        isinstance(step, Movie) for step in explanation(configure(with_defaults(["architecture=elman"])), 2)[1]
    )
