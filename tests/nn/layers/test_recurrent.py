"""Recurrent layers against autograd, torch's own modules, numbers worked by hand, and packs."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.nn.layers.test_readout import lengths
from tests.nn.test_layers import EXACT, SCHEME, _compare, _params, _randn
from tests.reference import build
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Mode, Recorder
from workbench.nn.layers.cells import GRU, LSTM, Cell, Elman, Factors, Out, Rows
from workbench.nn.layers.recurrent import Bidirectional, Recurrent
from workbench.nn.model import Model
from workbench.nn.params import Params

CELLS: dict[str, Cell] = {"elman": Elman(), "gru": GRU(), "lstm": LSTM()}
MODULES: dict[str, type[nn.RNNBase]] = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
TORCH = {"rtol": 1e-12, "atol": 1e-12}


def _shaken(layer: Any, replicas: int, dtype: torch.dtype = torch.float64) -> Params:
    """Initial parameters moved by noise, so that no bias is 0."""
    params = _params(layer, replicas)
    params.flat.add_(_randn(*params.flat.shape, seed=5) * 0.3)
    return params.with_flat(params.flat.to(dtype))


def _gradients(layer: Any, params: Params, x: Tensor, grad_out: Tensor, mode: Mode) -> tuple[Tensor, Params, Tensor]:
    """Output, and the hand-written gradients of <grad_out, out>."""
    grads = Params.zeros(params.layout.trained, len(x), x)
    grads.flat.fill_(5.0)  # stale numbers must be overwritten
    out, tape = layer.forward(params, x, mode)
    grad_in = layer.backward(params, tape, grad_out, grads)
    return out, grads, grad_in


def _by_autograd(layer: Any, params: Params, x: Tensor, grad_out: Tensor, mode: Mode) -> tuple[Tensor, Params, Tensor]:
    leaf, x_leaf = params.flat.clone().requires_grad_(), x.clone().requires_grad_()
    out, _ = layer.forward(params.with_flat(leaf), x_leaf, mode)
    of_params, of_x = torch.autograd.grad((out * grad_out).sum(), [leaf, x_leaf], allow_unused=True)
    return out, params.with_flat(of_params), of_x


def _agree(ours: tuple[Tensor, Params, Tensor], theirs: tuple[Tensor, Params, Tensor], **within: float) -> None:
    torch.testing.assert_close(ours[0], theirs[0], **within)
    torch.testing.assert_close(ours[2], theirs[2], **within)
    for name, gradient in ours[1].items():
        torch.testing.assert_close(gradient, theirs[1][name], **within, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@settings(max_examples=300)
@given(data=st.data())
def test_gradients_equal_autograd_at_many_sizes(data: st.DataObject) -> None:
    """Output and all gradients are autograd's in 300 more cases."""
    test_gradients_equal_autograd.hypothesis.inner_test(data)


@settings(max_examples=10)
@given(data=st.data())
def test_gradients_equal_autograd(data: st.DataObject) -> None:
    """Output and all gradients are autograd's, for any sizes, masks, direction and precision."""
    replicas, batch, steps, fan_in, width = (data.draw(st.integers(1, most)) for most in (4, 3, 9, 4, 5))
    layer = Recurrent("l1", fan_in, width, CELLS[data.draw(st.sampled_from(sorted(CELLS)))], data.draw(st.booleans()))
    present = None
    if data.draw(st.booleans()):
        counts = data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
        present = lengths(*counts, positions=steps, replicas=replicas)
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    params, x = _shaken(layer, replicas, dtype), _randn(replicas, batch, steps, fan_in).to(dtype)
    grad_out = _randn(replicas, batch, steps, width, seed=1).to(dtype)
    arguments = layer, params, x, grad_out, Mode(present=present)
    within = {"rtol": 1e-10, "atol": 1e-12} if dtype is torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    _agree(_gradients(*arguments), _by_autograd(*arguments), **within)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "softsign"])
def test_elman_takes_any_activation(activation: str) -> None:
    """Simple recurrent units with other activations than tanh, constants included."""
    layer = Recurrent("l1", 3, 4, Elman(build("activation", activation)))
    _compare(layer, _randn(2, 3, 5, 3))
    _, tape = layer.forward(_params(layer, 2), _randn(2, 3, 5, 3))
    assert [pieces.shape for pieces in layer.choices(tape)] == [(2, 15, 4)]


