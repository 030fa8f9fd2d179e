"""Every answer is a proof: a solution that satisfies, or multipliers that refute, never both, never neither."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from workbench.proofs.farkas import Infeasible, Solution, decide, refutes, satisfies, solve

ENTRIES = st.integers(-4, 4) | st.fractions(-3, 3, max_denominator=12)


@st.composite
def systems(draw: st.DrawFn) -> tuple[list[list[Fraction]], list[Fraction]]:
    """A u ≥ c with up to nine rows in up to four unknowns; some rows come in pairs that make an equation."""
    unknowns = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(ENTRIES, min_size=unknowns + 1, max_size=unknowns + 1), min_size=1, max_size=6))
    rows += [[-entry for entry in row] for row in draw(st.lists(st.sampled_from(rows), max_size=3))]
    return [[Fraction(entry) for entry in row[:-1]] for row in rows], [Fraction(row[-1]) for row in rows]


@pytest.mark.slow
@given(systems())
def test_every_system_has_exactly_one_kind_of_proof(system: tuple[list[list[Fraction]], list[Fraction]]) -> None:
    """Farkas' lemma, and the linear program in floating point says the same."""
    A, c = system
    answer = decide(A, c)
    if isinstance(answer, Solution):
        assert satisfies(answer, A, c)
    else:
        assert refutes(answer, A, c)
        assert sum(y * bound for y, bound in zip(answer.y, c, strict=True)) == 1
    found = linprog(np.zeros(len(A[0])), -np.array(A, float), -np.array(c, float), bounds=(None, None))
    assert (found.status == 0) == isinstance(answer, Solution)


@pytest.mark.slow
@given(systems(), st.data())
def test_no_vector_refutes_what_has_a_solution(
    system: tuple[list[list[Fraction]], list[Fraction]], data: st.DataObject
) -> None:
    """The check of multipliers is sound: where some u satisfies the rows, it accepts nothing."""
    A, _ = system
    u = data.draw(st.lists(ENTRIES, min_size=len(A[0]), max_size=len(A[0])))
    c = [sum((entry * value for entry, value in zip(row, u, strict=True)), Fraction(0)) for row in A]
    y = data.draw(st.lists(st.fractions(-2, 2, max_denominator=6), min_size=len(A), max_size=len(A)))
    assert satisfies(Solution(tuple(map(Fraction, u))), A, c)
    assert not refutes(Infeasible(tuple(y)), A, c)


@pytest.mark.parametrize(
    ("y", "why"),
    [
        ((1, 1, 1), "yᵀA is not 0"),
        ((-1, -1, 0), "yᵀc is below 0"),
        ((1, 0, -1), "a multiplier below 0: u ≥ 2 and u ≥ 0 do not contradict each other"),
        ((0, 0, 0), "yᵀc is 0"),
        ((Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**30), 0), "off by 1e-30"),
    ],
)
def test_multipliers_that_prove_nothing_are_refused(y: tuple[Fraction, ...], why: str) -> None:
    """Wrong multipliers do not refute u ≥ 2 and -u ≥ -1, while (1, 1, 0) does."""
    A, c = [[1], [-1], [1]], [2, -1, 0]
    assert refutes(Infeasible((Fraction(1), Fraction(1), Fraction(0))), A, c)
    assert not refutes(Infeasible(tuple(map(Fraction, y))), A, c), why


def test_solutions_are_checked_beyond_floating_point() -> None:
    """10⁻³⁰ short of a bound is short of it."""
    assert not satisfies(Solution((Fraction(1) - Fraction(1, 10**30),)), [[1]], [1])
    assert satisfies(Solution((Fraction(1),)), [[1]], [1])


def test_equations_are_met_exactly() -> None:
    """3u = 1 has the solution 1/3, which no floating-point number is."""
    assert decide([[3], [-3]], [1, -1]) == Solution((Fraction(1, 3),))


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_elimination_solves_what_can_be_solved(unknowns: int, equations: int, data: st.DataObject) -> None:
    """A u = c for a right side made from some u; the result need not be that u, but solves the same equations."""
    A = [data.draw(st.lists(ENTRIES, min_size=unknowns, max_size=unknowns)) for _ in range(equations)]
    u = data.draw(st.lists(ENTRIES, min_size=unknowns, max_size=unknowns))
    c = [sum(Fraction(a) * v for a, v in zip(row, u, strict=True)) for row in A]
    found = solve(A, c, [0] * unknowns)
    assert found is not None
    assert [sum(Fraction(a) * v for a, v in zip(row, found, strict=True)) for row in A] == c


def test_elimination_says_when_equations_contradict() -> None:
    """Elimination finds no solution of u + v = 1 and 2u + 2v = 3."""
    assert solve([[1, 1], [2, 2]], [1, 3], [0, 0]) is None


def test_a_proof_reads_as_a_sum() -> None:
    """A refutation prints as a weighted sum of rows, and a solution as its point."""
    assert str(Infeasible((Fraction(1), Fraction(0), Fraction(1, 2)))) == "row 1 + 1/2 · row 3: 0 ≥ 1"
    assert str(Solution((Fraction(1, 2), Fraction(-3)))) == "(1/2, -3)"
