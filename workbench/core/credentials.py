"""Remove users and passwords from addresses, and from texts that contain addresses.

Addresses have the form that SQLAlchemy and requests read: ``scheme://user:password@host/...?password=...``. Both accept
unquoted passwords (with ``/``, ``@``, ``:``, blanks), so the end of a password can be ambiguous: then more is removed
rather than less.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "..."
LEAST = 3  # characters of a password that is searched for alone: shorter ones occur in any text
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
_SEEN = rf"(?!{re.escape(HIDDEN)}(?:[&;\s'\"]|$))"  # skips values that are hidden already
_QUOTED = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\{(?:[^}\n]|\}\})*\}"""
_IN_QUERY = re.compile(rf"(?i)(?<=[?&])({_NAME})=({_SEEN}[^&\n]*)")
_IN_LIST = re.compile(rf"(?i)((?<=;)\s*{_NAME}\s*)=\s*({_SEEN}(?:{_QUOTED}|[^;\n]*))")  # as ODBC writes it
_FIRST = re.compile(rf"(?i)(?<![\w.%-])({_NAME}\s*)=\s*({_SEEN}[^;\n'\"{{]*(?=;))")  # of such a list
_ALONE = re.compile(rf"(?i)(?<![\w.%-])({_NAME}\s*)=\s*({_SEEN}(?:{_QUOTED}|[^\s&;]+))")


def without_credentials(text: str) -> str:
    """Return the text without the users and passwords of the addresses in it."""
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1={HIDDEN}", text)
    if "://" in text:
        text = _USER.sub(r"\1", _OF_DATABASE.sub(r"\1", text))
    if "=" in text:
        for pattern in (_IN_LIST, _FIRST, _ALONE):
            text = pattern.sub(rf"\1={HIDDEN}", text)
    return text


def bare(value: Any) -> Any:
    """Copy nested mappings and lists, with users and passwords removed from every text."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {key: bare(item) for key, item in value.items()}
    return [bare(item) for item in value] if isinstance(value, list | tuple) else value


def hidden(text: str, address: str) -> str:
    """Remove this address's user and password from a text, also where they occur without the address."""
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return without_credentials(text)


def _secrets(address: str) -> set[str]:
    """Collect an address's user and passwords, as written there and in every quoted or unquoted spelling."""
    scheme, _, location = address.partition("://")
    secrets = [value for _, value in _IN_QUERY.findall(location)]
    for end in (location.rfind("@"), location.find("@")):  # an unquoted password may contain @
        user = location[: max(end, 0)]
        secrets += [user, user.partition(":")[2]]
    forms = (str, unquote, unquote_plus, quote, quote_plus, _all_quoted)
    spellings = {form(secret) for secret in secrets for form in forms}
    return {spelling for spelling in spellings if len(spelling) >= LEAST and spelling not in scheme}


def _all_quoted(text: str) -> str:
    return quote(text, safe="")
