"""A bad input: a command line, and what lies in the folder where it is given. It can be written as text and read back.

    python -m tests.bad 'TEXT'

gives the command of a case again, in a folder that stays, and says what was wrong with the answer.
"""

import json
import shlex
from base64 import b85decode, b85encode
from dataclasses import asdict, dataclass, field
from typing import Any
from zlib import compress, decompress

REFUSED, FINE = 2, 0


@dataclass(frozen=True)
class Case:
    """`files` are put into what `template` names, `links` are symbolic, `sql` changes the database.

    `edits` change files that are there: see `tests.bad.mutations`. `codes` are the exit codes that
    are right.
    """

    kind: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    edits: tuple[tuple[str, str, float, str], ...] = ()  # pattern, operation, place in 0..1, argument
    links: dict[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    sql: tuple[str, ...] = ()
    template: str = "empty"
    environment: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    cwd: str = ""
    codes: tuple[int, ...] = (REFUSED,)
    same_as: str = ""  # a template whose runs must be found in the end
    may_leave: bool = False  # runs that were RUNNING before, or whose end nobody knows

    @property
    def text(self) -> str:
        """Whole case as one argument."""
        content = asdict(self)
        content["files"] = {name: b85encode(compress(data)).decode() for name, data in self.files.items()}
        empty = asdict(Case("", ()))
        return json.dumps({key: value for key, value in content.items() if value != empty[key]})

    @property
    def command(self) -> str:
        """Shell command line of the case, with its environment."""
        before = [f"{key}={shlex.quote(value)}" for key, value in self.environment.items()]
        return " ".join([*before, "workbench", *map(shlex.quote, self.arguments)])

    @property
    def pasted(self) -> str:
        """A command that gives it again."""
        return f"python -m tests.bad {shlex.quote(self.text)}"


def case_of(text: str) -> Case:
    """The case of a text."""
    content: dict[str, Any] = json.loads(text)
    files = {name: decompress(b85decode(data)) for name, data in content.pop("files", {}).items()}
    listed = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    if "edits" in listed:
        listed["edits"] = tuple(tuple(edit) for edit in listed["edits"])
    return Case(files=files, **{"kind": "", "arguments": (), **listed})
