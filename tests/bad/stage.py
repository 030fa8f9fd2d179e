"""Give bad inputs in one folder, always the same, filled anew for each case from what was made once."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bad.case import Case
from tests.bad.forks import Answer, Forks
from tests.bad.judging import faults, rows_in, snapshot
from tests.bad.mutations import edit

TINY = ("data=xor", "architecture.hidden=[2]", "train.epochs=1")
SWEEP = ("train", "-m", *TINY, "activation=relu,tanh", "seed=0,1", "sweep.keep_weights=true")
LONGER = (
    *("train", "-m", "data=xor", "architecture.hidden=[2]", "train.epochs=6", "optimizer.momentum=0.5"),
    *("seed=0,1", "sweep.checkpoint_seconds=0"),
)
DIES = 3  # checkpoints after which the process of a template is killed


class Stage:
    """The folder `here`, in whose folder `work` commands are given, and the process that answers them."""

    def __init__(self, root: Path) -> None:
        self.forks = Forks()
        self.here, self.work = root / "here", root / "here" / "work"
        self._templates, self._said, self._home = root / "templates", root / "said", root / "home"
        for folder in (self._templates, self._said, self._home):
            folder.mkdir(parents=True)

    def close(self) -> None:
        """End the process."""
        self.forks.close()

    def faults(self, case: Case) -> list[str]:
        """List what is wrong with the answer to a case."""
        return self.answered(case)[1]

    def answered(self, case: Case) -> tuple[Answer, list[str]]:
        """The answer to a case and what is wrong with it."""
        expected = self._rows(case.same_as) if case.same_as else None
        cwd = self._set(case)
        before = snapshot(self.here)
        answer = self._run(case.arguments, cwd, environment=case.environment, encoding=case.encoding)
        return answer, list(faults(case, answer, before, self.here, expected))

    def _run(self, arguments: tuple[str, ...], cwd: Path, **settings: Any) -> Answer:
        home = {"HOME": str(self._home), "TMPDIR": str(self._home)}
        settings["environment"] = {**home, **settings.get("environment", {})}
        return self.forks.run(arguments, cwd, self._said, **settings)

    def _set(self, case: Case) -> Path:
        cwd = self._filled(case.template, self.work / case.cwd)
        for pattern, operation, place, argument in case.edits:
            edit(cwd, pattern, operation, place, argument)
        for name in case.folders:
            (cwd / name).mkdir(parents=True, exist_ok=True)
        for name, data in case.files.items():
            (cwd / name).parent.mkdir(parents=True, exist_ok=True)
            (cwd / name).write_bytes(data)
        for name, target in case.links.items():
            (cwd / name).symlink_to(target)
        if case.sql:
            with closing(sqlite3.connect(cwd / "mlflow.db")) as database:
                for statement in case.sql:
                    database.execute(statement)
                database.commit()
        return cwd

    def _filled(self, template: str, cwd: Path) -> Path:
        made = self._templates / template
        if not made.exists():
            self._made[template]()
            self.work.rename(made)
        _clear(self.here)
        cwd.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made, cwd, symlinks=True)
        return cwd

    def _rows(self, template: str) -> list[Any]:
        self._filled(template, self.work)
        return rows_in(self._templates / template)

    @cached_property
    def _made(self) -> dict[str, Callable[[], None]]:
        """How each template comes about, in the folder where cases are given: paths in a store are absolute."""
        return {
            "empty": lambda: self._fresh(),
            "store": lambda: self._trained(0, "train", *TINY),
            "swept": lambda: self._trained(0, *SWEEP),
            "whole": lambda: self._trained(0, *LONGER),
            "killed": lambda: self._trained(DIES, *LONGER),
        }

    def _fresh(self) -> None:
        _clear(self.here)
        self.work.mkdir(parents=True)

    def _trained(self, die_after: int, *arguments: str) -> None:
        self._fresh()
        answer = self._run(arguments, self.work, die_after=die_after)
        assert answer.code == (-9 if die_after else 0), answer
        with closing(sqlite3.connect(self.work / "mlflow.db")) as database:
            database.execute("PRAGMA journal_mode=DELETE")  # one file that can be copied


def _clear(folder: Path) -> None:
    if folder.exists():
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                os.chmod(path, 0o755)
        shutil.rmtree(folder)
