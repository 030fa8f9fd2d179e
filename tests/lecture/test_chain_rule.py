"""The lecture's two examples of the chain rule: worked by hand, checked in rational numbers, printed by a command."""

from pathlib import Path

import pytest
from sympy import Rational, expand, symbols

from workbench.cli.entry import main
from workbench.lecture.chain_rule import EXAMPLES, MULTIVARIATE, POINTS, UNIVARIATE, Composition, X
from workbench.lecture.explain.chain import polynomial, steps
from workbench.lecture.explain.content import Equation, Text
from workbench.lecture.explain.render import RENDERERS

BY_HAND = {  # worked on paper, not multiplied out
    "univariate": (4 * X**3 + 8 * X - 3) * (3 * X**2 + 2),
    "multivariate": -27 * X**2,
}
LINES = (
    "∂f/∂x = ∂f/∂g ∂g/∂x = (4g − 3) · (3x² + 2)",
    "∂f/∂x = (4x³ + 8x − 3) · (3x² + 2) = 12x⁵ + 32x³ − 9x² + 16x − 6",
    "∂f/∂x = ∂f/∂g₁ ∂g₁/∂x + ∂f/∂g₂ ∂g₂/∂x = (4g₁ − 3g₂) · 3 + (−3g₁) · (2x + 2)",
    "∂f/∂x = (−3x² + 6x) · 3 + (−9x) · (2x + 2) = −27x²",
    "x = 1/3: ∂f/∂x = −35/81 = −35/81",  # (4/27 + 8/3 - 3)(1/3 + 2) = (-5/27)(7/3)
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_derivative_is_the_one_worked_by_hand(name: str) -> None:
    """The chain rule, direct differentiation and differences of values all give the derivative worked by hand."""
    example, wanted = EXAMPLES[name], BY_HAND[name]
    assert expand(example.by_chain_rule() - wanted) == 0
    assert expand(example.directly() - wanted) == 0
    assert [example.by_differences(at) for at in POINTS] == [wanted.subs(X, at) for at in POINTS]
    assert example.wrong_at() == []


@pytest.mark.parametrize(
    ("example", "broken"),
    [
        (UNIVARIATE, lambda self, g: 3 * X**2),  # the 2 of 2x lost
        (MULTIVARIATE, lambda self, g: 3 if str(g) == "g₁" else 2 * X),
    ],
)
def test_a_wrong_inner_derivative_is_noticed(
    example: Composition, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong inner derivative disagrees with the composition multiplied out and with its values."""
    monkeypatch.setattr(Composition, "slope", broken)
    assert expand(example.by_chain_rule() - example.directly()) != 0
    assert len(example.wrong_at()) >= 4


def test_differences_are_exact_up_to_degree_six_only() -> None:
    """x⁶ has the slope 6x⁵ at any point; of x⁷ seven points give another."""
    g = symbols("g")
    assert Composition("", g**6, {g: X}).by_differences(Rational(1, 3)) == 6 * Rational(1, 3) ** 5
    assert Composition("", g**7, {g: X}).by_differences(Rational(1, 3)) != 7 * Rational(1, 3) ** 6


def test_polynomials_are_written_as_on_the_slides() -> None:
    """Powers and indices raised and lowered, no signs of multiplication, a true minus."""
    written = [polynomial(MULTIVARIATE.f), polynomial(UNIVARIATE.f), polynomial(Rational(-1, 2)), polynomial(X**12)]
    assert written == ["2g₁² − 3g₁g₂ + 1", "2g² − 3g + 1", "−1/2", "x¹²"]


def test_command_prints_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    """The slides' functions, the rule, the numbers put in, and the check."""
    assert main(["explain", "chain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in LINES if line not in lines] == []


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_file_holds_the_same(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text and every side of every equation, in the form of the file's suffix."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / {"html": "chain.html", "markdown": "chain.md"}[form]
    assert main(["explain", "chain", "--out", file.name]) == 0
    page = file.read_text(encoding="utf-8")
    assert page == RENDERERS[form]("The chain rule, worked for the lecture's two examples", list(steps()))
    for step in steps():
        if isinstance(step, Equation):
            assert {step.symbol in page, step.formula in page, step.value in page} == {True}
        elif isinstance(step, Text):
            assert step.text.replace("'", "&#x27;" if form == "html" else "'") in page


def test_training_step_s_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """`explain chain` refuses options of a training step, since it has no net and no example."""
    assert main(["explain", "chain", "data=wine", "--example", "3"]) == 2
    said = capsys.readouterr().err
    assert "explain chain: takes --format and --out only, got data=wine --example 3; write workbench explain" in said
