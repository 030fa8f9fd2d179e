"""Cross entropy with class weights: targets y are w times one-hot, c(a, y) = -Σ_K y ln a, delta = (w a - y)/B."""

import torch

from workbench.core.axes import Outputs
from workbench.nn.losses import SOFTMAX, Loss, Measured, Smoothing


def weighted_nll(smoothing: Smoothing = 0.0) -> Loss:
    """-w ln p(y|x) of a softmax output, w = N/(K N_y) for N training examples of K classes, N_y of them in class y.

    All classes weigh the same over the training part (King and Zeng 2001; scikit-learn's ``class_weight="balanced"``).
    Unlike torch's, the mean over a batch is by its size, not by its weights. Smoothing s replaces y by
    (1 - s) y + w s/K.
    """

    def measure(z: Outputs, y: Outputs) -> Measured:
        weight = y.sum(2, keepdim=True)
        y = y if smoothing == 0 else y.mul(1 - smoothing).add_(weight, alpha=smoothing / z.shape[2])
        log_a = torch.log_softmax(z.transpose(1, 2), 1).transpose(1, 2)  # transposed as losses' softmax
        value = (log_a * y).sum((1, 2)).mul_(-1 / z.shape[1])
        return value, lambda: log_a.exp_().mul_(weight).sub_(y).mul_(1 / z.shape[1])

    return Loss(SOFTMAX.predict, measure, accepts=("weighted",), is_monotone=True)
