"""Types of the options of tables, which pydantic checks: names of columns, units, separators and encodings."""

import codecs
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError


def _named(value: Any) -> Any:
    """Convert the number of a column to its name."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _list(value: Any) -> Any:
    """Convert a single name to a list of one."""
    return [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _unit(text: str) -> str:
    """Return a unit; raises PydanticCustomError where it is blank or contains digits or signs."""
    if not text.strip() or any(sign.isdigit() or sign in "+-" for sign in text):
        raise PydanticCustomError("unit", "texts without digits and signs")
    return text


def _one_sign(text: str) -> str:
    """Return a separator of one character; raises PydanticCustomError for others."""
    if len(text) != 1 or text.isalnum() or text in '+-"\r\n':
        raise PydanticCustomError("sign", "one character that is no letter, digit, sign or quote")
    return text


def _separator(text: str) -> str:
    return _one_sign("\t" if text == "\\t" else text)


def _encoding(name: str) -> str:
    """Return the name of a text encoding; raises PydanticCustomError where Python has none of this name."""
    try:
        known = codecs.lookup(name)._is_text_encoding and "a,1\n".encode(name).decode(name) == "a,1\n"
    except (LookupError, ValueError):
        known = False
    if not known:
        raise PydanticCustomError("encoding", "the name of an encoding that Python knows")
    return name


Missing = Literal["refuse", "mean", "median", "category"]
Name = Annotated[str, BeforeValidator(_named)]
Names = Annotated[Sequence[Name], BeforeValidator(_list)]
Units = Annotated[Sequence[Annotated[str, AfterValidator(_unit)]], BeforeValidator(_list)]
Sign = Annotated[str, AfterValidator(_one_sign)]
Separator = Annotated[str, AfterValidator(_separator)]
Encoding = Annotated[str, AfterValidator(_encoding)]
