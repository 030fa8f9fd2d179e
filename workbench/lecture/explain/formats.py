"""Formats of an explanation, by their names and by the suffixes of files."""

FORMATS = ("html", "markdown", "text")
SUFFIXES = {".md": "markdown", ".html": "html", ".htm": "html"}
