"""One JSON document on the standard output: numbers unrounded, those that are not finite as null."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any

OPTION = "--json"
HELP = "one JSON document in place of the text, numbers unrounded and null where they are not finite"


def print_json(document: Any) -> None:
    """Print dataclasses, named tuples, mappings, lists and plain values as JSON, in signs of every encoding."""
    print(json.dumps(plain(document), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Convert to what JSON has: objects with texts as keys, lists, texts, numbers and null."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    return list(map(plain, value)) if isinstance(value, list | tuple) else value
