"""Text that every terminal can show: foreign names without control characters, and signs that an encoding lacks.

A name from a store, a file or a command line may hold escape sequences, which a terminal obeys, or signs that turn a
line around. `one_line` is for such a name, `printable` for a whole message. `prepare` lets the standard streams take
every sign: what their encoding lacks is spelled out, ``±`` as ``+-``, ``δ`` as ``delta``.
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
SIGNS = {  # what Unicode's own decompositions do not say
    **{chr(0x3B1 + place): name for place, name in enumerate(GREEK)},
    **{chr(0x391 + place): name.capitalize() for place, name in enumerate(GREEK)},
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
    """A foreign name as a terminal may be given it: each control or turning character as its escape, ``\\x1b``."""
    return "".join(_escaped(sign) if _is_hidden(sign) else sign for sign in str(name))


def printable(text: str) -> str:
    """A message as a terminal may be given it, whatever was quoted in it; its own lines and tabs stay."""
    return "".join(sign if sign in "\n\t" or not _is_hidden(sign) else _escaped(sign) for sign in text)


def spelled(text: str, encoding: str) -> str:
    """The text as an output with this encoding shows it."""
    return text.encode(encoding, ERRORS).decode(encoding)


def prepare() -> None:
    """Let the standard streams take every sign. An output that is gone, as after ``| head``, raises no more."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # no stream, closed, or somebody's own
            stream.reconfigure(errors=ERRORS)  # type: ignore[union-attr]


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a message, which may quote foreign names and addresses, to the standard error output or another one."""
    print(printable(without_credentials(text)), file=stream or sys.stderr)


def give_up_output() -> None:
    """Send what is still printed nowhere, as nobody reads it any more."""
    with suppress(AttributeError, ValueError, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def finish_output() -> None:
    """Write what is still to be written of the output, if anybody reads it."""
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
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_spellings(error.object[error.start : error.end])), error.end


def _spellings(text: str) -> Iterator[str]:
    raised = [unicodedata.decomposition(sign).partition(" ")[0] for sign in text]
    for place, sign in enumerate(text):
        written = _spelling(sign)
        kind = raised[place]
        begins = place == 0 or raised[place - 1] != kind
        tail = "".join(map(_spelling, text[place:])) if begins else ""
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
