"""``workbench explain architecture=elman``: backpropagation through time (Rumelhart et al. 1986), one layer.

    z_t = W x_t + U a_{t-1} + b         a_t = f(z_t)        a_0 = 0         o_t = V a_t + c         h_t = h(o_t)

    ε_t = ∂C/∂o_t       e_t = ∂C/∂a_t = Vᵀ ε_t + Uᵀ δ_{t+1}         δ_t = ∂C/∂z_t = e_t ∘ f′(z_t)

x_t is a feature, or the row of E for a token.
"""

from collections.abc import Iterator

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture.explain.content import Equation, Heading, Step, column
from workbench.lecture.explain.positions import at
from workbench.lecture.explain.unrolled import Unrolled, unroll


def page(spec: RunSpec, pack: Pack, example: int) -> tuple[str, list[Step]]:
    """Title and content; raises ConfigError as `unroll` does."""
    unrolled = unroll(spec, pack, example, [""])
    f = spec.choices["activation"]
    net = f"At each step t, z_t = W x_t + U a_{{t−1}} + b and a_t = f(z_t), f = {f}, from a₀ = 0."
    return unrolled.title("elman", example), list(unrolled.page(net, _forward(unrolled), _backward(unrolled)))


def _forward(of: Unrolled) -> Iterator[Step]:
    yield Heading("Forward, step by step")
    for t in range(1, of.steps + 1):
        yield of.inputs(t)
        yield of.before(t, "", of.tape.saved[0][:, 0, 0])
        yield Equation(at("a", t), f"f({at('z', t)})", of.state(t))
        yield from of.outputs(t)


def _backward(of: Unrolled) -> Iterator[Step]:
    yield Heading("Backward, from the last step to the first")
    delta = of.step.recorder.deltas[of.hidden.name][0]
    e, slope = of.step.recorder.states[of.hidden.name][:, 0, 0], next(of.hidden.units(of.tape)).slope()[0]
    for t in range(of.steps, 0, -1):
        yield from of.back(t, {"": delta})
        yield Equation(f"f′({at('z', t)})", "", column(slope[t - 1]))
        factors = column(e[t - 1]), "∘", column(slope[t - 1])
        yield Equation(at("δ", t), f"{at('e', t)} ∘ f′({at('z', t)})", column(delta[t - 1]), factors)
