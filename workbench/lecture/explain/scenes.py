"""Scenes of the movie of a worked step: what appears in each, and along which edges it comes."""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.lecture.explain import numbers
from workbench.lecture.explain.numbers import Key
from workbench.lecture.explain.worked import Worked

ONE_BY_ONE = 4  # units: a layer of more is computed in one scene


@dataclass(frozen=True)
class Scene:
    """A step of the movie: what appears, and along which edges it comes."""

    part: str
    title: str
    text: str
    keys: tuple[Key, ...]
    flows: tuple[dict[str, Any], ...] = ()


def scenes(about: str, worked: Worked) -> Iterator[Scene]:
    """The whole step, from given numbers to the cost after it; `about` is the sentence on the net."""
    parameters = (key for l in worked.W for key in (*_of(numbers.W, l, worked), *_of(numbers.b, l, worked)))
    yield Scene("The net", "What is given", about, (*parameters, *_of(numbers.y, 0, worked)))
    yield from _forward(worked)
    yield _cost(worked)
    yield from _backward(worked)
    yield from _gradients(worked)
    yield from _update(worked)


def _of(symbol: str, l: int, worked: Worked, units: Iterable[int] = ()) -> tuple[Key, ...]:
    """Keys of a vector or matrix of a layer, all of it or its rows `units`."""
    of_edges = symbol in (numbers.W, numbers.dW, numbers.new_W)
    above = l + 1 if symbol in (numbers.W, numbers.b, numbers.dW, numbers.db, numbers.new_W, numbers.new_b) else l
    rows = tuple(units) or _units(above or worked.last, worked)
    if of_edges:
        return tuple(Key(symbol, l, (i, j)) for i in rows for j in _units(l, worked))
    return tuple(Key(symbol, l, (i,)) for i in rows)


def _units(l: int, worked: Worked) -> tuple[int, ...]:
    return tuple(range(1, len(worked.a[l]) + 1))


def _groups(l: int, worked: Worked) -> Iterator[tuple[int, ...]]:
    """Units of a layer that one scene computes: one, or all where there are many."""
    units = _units(l, worked)
    yield from ((unit,) for unit in units) if len(units) <= ONE_BY_ONE else (units,)


def _named(keys: Sequence[Key]) -> str:
    return str(keys[0]) if len(keys) == 1 else keys[0].matrix


def _flow(start: tuple[int, int], end: tuple[int, int], slot: str, carries: Key | None) -> dict[str, Any]:
    return {"from": list(start), "to": list(end), "slot": slot, "carries": carries}


def _forward(worked: Worked) -> Iterator[Scene]:
    given = _of(numbers.a, 1, worked)
    yield Scene("Forward", given[0].matrix, "The input is the activation of layer 1: a⁽¹⁾ = x.", given)
    for l in range(2, worked.last + 1):
        for units in _groups(l, worked):
            keys = _of(numbers.z, l, worked, units)
            text = "Each activation of the layer before is multiplied by the weight of its edge; add the bias."
            yield Scene("Forward", _named(keys), text, keys, tuple(_into(l, units, worked, numbers.a)))
        text = "Each unit applies f to its z." if l < worked.last else "The output is h(z), the net's answer."
        yield Scene("Forward", _of(numbers.a, l, worked)[0].matrix, text, _of(numbers.a, l, worked))


def _into(l: int, units: Iterable[int], worked: Worked, carried: str = "") -> Iterator[dict[str, Any]]:
    """Flows along the edges into units of layer l, from below, with the number that each carries."""
    for i in units:
        for j in _units(l - 1, worked):
            carries = Key(carried, l - 1, (j,)) if carried else None
            yield _flow((l - 2, j - 1), (l - 1, i - 1), str(Key(numbers.W, l - 1, (i, j))), carries)


def _cost(worked: Worked) -> Scene:
    outputs = _units(worked.last, worked)
    flows = (_flow((worked.last - 1, i - 1), (worked.last, 0), "", Key(numbers.a, worked.last, (i,))) for i in outputs)
    keys = (*_of(numbers.smoothed, 0, worked), Key(numbers.C), Key(numbers.P), Key(numbers.J), Key(numbers.J_before))
    return Scene("Cost", "C and J", "The answer h is compared with the target y.", keys, tuple(flows))


def _backward(worked: Worked) -> Iterator[Scene]:
    last = worked.last
    keys = _of(numbers.delta, last, worked)
    seen = (*_of(numbers.e, 0, worked), *_of(numbers.output_slope, last, worked), *keys)
    flows = (_flow((last, 0), (last - 1, key.place[0] - 1), "", key) for key in keys)
    text = f"Backpropagation begins at the output: {keys[0].matrix} = ∂C/∂{Key(numbers.z, last).matrix}."
    yield Scene("Backward", keys[0].matrix, text, seen, tuple(flows))
    for l in range(last - 1, 1, -1):
        slopes = _of(numbers.slope, l, worked)
        yield Scene("Backward", slopes[0].matrix, "The slope of f where the forward pass left each unit.", slopes)
        for units in _groups(l, worked):
            keys = _of(numbers.delta, l, worked, units)
            text = "Each δ of the layer above comes back along its edge, times the same weight; then times the slope."
            yield Scene("Backward", _named(keys), text, keys, tuple(_back(l, units, worked)))


def _back(l: int, units: Iterable[int], worked: Worked) -> Iterator[dict[str, Any]]:
    """Flows of the deltas of layer l + 1 along the edges to units of layer l."""
    for i in units:
        for k in _units(l + 1, worked):
            yield _flow((l, k - 1), (l - 1, i - 1), str(Key(numbers.W, l, (k, i))), Key(numbers.delta, l + 1, (k,)))


def _gradients(worked: Worked) -> Iterator[Scene]:
    for l in worked.W:
        for units in _groups(l + 1, worked):
            keys = (*_of(numbers.dW, l, worked, units), *_of(numbers.db, l, worked, units))
            text = (
                "The gradient of a weight is δ at the end of its edge times the activation at its start; of a bias, δ."
            )
            text += " The penalty adds λ times the weight." if worked.lam else ""
            title = keys[0].matrix if len(units) > 1 else f"{keys[0].matrix}, into unit {units[0]}"
            yield Scene("Gradients", title, text, keys, tuple(_into(l + 1, units, worked)))


def _update(worked: Worked) -> Iterator[Scene]:
    for l in worked.W:
        keys = (*_of(numbers.new_W, l, worked), *_of(numbers.new_b, l, worked))
        edges = tuple(_into(l + 1, _units(l + 1, worked), worked))
        text = f"Each parameter goes against its gradient, η = {worked.lr:.4g} times as far."
        yield Scene("Update", keys[0].matrix, text, keys, edges)
    text = "The cost of the same example with the new parameters."
    yield Scene("Update", "J after", text, (Key(numbers.J_after), Key(numbers.change)))
