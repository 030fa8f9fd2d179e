"""Formats of an explanation, by their names and by the suffixes of files, and the format of its numbers."""

FORMATS = ("html", "markdown", "text")
SUFFIXES = {".md": "markdown", ".html": "html", ".htm": "html"}


def number(value: float) -> str:
    """Format a number with four significant digits, without negative zero."""
    return f"{value:.4g}".replace("-", "−") if value else "0"
