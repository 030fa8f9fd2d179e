"""Overrides in messages, quoted so that a shell and then Hydra read the same value."""

import json
import re
import shlex
from typing import Any

PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[A-Za-z0-9_./-]*")  # names and paths
WORDS = ("null", "true", "false", "nan", "inf")  # which Hydra does not read as texts


def override(key: str, value: Any) -> str:
    """Write ``key=value`` for a text, a number, or a list of them, quoted for a shell."""
    return shlex.quote(plain_override(key, value))


def plain_override(key: str, value: Any) -> str:
    """Write ``key=value`` for Hydra itself, with no shell between."""
    return f"{key}={_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_literal, value))}]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Text in double quotes; backslashes count only before a quote, and before what would be an interpolation."""
    escaped = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)
    escaped = re.sub(r'(\\*)"', lambda match: match[1] * 2 + r"\"", escaped)
    ending = re.sub(r".*?(\\*)\Z", r"\1", text, flags=re.DOTALL)
    return f'"{escaped}{ending}"'
