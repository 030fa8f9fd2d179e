"""The two loops of a recurrent layer: the steps along time, and the gradients back through them.

Tensors of all steps are [T, R, B, ...] by position. States are [T + 1, R, B, U] with the initial one, which is the
first, or the last on reversed time. In memory the steps of a replica lie together, so that products over all of them
need no copy.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from workbench.nn.layers.cells import Cell, Factors, Out, Rows
from workbench.nn.products import product_into

Present = Bool[Tensor, "T R B 1"]


def before(states: Rows, reverse: bool) -> Rows:
    """Views of the states before each step."""
    return tuple(state[1:] if reverse else state[:-1] for state in states)


def after(states: Rows, reverse: bool) -> Rows:
    """Views of the states after each step."""
    return before(states, not reverse)


def forward(
    cell: Cell,
    z: Tensor,
    U: Tensor,
    constants: Rows,
    present: Present | None,
    reverse: bool,
    truncate: int | None = None,
) -> tuple[Rows, Rows]:
    """Apply the cell to z [T, R, B, blocks·U] from state 0; return the states and what the cell saved.

    Steps write into tensors made for all of them, and over z, but where autograd looks on, which could not follow:
    there states are cut off after every `truncate` steps, as `backward` cuts gradients.
    """
    steps, units, n_states = len(z), U.shape[1], cell.n_states
    start = z.new_zeros(1, *z.shape[1:3], units)
    if z.grad_fn is None:
        states = tuple(_empty(z, steps + 1, units) for _ in range(n_states))
        for state in states:
            state[-1 if reverse else 0].zero_()
        saved = (z, *(_empty(z, steps, width) for width in cell.widths(units)))
        outs: list[Out] = list(_by_step((*after(states, reverse), *saved), steps))
        _run(cell, z, U, constants, present, reverse, None, outs, _by_step(cell.parts(saved), steps))
        return states, saved
    nothing: list[Out] = [(None,) * (n_states + 1 + len(cell.widths(units)))] * steps
    done = _run(cell, z, U, constants, present, reverse, truncate, nothing, [()] * steps)
    made = [torch.stack(rows) for rows in zip(*done, strict=True)]
    ends = [(state, start) if reverse else (start, state) for state in made[:n_states]]
    return tuple(torch.cat(pair) for pair in ends), tuple(made[n_states:])


def _run(
    cell: Cell,
    z: Tensor,
    U: Tensor,
    constants: Rows,
    present: Present | None,
    reverse: bool,
    truncate: int | None,
    outs: Sequence[Out],
    parts: Sequence[Rows],
) -> list[Rows]:
    """Return the states after each step and what it saved, by position."""
    steps, n_states = len(z), cell.n_states
    masks = None if present is None else present.unbind(0)
    row: Rows = (z.new_zeros(*z.shape[1:3], U.shape[1]),) * n_states
    done = [row] * steps
    for number, (t, inputs) in enumerate(sorted(enumerate(z.unbind(0)), reverse=reverse, key=lambda pair: pair[0])):
        states = row[:n_states]
        if truncate and number % truncate == 0:
            states = tuple(state.detach() for state in states)
        row = cell.step(states, U, inputs, constants, outs[t], parts[t])
        if masks is not None:
            pairs = zip(row, states, outs[t], strict=False)
            row = (*(torch.where(masks[t], new, old, out=out) for new, old, out in pairs), *row[n_states:])
        done[t] = row
    return done


def backward(
    cell: Cell,
    grads: Rows,
    factors: Factors,
    U: Tensor,
    present: Present | None,
    reverse: bool,
    truncate: int | None,
) -> None:
    """Turn `factors.delta` into the gradients of u, and `grads`, dC/d states of each step alone, into the whole ones.

    Gradients go back through at most `truncate` steps.
    """
    delta, inner, carry = factors if present is None else _masked(factors, present)
    steps = len(delta)
    deltas, inners, rows = delta.unbind(0), _by_step(inner, steps), _by_step(grads, steps)
    carries = [() if each is None else each.unbind(0) for each in carry]
    earlier = 1 if reverse else -1
    for number in range(steps - 1, -1, -1):
        t = steps - 1 - number if reverse else number
        cell.step_back(rows[t], deltas[t], inners[t])
        if number and (truncate is None or number % truncate):
            for grad, into, factor in zip(rows[t], rows[t + earlier], carries, strict=True):
                if factor:
                    into.addcmul_(grad, factor[t])
            into = rows[t + earlier][0]
            product_into(into, deltas[t], U, into)


def _masked(factors: Factors, present: Present) -> Factors:
    """Let gradients of states pass unchanged where a position is absent: delta is 0 there, and carry 1."""
    numbers = present.to(factors.delta.dtype)
    for tensor in (factors.delta, *factors.inner):
        if tensor.ndim == present.ndim:  # the others are views of delta
            tensor.mul_(numbers)
    absent = 1 - numbers
    carry = tuple(absent if each is None else torch.where(present, each, 1.0) for each in factors.carry)
    return Factors(factors.delta, factors.inner, carry)


def _empty(z: Tensor, steps: int, width: int) -> Tensor:
    """Make a tensor [steps, R, B, width]."""
    return z.new_empty(z.shape[1], steps, z.shape[2], width).transpose(0, 1)


def _by_step(tensors: Rows, steps: int) -> list[Rows]:
    """Views of each step's part of all tensors."""
    return list(zip(*(tensor.unbind(0) for tensor in tensors), strict=True)) or [()] * steps
