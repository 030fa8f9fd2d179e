"""Texts that went wrong somewhere, and their like, by where they stand: ``corpus.json``."""

import json
from pathlib import Path


def _text(one: str | list[str | int]) -> str:
    """A text; [before, part, times, after] are one with a part that is repeated."""
    if isinstance(one, str):
        return one
    before, part, times, after = one
    return f"{before}{str(part) * int(times)}{after}"


CORPUS: dict[str, list[str]] = {
    name: [_text(one) for one in texts]
    for name, texts in json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8")).items()
}
