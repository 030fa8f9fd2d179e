"""Random streams: one generator per (seed, purpose), so that streams are independent of each other.

Purposes: ``weights`` (with the parameter's name, so that a layer's draw does not depend on its neighbors),
``order`` (of the examples), ``data`` (split and synthesis), ``noise``. Generators are on the CPU, whatever the
device, so that a replica's stream is the same on all of them.
"""

from hashlib import sha256

import torch

PURPOSES = ("weights", "order", "data", "noise")


def stream_seed(seed: int, purpose: str, name: str = "", bits: int = 63) -> int:
    """Derive an integer below 2^bits from the first three arguments alone, by SHA-256.

    Raises ValueError for a purpose outside PURPOSES.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"stream_seed: purpose must be one of {PURPOSES}, got {purpose!r}")
    digest = sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def generator(seed: int, purpose: str, name: str = "") -> torch.Generator:
    """Make the random stream of `seed` for `purpose`; raises ValueError as `stream_seed` does."""
    return torch.Generator().manual_seed(stream_seed(seed, purpose, name))
