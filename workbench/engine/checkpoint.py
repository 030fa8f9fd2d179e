"""A pack's state between two records, in one safetensors file: what training goes on from, bit for bit.

The file holds parameters, optimizer state, the streams of the orders, the parameters of replicas that have left, and
every record since the start with its first time. It is written beside its place, forced to the disk and renamed, so
that whenever a process ends there is the old file or the new one, whole. Digests of its tensors and of all that it says
beside them tell a file that was changed since: nobody goes on from that.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from workbench.core.errors import DamagedError
from workbench.engine.history import Divergence, Record
from workbench.nn.optimizers import State
from workbench.nn.params import Layout, Params

STATE, NOTES = "state.", "notes."
TENSORS, ALL = "digest.tensors", "digest"  # what a file says of its tensors, and of everything else
TRIES = 5


@dataclass(frozen=True)
class PackState:
    """A pack after `recorded` records, at a `stage`: all that the records after them depend on.

    The `replicas` in training have the parameters `flat` [R, P], laid out as `layout` says, the optimizer `state` and
    the states of their streams, `orders`; `final` holds the parameters [P] of those that have left. `notes` gives the
    tensors of diagnostics, none of which training overwrites.
    """

    recorded: int
    stage: int
    replicas: tuple[int, ...]
    flat: Tensor
    state: State
    orders: Tensor
    final: Mapping[int, Tensor]
    layout: str
    notes: Callable[[], Mapping[str, Tensor]] = dict

    def copied(self, device: torch.device | None = None) -> "PackState":
        """The same with tensors that no training overwrites."""
        device = device or self.flat.device
        return replace(
            self,
            flat=self.flat.to(device, copy=True),
            state={name: tensor.to(device, copy=True) for name, tensor in self.state.items()},
            final={replica: flat.to(device) for replica, flat in self.final.items()},
        )

    @property
    def program(self) -> tuple[object, ...]:
        """What two snapshots of one program share: the layout, and the types and shapes of one replica's tensors."""
        tensors = {"": self.flat, **self.state}
        return self.layout, {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in tensors.items()}

    @property
    def size(self) -> int:
        """Bytes, about."""
        tensors = [self.flat, self.orders, *self.state.values(), *self.final.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; `about` is whatever its writer wanted to say beside it."""

    snapshot: PackState
    records: list[Record]
    about: Mapping[str, Any]


def layout_digest(layout: Layout) -> str:
    """16 hexadecimal digits that stand for where each parameter lies."""
    return sha256(json.dumps(layout.slots).encode()).hexdigest()[:16]


def weights_of(layout: Layout, flat: Tensor) -> bytes:
    """One replica's parameters [P] by name, as the content of a safetensors file."""
    params = Params(layout, flat.cpu().unsqueeze(0))
    content: bytes = save({name: tensor[0].clone() for name, tensor in params.items()})
    return content


def weights_digest(layout: Layout, flat: Tensor) -> str:
    """SHA-256 over one replica's parameters [P]: names in their order, types, shapes and bytes; not where they lie."""
    return _digest_of({name: tensor[0] for name, tensor in Params(layout, flat.cpu().unsqueeze(0)).items()})


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())  # a slope has no axis to view
    return digest.hexdigest()


