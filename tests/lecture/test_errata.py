"""Each erratum of the lecture, run as printed: rejected, or shown harmless where it says so."""

from dataclasses import replace
from itertools import product
from math import cosh, exp, pi
from pathlib import Path

import pytest
import torch

from workbench.data.datasets import diabetes
from workbench.lecture import counterexamples, errata_page
from workbench.lecture.counterexamples import best_r2, bump_approximation, relu_approximation
from workbench.lecture.errata import ERRATA
from workbench.lecture.erratum import GRADIENT, HARMLESS_BELOW, NOT_THERE, SHAPES_CLASH, Case
from workbench.lecture.misprints import MisprintProblem, SkippedLayer, WeightsOfTheNextLayer, error, problem
from workbench.lecture.textbook import ManyExamples, OneExample, Scalar, softmax
from workbench.nn.activations import identity, relu, sigmoid, softplus, tanh, unit_step

PAGE = Path(__file__).parents[2] / "docs" / "errata.md"
CLEARLY_WRONG = 1e-2  # five orders of magnitude above the gradient check's 1e-7
GRADIENTS = [
    pytest.param(case, id=f"{erratum.id} {case.where}")
    for erratum in ERRATA
    for case in erratum.cases
    if case.unit == GRADIENT
]
MOST_LOGISTIC_R2 = -(184.5**2) / (321**2 / 12 * 102 / 100)  # h = 1 everywhere; variance of 101 even steps below it
ENTRIES = range(-2, 3)
PRODUCTS = [w1 * x1 + w2 * x2 for w1, w2, x1, x2 in product(ENTRIES, repeat=4)]

