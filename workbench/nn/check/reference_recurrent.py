"""Second forms of recurrent nets, as in `reference_forward`: plain loops over positions of one replica."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.nn.check.reference_forward import ReferenceNet
from workbench.nn.check.reference_sequences import read

Step = Callable[[ReferenceNet, str, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _elman(net: ReferenceNet, name: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    at = net.params
    h: Tensor = net.activation(at[f"{name}.b"] + x @ at[f"{name}.W"].T + state[0] @ at[f"{name}.state.W"].T)
    return (h,)


def _gru(net: ReferenceNet, name: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    h, at = state[0], net.params
    r_x, s_x, n_x = F.linear(x, at[f"{name}.W"], at[f"{name}.b"]).chunk(3, 1)
    r_h, s_h, n_h = F.linear(h, at[f"{name}.state.W"]).chunk(3, 1)
    s = torch.special.expit(s_x + s_h)
    n = torch.tanh(n_x + torch.special.expit(r_x + r_h) * (n_h + at[f"{name}.state.b"]))
    return ((1 - s) * n + s * h,)


def _lstm(net: ReferenceNet, name: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    h, k = state
    both = torch.cat((net.params[f"{name}.W"], net.params[f"{name}.state.W"]), 1)
    i, f, g, o = F.linear(torch.cat((x, h), 1), both, net.params[f"{name}.b"]).chunk(4, 1)
    k = torch.special.expit(f) * k + torch.special.expit(i) * torch.tanh(g)
    return torch.special.expit(o) * torch.tanh(k), k


def _along(
    net: ReferenceNet, name: str, step: Step, n_states: int, x: Tensor, present: Tensor, positions: list[int]
) -> Tensor:
    """States h [B, T, U] after each of `positions`, in their order; the state stays where a position is absent."""
    width = net.params[f"{name}.state.W"].shape[1]
    state: tuple[Tensor, ...] = (x.new_zeros(len(x), width),) * n_states
    out = [state[0]] * x.shape[1]
    for t in positions:
        after = step(net, name, x[:, t], state)
        state = tuple(torch.where(present[:, t, None], new, old) for new, old in zip(after, state, strict=True))
        out[t] = state[0]
    return torch.stack(out, 1)


def _net(
    step: Step,
    n_states: int,
    net: ReferenceNet,
    x: Tensor,
    layers: int,
    bidirectional: bool = False,
    readout: str = "last",
    dropout: float = 0.0,
    **values: object,
) -> Tensor:
    first, present = 1, torch.ones(x.shape, dtype=torch.bool)
    if "l1.state.W" in net.params:
        x = x.view(len(x), -1, net.params["l1.W"].shape[1])
        present = torch.ones(x.shape[:2], dtype=torch.bool)
    else:
        first, present = 2, present if net.padding is None else x != net.padding
        x = F.embedding(x, net.params["l1.W"])
    ahead = list(range(x.shape[1]))
    for name in (f"l{number}" for number in range(first, first + layers)):
        x = net.dropped(name, x.flatten(0, 1), dropout if name != f"l{first}" else 0.0).view(x.shape)
        out = _along(net, name, step, n_states, x, present, ahead)
        if bidirectional:
            back = _along(net, f"{name}.reverse", step, n_states, x, present, ahead[::-1])
            out = torch.cat((out, back), 2)
        x = out
    if not net.per_position:
        last = read(x, present, readout)
        if bidirectional and readout == "last":
            half = x.shape[2] // 2
            last = torch.cat((last[:, :half], x[:, 0, half:]), 1)
        return net.affine(f"l{first + layers}", last)
    output = f"l{first + layers}"
    return F.linear(x, net.params[f"{output}.W"], net.params[f"{output}.b"])


ARCHITECTURES: dict[str, Callable[..., Tensor]] = {
    "elman": lambda net, x, **values: _net(_elman, 1, net, x, **values),
    "gru": lambda net, x, **values: _net(_gru, 1, net, x, **values),
    "lstm": lambda net, x, **values: _net(_lstm, 2, net, x, **values),
}
