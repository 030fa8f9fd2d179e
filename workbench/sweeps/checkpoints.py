"""Checkpoints of packs: where they lie, which pack each belongs to, and which process may resume it.

They lie in ``.workbench/checkpoints`` beside an sqlite database, else in the current folder: a folder for each process
that trains, named for it, and in it a file for each pack. A checkpoint belongs to one pack: the same runs in the same
order, made by the same version for the same experiment. A pack in which some runs are done is resumed as a whole,
because its numbers depend on all its runs, and writes to the others.

A process that resumes a checkpoint first moves it from the folder of a process that is gone into its own, which one of
several can do. The checkpoints of living processes are left alone. A file that is not as it was written is moved to the
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
class ResumableCheckpoint:
    """A checkpoint whose process is gone: keys and runs of its pack, in its order."""

    file: Path
    keys: tuple[str, ...]
    runs: tuple[str, ...]

    def discard(self) -> None:
        """Remove the file, and its folder where that is empty."""
        self.file.unlink(missing_ok=True)
        _tidy(self.file.parent)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one experiment of a store, written every `seconds` seconds; with `anew`, none is resumed."""

    folder: Path
    store: str
    experiment: str
    seconds: float
    anew: bool = False

    @classmethod
    def of(cls, store: Store, experiment: str, settings: SweepConfig) -> "Checkpoints | None":
        """The checkpoints of an experiment by its id; None where none are to be written."""
        if settings.checkpoint_seconds is None:
            return None
        anew = settings.rerun is Rerun["all"]
        return cls(store.home / FOLDER, store.name, experiment, settings.checkpoint_seconds, anew)

    def resumable(self) -> list[ResumableCheckpoint]:
        """Checkpoints whose processes are gone, the newest first."""
        files = []
        for folder in self.folder.glob("*~*"):
            if folder != self._own and not owner_is_gone(_owner_of(folder)):
                continue
            with suppress(OSError):  # another process tidies up too
                for file in folder.iterdir():
                    if file.suffix == SUFFIX:
                        files += [file] if file not in _in_use else []
                    elif folder != self._own:  # half a checkpoint
                        file.unlink(missing_ok=True)
            _tidy(folder)
        checkpoints = (self._read(file) for file in sorted(files, key=_modified, reverse=True))
        return [checkpoint for checkpoint in checkpoints if checkpoint is not None]

    def packs(
        self, keys: Sequence[str], done: Mapping[int, Result], unfinished: Callable[[Mapping[str, str]], bool]
    ) -> list[tuple[int, ...]]:
        """Packs to resume, as positions among runs with these `keys`, of which some are `done`.

        All runs of a pack are among them, and at least one is not done. `unfinished` says whether runs, with their
        keys, can be resumed. Discards checkpoints that are of no further use.
        """
        free: dict[str, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            free[key].append(position)
        packs = []
        for checkpoint in self.resumable():
            positions = _positions_of(checkpoint.keys, free)
            if positions is None:
                continue
            members = zip(checkpoint.runs, checkpoint.keys, positions, strict=True)
            to_train = {run: key for run, key, position in members if position not in done}
            if to_train and unfinished(to_train) and not self.anew:
                packs.append(positions)
                for key, position in zip(checkpoint.keys, positions, strict=True):
                    free[key].remove(position)
            elif to_train or not any(done[position].error for position in positions):
                checkpoint.discard()
        return packs

    @contextmanager
    def writer(self, keys: Sequence[str], silent: frozenset[int]) -> Iterator[CheckpointWriter]:
        """Yield the checkpoint writer of the pack of these runs, with a checkpoint to resume where there is one."""
        about = {"version": __version__, "store": self.store, "experiment": self.experiment, "keys": list(keys)}
        identity = sha256(json.dumps(about).encode()).hexdigest()[:16]
        file = self._own / f"{identity}-{secrets.token_hex(4)}{SUFFIX}"
        _in_use.add(file)
        try:
            usable = (
                [] if self.anew else [checkpoint for checkpoint in self.resumable() if checkpoint.keys == tuple(keys)]
            )
            claimed = (_checked(file, len(keys)) for checkpoint in usable if self._take(checkpoint, file))
            yield CheckpointWriter(file, self.seconds, about, next(filter(None, claimed), None), silent)
        finally:
            _in_use.discard(file)
            _tidy(file.parent)

    @property
    def _own(self) -> Path:
        return self.folder / "~".join(owner_tags().values())

    def _take(self, checkpoint: ResumableCheckpoint, file: Path) -> bool:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            checkpoint.file.rename(file)
        except FileNotFoundError:  # another process was faster
            return False
        _tidy(checkpoint.file.parent)
        return True

    def _read(self, file: Path) -> ResumableCheckpoint | None:
        """Read a checkpoint; None for another experiment's or version's, and for a damaged one, which is set aside."""
        with suppress(OSError):
            try:
                about = read_about(file)
                if (about["version"], about["store"], about["experiment"]) == (
                    __version__,
                    self.store,
                    self.experiment,
                ):
                    return ResumableCheckpoint(file, tuple(about["keys"]), tuple(about["runs"]))
            except (DamagedError, KeyError, TypeError) as error:
                set_aside(file, error)
        return None


def _checked(file: Path, runs: int) -> Checkpoint | None:
    """Read the checkpoint of a pack of `runs` runs; None, set aside, where it cannot be one."""
    try:
        checkpoint = read(file)
        _check(file, checkpoint, runs)
    except DamagedError as error:
        set_aside(file, error)
        return None
    return checkpoint


def _check(file: Path, checkpoint: Checkpoint, runs: int) -> None:
    """Raise DamagedError where the parts of a checkpoint do not belong together."""
    snapshot = checkpoint.snapshot
    endings = [Ending(**ending) for ending in checkpoint.about["endings"]]
    members = sorted([*snapshot.replicas, *snapshot.final])
    for holds, rule in (
        (len(checkpoint.about["runs"]) == runs and members == list(range(runs)), f"be of {runs} runs"),
        (
            snapshot.recorded == len(checkpoint.records) > 0,
            f"hold {len(checkpoint.records)} records, not {snapshot.recorded}",
        ),
        (
            all(0 <= ending.replica < runs and 0 < ending.recorded <= snapshot.recorded for ending in endings),
            "know when its runs ended",
        ),
    ):
        if not holds:
            raise DamagedError(f"checkpoint: {file} must {rule}")


@dataclass(frozen=True)
class Abandoned:
    """A checkpoint that no process resumes: its description, or the reason why it cannot be read."""

    file: Path
    about: Mapping[str, Any]
    error: str = ""


def abandoned(store: Store) -> list[Abandoned]:
    """Every checkpoint of a store whose process is gone, the newest first; damaged ones too."""
    checkpoints = []
    folder = store.home / FOLDER
    for file in sorted(folder.glob(f"*~*/*{SUFFIX}"), key=_modified, reverse=True):
        with suppress(OSError):
            try:
                about = read(file).about
                if about["store"] != store.name:
                    continue
                checkpoint = Abandoned(file, about)
            except (DamagedError, KeyError, TypeError) as error:
                checkpoint = Abandoned(file, {}, str(error))
            if owner_is_gone(_owner_of(file.parent)):
                checkpoints.append(checkpoint)
    return checkpoints + [
        Abandoned(file, {}, f"{file} was set aside as damaged") for file in sorted(folder.glob(f"{ASIDE}/*"))
    ]


def _owner_of(folder: Path) -> dict[str, str]:
    return dict(zip(OWNER, folder.name.split("~"), strict=False))


def _positions_of(keys: Sequence[str], free: Mapping[str, Sequence[int]]) -> tuple[int, ...] | None:
    """Position of each of the keys, each position once; None where there are too few."""
    remaining = {key: list(positions) for key, positions in free.items()}
    if any(not remaining.get(key) or keys.count(key) > len(remaining[key]) for key in set(keys)):
        return None
    return tuple(remaining[key].pop(0) for key in keys)


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