# (erratum, position of the case) -> what a hand or a proof gives
EXPECTED = {
    ("E5", 0): pi,  # just below the negative x axis: 0.5° for -179.5°
    ("E5", 1): 0.5,  # every folded point stands for as many above the axis as below
    ("E8", 0): MOST_LOGISTIC_R2,
    ("E8", 2): 0.5,  # the half of the targets below 0 stays at 0
    ("E8", 3): 1,
    ("E9", 0): PRODUCTS.count(0) / 625,
    ("E9", 1): 0,
    ("E9", 2): PRODUCTS.count(-1) / 625,  # w·x + 1 reaches the step's 1, w·x stays below
    ("E11", 0): 0,
    ("E11", 1): 1,
    ("E13", 0): 0,
    ("E13", 1): 3,  # f(0) = 1 is right for (1, 1) alone, and nothing moves
    ("E13", 2): 0,
    ("E13", 3): 0,
    ("E13", 4): 1,
    ("E14", 0): 4 * exp(-2) / (1 + exp(-2)) ** 2,  # 42 %
    ("E14", 1): 1 / cosh(2) ** 2,  # 7 %
    ("E15", 0): 0,
    ("E15", 1): 0,
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_printed_formula_is_rejected_or_harmless(case: Case) -> None:
    """A printed formula clashes in shape, lacks a term or gives a clearly wrong gradient, unless marked harmless."""
    outcome = case.outcome()
    if case.harmless:
        assert isinstance(outcome, float)
        assert outcome < HARMLESS_BELOW
    else:
        assert outcome in (SHAPES_CLASH, NOT_THERE) or float(outcome) > CLEARLY_WRONG


@pytest.mark.parametrize("key", sorted(EXPECTED), ids=lambda key: f"{key[0]} case {key[1] + 1}")
def test_demonstration_gives_the_number_worked_by_hand(key: tuple[str, int]) -> None:
    """Errata about no gradient: angles, ranges, ties and XOR come out as a proof or a count says."""
    (erratum,) = (one for one in ERRATA if one.id == key[0])
    assert erratum.cases[key[1]].outcome() == pytest.approx(EXPECTED[key], rel=1e-12)


def test_slopes_at_0_of_e14() -> None:
    """The slopes at 0 in erratum E14 are 1/4 and 1."""
    (erratum,) = (one for one in ERRATA if one.id == "E14")
    assert [case.measure() for case in erratum.cases[2:]] == pytest.approx([1 / 4, 1], abs=1e-6)


def test_unit_step_that_let_a_gradient_pass_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit step with the logistic f' in place of 0 (a straight-through gradient) learns AND, and shows a gradient."""
    step, smooth = unit_step(), sigmoid()
    passing = replace(step, derivative=lambda z, a: smooth.derivative(z, smooth.forward(z)))
    assert counterexamples.wrong_on_and_after_training(passing) == 0
    monkeypatch.setattr(counterexamples, "unit_step", lambda: passing)
    assert counterexamples.largest_gradient_of_unit_steps() > 0.01


def test_every_erratum_is_run() -> None:
    """E1 to E16 in order, each with a case that shows the harm or a number of its own, but for one of history."""
    assert [erratum.id for erratum in ERRATA] == [f"E{number}" for number in range(1, 17)]
    assert [erratum.id for erratum in ERRATA if not erratum.cases] == ["E16"]
    for erratum in ERRATA[:-1]:
        assert any(case.unit != GRADIENT or not case.harmless for case in erratum.cases)


@pytest.mark.parametrize("approximate", [relu_approximation, bump_approximation])
@pytest.mark.parametrize("units", [16, 64, 256])
def test_excluded_units_approximate_at_the_rate_of_interpolation(approximate: object, units: int) -> None:
    """Units outside the theorem's hypotheses reach max|f''| h²/8 = (2π)²/(8 n²), the error of n straight pieces."""
    assert callable(approximate)
    pieces = units if approximate is relu_approximation else units - 1
    bound = (2 * pi) ** 2 / (8 * pieces**2)
    assert 0.9 * bound < approximate(units) <= bound


def test_theorem_excludes_what_the_lecture_recommends() -> None:
    """Bounded holds for logistic and tanh only; relu and softplus grow without end."""
    bounded = {f.__name__: all(abs(end) < float("inf") for end in f().bounds) for f in (sigmoid, tanh, relu, softplus)}
    assert bounded == {"sigmoid": True, "tanh": True, "relu": False, "softplus": False}


def test_logistic_output_cannot_fit_diabetes() -> None:
    """Every output in (0, 1) fits raw diabetes targets worse than their mean does, while identity can fit them."""
    y = torch.as_tensor(diabetes().y)
    spread = (y - y.mean()).square().sum()
    assert float(1 - (y - y.clamp(*sigmoid().bounds)).square().sum() / spread) < 0
    assert best_r2(identity(), 25.0, 346.0) == 1


def test_skipped_layer_is_harmless_up_to_two_layers_before_the_softmax() -> None:
    """The printed loop is right for n_l = 2 and lacks a delta for every deeper net tried."""
    for n_l in range(2, 7):
        given = problem(*[3] * n_l, 3, output=softmax())
        if n_l == 2:
            assert error(SkippedLayer(), given) < HARMLESS_BELOW
        else:
            with pytest.raises(KeyError, match=str(n_l - 1)):
                error(SkippedLayer(), given)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_next_layers_weights_never_exist_at_the_last_hidden_layer(hidden_layers: int) -> None:
    """Step 3 for m examples asks for W⁽ⁿ⁾ (n = n_l) at once in any net with hidden units, whatever the widths."""
    with pytest.raises(KeyError, match=str(hidden_layers + 2)):
        error(WeightsOfTheNextLayer(), problem(*[4] * (hidden_layers + 2)))


@pytest.mark.parametrize("form", [Scalar(), OneExample(), ManyExamples()], ids=lambda form: type(form).__name__)
def test_reference_confirms_the_correct_forms(form: OneExample) -> None:
    """Central differences agree with each correct form to 1e-9, so that what they reject is the printed formula."""
    nets: list[MisprintProblem] = [
        problem(3, 4, 5, 2, lam=0.1),
        problem(3, 4, 2, f=sigmoid),
        problem(3, 4, 3, output=softmax()),
    ]
    for given in nets:
        assert error(form, given) < 1e-9


def test_outcome_reports_what_it_does_not_expect() -> None:
    """Only clashes of shape and missing terms are results; any other error is one."""

    def broken() -> float:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        Case("anywhere", broken).outcome()


@pytest.mark.slow
def test_page_holds_the_numbers_computed_now() -> None:
    """docs/errata.md is what ``python -m workbench.lecture.errata_page`` writes today."""
    assert PAGE.read_text(encoding="utf-8") == errata_page.markdown(), (
        "run: python -m workbench.lecture.errata_page > docs/errata.md"
    )
