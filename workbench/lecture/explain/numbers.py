"""Every number of a worked step by itself: its symbol, its value, and its formula in symbols and in numbers.

A number is named as its matrix is on the page, with its place as subscripts: the first of z⁽²⁾ = W⁽¹⁾ a⁽¹⁾ + b⁽¹⁾ is
z₁⁽²⁾ = W₁₁⁽¹⁾ a₁⁽¹⁾ + W₁₂⁽¹⁾ a₂⁽¹⁾ + b₁⁽¹⁾.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from workbench.lecture.explain.content import SUPERSCRIPTS, OutputWords, targets_of
from workbench.lecture.explain.formats import number
from workbench.lecture.explain.positions import SUBSCRIPTS
from workbench.lecture.explain.worked import ByLayer, Worked

W, b, z, a, delta = "W{}", "b{}", "z{}", "a{}", "δ{}"
slope, output_slope = "f′(z{})", "h′(z{})"
y, smoothed, e = "y{}", "ỹ{}", "e{}"
dW, db, new_W, new_b = "∂J/∂W{}", "∂J/∂b{}", "new W{}", "new b{}"
C, P, J, J_before, J_after, change = "C", "P", "J", "J before", "J after", "change"


class Key(NamedTuple):
    """A number: the symbol of its matrix with a gap for indices, its layer (0 for none) and its place in it, from 1."""

    symbol: str
    layer: int = 0
    place: tuple[int, ...] = ()

    def __str__(self) -> str:
        between = "," if any(index > 9 for index in self.place) else ""
        return self.symbol.format(between.join(map(str, self.place)).translate(SUBSCRIPTS) + self._layer())

    @property
    def matrix(self) -> str:
        """Symbol of the matrix or vector that holds it."""
        return self.symbol.format(self._layer())

    def _layer(self) -> str:
        return f"⁽{str(self.layer).translate(SUPERSCRIPTS)}⁾" if self.layer else ""


Formula = tuple["str | Key", ...]  # texts and numbers in turn
Values = dict[Key, float]


def values_of(worked: Worked, output: OutputWords) -> Values:
    """All numbers of a step; those of layers that it lacks are left out, and costs that are no number."""
    last = worked.last
    layers: dict[str, ByLayer] = {
        W: worked.W,
        b: worked.b,
        z: worked.z,
        a: worked.a,
        slope: worked.slope,
        delta: worked.delta,
        dW: worked.dW,
        db: worked.db,
        new_W: worked.new_W,
        new_b: worked.new_b,
        output_slope: {} if worked.output_slope is None else {last: worked.output_slope},
        y: {0: worked.y},
        smoothed: {0: targets_of(worked, output)} if output.targets else {},
        e: {0: worked.a[last] - targets_of(worked, output)} if "e" in output.delta and last in worked.a else {},
    }
    costs = {C: worked.C, P: worked.J - worked.C, J: worked.J, J_before: worked.J, J_after: worked.J_after}
    costs[change] = worked.J_after - worked.J
    found = {
        Key(symbol, l, place): value
        for symbol in layers
        for l, tensor in layers[symbol].items()
        for place, value in _entries(tensor)
    }
    return found | {Key(name): value for name, value in costs.items() if value == value and (name != P or worked.lam)}


def _entries(tensor: Tensor) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield place, from 1, and value of every entry of a vector or matrix."""
    for i, row in enumerate(tensor.tolist(), start=1):
        if isinstance(row, list):
            yield from (((i, j), value) for j, value in enumerate(row, start=1))
        else:
            yield (i,), row


def formula_of(key: Key, worked: Worked, output: OutputWords) -> Formula:
    """The formula of a number, empty where it is given or no formula of numbers."""
    return FORMULAS.get(key.symbol, _given)(key, worked, output)


def in_symbols(formula: Formula) -> str:
    """Write a formula in symbols, products without a dot: W₁₁⁽¹⁾ a₁⁽¹⁾ + b₁⁽¹⁾."""
    return "".join(map(str, formula)).replace(" · ", " ")