def write(file: Path, snapshot: PackState, records: Sequence[Record], about: Mapping[str, Any]) -> None:
    """Put a checkpoint in the place of `file`; where that raises, the old one is untouched."""
    tensors, shape = _records_as_tensors(records)
    left = sorted(snapshot.final)
    tensors |= {
        "flat": snapshot.flat,
        "orders": snapshot.orders,
        **{f"{STATE}{name}": tensor for name, tensor in snapshot.state.items()},
        **{f"{NOTES}{name}": tensor for name, tensor in snapshot.notes().items()},
        "final": torch.stack([snapshot.final[replica] for replica in left]) if left else snapshot.flat[:0],
    }
    header = {name: getattr(snapshot, name) for name in ("recorded", "stage", "replicas", "layout")} | {"left": left}
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = {**about, "header": header, "records": shape, TENSORS: _digest_of(content)}
    metadata = {key: json.dumps(value) for key, value in said.items()}
    metadata[ALL] = _digest_of_text(metadata)
    new = file.with_suffix(".tmp")
    for attempt in range(TRIES):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(content, new, metadata)
            break
        except SafetensorError:
            if attempt == TRIES - 1 or file.parent.is_dir():
                raise  # else another process has just removed the folder, because it was empty
    with new.open("rb+") as written:
        os.fsync(written.fileno())
    new.replace(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Force the renaming to the disk too, where folders can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _digest_of_text(metadata: Mapping[str, str]) -> str:
    return sha256(json.dumps(sorted(metadata.items())).encode()).hexdigest()


@contextmanager
def _whole(file: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A file, open, and all that it says beside its tensors.

    Raises DamagedError where that is not what was written, or the block meets what was not; OSError where it cannot be
    read.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            if metadata.pop(ALL, "") != _digest_of_text(metadata):
                raise ValueError("its digest is another")
            yield opened, {key: json.loads(value) for key, value in metadata.items()}
    except OSError:
        raise
    except Exception as error:  # whatever a reader makes of what is no checkpoint
        reason = str(error) or type(error).__name__
        raise DamagedError(f"checkpoint: {file} must be as it was written, but {reason}") from error


def read_about(file: Path) -> dict[str, Any]:
    """What a checkpoint's writer said beside it, without its tensors, which may be damaged.

    Raises DamagedError for a file that is no checkpoint or not as it was written, OSError for one that cannot be read.
    """
    with _whole(file) as (_, said):
        return {key: value for key, value in said.items() if key not in ("header", "records", TENSORS)}


def read(file: Path) -> Checkpoint:
    """A checkpoint from its file; raises DamagedError and OSError as `read_about`, also for its tensors."""
    with _whole(file) as (opened, said):
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if said.pop(TENSORS, "") != _digest_of(tensors):
            raise ValueError("the digest of its numbers is another")
        return _checkpoint_of(tensors, said)


def _checkpoint_of(tensors: Mapping[str, Tensor], metadata: dict[str, Any]) -> Checkpoint:
    header, shape = metadata.pop("header"), metadata.pop("records")
    notes, state = (
        {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
        for kind in (NOTES, STATE)
    )
    snapshot = PackState(
        header["recorded"],
        header["stage"],
        tuple(header["replicas"]),
        tensors["flat"],
        state,
        tensors["orders"],
        dict(zip(header["left"], tensors["final"], strict=True)),
        header["layout"],
        lambda: notes,
    )
    return Checkpoint(snapshot, _records_from_tensors(tensors, shape), metadata)


def _records_as_tensors(records: Sequence[Record]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Numbers as tensors, which take a tenth of their text; the few names beside them."""
    names = list(dict.fromkeys(tuple(record.metrics) for record in records))
    heads = [
        [record.step, record.epoch, record.time_ms, names.index(tuple(record.metrics)), len(record.replicas)]
        for record in records
    ]
    diverged = [[index, asdict(one)] for index, record in enumerate(records) for one in record.diverged]
    tensors = {
        "records.heads": torch.tensor(heads, dtype=torch.int64),
        "records.replicas": torch.tensor([one for record in records for one in record.replicas], dtype=torch.int64),
        "records.values": torch.tensor(
            [value for record in records for row in record.metrics.values() for value in row], dtype=torch.float64
        ),
    }
    return tensors, {"names": names, "diverged": diverged}


def _records_from_tensors(tensors: Mapping[str, Tensor], shape: Mapping[str, Any]) -> list[Record]:
    replicas, values = (iter(tensors[f"records.{name}"].tolist()) for name in ("replicas", "values"))
    diverged: dict[int, list[Divergence]] = {}
    for index, one in shape["diverged"]:
        diverged.setdefault(index, []).append(Divergence(**one))
    records = []
    for index, (step, epoch, time_ms, kind, count) in enumerate(tensors["records.heads"].tolist()):
        own = tuple(islice(replicas, count))
        metrics = {name: list(islice(values, count)) for name in shape["names"][kind]}
        records.append(Record(step, epoch, time_ms, own, metrics, tuple(diverged.get(index, ()))))
    return records
