"""Text that every terminal can show: names without control characters, and signs spelled out that an encoding lacks.

A name from a store, a file or a command line may contain escape sequences, which a terminal executes, or signs that
reverse a line's direction. `one_line` is for such a name, `printable` for a whole message. After `prepare`, the
standard streams take every sign: those their encoding lacks are spelled out, ``±`` as ``+-``, ``δ`` as ``delta``.
"""

import codecs
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

from workbench.core.credentials import without_credentials

ERRORS = "workbench.spelled"
TURNING = {*map(chr, (0x061C, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))}
HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, ends of lines and paragraphs
GREEK = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ),
    *("omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
SIGNS = {  # spellings that Unicode's decompositions do not give
    **{chr(0x3B1 + index): name for index, name in enumerate(GREEK)},
    **{chr(0x391 + index): name.capitalize() for index, name in enumerate(GREEK)},
    **dict.fromkeys("–—−‐‑‒", "-"),
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("“”″", '"'),
    **dict.fromkeys("·⋅•∘⊙●", "*"),
    **dict.fromkeys("⎡⎢⎣⎤⎥⎦⎛⎜⎝⎞⎟⎠┃│║", "|"),
    **dict.fromkeys("━─═╌╸╺", "-"),
    **dict.fromkeys("┏┓┗┛┡┩┣┫┳┻╋┌┐└┘├┤┬┴┼╇╭╮╯╰", "+"),
    **{bar: str(height) for height, bar in enumerate("▁▂▃▄▅▆▇█", 1)},
    "±": "+-",
    "×": "x",
    "÷": "/",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∞": "inf",
    "→": "->",
    "←": "<-",
    "∂": "d",
    "∇": "grad ",
    "∑": "sum",
    "√": "sqrt",
    "∈": " in ",
    "∥": "||",
    "‖": "||",
    "⇒": "=>",
    "°": " deg",
    "…": "...",
    "✓": "+",
    "✔": "+",
    "✗": "x",
    "✘": "x",
    "✕": "x",
    "○": "o",
    "⁄": "/",
    "∫": "int ",
    "\u00a0": " ",
}


def one_line(name: object) -> str:
    """Escape a foreign name for a terminal: each control or direction character as ``\\x1b``."""
    return "".join(_escaped(sign) if _is_hidden(sign) else sign for sign in str(name))


def printable(text: str) -> str:
    """Escape a message for a terminal, whatever it quotes; its newlines and tabs stay."""
    return "".join(sign if sign in "\n\t" or not _is_hidden(sign) else _escaped(sign) for sign in text)


def spelled(text: str, encoding: str) -> str:
    """Spell out the signs that this encoding lacks."""
    return text.encode(encoding, ERRORS).decode(encoding)


def prepare() -> None:
    """Let the standard streams take every sign, spelled out where their encoding lacks it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # no stream, closed, or replaced by another object
            stream.reconfigure(errors=ERRORS)  # type: ignore[union-attr]


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a message, which may quote foreign names and addresses, to the standard error output or another one."""
    print(printable(without_credentials(text)), file=stream or sys.stderr)


def give_up_output() -> None:
    """Discard further standard output, after its reader has closed the pipe."""
    with suppress(AttributeError, ValueError, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def finish_output() -> None:
    """Flush the standard output; discard it where its reader has closed the pipe."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()


def _is_hidden(sign: str) -> bool:
    if " " <= sign <= "~":
        return False
    return unicodedata.category(sign) in HIDDEN or sign in TURNING


def _escaped(sign: str) -> str:
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is no text
        return f"\\x{code - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode() if code < 0xD800 or code > 0xDFFF else f"\\u{code:04x}"


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Handle an encoding error, as `codecs.register_error` wants it; raises a decoding error again."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_spellings(error.object[error.start : error.end])), error.end


def _spellings(text: str) -> Iterator[str]:
    raised = [unicodedata.decomposition(sign).partition(" ")[0] for sign in text]
    for index, sign in enumerate(text):
        written = _spelling(sign)
        kind = raised[index]
        begins = index == 0 or raised[index - 1] != kind
        tail = "".join(map(_spelling, text[index:])) if begins else ""
        if begins and kind in ("<super>", "<sub>") and re.match(r"\(?[\w+-]", tail):
            yield "^" if kind == "<super>" else "_"
        yield written


def _spelling(sign: str) -> str:
    if sign in SIGNS:
        return SIGNS[sign]
    parts = unicodedata.normalize("NFKD", sign)
    if parts != sign:
        return "".join(SIGNS.get(part, part if part.isascii() else "") for part in parts) or _escaped(sign)
    return "" if unicodedata.combining(sign) else _escaped(sign)


codecs.register_error(ERRORS, _spell)