def in_numbers(formula: Formula, values: Values) -> str:
    """Write a formula with its numbers, a negative one in parentheses unless it comes first or alone."""
    parts = []
    for index, part in enumerate(formula):
        shown = part if isinstance(part, str) else number(values[part])
        alone = index == 0 or str(formula[index - 1]).endswith("(")
        parts.append(f"({shown})" if isinstance(part, Key) and shown.startswith("−") and not alone else shown)
    return "".join(parts)


def _given(key: Key, worked: Worked, output: OutputWords) -> Formula:
    return ()


def _sum(terms: Iterator[Formula]) -> Formula:
    first, *others = terms
    return (*first, *chain.from_iterable((" + ", *term) for term in others))


def _z(key: Key, worked: Worked, output: OutputWords) -> Formula:
    l, (i,) = key.layer - 1, key.place
    inputs = range(1, len(worked.a[l]) + 1)
    return (*_sum((Key(W, l, (i, j)), " · ", Key(a, l, (j,))) for j in inputs), " + ", Key(b, l, (i,)))


def _a(key: Key, worked: Worked, output: OutputWords) -> Formula:
    if key.layer == 1:
        return ()
    if key.layer < worked.last:
        return ("f(", key._replace(symbol=z), ")")
    if output.h.startswith("softmax"):
        units = range(1, len(worked.y) + 1)
        powers: list[Formula] = [("exp(", Key(z, key.layer, (i,)), ")") for i in units]
        return (*powers[key.place[0] - 1], " / (", *_sum(iter(powers)), ")")
    return ("h(", key._replace(symbol=z), ")")


def _delta(key: Key, worked: Worked, output: OutputWords) -> Formula:
    l, (i,) = key.layer, key.place
    if l == worked.last:
        return _output_delta(key, output)
    outputs = range(1, len(worked.z[l + 1]) + 1)
    back = _sum((Key(W, l, (k, i)), " · ", Key(delta, l + 1, (k,))) for k in outputs)
    return ("(", *back, ") · ", Key(slope, l, (i,)))


def _output_delta(key: Key, output: OutputWords) -> Formula:
    h, target = key._replace(symbol=a), Key(smoothed if output.targets else y, 0, key.place)
    error: Formula = (h, " − ", target)
    known = {
        "h − y": error,
        "h − ỹ": error,
        "(h − y) ∘ h′(z)": ("(", *error, ") · ", key._replace(symbol=output_slope)),
    }
    return known.get(output.delta, ())


def _dW(key: Key, worked: Worked, output: OutputWords) -> Formula:
    l, (i, j) = key.layer, key.place
    penalty: Formula = (f" + {worked.lam:.4g} · ", key._replace(symbol=W)) if worked.lam else ()
    return (Key(delta, l + 1, (i,)), " · ", Key(a, l, (j,)), *penalty)


def _new(old: str, gradient: str) -> Callable[[Key, Worked, OutputWords], Formula]:
    return lambda key, worked, output: (
        key._replace(symbol=old),
        f" − {worked.lr:.4g} · ",
        key._replace(symbol=gradient),
    )


FORMULAS: dict[str, Callable[[Key, Worked, OutputWords], Formula]] = {
    z: _z,
    a: _a,
    slope: lambda key, worked, output: ("f′(", key._replace(symbol=z), ")"),
    output_slope: lambda key, worked, output: ("h′(", key._replace(symbol=z), ")"),
    e: lambda key, worked, output: (Key(a, worked.last, key.place), " − ", Key(y, 0, key.place)),
    J: lambda key, worked, output: (Key(C), " + ", Key(P)) if worked.lam else (Key(C),),
    J_before: lambda key, worked, output: (Key(J),),
    change: lambda key, worked, output: (Key(J_after), " − ", Key(J_before)),
    delta: _delta,
    dW: _dW,
    db: lambda key, worked, output: (Key(delta, key.layer + 1, key.place),),
    new_W: _new(W, dW),
    new_b: _new(b, db),
}
