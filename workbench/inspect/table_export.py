"""Tables as files: numbers as CSV or Parquet, text as LaTeX or Markdown, each escaped as its format needs."""

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pandas as pd

from workbench.core.errors import ConfigError, unknown_name

SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".tex": "latex", ".md": "markdown"}
LATEX_SIGNS = {"±": r"$\pm$", "²": r"\textsuperscript{2}", "…": r"\ldots{}", "−": "$-$"}


def format_of(name: str | None, file: str | None) -> str:
    """Format by its name, else by the file's suffix.

    Raises UnknownNameError for an unknown name or suffix, ConfigError for Parquet without a file.
    """
    if name is None:
        suffix = Path(file or "").suffix
        if suffix not in SUFFIXES:
            raise unknown_name("compare: suffix of the file (or choose with --format)", suffix, SUFFIXES)
        name = SUFFIXES[suffix]
    if name not in FORMATS:
        raise unknown_name("compare --format", name, FORMATS)
    if name == "parquet" and file is None:
        raise ConfigError("compare --format parquet: is no text, so it needs a file; add -o table.parquet")
    return name


def as_bytes(kind: str, numbers: pd.DataFrame, text: pd.DataFrame) -> bytes:
    """Content of the file: `numbers`, a row per arm and metric, or `text`, formatted for readers."""
    return FORMATS[kind](numbers, text)


def _csv(numbers: pd.DataFrame, text: pd.DataFrame) -> bytes:
    return numbers.to_csv(index=False, lineterminator="\n").encode()


def _parquet(numbers: pd.DataFrame, text: pd.DataFrame) -> bytes:
    out = BytesIO()
    numbers.to_parquet(out, index=False)
    return out.getvalue()


def _latex(numbers: pd.DataFrame, text: pd.DataFrame) -> bytes:
    body = text.to_latex(index=False, escape=True, column_format="l" + "r" * (len(text.columns) - 1))
    for sign, command in LATEX_SIGNS.items():
        body = body.replace(sign, command)
    return body.encode()


def _markdown(numbers: pd.DataFrame, text: pd.DataFrame) -> bytes:
    rows = [[_marked(cell) for cell in line] for line in [list(text.columns), *text.to_numpy().tolist()]]
    rule = ["---", *["---:"] * (len(text.columns) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [rows[0], rule, *rows[1:]]).encode()


def _marked(cell: str) -> str:
    """Escape each sign that Markdown may interpret."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(cell.split()))


FORMATS: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
    "latex": _latex,
    "markdown": _markdown,
}
