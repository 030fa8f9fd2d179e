"""Where the checkpoints of packs lie, which pack one belongs to, and who may go on from it.

They lie in ``.workbench/checkpoints`` beside an sqlite database, else in the current folder: a folder for each process
that trains, named for it, and in it a file for each pack. A checkpoint belongs to one pack: the same runs in the same
order, made by the same version for the same experiment. A pack in which some runs are done is gone on with as a whole,
because its numbers depend on who trains together, and writes to the others.

Whoever goes on from a checkpoint first moves it from the folder of a process that is gone into its own, which one of
several can do. What a living process trains is left alone. A file that is not as it was written is set aside, in the
folder ``damaged``, and its pack trains from the start, in new runs.
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

from workbench.config.schema import Rerun, SweepConfig
from workbench.core.errors import DamagedError
from workbench.core.version import __version__
from workbench.engine.checkpoint import Checkpoint, read, read_about
from workbench.runs.checkpoint_writer import ASIDE, CheckpointWriter, set_aside
from workbench.runs.run_writer import Ending
from workbench.runs.train_pack import Result
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
    def of(cls, store: Store, experiment: str, settings: SweepConfig) -> "Checkpoints | None":
        """Those of an experiment by its id; None where there are to be none."""
        if settings.checkpoint_seconds is None:
            return None
        anew = settings.rerun is Rerun["all"]
        return cls(store.home / FOLDER, store.name, experiment, settings.checkpoint_seconds, anew)

    def left(self) -> list[Left]:
        """Those that nobody trains on from, the newest first."""
        found = []
        for folder in self.folder.glob("*~*"):
            if folder != self._own and not owner_is_gone(_owner_of(folder)):
                continue
            with suppress(OSError):  # another process tidies up too
                for file in folder.iterdir():
                    if file.suffix == SUFFIX:
                        found += [file] if file not in _in_use else []
                    elif folder != self._own:  # half a checkpoint
                        file.unlink(missing_ok=True)
            _tidy(folder)
        read_in = (self._read(file) for file in sorted(found, key=_modified, reverse=True))
        return [left for left in read_in if left is not None]

    def packs(
        self, keys: Sequence[str], done: Mapping[int, Result], unfinished: Callable[[Mapping[str, str]], bool]
    ) -> list[tuple[int, ...]]:
        """The packs to go on with, as positions among runs with these `keys`, of which some are `done`.

        All runs of a pack are among them, and one at least is not done. `unfinished` says whether runs, with their
        keys, can be gone on with. Discards checkpoints that nobody can need.
        """
        free: dict[str, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            free[key].append(position)
        packs = []
        for left in self.left():
            positions = _places(left.keys, free)
            if positions is None:
                continue
            members = zip(left.runs, left.keys, positions, strict=True)
            to_train = {run: key for run, key, position in members if position not in done}
            if to_train and unfinished(to_train) and not self.anew:
                packs.append(positions)
                for key, position in zip(left.keys, positions, strict=True):
                    free[key].remove(position)
            elif to_train or not any(done[position].error for position in positions):
                left.discard()
        return packs

    @contextmanager
    def keeper(self, keys: Sequence[str], silent: frozenset[int]) -> Iterator[CheckpointWriter]:
        """Keeps the checkpoints of the pack of these runs, and goes on from one that was left of it."""
        about = {"version": __version__, "store": self.store, "experiment": self.experiment, "keys": list(keys)}
        identity = sha256(json.dumps(about).encode()).hexdigest()[:16]
        file = self._own / f"{identity}-{secrets.token_hex(4)}{SUFFIX}"
        _in_use.add(file)
        try:
            usable = [] if self.anew else [left for left in self.left() if left.keys == tuple(keys)]
            taken = (_checked(file, len(keys)) for left in usable if self._take(left, file))
            yield CheckpointWriter(file, self.seconds, about, next(filter(None, taken), None), silent)
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
        """None for another experiment's or version's; one that is damaged is set aside."""
        with suppress(OSError):
            try:
                about = read_about(file)
                if (about["version"], about["store"], about["experiment"]) == (
                    __version__,
                    self.store,
                    self.experiment,
                ):
                    return Left(file, tuple(about["keys"]), tuple(about["runs"]))
            except (DamagedError, KeyError, TypeError) as error:
                set_aside(file, error)
        return None


def _checked(file: Path, runs: int) -> Checkpoint | None:
    """The checkpoint of a pack of so many runs; None, set aside, where it cannot be one."""
    try:
        found = read(file)
        _check(file, found, runs)
    except DamagedError as error:
        set_aside(file, error)
        return None
    return found


def _check(file: Path, found: Checkpoint, runs: int) -> None:
    """Raise DamagedError where its parts do not belong together."""
    snapshot = found.snapshot
    endings = [Ending(**ending) for ending in found.about["endings"]]
    members = sorted([*snapshot.replicas, *snapshot.final])
    for holds, what in (
        (len(found.about["runs"]) == runs and members == list(range(runs)), f"be of {runs} runs"),
        (snapshot.recorded == len(found.records) > 0, f"hold {len(found.records)} records, not {snapshot.recorded}"),
        (
            all(0 <= one.replica < runs and 0 < one.recorded <= snapshot.recorded for one in endings),
            "know when its runs ended",
        ),
    ):
        if not holds:
            raise DamagedError(f"checkpoint: {file} must {what}")


@dataclass(frozen=True)
class Abandoned:
    """A checkpoint that nobody trains on from: what it says of itself, or why nobody can read it."""

    file: Path
    about: Mapping[str, Any]
    error: str = ""


def abandoned(store: Store) -> list[Abandoned]:
    """Every checkpoint of a store that nobody trains on from, the newest first; those that are damaged too."""
    found = []
    folder = store.home / FOLDER
    for file in sorted(folder.glob(f"*~*/*{SUFFIX}"), key=_modified, reverse=True):
        with suppress(OSError):
            try:
                about = read(file).about
                if about["store"] != store.name:
                    continue
                one = Abandoned(file, about)
            except (DamagedError, KeyError, TypeError) as error:
                one = Abandoned(file, {}, str(error))
            if owner_is_gone(_owner_of(file.parent)):
                found.append(one)
    return found + [
        Abandoned(file, {}, f"{file} was set aside as damaged") for file in sorted(folder.glob(f"{ASIDE}/*"))
    ]


def _owner_of(folder: Path) -> dict[str, str]:
    return dict(zip(OWNER, folder.name.split("~"), strict=False))


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