def _module(cell: str, layer: Recurrent, params: Params, replica: int) -> nn.RNNBase:
    """torch's module with a replica's weights."""
    module = MODULES[cell](layer.fan_in, layer.width, batch_first=True, dtype=torch.float64)
    W, U, b = (params[f"{layer.name}.{part}"][replica] for part in ("W", "state.W", "b"))
    zeros = torch.zeros_like(b)
    c = torch.cat((zeros[: -layer.width], params[f"{layer.name}.state.b"][replica])) if layer.cell.has_c else zeros
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (W, U, b, c), strict=True):
            parameter.copy_(value)
    return module


def _check_against_torch(cell: str, layer: Recurrent, truncate: int | None = None) -> None:
    """Outputs and gradients of two batches, one after the other, are those of torch's module from state 0.

    With `truncate`, the module runs over pieces of so many steps, each from the detached state of the one before.
    """
    params, grad_out = _shaken(layer, 3), _randn(3, 5, 7, 6, seed=1)
    for x in (_randn(3, 5, 7, 4), _randn(3, 5, 7, 4, seed=2)):
        out, grads, grad_in = _gradients(layer, params, x, grad_out, Mode())
        for r in range(3):
            module, x_leaf = _module(cell, layer, params, r), x[r].clone().requires_grad_()
            state, pieces = None, []
            for piece in x_leaf.split(truncate or 7, 1):
                h, state = module(piece, state)
                state = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
                pieces.append(h)
            expected = torch.cat(pieces, 1)
            torch.testing.assert_close(out[r], expected, **TORCH)
            W, U, b, c, of_x = torch.autograd.grad((expected * grad_out[r]).sum(), [*module.parameters(), x_leaf])
            theirs = {"l1.W": W, "l1.state.W": U, "l1.b": b, "l1.state.b": c[-6:]}
            for name, gradient in grads.items():
                torch.testing.assert_close(gradient[r], theirs[name], **TORCH)
            torch.testing.assert_close(grad_in[r], of_x, **TORCH)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("truncate", [None, 1, 3, 7])
def test_outputs_and_gradients_are_those_of_torch(cell: str, truncate: int | None) -> None:
    """nn.RNN, nn.GRU and nn.LSTM with the same weights give the same, also with truncated backpropagation."""
    _check_against_torch(cell, Recurrent("l1", 4, 6, CELLS[cell], truncate=truncate), truncate)


