"""Orientation selectivity of filters, by their power spectra.

A filter w of k x k pixels answers to a grating of frequency ω with the power P(ω) = |Σ_n w(n) e^(-iωn)|². With θ the
direction of ω, and ω over the k² frequencies of the discrete Fourier transform without 0,

    selectivity = |Σ P(ω) e^(2iθ)| / Σ P(ω)

is 1 minus the circular variance of the answers over orientations (Ringach, Shapley and Hawken 2002, of neurons of
V1): 1 where all gratings that it answers to have one orientation, as for an edge or a bar along the pixels, and 0 where
it answers to all orientations alike, as for a spot.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def selectivity(filters: Array) -> Array:
    """Orientation selectivity of filters [..., k, k], each from 0 to 1; 0 for a filter without contrast."""
    return _of_power(_power(filters))


def redrawn(filters: Array, draws: int, rng: np.random.Generator) -> Array:
    """Orientation selectivity [draws, ...] of random filters with as much power at each spatial frequency |ω|.

    Power among the frequencies of one |ω| is divided as in filters of white noise, whatever the direction.
    """
    power = _power(filters)
    noise = _power(rng.standard_normal((draws, *filters.shape)))
    _, frequency = _frequencies(filters.shape[-1])
    ring = np.unique(frequency, return_inverse=True)[1].ravel()
    of_ring = ring[:, None] == ring
    return _of_power(noise * (power @ of_ring) / np.maximum(noise @ of_ring, np.finfo(float).tiny))


def _power(filters: Array) -> Array:
    """Power at each frequency [..., k²], without that of the mean."""
    spectrum = np.abs(np.fft.fft2(filters)) ** 2
    spectrum[..., 0, 0] = 0
    return spectrum.reshape(*spectrum.shape[:-2], -1)


def _of_power(power: Array) -> Array:
    angle, _ = _frequencies(round(power.shape[-1] ** 0.5))
    total = power.sum(-1)
    found: Array = np.abs(power @ np.exp(2j * angle)) / np.where(total > 0, total, 1)
    return found


def _frequencies(size: int) -> tuple[Array, Array]:
    """Direction of each frequency, and the square of its length in whole numbers [k²]."""
    steps = np.rint(np.fft.fftfreq(size) * size)
    down, across = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    return np.arctan2(down, across), down**2 + across**2
