"""Overrides for a message: as they are pasted into a shell, which hands them to Hydra, which reads the same value."""

import json
import re
import shlex
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WORDS = ("null", "true", "false", "nan", "inf")  # which Hydra does not read as texts


def override(key: str, value: Any) -> str:
    """``key=value`` for a text, a number, or a list of them, as a shell takes it."""
    return shlex.quote(plain_override(key, value))


def plain_override(key: str, value: Any) -> str:
    """The same as Hydra takes it, with no shell between."""
    return f"{key}={_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_literal, value))}]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    """In double quotes; backslashes count only before a quote, and before what would be an interpolation."""
    escaped = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)
    escaped = re.sub(r'(\\*)"', lambda found: found[1] * 2 + r"\"", escaped)
    ending = re.sub(r".*?(\\*)\Z", r"\1", text, flags=re.DOTALL)
    return f'"{escaped}{ending}"'
