"""Guess how a CSV file is written: its encoding, separator and header by its first rows."""

import csv
import io
from pathlib import Path

from workbench.data.delimited import HEAD, SEPARATORS, Form, are_an_example, decodes, header_of, reading

ENCODINGS = ("utf-8", "cp1252", "latin-1")
WIDE = (b"\xff\xfe", b"\xfe\xff")  # first bytes of UTF-16
FIRST_ROWS = 20  # in which a separator must give the same number of columns


def sniff(file: Path) -> Form:
    """Guess the form of a CSV file; raises DataError where it cannot be read."""
    with file.open("rb") as stream:
        is_wide = stream.read(2) in WIDE
    encoding = "utf-16" if is_wide else next(name for name in ENCODINGS if decodes(file, name))
    with reading(file, Form(encoding=encoding)) as text:
        head = text.read(HEAD)
    separator = max(SEPARATORS, key=lambda sign: (_columns(head, sign), len(header_of(head, sign))))
    return Form(separator, encoding, False if are_an_example(header_of(head, separator)) else None)


def _columns(head: str, separator: str) -> int:
    """Number of columns that the separator gives in each of the first rows; 0 for one, or where it differs."""
    lines = io.StringIO(head, newline="")
    rows = (line.split() for line in lines) if separator == " " else csv.reader(lines, delimiter=separator)
    counts = {len(row) for row, _ in zip(filter(None, rows), range(FIRST_ROWS), strict=False)}
    return counts.pop() if len(counts) == 1 and counts != {1} else 0
