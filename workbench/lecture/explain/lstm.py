"""``workbench explain architecture=lstm``: backpropagation through time in gated units, one layer.

Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000). Superscripts tell four blocks apart: the
input gate i, the forget gate f, the candidate g, and the gate p of what passes out, often called o.

    zⁱ_t = Wⁱ x_t + Uⁱ a_{t-1} + bⁱ, ...        i, f, p = σ(z)      g = tanh z
    k_t = f_t ∘ k_{t-1} + i_t ∘ g_t             a_t = p_t ∘ tanh k_t            a_0 = k_0 = 0

    e_t = ∂C/∂a_t = Vᵀ ε_t + (Uⁱ)ᵀ δⁱ_{t+1} + ...
    κ_t = ∂C/∂k_t = e_t ∘ p_t ∘ (1 - tanh² k_t) + f_{t+1} ∘ κ_{t+1}
    δⁱ = κ ∘ g ∘ i ∘ (1 - i)        δᶠ_t = κ_t ∘ k_{t-1} ∘ f_t ∘ (1 - f_t)
    δᵍ = κ ∘ i ∘ (1 - g²)           δᵖ = e ∘ tanh k ∘ p ∘ (1 - p)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Heading, Step, Text, column
from workbench.lecture.explain.gates import Gated
from workbench.lecture.explain.positions import at
from workbench.lecture.explain.unrolled import unroll

MARKS = {"i": "ⁱ", "f": "ᶠ", "g": "ᵍ", "p": "ᵖ"}  # in the order of the blocks
NET = (
    "At each step t there are four z: zⁱ_t = Wⁱ x_t + Uⁱ a_{t−1} + bⁱ, and zᶠ, zᵍ, zᵖ alike. Gates are i_t = σ(zⁱ_t) "
    "for what enters the memory k, f_t = σ(zᶠ_t) for what stays in it and p_t = σ(zᵖ_t) for what passes out, often "
    "called o; g_t = tanh zᵍ_t. The memory is k_t = f_t ∘ k_{t−1} + i_t ∘ g_t, the state a_t = p_t ∘ tanh k_t, "
    "from a₀ = k₀ = 0."
)
MEMORY = (
    "e is ∂C/∂a, κ is ∂C/∂k. From step to step κ is multiplied by the forget gate, not by U: where f is near 1, it "
    "does not vanish."
)


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError as `unroll` does."""
    unrolled = unroll(spec, pack, example, list(MARKS.values()))
    gated = Memory(unrolled, MARKS)
    return unrolled.title("lstm", example), list(unrolled.page(NET, _forward(gated), _backward(gated)))


@dataclass(frozen=True)
class Memory(Gated):
    """Values of an lstm, with those of its memory k."""

    @property
    def memory(self) -> Tensor:
        """k [T + 1, U], with the initial one."""
        return self.states[1]

    @cached_property
    def through(self) -> Tensor:
        """1 − tanh² k [T, U]."""
        return 1 - self.memory[1:].tanh().square()

    @cached_property
    def kappa(self) -> Tensor:
        """∂C/∂k [T, U], which the engine does not record: from e, by the formula."""
        rows = [torch.zeros_like(self.e[0])]
        after = [*self.gates["f"][1:], rows[0]]
        for e, p, through, f in reversed([*zip(self.e, self.gates["p"], self.through, after, strict=True)]):
            rows.append(e * p * through + f * rows[-1])
        return torch.stack(rows[:0:-1])


def _forward(gated: Memory) -> Iterator[Step]:
    of, squashed = gated.of, gated.memory.tanh()
    yield Heading("Forward, step by step")
    for t in range(1, of.steps + 1):
        yield of.inputs(t)
        value = {name: column(gate[t - 1]) for name, gate in gated.gates.items()}
        for name, mark in MARKS.items():
            yield of.before(t, mark, gated.z[name])
            z = at(f"z{mark}", t)
            yield Equation(at(name, t), f"tanh {z}" if name == "g" else f"σ({z})", value[name])
        filled = (value["f"], "∘", column(gated.memory[t - 1]), "+", value["i"], "∘", value["g"])
        formula = f"{at('f', t)} ∘ {at('k', t - 1)} + {at('i', t)} ∘ {at('g', t)}"
        yield Equation(at("k", t), formula, column(gated.memory[t]), filled)
        tanh = f"tanh {at('k', t)}"
        yield Equation(tanh, "", column(squashed[t]))
        yield Equation(at("a", t), f"{at('p', t)} ∘ {tanh}", of.state(t), (value["p"], "∘", column(squashed[t])))
        yield from of.outputs(t)


def _backward(gated: Memory) -> Iterator[Step]:
    of = gated.of
    yield Heading("Backward, from the last step to the first")
    yield Text(MEMORY)
    for t in range(of.steps, 0, -1):
        yield from of.back(t, {MARKS[name]: delta for name, delta in gated.delta.items()})
        yield _memory_delta(gated, t)
        yield from _block_deltas(gated, t)


def _memory_delta(gated: Memory, t: int) -> Equation:
    """κ at a step, from e and from κ after it."""
    formula = f"{at('e', t)} ∘ {at('p', t)} ∘ (1 − tanh² {at('k', t)})"
    e, p, through = (column(values[t - 1]) for values in (gated.e, gated.gates["p"], gated.through))
    if t == gated.of.steps:
        return Equation(at("κ", t), formula, column(gated.kappa[t - 1]), (e, "∘", p, "∘", through))
    later = column(gated.gates["f"][t]), "∘", column(gated.kappa[t])
    filled = (e, "∘", p, "∘", through, "+", *later)
    return Equation(at("κ", t), f"{formula} + {at('f', t + 1)} ∘ {at('κ', t + 1)}", column(gated.kappa[t - 1]), filled)


def _block_deltas(gated: Memory, t: int) -> Iterator[Equation]:
    """δ of each block at a step."""
    value = {name: gate[t - 1] for name, gate in gated.gates.items()}
    symbol = {name: at(name, t) for name in (*MARKS, "κ", "e", "k")}
    kappa, e, memory = (values[t - 1] for values in (gated.kappa, gated.e, gated.memory))
    squashed = gated.memory[t].tanh()
    factors = {
        "i": ((symbol["κ"], kappa), (symbol["g"], value["g"])),
        "f": ((symbol["κ"], kappa), (at("k", t - 1), memory)),
        "g": ((symbol["κ"], kappa), (symbol["i"], value["i"])),
        "p": ((symbol["e"], e), (f"tanh {symbol['k']}", squashed)),
    }
    for name, pair in factors.items():
        gate = value[name]
        own = [(f"(1 − {symbol[name]}²)", 1 - gate**2)]
        if name != "g":
            own = [(symbol[name], gate), (f"(1 − {symbol[name]})", 1 - gate)]
        words, numbers = zip(*pair, *own, strict=True)
        filled = [part for values in numbers for part in ("∘", column(values))][1:]
        found = column(gated.delta[name][t - 1])
        yield Equation(at(f"δ{MARKS[name]}", t), " ∘ ".join(words), found, tuple(filled))
