"""Extract what a message tells its reader to write, and make of it the command to write in place of the refused one."""

import ast
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.outer import Answer

WORD = re.compile(r"""\s*((?:'[^']*'|"[^"]*"|[^\s'"])+)""")
TOLD = re.compile(r"(?<![\w/.])(?:write|such as|use|or)(?: for example)? ")
ARGUMENT = re.compile(r"""['"]?(?:[+~]{0,2}[\w./@]+=(?!\.\.\.|=)\S|--?[a-z])""")
BLANK = re.compile(r"\b(?:FILE|FOLDER|COLUMN|NAME|HOST|key=value)\b|\.\.\.")  # which the user is to fill in
SITE = re.compile(r"(?<![\w/.])write\b")
ROOT = Path(__file__).parents[1]
FILLED = {"bias.value=...": "bias.value=0.5"}  # what a user puts in the place of dots
DRY = "sweep.dry_run=true"
ACCEPTED: set[tuple[str, ...]] = set()  # commands that were tried: many messages lead to the same


@dataclass(frozen=True)
class Way:
    """Arguments to write, as a shell hands them over, and those of the refused command to leave out."""

    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    whole: bool = False  # a command of its own


def assert_advice_works(run: Callable[..., Answer], words: Sequence[str], message: str, none: bool = False) -> None:
    """Take each way out that the message of a refused command offers: it is accepted; `none` where there is none."""
    ways = ways_out(message, words)
    assert bool(ways) != none, f"advice that can be taken: {ways} in {message}"
    for way in ways:
        again = tuple(_dry(followed(words, way)))
        if again not in ACCEPTED:
            answer = run(*again)
            assert answer.code == 0, f"{message}\n{again}\n{answer.err}"
            ACCEPTED.add(again)


def _dry(words: list[str]) -> list[str]:
    """A training that only says what it would do; an option's value is not parted from it."""
    if words[0] != "train" or DRY in words:
        return words
    return [words[0], DRY, *words[1:]] if words[-1].startswith("--") else [*words, DRY]


def ways_out(message: str, words: Sequence[str]) -> list[Way]:
    """Each way out that a message offers for the command of these words."""
    said = message.strip().splitlines()[-1].removeprefix("workbench: ")
    for blank, value in FILLED.items():
        said = said.replace(blank, value)
    if command := re.search(r"(?:^|; )write workbench (.+)$", said):
        return [Way(tuple(shlex.split(command[1])), whole=True)]
    found = [_way(said, way, end, words) for place in TOLD.finditer(said) for way, end in _told(said, place.end())]
    return [*found, *_named(said, words)] if "; drop " in said or not found else found


def followed(words: Sequence[str], way: Way) -> list[str]:
    """The refused command with those of a way out in place of its own for the same key."""
    if way.whole:
        return list(way.more)
    given, kept = {_key(word) for word in way.more}, list[str]()
    for before, word in pairwise(words):
        is_value = before.startswith("--") and before in given and not word.startswith("--")
        if _key(word) not in given and word not in way.less and not is_value:
            kept.append(word)
    return [words[0], *kept, *way.more]


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].partition("@")[0] if not word.startswith("--cfg") else word


def _told(text: str, place: int) -> Iterator[tuple[str, int]]:
    """The arguments that a text begins with there, perhaps linked by "and", and where they end."""
    begun, last = place, ""
    while match := WORD.match(text, place):
        word = match[1].rstrip(";,")
        valued = last in ("--cfg", "--example", "--port", "--out", "--report", "--seed-offset", "--processes")
        if BLANK.search(word) or not (ARGUMENT.match(word) or valued or (last and word == "and")):
            break
        place, last = match.end(), word
        if match[1] != word and not (match[1].endswith(",") and text[place:].startswith(" and ")):
            break
    if last:
        yield re.sub(r",? and (?=\S+=)", " ", text[begun:place].strip().rstrip(";,").removesuffix(" and")), place


def _way(said: str, told: str, end: int, words: Sequence[str]) -> Way:
    plain = re.search(r"""['"\\$`*?~;&|<>(){}#!]""", told) is None
    asked = "" if plain else subprocess.check_output(["bash", "-c", f"printf '%s\\0' {told}"], text=True)
    replaces = said.startswith("--") or said[end:].startswith((" in its place", " without +"))
    less = _wrong(said, words) if replaces else ()
    return Way(tuple(told.split() if plain else asked.split("\0")[:-1]), less)


def _wrong(said: str, words: Sequence[str]) -> tuple[str, ...]:
    """The argument that a message is about, with the value of an option."""
    about = said.partition(": ")[0].strip("'")
    for number, word in enumerate(words[1:], 1):
        key = _key(word)
        if about in (word, key) or word.startswith(about.removesuffix("...")) or about.startswith(f"{key}."):
            valued = word.startswith("--") and "=" not in " ".join(words[number : number + 2])
            return tuple(one for one in words[number : number + 1 + valued] if one == word or one[0] != "-")
    inside = [word for word in words[1:] if "=" in word and _key(word) in said]
    return tuple(inside[:1])


def _named(said: str, words: Sequence[str]) -> list[Way]:
    """Ways out told by a name: the option or key that was meant, an option to add, an argument to drop."""
    key = said.partition(":")[0]
    if near := re.search(r"unknown name .*?(?:did you mean '(.*?)'|options: ([^,\s]+))", said):
        return [Way((f"{key}={near[1] or near[2]}",))]
    if near := re.search(r"unknown key; did you mean ([^?\s]+)\?", said):
        (wrong,) = (word for word in words[1:] if word.lstrip("+~").startswith(key))
        return [Way((wrong.lstrip("+").replace(key, near[1], 1),), (wrong,))]
    if "; add -m" in said:
        return [Way(("-m",))]
    if others := re.search(r"cannot go with (.*); drop all but one", said):
        return [Way((), tuple(others[1].split(" and ")))]
    if re.search(r"(?:; |, or )drop (?:it|that|the override|--[\w-]+)\b", said):
        return [Way((), wrong)] if (wrong := _wrong(said, words)) else []
    return []


def sites() -> set[str]:
    """Every text in the source that tells a user to write something, with {} for what is filled in."""
    found = set()
    for file in (*(ROOT / "workbench").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")):
        tree = ast.parse(file.read_text())
        passed: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                passed.add(node.value)  # a docstring
            elif isinstance(node, ast.JoinedStr):
                passed.update(node.values)
            elif (isinstance(node, ast.keyword) and node.arg == "help") or _is_help(node):
                passed.add(node.value)
        found |= {_text(node) for node in ast.walk(tree) if node not in passed}
    return {text for text in found if SITE.search(text)}


def _is_help(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "HELP" for one in node.targets)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_of(site: str, message: str) -> bool:
    """Whether a message was made by this text of the source."""
    return re.search(".*?".join(map(re.escape, site.split("{}"))), message, re.DOTALL) is not None
