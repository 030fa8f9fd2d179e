"""Damage the bytes of a file that was right. Each way has a name, so that a case can say it in text."""

import json
from collections.abc import Callable
from pathlib import Path

Mutation = Callable[[bytes, float, str], bytes]  # content, place in 0..1, an argument


def _flip(data: bytes, place: float, argument: str) -> bytes:
    """Flip one bit."""
    at = int(place * len(data) * 8)
    return data[: at // 8] + bytes([data[at // 8] ^ (1 << at % 8)]) + data[at // 8 + 1 :] if data else b"\1"


def _zero(data: bytes, place: float, argument: str) -> bytes:
    """Zero a stretch of bytes."""
    at, count = int(place * len(data)), int(argument or "64")
    return data[:at] + bytes(min(count, len(data) - at)) + data[at + count :]


def _insert(data: bytes, place: float, argument: str) -> bytes:
    at = int(place * len(data))
    return data[:at] + argument.encode("utf-8", "surrogateescape") + data[at:]


def _cut(data: bytes, place: float, argument: str) -> bytes:
    at, count = int(place * len(data)), int(argument or "16")
    return data[:at] + data[at + count :]


def _lines(change: Callable[[list[bytes], int], list[bytes]]) -> Mutation:
    def changed(data: bytes, place: float, argument: str) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(change(lines, int(place * len(lines)))) if lines else data

    return changed


def _metadata(data: bytes, place: float, argument: str) -> bytes:
    """Other texts in the header of a safetensors file; null removes one."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    for key, value in json.loads(argument).items():
        if value is None:
            header["__metadata__"].pop(key, None)
        else:
            header["__metadata__"][key] = value
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


MUTATIONS: dict[str, Mutation] = {
    "truncate": lambda data, place, argument: data[: int(place * len(data))],
    "flip": _flip,
    "zero": _zero,
    "insert": _insert,
    "cut": _cut,
    "append": lambda data, place, argument: data + argument.encode("utf-8", "surrogateescape"),
    "replace": lambda data, place, argument: argument.encode("utf-8", "surrogateescape"),
    "doubled": lambda data, place, argument: data + data,
    "drop line": _lines(lambda lines, at: lines[:at] + lines[at + 1 :]),
    "double line": _lines(lambda lines, at: lines[: at + 1] + lines[at:]),
    "swap lines": _lines(lambda lines, at: lines[at:] + lines[:at]),
    "metadata": _metadata,
}


def edit(folder: Path, pattern: str, name: str, place: float, argument: str) -> None:
    """Change every file in a folder that a pattern finds, or ``remove`` it."""
    found = sorted(folder.glob(pattern))
    assert found, f"no {pattern} in {folder}"
    for file in found:
        if name == "remove":
            file.unlink()
        elif name == "rename":
            file.rename(file.with_name(argument))
        else:
            file.write_bytes(MUTATIONS[name](file.read_bytes(), place, argument))
