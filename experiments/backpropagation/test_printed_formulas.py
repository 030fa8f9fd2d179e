"""Formulas as printed: no gradient where they are wrong, the gradient where they do no harm."""

import numpy as np
import pytest
from workbench.experiments.backpropagation.printed_formulas import (
    MISPRINTS,
    NOT_COMPUTABLE,
    RIGHT_BELOW,
    Misprint,
    Outcome,
    printed_error,
    run,
)
from workbench.experiments.backpropagation.random_problems import MATRICES, problem, shapes

from workbench.lecture.textbook import Gradients

HARMLESS = {  # misprint -> nets on which it does no harm
    "E2": {"penalties": [0.0]},
    "E3": {"losses": ["softmax"], "layers": [3], "examples": [1]},
    "E4": {"layers": [2]},
    "E6": {"losses": ["softmax"], "penalties": [0.0]},
    "E8": {"losses": ["squared error of f"], "activations": ["tanh"]},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISPRINTS)
def test_no_net_gets_its_gradient_from_a_misprint(name: str) -> None:
    """No net gets its gradient from a misprint; what can be computed is off by 100 times more than counts as right."""
    found = run(name, np.random.default_rng(3), 2)
    assert found.nets > 0
    assert found.right == 0
    assert found.example == ""
    assert found.least > 100 * RIGHT_BELOW


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMLESS)
def test_a_misprint_is_right_where_it_does_no_harm(name: str) -> None:
    """λ = 0, no hidden layer, or too few layers to skip one: the same code finds the gradient."""
    rng = np.random.default_rng(4)
    for shape in shapes(rng, **{"activations": ["tanh"], **HARMLESS[name]}):
        assert float(printed_error(problem(rng, shape, 2), MISPRINTS[name].by).max()) < 1e-10


@pytest.mark.slow
def test_the_printed_m_example_slide_cannot_be_computed() -> None:
    """W⁽ˡ⁺¹⁾ is asked for where there is none: E1 fails on every net with hidden units."""
    found = run("E1", np.random.default_rng(5), 1)
    assert (found.right, found.wrong, found.least) == (0, 0, NOT_COMPUTABLE)


@pytest.mark.slow
def test_a_right_formula_is_called_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The correct formula among the misprints is found right on every net, with an example."""
    monkeypatch.setitem(MISPRINTS, "right", Misprint(MATRICES, {"layers": [3], "examples": [2]}))
    found = run("right", np.random.default_rng(6), 2)
    assert found.right == found.nets
    assert found.example.startswith("right for ")


def test_other_failures_are_no_result() -> None:
    """Only missing terms and clashing shapes count as "cannot be computed"."""

    def broken(*_: object) -> Gradients:
        raise RuntimeError("out of luck")

    rng = np.random.default_rng(7)
    (shape,) = shapes(rng, ["tanh"], ["softmax"], [3], [2], [0.1])
    with pytest.raises(RuntimeError, match="out of luck"):
        printed_error(problem(rng, shape, 1), broken)


@pytest.mark.parametrize(
    ("right", "wrong", "proof"),
    [
        (0, 0, "cannot be computed for 1,000 of them"),
        (0, 1000, "off by 0.25 or more for 1,000"),
        (1, 9, "cannot be computed for 990 of them, off by 0.25 or more for 9"),
        (1000, 0, ""),
    ],
)
def test_outcome_in_words(right: int, wrong: int, proof: str) -> None:
    """An outcome's words say for how many nets it is wrong or cannot be computed, and nothing where all are right."""
    found = Outcome(1000, right, wrong, 0.25, "")
    assert found.proof == proof
    assert found.impossible == 1000 - right - wrong
