"""Reproductions made up for cards and reports: every label, every kind of map, every kind of evidence, hostile text."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from workbench.claims.claim import Claim
from workbench.claims.evidence import ArmScores, Cell, Estimate, Exact, PerSeed, Rate, Witness
from workbench.claims.verdict import Reproduction, SweepLink, judge, overall

HOSTILE = "<script>alert('x')</script> & \"quoted\" [red]|[/red] <b>`code`</b> *a* _b_ ]]> \\ {{ 7 * 7 }} &lt; 1. x"
LONG = "a_name_without_any_place_to_break_" * 8
CLAIM: dict[str, Any] = {
    "title": "XOR and one neuron",
    "statement": "A perceptron cannot represent XOR; logistic, ReLU and tanh neurons share the limit.",
    "slides": ["Perceptron vs. Logistic Neuron"],
    "version": 1,
    "parts": {
        "limit": {
            "says": "No neuron with a monotone activation computes XOR.",
            "measure": "weights that decide all four points rightly",
            "rule": {"kind": "always"},
        }
    },
    "anchors": [
        {"source": "Cybenko 1989", "says": "any continuous sigmoidal function will do.", "evidence": "read"},
        {"source": "IEEE TNN 1999", "says": "a 2-3-1 net has a local minimum.", "evidence": "secondary"},
        {"source": "Farkas' lemma", "says": "the four inequalities sum to 0 > 0.", "evidence": "computed"},
    ],
    "figure": "The four points of XOR in the plane with the best line, which leaves one of them on the wrong side.",
    "profiles": {"quick": {"seeds": 10}},
    "notes": ["The deck lists |z| among its activations."],
}


def claim(**changes: Any) -> Claim:
    """A claim with one exact part, or with what `changes` puts in its place."""
    return Claim.model_validate(CLAIM | changes)


def reproduced(
    cells: Iterable[Cell], name: str = "xor_limit", extra: Mapping[str, Any] | None = None, **changes: Any
) -> Reproduction:
    """The claim with `changes`, judged by `cells`; `extra` goes into the record itself."""
    made = claim(**changes)
    parts = judge(made, cells)
    shared = {
        key: getattr(made, key) for key in ("title", "statement", "slides", "anchors", "notes", "figure", "version")
    }
    record: dict[str, Any] = {
        **shared,
        "name": name,
        "rule_hash": made.rule_hash,
        "profile": "quick",
        "settings": {"seeds": 10},
        "label": overall(parts),
        "parts": parts,
        "date": "2026-11-24T23:20:11+01:00",
        "seconds": 3.21,
        "command": f"workbench reproduce {name} --profile quick",
        "environment": {"python": "3.11.7", "torch": "2.13.0", "workbench": "0.3.0"},
    }
    return Reproduction(**(record | dict(extra or {})))


def part(says: str, kind: str = "always", **more: Any) -> dict[str, Any]:
    """A part of a claim; `than`, `absent` and `margin` go to its rule."""
    rule = {"kind": kind, **{key: more.pop(key) for key in ("than", "absent", "margin") if key in more}}
    return {"says": says, "measure": "what is measured, in percent", "rule": rule, **more}


def proved() -> Reproduction:
    """Supported without a map; a witness shows that the lecture contradicts itself."""
    parts = CLAIM["parts"] | {
        "absolute": part(
            "The lecture lists |z| among its activations, but |z| computes XOR: the limit is about monotonicity.",
            "exists",
            role="contradiction",
            quotes=["**Absolute value ReLU**: $g(z) = |z|$ ."],
            slides=["ReLU and Generalizations", "Perceptron vs. Logistic Neuron"],
        )
    }
    cells = [
        Cell("limit", Exact(1, certificate="multipliers (1, 1, 1, 1) of Farkas' lemma give 0 > 0")),
        Cell("absolute", Witness(True, "|x₁ − x₂|")),
    ]
    return reproduced(cells, parts=parts)


def refuted() -> Reproduction:
    """Refuted in one cell of a map with one coordinate."""
    parts = {
        "linear": part(
            "Every activation of the list makes the network piecewise linear.",
            cells={"activation": ["relu", "absolute", "leaky_relu", "softplus"]},
        )
    }
    cells = [
        Cell(
            "linear",
            Exact(400, 400 * (name == "softplus"), example="second difference 0.25 inside a cell"),
            {"activation": name},
        )
        for name in parts["linear"]["cells"]["activation"]
    ]
    return reproduced(cells, "piecewise_linear", title="Piecewise linear networks", parts=parts, anchors=[], notes=[])


def mapped() -> Reproduction:
    """A map with two coordinates and cells beyond it; trained, tuned, and open after Holm's correction."""
    parts = {
        "faster": part(
            "ReLU needs fewer steps than tanh to the same training loss, at some depth and width.",
            "above",
            than=0.4,
            absent=0.0,
            decided_by="any",
            cells={"depth": [2, 4, 8, 16], "width": [16, 64, 256]},
        ),
        "same": part(
            "Where both get there, their test errors are equal to 1 percentage point.",
            "within",
            margin=1.0,
            role="secondary",
        ),
        "slope": part("The gain grows with depth.", "above", than=0.1, role="extension"),
    }
    by_depth = {2: 0.2, 4: 0.7, 8: 1.1, 16: 1.5, 32: 0.5}
    cells = [
        Cell(
            "faster",
            PerSeed(tuple(effect * width / 64 + 0.06 * (seed - 5) for seed in range(11))),
            {"depth": depth, "width": width},
        )
        for depth, effect in by_depth.items()
        for width in (16, 64, 256)
    ]
    cells += [Cell("same", Estimate(0.2, 0.25, 9, 10)), Cell("slope", Estimate(0.31, 0.05, 8, 10))]
    extra = {
        "runs": 1320,
        "seconds": 4000.0,
        "sweeps": [SweepLink(id="20261124-201508-8c26", link="http://127.0.0.1:5000/#/compare?runs=1&runs=2")],
        "tuning": {"relu": "lr=0.1 of 0.01 … 1", "tanh": "lr=0.3 of 0.01 … 1"},
        "holm": "inconclusive",
    }
    return reproduced(cells, "relu_faster", extra, title="ReLU accelerates learning", parts=parts)