@pytest.mark.parametrize("cell", CELLS)
def test_two_bidirectional_layers_are_those_of_torch(cell: str) -> None:
    """Two layers in both directions give the outputs and gradients of torch's module with bidirectional=True."""
    model = Model(tuple(_both(f"l{number}", fan_in, 5, CELLS[cell]) for number, fan_in in ((1, 4), (2, 10))))
    params, x, grad_out = _shaken(model, 2), _randn(2, 3, 6, 4), _randn(2, 3, 6, 10, seed=1)
    out, grads, grad_in = _gradients(model, params, x, grad_out, Mode())
    for r in range(2):
        module = MODULES[cell](4, 5, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
        parts = [part for layer in model.children for part in layer.children]
        weights = [value for part in parts for value in _module(cell, part, params, r).parameters()]
        with torch.no_grad():
            for parameter, value in zip(module.parameters(), weights, strict=True):
                parameter.copy_(value)
        x_leaf = x[r].clone().requires_grad_()
        expected, _ = module(x_leaf)
        torch.testing.assert_close(out[r], expected, **TORCH)
        *theirs, of_x = torch.autograd.grad((expected * grad_out[r]).sum(), [*module.parameters(), x_leaf])
        for number, part in enumerate(parts):
            W, U, b, _ = theirs[4 * number : 4 * number + 4]
            for name, gradient in (("W", W), ("state.W", U), ("b", b)):
                torch.testing.assert_close(grads[f"{part.name}.{name}"][r], gradient, **TORCH)
        torch.testing.assert_close(grad_in[r], of_x, **TORCH)


def _both(name: str, fan_in: int, width: int, cell: Cell) -> Bidirectional:
    return Bidirectional(
        Recurrent(name, fan_in, width, cell), Recurrent(f"{name}.reverse", fan_in, width, cell, reverse=True)
    )


def _check_padding(layer: Recurrent) -> None:
    """A padded example has the states, and gives the gradients, of the short example alone; the rest stays."""
    params, x = _shaken(layer, 2), _randn(2, 3, 7, 4)
    out, grads, grad_in = _gradients(
        layer, params, x, _first(4), Mode(present=lengths(4, 4, 4, positions=7, replicas=2))
    )
    short, short_grads, short_in = _gradients(layer, params, x[:, :, :4], _first(4)[:, :, :4], Mode())
    torch.testing.assert_close(out[:, :, :4], short, **EXACT)
    stays = torch.zeros_like(short[:, :, -1:]) if layer.reverse else out[:, :, 3:4]
    assert torch.equal(out[:, :, 4:], stays.expand(-1, -1, 3, -1))
    torch.testing.assert_close(grads.flat, short_grads.flat, **EXACT)
    torch.testing.assert_close(grad_in[:, :, :4], short_in, **EXACT)
    assert not grad_in[:, :, 4:].any()


def _first(steps: int) -> Tensor:
    return _randn(2, 3, 7, 6, seed=1) * (torch.arange(7) < steps).view(1, 1, 7, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_does_not_move_the_state(cell: str, reverse: bool) -> None:
    """After the last present position the state stays; on reversed time it is 0 until there."""
    _check_padding(Recurrent("l1", 4, 6, CELLS[cell], reverse))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("batch", "fan_in", "width"), [(5, 4, 6), (1, 1, 2), (1, 3, 16), (4, 16, 2)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_replica_has_the_same_bits_alone(cell: str, batch: int, fan_in: int, width: int, masked: bool) -> None:
    """Outputs and gradients of a replica alone are, to the bit, those it has in a pack."""
    layer = Recurrent("l1", fan_in, width, CELLS[cell])
    params, x, grad_out = _shaken(layer, 3), _randn(3, batch, 7, fan_in), _randn(3, batch, 7, width, seed=1)
    present = lengths(*range(3, 3 + batch), positions=7, replicas=3) if masked else None
    pack = _gradients(layer, params, x, grad_out, Mode(present=present))
    for r in range(3):
        one = slice(r, r + 1)
        own = params.with_flat(params.flat[one].clone())
        mode = Mode(present=None if present is None else present[one])
        alone = _gradients(layer, own, x[one], grad_out[one], mode)
        for ours, theirs in zip(alone, (pack[0], pack[1].flat, pack[2]), strict=True):
            assert torch.equal((ours.flat if isinstance(ours, Params) else ours)[0], theirs[r])


def test_worked_by_hand() -> None:
    """Elman units f(z) = z, W = 2, U = 3, b = 1, x = (1, 2): h = (3, 14); for C = h_2: dW = 5, dU = 3, db = 4."""
    layer = Recurrent("l1", 1, 1, Elman(build("activation", "identity")))
    row = {"l1.W": torch.tensor([[2.0]]), "l1.b": torch.tensor([1.0]), "l1.state.W": torch.tensor([[3.0]])}
    params = Params.stack([row], torch.float64, torch.device("cpu"))
    x, grad_out = torch.tensor([1.0, 2.0]).double().view(1, 1, 2, 1), torch.tensor([0.0, 1.0]).double().view(1, 1, 2, 1)
    out, grads, grad_in = _gradients(layer, params, x, grad_out, Mode())
    assert out.flatten().tolist() == [3, 14]
    assert [grads[name].item() for name in ("l1.W", "l1.state.W", "l1.b")] == [5, 3, 4]
    assert grad_in.flatten().tolist() == [6, 2]


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_come_block_by_block(cell: str) -> None:
    """Every block of U is orthogonal, biases are the scheme's but those of a forget gate, which are 1."""
    layer = Recurrent("l1", 4, 6, CELLS[cell])
    drawn = layer.init(0, SCHEME)
    for block in drawn["l1.state.W"].split(6):
        torch.testing.assert_close(block @ block.T, torch.eye(6).double())
    biases = dict(zip(layer.cell.gates, drawn["l1.b"].split(6), strict=True))
    assert {gate: bias.unique().tolist() for gate, bias in biases.items()} == {
        gate: [1.0 if gate == "forget_gate" else 0.1] for gate in layer.cell.gates
    }
    assert ("l1.state.b" in drawn) == (cell == "gru")
    by_scheme = replace(layer, initial=None).init(0, SCHEME)["l1.state.W"]
    assert by_scheme.std() == pytest.approx((2 / 6) ** 0.5, rel=0.3)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_diagnostics_see_units_and_gates(cell: str, reverse: bool) -> None:
    """z, a = f(z) and delta of the units and of each gate are [R, B·T, U]; delta is db, summed over positions."""
    layer = Recurrent("l1", 4, 6, CELLS[cell], reverse)
    params, x, recorder = _shaken(layer, 2), _randn(2, 3, 5, 4), Recorder()
    grads = Params.zeros(params.layout.trained, 2, x)
    out, tape = layer.forward(params, x)
    layer.backward(params, tape, _randn(*out.shape, seed=1), grads, recorder=recorder)
    names = [f"l1.{gate}" if gate else "l1" for gate in layer.cell.gates]
    assert list(recorder.deltas) == names == [name for name, _, _ in layer.activity(tape)]
    for units in layer.units(tape):
        assert units.z.shape == units.a.shape == recorder.deltas[units.name].shape == (2, 15, 6)
        torch.testing.assert_close(units.a, units.activation.forward(units.z), **EXACT)
    torch.testing.assert_close(torch.cat([*recorder.deltas.values()], 2).sum(1), grads["l1.b"], **EXACT)
    ((name, z),) = layer.preactivations(tape)
    assert (name, z.shape[2]) == ("l1.W", layer.rows)
    if cell == "elman":
        assert torch.equal(next(layer.units(tape)).a, out.flatten(1, 2))


def test_wrong_shapes_are_named() -> None:
    """Errors say which layer, what it wants and what came."""
    layer, forward = Recurrent("l2", 3, 4, Elman()), inspect.unwrap(Recurrent.forward)
    with pytest.raises(
        ShapeError, match=r"Recurrent 'l2': x must be \[R, B, T, 3\], got \[2, 6, 3\]; give each position"
    ):
        forward(layer, {}, _randn(2, 6, 3))
    mode = Mode(present=torch.ones(2, 6, 4, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"Mode.present must be \[2, 6, 5\], got \[2, 6, 4\]; mark each position"):
        forward(layer, {}, _randn(2, 6, 5, 3), mode)


class Ungated(LSTM):
    """An LSTM without its output gate."""

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        """Take the gate for 1."""
        _, k, z, gates, squashed = super().step(before, U, z, constants, out, parts)
        return squashed if out[0] is None else out[0].copy_(squashed), k, z, gates, squashed


class ResetBefore(GRU):
    """A GRU whose reset gate is applied before the product with U, as first printed: n = tanh(z_n + (r h) Uᵀ + c)."""

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        """Multiply h by r, then by U."""
        r = torch.sigmoid(2 * (z + before[0] @ U)[..., :6])
        inner = 2 * (r * before[0]) @ U[..., 12:] + 2 * constants[0][..., 12:]
        u = before[0] @ U + constants[0]
        n = torch.tanh(z[..., 12:] + inner)
        s = torch.sigmoid(2 * (z + u)[..., 6:12])
        return (n + s * (before[0] - n), *super().step(before, U, z, constants, (None,) * 6, ())[1:])


class Remembering(Elman):
    """Simple units that start from the state which the last batch left."""

    left: ClassVar[list[Tensor]] = []

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        """Take the last batch's state for the initial one."""
        h = before[0] if before[0].any() or not self.left else self.left[-1]
        row = super().step((h,), U, z, constants, out, parts)
        self.left.append(row[0].clone())
        return row


class ForgetByCandidate(LSTM):
    """An LSTM whose forget gate gets its gradient through the candidate g, not through the memory before."""

    def factors(self, before: Rows, h: Tensor, saved: Rows, constants: Rows) -> Factors:
        """Take g for the memory."""
        g = saved[1].split(h.shape[-1], -1)[2]
        return super().factors((before[0], g), h, saved, constants)


class Blind(Recurrent):
    """A layer that takes padding for inputs."""

    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Any]:
        """Forget what is present."""
        return super().forward(params, x, mode._replace(present=None))


MISTAKES: dict[str, Callable[[], None]] = {
    "forgotten gate": lambda: _check_against_torch("lstm", Recurrent("l1", 4, 6, Ungated())),
    "reset gate before the product": lambda: _check_against_torch("gru", Recurrent("l1", 4, 6, ResetBefore())),
    "state not reset between batches": lambda: _check_against_torch("elman", Recurrent("l1", 4, 6, Remembering())),
    "padding that moves the state": lambda: _check_padding(Blind("l1", 4, 6, Elman())),
    "forget gate's gradient through the candidate": lambda: _check_against_torch(
        "lstm", Recurrent("l1", 4, 6, ForgetByCandidate())
    ),
    "truncation off by one": lambda: _check_against_torch("gru", Recurrent("l1", 4, 6, GRU(), truncate=4), 3),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_caught(name: str) -> None:
    """The comparison that the right layer passes fails for each of these."""
    with pytest.raises(AssertionError):
        MISTAKES[name]()
