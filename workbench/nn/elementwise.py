"""Elementwise functions that give a number the same bits wherever it lies in a tensor.

Torch's own sigmoid, softplus, silu and powers from the fourth on compute a tensor's last few numbers, which do not fill
a vector register, in another way than all others. So a replica's last bits would depend on who trains beside it. What
these are made of (exp, logsigmoid, products, quotients) has one way for all.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, threshold

LOWEST, LEAST = -708.0, 3.4e-308  # in float64: where autograd would multiply exp(-z) = ∞ by σ(z) = 0, and σ(LOWEST)


def logistic(z: Tensor) -> Tensor:
    """σ(z) = 1/(1 + exp(-z)), a fresh tensor; exact to a few units in the last place at both ends."""
    if z.dtype is torch.float64:
        return threshold((z.clamp(min=LOWEST).neg_().exp_() + 1).reciprocal_(), LEAST, 0.0)
    return (z.neg().exp_() + 1).reciprocal_()


def log_one_plus_exp(z: Tensor) -> Tensor:
    """ln(1 + exp z) = max(0, z) + ln(1 + exp(-abs z)), a fresh tensor: softplus without overflow."""
    return logsigmoid(z.neg()).abs_()  # its sign turned, so that 0 is not -0


def power(z: Tensor, exponent: int) -> Tensor:
    """z^exponent for a natural exponent, by squaring."""
    if exponent < 2:
        return z.clone() if exponent else torch.ones_like(z)
    half = power(z, exponent // 2) if exponent > 3 else z
    return half * half * z if exponent % 2 else half * half