def in_space() -> Reproduction:
    """Inconclusive over 60 cells with three coordinates."""
    values = {"activation": ["relu", "tanh", "sigmoid"], "depth": [1, 2, 4, 8, 16], "batch": [2, 4, 16, 128]}
    parts = {"better": part("Batch normalization helps at every depth.", "above", than=0.5, cells=values)}
    grid = claim(parts=parts).parts["better"].grid
    cells = [Cell("better", Rate(240 + 30 * int(at["depth"]) // 2, 500), at) for at in grid]
    return reproduced(cells, "batch_norm_depth", title="Batch normalization trains deeper nets", parts=parts)


def mixed() -> Reproduction:
    """Build a mixed claim: one supported sentence, another supported here and refuted there, and untrained arms."""
    rule = {"kind": "above", "than": 0.1, "floor": 0.1}
    parts = {
        "dies": part("Units die.", headline="units die"),
        "narrow": part("It helps narrow nets.", headline="0.1 helps", where="at width 3") | {"rule": rule},
        "digits": part("It helps on digits.", headline="0.1 helps", where="on digits") | {"rule": rule},
        "deep": part("It helps deep nets.", role="extension") | {"rule": rule},
        "wide": part("It helps wide nets.", role="secondary") | {"rule": rule},
    }
    effects = {"narrow": 0.3, "digits": 0.0, "deep": 0.0, "wide": 0.075}

    def arms(name: str) -> tuple[ArmScores, ...]:
        return tuple(ArmScores(arm, (0.1 if name == "deep" else 0.9,) * 10, 0.1) for arm in ("b=0.1", "b=0"))

    cells = [Cell("dies", Exact(4))]
    cells += [
        Cell(name, PerSeed(tuple(effect + 0.001 * (seed - 5) for seed in range(11)), (), arms(name)))
        for name, effect in effects.items()
    ]
    return reproduced(cells, "dying_relu", title="ReLU can die", parts=parts)


def hostile() -> Reproduction:
    """Markup of every kind, and names that do not break, in each text of the record."""
    parts = {
        "limit": part(HOSTILE, measure=HOSTILE, slides=[HOSTILE, LONG], cells={HOSTILE: [HOSTILE, LONG]}),
        "twist": part(LONG, "exists", role="contradiction", quotes=[HOSTILE], measure=LONG),
    }
    cells = [Cell("limit", Exact(4, 1, example=HOSTILE), {HOSTILE: value}) for value in (HOSTILE, LONG)]
    anchors = [{"source": HOSTILE, "says": LONG, "evidence": "read"}]
    texts = {name: f"{name} {HOSTILE}" for name in ("title", "statement", "figure")}
    extra = {
        "command": f"command {HOSTILE}",
        "date": f"date {HOSTILE}",
        "environment": {HOSTILE: HOSTILE},
        "tuning": {HOSTILE: LONG},
        "settings": {HOSTILE: HOSTILE},
        "sweeps": [SweepLink(id=HOSTILE, link="javascript:alert(1)"), SweepLink(id=LONG, link=f"http://x/{HOSTILE}")],
    }
    return reproduced(
        [*cells, Cell("twist", Witness(True, HOSTILE))],
        "hostile",
        extra,
        parts=parts,
        anchors=anchors,
        slides=[LONG],
        notes=[HOSTILE],
        **texts,
    )


def everything() -> list[Reproduction]:
    """Build one made-up reproduction of each kind."""
    return [proved(), refuted(), mapped(), in_space(), mixed(), hostile()]


def drawn(kind: str = "svg") -> bytes:
    """A figure as a claim draws it."""
    saved = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "workbench"}):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot([1, 2, 4, 8, 16], [0.2, 0.7, 1.1, 1.5, 1.6], label="relu", color="C0")
        axes.plot([1, 2, 4, 8, 16], [0.3, 0.5, 0.6, 0.6, 0.4], "--", label="tanh", color="C1")
        axes.set_xlabel("hidden layers")
        axes.set_ylabel("log of the ratio of steps")
        axes.legend()
        figure.savefig(saved, format=kind, dpi=150)
    return saved.getvalue()
