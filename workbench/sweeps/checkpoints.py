"""Where the checkpoints of packs lie, which pack one belongs to, and who may go on from it.

They lie in ``.workbench/checkpoints`` beside an sqlite database, else in the current folder: a folder for each process
that trains, named for it, and in it a file for each pack. A checkpoint belongs to one pack: the same runs in the same
order, made by the same version for the same experiment. A pack in which some runs are done is gone on with as a whole,
because its numbers depend on who trains together, and writes to the others.

Whoever goes on from a checkpoint first moves it from the folder of a process that is gone into its own, which one of
several can do. What a living process trains is left alone: the same command in two terminals trains two copies.
"""

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from workbench import __version__
from workbench.config import Rerun, Sweep
from workbench.engine.checkpoint import Keeper, read, read_about
from workbench.run import Result
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags
from workbench.tracking.store import Store

FOLDER = "checkpoints"
SUFFIX = ".safetensors"
_in_use: set[Path] = set()


@dataclass(frozen=True)
class Left:
    """A checkpoint that nobody trains on from: the keys and the runs of its pack, in its order."""

    file: Path
    keys: tuple[str, ...]
    runs: tuple[str, ...]

    def discard(self) -> None:
        """Remove it, and its folder where that is empty."""
        self.file.unlink(missing_ok=True)
        _tidy(self.file.parent)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one experiment of a store, each written every so many `seconds`; with `anew`, none is used."""

    folder: Path
    store: str
    experiment: str
    seconds: float
    anew: bool = False

    @classmethod
    def of(cls, store: Store, experiment: str, settings: Sweep) -> "Checkpoints | None":
        """Those of an experiment by its id; None where there are to be none."""
        if settings.checkpoint_seconds is None:
            return None
        anew = settings.rerun is Rerun["all"]
        return cls(store.home / FOLDER, store.name, experiment, settings.checkpoint_seconds, anew)

    def left(self) -> list[Left]:
        """Those that nobody trains on from, the newest first."""
        found = []
        for folder in self.folder.glob("*~*"):
            if folder != self._own and not owner_is_gone(dict(zip(OWNER, folder.name.split("~"), strict=False))):
                continue
            for file in folder.iterdir():
                if file.suffix == SUFFIX:
                    found += [file] if file not in _in_use else []
                elif folder != self._own:  # half a checkpoint
                    file.unlink(missing_ok=True)
            _tidy(folder)
        read_in = (self._read(file) for file in sorted(found, key=_modified, reverse=True))
        return [left for left in read_in if left is not None]

    def packs(
        self, keys: Sequence[str], done: Mapping[int, Result], unfinished: Callable[[Sequence[str]], bool]
    ) -> list[tuple[int, ...]]:
        """The packs to go on with, as positions among runs with these `keys`, of which some are `done`.

        All runs of a pack are among them, and one at least is not done. `unfinished` says whether runs can be gone on
        with. Discards checkpoints that nobody can need.
        """
        free: dict[str, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            free[key].append(position)
        packs = []
        for left in self.left():
            positions = _places(left.keys, free)
            if positions is None:
                continue
            to_train = [run for run, position in zip(left.runs, positions, strict=True) if position not in done]
            if to_train and unfinished(to_train) and not self.anew:
                packs.append(positions)
                for key, position in zip(left.keys, positions, strict=True):
                    free[key].remove(position)
            elif to_train or not any(done[position].error for position in positions):
                left.discard()
        return packs

    @contextmanager
    def keeper(self, keys: Sequence[str], silent: frozenset[int]) -> Iterator[Keeper]:
        """Keeps the checkpoints of the pack of these runs, and goes on from one that was left of it."""
        about = {"version": __version__, "store": self.store, "experiment": self.experiment, "keys": list(keys)}
        identity = sha256(json.dumps(about).encode()).hexdigest()[:16]
        file = self._own / f"{identity}-{secrets.token_hex(4)}{SUFFIX}"
        _in_use.add(file)
        try:
            usable = [] if self.anew else [left for left in self.left() if left.keys == tuple(keys)]
            found = any(self._take(left, file) for left in usable)
            yield Keeper(file, self.seconds, about, read(file) if found else None, silent)
        finally:
            _in_use.discard(file)
            _tidy(file.parent)

    @property
    def _own(self) -> Path:
        return self.folder / "~".join(owner_tags().values())

    def _take(self, left: Left, file: Path) -> bool:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            left.file.rename(file)
        except FileNotFoundError:  # another process was faster
            return False
        _tidy(left.file.parent)
        return True

    def _read(self, file: Path) -> Left | None:
        """None for another experiment's, another version's, and what cannot be read."""
        with suppress(OSError, SafetensorError, KeyError, ValueError):
            about = read_about(file)
            if (about["version"], about["store"], about["experiment"]) == (__version__, self.store, self.experiment):
                return Left(file, tuple(about["keys"]), tuple(about["runs"]))
        return None


def abandoned(store: Store) -> list[tuple[Path, dict[str, Any]]]:
    """Every checkpoint of a store that nobody trains on from, with what it says of itself, the newest first."""
    found = []
    for file in sorted((store.home / FOLDER).glob(f"*~*/*{SUFFIX}"), key=_modified, reverse=True):
        with suppress(OSError, SafetensorError, KeyError, ValueError):
            about = read_about(file)
            owner = dict(zip(OWNER, file.parent.name.split("~"), strict=False))
            if about["store"] == store.name and owner_is_gone(owner):
                found.append((file, about))
    return found


def _places(keys: Sequence[str], free: Mapping[str, Sequence[int]]) -> tuple[int, ...] | None:
    """Where each of the keys stands, each place once; None where there are not as many."""
    left = {key: list(places) for key, places in free.items()}
    if any(not left.get(key) or keys.count(key) > len(left[key]) for key in set(keys)):
        return None
    return tuple(left[key].pop(0) for key in keys)


def _tidy(folder: Path) -> None:
    """Remove a process's folder and those around it, where they are empty."""
    for empty in (folder, folder.parent, folder.parent.parent):
        try:
            empty.rmdir()
        except OSError:
            return


def _modified(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_mtime
    return 0.0
