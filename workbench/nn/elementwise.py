"""Elementwise functions whose results do not depend, to the last bit, on an entry's position in the tensor.

Torch's sigmoid, softplus, silu and powers from the fourth on treat the last few numbers of a tensor, which do not fill
a vector register, by another code path, so a replica's last bits would depend on the other replicas of its pack. The
functions used here (exp, logsigmoid, products, quotients) have a single code path.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, threshold

LOWEST, LEAST = -708.0, 3.4e-308  # below LOWEST, exp(-z) = ∞ in float64 and autograd gives ∞ · 0; LEAST is σ(LOWEST)


def logistic(z: Tensor) -> Tensor:
    """σ(z) = 1/(1 + exp(-z)), a fresh tensor; exact to a few units in the last place at both ends."""
    if z.dtype is torch.float64:
        return threshold((z.clamp(min=LOWEST).neg_().exp_() + 1).reciprocal_(), LEAST, 0.0)
    return (z.neg().exp_() + 1).reciprocal_()


def log_one_plus_exp(z: Tensor) -> Tensor:
    """ln(1 + exp z) = max(0, z) + ln(1 + exp(-abs z)), a fresh tensor: softplus without overflow."""
    return logsigmoid(z.neg()).abs_()  # not neg_, which would turn 0 to -0


def logistic_chain(grad: Tensor, a: Tensor, out: Tensor | None = None) -> Tensor:
    """Compute grad · a (1 - a), the chain rule through a = σ(z), into `out` if there is one."""
    out = torch.empty_like(a) if out is None else out
    torch.ops.aten.sigmoid_backward.grad_input(grad, a, grad_input=out)
    return out


def tanh_chain(grad: Tensor, a: Tensor, out: Tensor | None = None) -> Tensor:
    """Compute grad · (1 - a²), the chain rule through a = tanh z, into `out` if there is one."""
    out = torch.empty_like(a) if out is None else out
    torch.ops.aten.tanh_backward.grad_input(grad, a, grad_input=out)
    return out


def power(z: Tensor, exponent: int) -> Tensor:
    """z^exponent for a natural exponent, by squaring."""
    if exponent < 2:
        return z.clone() if exponent else torch.ones_like(z)
    half = power(z, exponent // 2) if exponent > 3 else z
    return half * half * z if exponent % 2 else half * half
