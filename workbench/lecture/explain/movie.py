"""The movie of a worked step: where each number stands in the drawing of the net, and which scene computes it.

`data` is all that the page's script gets. It draws and shows, and computes no number:

    layers   name, and units with the numbers in each, as rows of slots; the last is the cost
    edges    slot of the weight, and the two units, each as [layer, unit] from 0
    numbers  by symbol: equation it stands in, value, text, formula in symbols and in numbers, slot, label of its row
    scenes   part, title, text, equation, symbols that appear, and flows: from, to, slot of the edge, what is carried
    errata   id, slide, printed, correct, outcome, and the numbers that come out otherwise, None where there is none
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Iterator, Sequence
from typing import Any

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture.explain import numbers
from workbench.lecture.explain.as_printed import Printed, printed_steps
from workbench.lecture.explain.content import Equation, Movie, OutputWords, Step, Text, output_of
from workbench.lecture.explain.formats import number
from workbench.lecture.explain.numbers import Key, Values, formula_of, in_numbers, in_symbols, values_of
from workbench.lecture.explain.scenes import Scene, scenes
from workbench.lecture.explain.worked import Worked

SAME = 1e-9  # relative difference of numbers that are equal but for rounding
SLOTS = {numbers.dW: numbers.W, numbers.new_W: numbers.W, numbers.db: numbers.b, numbers.new_b: numbers.b}
IN_UNIT = (numbers.b, numbers.z, numbers.a, numbers.slope, numbers.output_slope, numbers.e, numbers.delta)
COSTS = (numbers.C, numbers.P, numbers.J, numbers.J_after, numbers.change)
GRADIENTS = (numbers.delta, numbers.dW, numbers.db)


def movie(spec: RunSpec, pack: Pack, worked: Worked, steps: Sequence[Step]) -> Movie:
    """Make the movie of a step whose page holds these equations."""
    return Movie(lambda: data(spec, pack, worked, steps))


def data(spec: RunSpec, pack: Pack, worked: Worked, steps: Sequence[Step]) -> dict[str, Any]:
    """Compute what the page's script draws, as the module says."""
    output = output_of(spec)
    places = {step.symbol: index for index, step in enumerate(s for s in steps if isinstance(s, Equation))}
    values = {key: value for key, value in values_of(worked, output).items() if key.matrix in places}
    about = next(step.text for step in steps if isinstance(step, Text))
    return {
        "layers": list(_layers(worked, values)),
        "edges": list(_edges(worked)),
        "numbers": {str(key): _number(key, worked, output, values, places) for key in values},
        "scenes": [_scene(scene, values, places) for scene in scenes(about, worked)],
        "errata": [_erratum(printed, values, output) for printed in printed_steps(spec, pack, worked)],
    }


def _layers(worked: Worked, values: Values) -> Iterator[dict[str, Any]]:
    for l, a in worked.a.items():
        kind = "input" if l == 1 else "output" if l == worked.last else "hidden"
        units = [list(_rows(l, i, worked, values)) for i in range(1, len(a) + 1)]
        yield {"name": f"layer {l}: {kind}", "units": units}
    yield {"name": "cost", "units": [[name for name in COSTS if Key(name) in values]]}


def _rows(l: int, i: int, worked: Worked, values: Values) -> Iterator[str]:
    """Slots of a unit, from above."""
    for symbol in IN_UNIT:
        layer = l - 1 if symbol == numbers.b else 0 if symbol == numbers.e else l
        if symbol == numbers.delta and l == worked.last:
            yield from (str(key) for key in (Key(numbers.y, 0, (i,)), Key(numbers.smoothed, 0, (i,))) if key in values)
        if (symbol != numbers.e or l == worked.last) and Key(symbol, layer, (i,)) in values:
            yield str(Key(symbol, layer, (i,)))


def _edges(worked: Worked) -> Iterator[dict[str, Any]]:
    for l, W in worked.W.items():
        for i, j in ((i, j) for i in range(len(W)) for j in range(W.shape[1])):
            yield {"slot": str(Key(numbers.W, l, (i + 1, j + 1))), "from": [l - 1, j], "to": [l, i]}


def _number(key: Key, worked: Worked, output: OutputWords, values: Values, places: dict[str, int]) -> dict[str, Any]:
    formula = formula_of(key, worked, output)
    return {
        "value": values[key],
        "shown": number(values[key]),
        "formula": in_symbols(formula).removeprefix(str(key)),  # of f′(z), nothing
        "filled": in_numbers(formula, values) if len(formula) > 1 else "",
        "equation": places[key.matrix],
        "slot": str(key._replace(symbol=SLOTS.get(key.symbol, key.symbol))),
        "label": _label(key, worked),
        "gradient": key.symbol in GRADIENTS,
    }


def _label(key: Key, worked: Worked) -> str:
    """Write what stands before a number in its row: its symbol without indices, x and h for their a."""
    if key.symbol == numbers.a and key.layer in (1, worked.last):
        return "x" if key.layer == 1 else "h"
    return key.symbol.replace("(z{})", "").replace("{}", "")


def _scene(scene: Scene, values: Values, places: dict[str, int]) -> dict[str, Any]:
    shown = [key for key in scene.keys if key in values]
    flows = [{**flow, "carries": str(flow["carries"]) if flow["carries"] in values else ""} for flow in scene.flows]
    return {
        "part": scene.part,
        "title": scene.title,
        "text": scene.text,
        "equation": places[shown[0].matrix],
        "shows": [str(key) for key in shown],
        "flows": flows,
    }


def _erratum(printed: Printed, right: Values, output: OutputWords) -> dict[str, Any]:
    values = values_of(printed.step, output)
    changed = {key: values.get(key) for key in right if not _is_same(right[key], values.get(key))}
    changed = {key: value for key, value in changed.items() if key.symbol != numbers.output_slope}
    erratum = printed.erratum
    return {
        "id": erratum.id,
        "slide": erratum.slide,
        "printed": erratum.printed,
        "correct": erratum.correct,
        "outcome": _outcome(changed, right, printed.failure),
        "numbers": {
            str(key): None if value is None else {"value": value, "shown": number(value)}
            for key, value in changed.items()
        },
    }


def _is_same(right: float, printed: float | None) -> bool:
    return printed is not None and abs(printed - right) <= SAME * max(abs(right), abs(printed), SAME)


def _outcome(changed: dict[Key, float | None], right: Values, failure: str) -> str:
    """Count the entries of ∇J that are wrong, and those that cannot be computed."""
    entries = [key for key in right if key.symbol in (numbers.dW, numbers.db)]
    missing = sum(key in changed and changed[key] is None for key in entries)
    wrong = sum(changed.get(key) is not None for key in entries)
    counts = [f"{wrong} of the {len(entries)} entries of the gradient are wrong"] * bool(wrong)
    counts += [f"{missing} of {len(entries)} entries of the gradient are not computed"] * bool(missing)
    return "; ".join([*[failure] * bool(failure), *counts]) or "changes nothing for this net and example"
