"""Random streams: the same arguments give the same numbers, and each argument matters."""

from hashlib import sha256

import pytest
import torch

from workbench.core.seeds import PURPOSES, generator, stream_seed


def _draw(seed: int, purpose: str, name: str = "") -> list[float]:
    return torch.rand(4, generator=generator(seed, purpose, name), dtype=torch.float64).tolist()


def test_streams_repeat_themselves() -> None:
    """Equal seed, purpose and name, equal numbers; torch's global generator is neither read nor moved."""
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = _draw(3, "weights", "l1.W")
    assert torch.equal(torch.rand(1), expected)
    assert _draw(3, "weights", "l1.W") == first


def test_streams_differ_in_every_argument() -> None:
    """No two of many (seed, purpose, name) share a stream, nor do seeds that are near each other."""
    keys = [
        (seed, purpose, name) for seed in range(20) for purpose in PURPOSES for name in ("", "l1.W", "l2.W", "l1.b")
    ]
    assert len({stream_seed(*key) for key in keys}) == len(keys)
    assert len({tuple(_draw(*key)) for key in keys}) == len(keys)


def test_stream_seed_is_the_documented_hash() -> None:
    """The leading bits of SHA-256 of "seed/purpose/name": recorded runs can be drawn again by any program."""
    first = int(sha256(b"3/weights/l1.W").hexdigest()[:16], 16)
    assert stream_seed(3, "weights", "l1.W") == first >> 1
    assert stream_seed(3, "weights", "l1.W", bits=32) == first >> 32


def test_stream_seed_has_the_bits_asked_for() -> None:
    """Seeds of streams are below 2^bits and use the top bit, for the 63 bits of torch and the 32 of numpy."""
    for bits in (32, 63):
        seeds = [stream_seed(seed, "data", bits=bits) for seed in range(50)]
        assert 2 ** (bits - 1) <= max(seeds) < 2**bits


def test_unknown_purpose_is_refused() -> None:
    """An unknown purpose is refused: a misspelt purpose would be a stream that nobody else uses."""
    with pytest.raises(ValueError, match=r"purpose must be one of .*'weights'.*, got 'weight'"):
        stream_seed(0, "weight")
