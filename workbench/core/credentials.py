"""Takes users and passwords out of addresses, and of texts in which addresses occur.

An address is as SQLAlchemy and requests read it: ``scheme://user:password@host/...?password=...``. Both also take
passwords that ought to be quoted (with ``/``, ``@``, ``:``, blanks), so that where one ends cannot be told for certain:
rather too much is taken out of a line than too little.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "..."
LEAST = 3  # characters of a password that is looked for by itself: of a shorter one, every text is full
_FILES = r"(?!(?:sqlite|file)\b)"  # these name files, and have no users
_USER = re.compile(
    rf"""(?ix)
    (?<![\w+.-]) ( {_FILES} [a-z][\w+.-]* :// )
    (?: [^\s/@:]* : (?:(?!://).)*  # user:password, whatever is in it
    |   [^\s/]*                    # user, or token
    ) @
    """
)
_OF_DATABASE = re.compile(r"(?i)(?<![\w+.-])((?:postgres\w*|mysql|mariadb|mssql|oracle)(?:\+\w+)?://)(?:(?!://).)*@")
_NAME = r"[\w.%-]*(?:passw(?:or)?d|passphrase|pwd|token|secret|api_?key|access_?key|credentials?|odbc_connect)\w*"
_SEEN = rf"(?!{re.escape(HIDDEN)}(?:[&;\s'\"]|$))"  # what is hidden already stays as it is
_QUOTED = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\{(?:[^}\n]|\}\})*\}"""
_IN_QUERY = re.compile(rf"(?i)(?<=[?&])({_NAME})=({_SEEN}[^&\n]*)")
_IN_LIST = re.compile(rf"(?i)((?<=;)\s*{_NAME}\s*)=\s*({_SEEN}(?:{_QUOTED}|[^;\n]*))")  # as ODBC writes it
_FIRST = re.compile(rf"(?i)(?<![\w.%-])({_NAME}\s*)=\s*({_SEEN}[^;\n'\"{{]*(?=;))")  # of such a list
_ALONE = re.compile(rf"(?i)(?<![\w.%-])({_NAME}\s*)=\s*({_SEEN}(?:{_QUOTED}|[^\s&;]+))")


def without_credentials(text: str) -> str:
    """The text with users and passwords taken out of the addresses in it."""
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1={HIDDEN}", text)
    if "://" in text:
        text = _USER.sub(r"\1", _OF_DATABASE.sub(r"\1", text))
    if "=" in text:
        for pattern in (_IN_LIST, _FIRST, _ALONE):
            text = pattern.sub(rf"\1={HIDDEN}", text)
    return text


def bare(value: Any) -> Any:
    """The same mappings and lists, with users and passwords taken out of every text in them."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {key: bare(one) for key, one in value.items()}
    return [bare(one) for one in value] if isinstance(value, list | tuple) else value


def hidden(text: str, address: str) -> str:
    """A text that speaks of this address, without its users and passwords, also where they stand by themselves."""
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return without_credentials(text)


def _secrets(address: str) -> set[str]:
    """What must not be told of an address, as it stands there and as it may be written elsewhere."""
    before, _, rest = address.partition("://")
    found = [value for _, value in _IN_QUERY.findall(rest)]
    for place in (rest.rfind("@"), rest.find("@")):  # the last one ends it, or the first one
        user = rest[: max(place, 0)]
        found += [user, user.partition(":")[2]]
    written = {form(one) for one in found for form in (str, unquote, unquote_plus, quote, quote_plus, _all_quoted)}
    return {one for one in written if len(one) >= LEAST and one not in before}


def _all_quoted(text: str) -> str:
    return quote(text, safe="")
