"""Random streams: one generator per (seed, purpose), so that no use of randomness disturbs another.

Purposes: ``weights`` (with the parameter's name, so that a layer's draw does not depend on its neighbors),
``order`` (of the examples), ``data`` (split and synthesis), ``noise``. Generators live on the CPU, whatever the
device: a replica's stream is then the same everywhere.
"""

from hashlib import sha256

import torch

PURPOSES = ("weights", "order", "data", "noise")


def stream_seed(seed: int, purpose: str, name: str = "", bits: int = 63) -> int:
    """An integer below 2^bits that depends on all three arguments and on nothing else."""
    if purpose not in PURPOSES:
        raise ValueError(f"stream_seed: purpose must be one of {PURPOSES}, got {purpose!r}")
    digest = sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def generator(seed: int, purpose: str, name: str = "") -> torch.Generator:
    """The stream of `seed` for `purpose`; the same arguments always give the same numbers."""
    return torch.Generator().manual_seed(stream_seed(seed, purpose, name))
