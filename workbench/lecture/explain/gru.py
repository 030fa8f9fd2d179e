"""``workbench explain architecture=gru``: backpropagation through time in gated recurrent units, one layer.

Cho et al. (2014), in torch's form. Superscripts tell three blocks apart: the reset gate r, the update gate s, and the
candidate n, whose part u from the state is reset by r.

    zʳ_t = Wʳ x_t + Uʳ a_{t-1} + bʳ            zˢ alike            r, s = σ(z)
    zⁿ_t = Wⁿ x_t + bⁿ + r_t ∘ u_t              u_t = Uⁿ a_{t-1} + bᵘ                n = tanh zⁿ
    a_t = (1 - s_t) ∘ n_t + s_t ∘ a_{t-1}       a_0 = 0

    e_t = ∂C/∂a_t = Vᵀ ε_t + s_{t+1} ∘ e_{t+1} + (Uʳ)ᵀ δʳ_{t+1} + (Uˢ)ᵀ δˢ_{t+1} + (Uⁿ)ᵀ υ_{t+1}
    δⁿ = e ∘ (1 - s) ∘ (1 - n²)                 υ = ∂C/∂u = r ∘ δⁿ
    δˢ_t = e_t ∘ (a_{t-1} - n_t) ∘ s_t ∘ (1 - s_t)          δʳ = δⁿ ∘ u ∘ r ∘ (1 - r)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Heading, Step, column
from workbench.lecture.explain.gates import Gated
from workbench.lecture.explain.positions import at
from workbench.lecture.explain.unrolled import unroll

MARKS = {"r": "ʳ", "s": "ˢ", "n": "ⁿ"}  # in the order of the blocks
NET = (
    "At each step t there are gates r_t = σ(zʳ_t), zʳ_t = Wʳ x_t + Uʳ a_{t−1} + bʳ, and s_t alike. Of "
    "u_t = Uⁿ a_{t−1} + bᵘ, r lets a part into n_t = tanh zⁿ_t, zⁿ_t = Wⁿ x_t + bⁿ + r_t ∘ u_t. The state is "
    "a_t = (1 − s_t) ∘ n_t + s_t ∘ a_{t−1}, from a₀ = 0."
)


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError as `unroll` does."""
    unrolled = unroll(spec, pack, example, list(MARKS.values()), {"ⁿ": "υ"})
    gated = Reset(unrolled, MARKS)
    return unrolled.title("gru", example), list(unrolled.page(NET, _forward(gated), _backward(gated)))


@dataclass(frozen=True)
class Reset(Gated):
    """Values of gated recurrent units, with u, which the tape has in parts."""

    @cached_property
    def u(self) -> Tensor:
        """Uⁿ a_{t−1} + bᵘ [T, U]."""
        params = {one.symbol: self.of.step.params[one.name][0, one.part] for one in self.of.parameters}
        return self.states[0][:-1] @ params["Uⁿ"].T + params["bᵘ"]


def _forward(gated: Reset) -> Iterator[Step]:
    of = gated.of
    yield Heading("Forward, step by step")
    for t in range(1, of.steps + 1):
        value = {name: column(gate[t - 1]) for name, gate in gated.gates.items()}
        yield of.inputs(t)
        for name in "rs":
            yield of.before(t, MARKS[name], gated.z[name])
            yield Equation(at(name, t), f"σ({at(f'z{MARKS[name]}', t)})", value[name])
        u = column(gated.u[t - 1])
        from_state = (of.shown("Uⁿ"), of.state(t - 1), "+", of.shown("bᵘ"))
        yield Equation(at("u", t), f"Uⁿ {at('a', t - 1)} + bᵘ", u, from_state)
        x = column(of.tape.inputs[0][t - 1])
        formula = f"Wⁿ {at('x', t)} + bⁿ + {at('r', t)} ∘ {at('u', t)}"
        summed = (of.shown("Wⁿ"), x, "+", of.shown("bⁿ"), "+", value["r"], "∘", u)
        yield Equation(at("zⁿ", t), formula, column(gated.z["n"][t - 1]), summed)
        yield Equation(at("n", t), f"tanh {at('zⁿ', t)}", value["n"])
        formula = f"(1 − {at('s', t)}) ∘ {at('n', t)} + {at('s', t)} ∘ {at('a', t - 1)}"
        rest = column(1 - gated.gates["s"][t - 1])
        mixed = (rest, "∘", value["n"], "+", value["s"], "∘", of.state(t - 1))
        yield Equation(at("a", t), formula, of.state(t), mixed)
        yield from of.outputs(t)


def _backward(gated: Reset) -> Iterator[Step]:
    of, gates = gated.of, gated.gates
    inner = gates["r"] * gated.delta["n"]
    yield Heading("Backward, from the last step to the first")
    for t in range(of.steps, 0, -1):
        yield from of.back(t, {"ʳ": gated.delta["r"], "ˢ": gated.delta["s"], "ⁿ": inner}, gates["s"])
        yield from _block_deltas(gated, inner, t)


def _block_deltas(gated: Reset, inner: Tensor, t: int) -> Iterator[Equation]:
    """δ of each block at a step, and υ."""
    e, u, before = gated.e[t - 1], gated.u[t - 1], gated.states[0][t - 1]
    r, s, n = (gate[t - 1] for gate in gated.gates.values())
    of_n, (R, S, N) = gated.delta["n"][t - 1], (at(name, t) for name in "rsn")
    rows = {
        "δⁿ": ({at("e", t): e, f"(1 − {S})": 1 - s, f"(1 − {N}²)": 1 - n**2}, of_n),
        "υ": ({R: r, at("δⁿ", t): of_n}, inner[t - 1]),
        "δˢ": (
            {at("e", t): e, f"({at('a', t - 1)} − {N})": before - n, S: s, f"(1 − {S})": 1 - s},
            gated.delta["s"][t - 1],
        ),
        "δʳ": ({at("δⁿ", t): of_n, at("u", t): u, R: r, f"(1 − {R})": 1 - r}, gated.delta["r"][t - 1]),
    }
    for symbol, (factors, found) in rows.items():
        filled = [part for values in factors.values() for part in ("∘", column(values))][1:]
        yield Equation(at(symbol, t), " ∘ ".join(factors), column(found), tuple(filled))
