"""Parse YAML from users and stores into plain values, with limits on bytes, depth, and values after alias expansion."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from workbench.core.errors import ConfigError

MOST_BYTES = 2**18  # of a configuration: the largest that comes with the workbench has 8 KB
MOST_VALUES = 100_000  # counted after alias expansion
DEEPEST = 50
TOO_DEEP = f"must nest its values at most {DEEPEST} deep; flatten it"
BEGUN = 0, 0  # (size, depth) of a node whose children are still being counted
LAXER = re.compile(r"\t|\?\s|[>|][-+0-9]*#")  # libyaml accepts these in places where PyYAML's own parser refuses them
WRONG_VALUE = (ValueError, TypeError, KeyError, AttributeError)  # raised by a tag such as !!int on other text


def read_bytes(file: Path, most: int = MOST_BYTES) -> bytes:
    """A file's content.

    Raises ConfigError where it cannot be read or has more bytes than `most`.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{file}: must be a file that can be read: {error.strerror}; correct the path") from error
    if len(content) > most:
        raise ConfigError(f"{file}: must have at most {most} bytes; take out what does not belong there")
    return content


def parse_yaml(content: bytes, where: str, loader: Any = yaml.SafeLoader, most: int = MOST_VALUES) -> Any:
    """The one document in `content`; None where there is none.

    Raises ConfigError with the line where it is no YAML in UTF-8, or holds more than `most` values, aliases followed.
    """
    try:
        reader, node = _document(content.decode("utf-8-sig"), loader)
        if node is None:
            return None
        _check(node, where, most, {})
        return reader.construct_document(node)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where}: must be text in UTF-8, but byte {error.start} is none; save it as UTF-8"
        ) from error
    except yaml.reader.ReaderError as error:
        odd = f"character {error.position} is {error.character!a}"
        raise ConfigError(f"{where}: must be text, but {odd}; write text only, saved as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: must be YAML, but {_reason(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: {TOO_DEEP}") from error
    except WRONG_VALUE as error:
        line = f", line {node.start_mark.line + 1} or below" if node else ""
        raise ConfigError(f"{where}{line}: a value does not fit its tag or is too long: {error}; correct it") from error


def _document(text: str, loader: Any) -> tuple[Any, yaml.Node | None]:
    """Return a loader and its tree: libyaml's, ten times faster, or PyYAML's, whose error messages are clearer."""
    if yaml.__with_libyaml__ and not LAXER.search(text):
        with suppress(yaml.YAMLError):
            reader = _by_libyaml(loader)(text)
            return reader, reader.get_single_node()
    reader = loader(text)
    return reader, reader.get_single_node()


@cache
def _by_libyaml(loader: Any) -> Any:
    """The loader with libyaml in place of PyYAML's own scanner and parser."""

    def begin(self: Any, text: str) -> None:
        yaml.cyaml.CParser.__init__(self, text)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)

    return type(loader.__name__, (yaml.cyaml.CParser, loader), {"__init__": begin})


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = str(error.problem or error.context)
    if "'\\t'" in reason:
        return "it is indented by a tab; write blanks"
    if "undefined alias" in reason or "duplicate" in reason:
        return f"there is: {reason.removeprefix('found ')}; take it out"
    if "could not determine a constructor" in reason:
        return "it has a tag (!...) that is no value; drop the tag"
    return f"{reason}; correct that line, or put texts in quotes"


def _check(node: yaml.Node, where: str, most: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Count a node's values and its depth, aliases expanded.

    Raises ConfigError for a node that contains itself, nests deeper than DEEPEST, or has more than `most` values.
    """
    line = f"{where}, line {node.start_mark.line + 1}"
    if id(node) not in known:
        known[id(node)] = BEGUN
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = list(node.value)
        sizes = [_check(part, where, most, known) for part in inner]
        known[id(node)] = 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
    size, depth = known[id(node)]
    if not size:
        raise ConfigError(f"{line}: must not hold itself by an alias; drop the alias")
    if depth > DEEPEST:
        raise ConfigError(f"{line}: {TOO_DEEP}")
    if size > most:
        raise ConfigError(f"{line}: must hold at most {most} values, aliases followed; write fewer")
    return size, depth
