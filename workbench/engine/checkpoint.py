"""Checkpoints: a pack's state between two records, in a safetensors file, from which training resumes bit for bit.

The file holds parameters, optimizer state, the random streams of the orders, the parameters of replicas that have left,
and every record since the start with its original time. It is written to a temporary file, synced to the disk and
renamed, so that at any time either the old file or the new one is complete. Digests of its tensors and of its metadata
reveal a file that was changed since, which is refused.
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
TENSORS, ALL = "digest.tensors", "digest"  # keys of the digests of tensors and of metadata
TRIES = 5


@dataclass(frozen=True)
class PackState:
    """State of a pack after `recorded` records, at a `stage`, which determines all records after them.

    The `replicas` in training have the parameters `flat` [R, P], whose layout has the digest `layout`, the optimizer
    `state` and the states of their random streams, `orders`; `final` holds the parameters [P] of those that have left.
    `notes` returns the tensors of diagnostics, none of which training overwrites.
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
        """Copy the tensors, which training would overwrite."""
        device = device or self.flat.device
        return replace(
            self,
            flat=self.flat.to(device, copy=True),
            state={name: tensor.to(device, copy=True) for name, tensor in self.state.items()},
            final={replica: flat.to(device) for replica, flat in self.final.items()},
        )

    @property
    def program(self) -> tuple[object, ...]:
        """Layout, types and shapes of one replica's tensors, equal for states that can continue each other."""
        tensors = {"": self.flat, **self.state}
        return self.layout, {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in tensors.items()}

    @property
    def size(self) -> int:
        """Size in bytes, approximately."""
        tensors = [self.flat, self.orders, *self.state.values(), *self.final.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file; `about` is its writer's own metadata."""

    snapshot: PackState
    records: list[Record]
    about: Mapping[str, Any]


def layout_digest(layout: Layout) -> str:
    """Return 16 hexadecimal digits of a SHA-256 over the offsets and shapes of parameters."""
    return sha256(json.dumps(layout.slots).encode()).hexdigest()[:16]


def weights_of(layout: Layout, flat: Tensor) -> bytes:
    """Serialize one replica's parameters [P] by name, as a safetensors file."""
    params = Params(layout, flat.cpu().unsqueeze(0))
    content: bytes = save({name: tensor[0].clone() for name, tensor in params.items()})
    return content


def weights_digest(layout: Layout, flat: Tensor) -> str:
    """SHA-256 of one replica's parameters [P]: sorted names, types, shapes and bytes, but not their offsets."""
    return _digest_of({name: tensor[0] for name, tensor in Params(layout, flat.cpu().unsqueeze(0)).items()})


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())  # a slope has no axis to view
    return digest.hexdigest()


def write(file: Path, snapshot: PackState, records: Sequence[Record], about: Mapping[str, Any]) -> None:
    """Write a checkpoint and replace `file` by it; raises OSError or SafetensorError, and then leaves the old file."""
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
    fields = {**about, "header": header, "records": shape, TENSORS: _digest_of(content)}
    metadata = {key: json.dumps(value) for key, value in fields.items()}
    metadata[ALL] = _digest_of_text(metadata)
    new = file.with_suffix(".tmp")
    for attempt in range(TRIES):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(content, new, metadata)
            break
        except SafetensorError:
            if attempt == TRIES - 1 or file.parent.is_dir():
                raise  # otherwise another process has just removed the empty folder
    with new.open("rb+") as written:
        os.fsync(written.fileno())
    new.replace(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Sync the renaming to the disk too, where folders can be opened."""
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
    """Open a checkpoint file and parse its metadata.

    Raises DamagedError where its metadata changed since it was written, and for errors of the block other than OSError;
    OSError where the file cannot be read.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            if metadata.pop(ALL, "") != _digest_of_text(metadata):
                raise ValueError("its digest is another")
            yield opened, {key: json.loads(value) for key, value in metadata.items()}
    except OSError:
        raise
    except Exception as error:  # safetensors and json raise many types for files that are no checkpoints
        reason = str(error) or type(error).__name__
        raise DamagedError(f"checkpoint: {file} must be as it was written, but {reason}") from error


def read_about(file: Path) -> dict[str, Any]:
    """Read the metadata of a checkpoint's writer, without its tensors, which are not checked.

    Raises DamagedError for a file that is no checkpoint or was changed since, OSError for one that cannot be read.
    """
    with _whole(file) as (_, fields):
        return {key: value for key, value in fields.items() if key not in ("header", "records", TENSORS)}


def read(file: Path) -> Checkpoint:
    """Read a checkpoint; raises DamagedError and OSError as `read_about`, also for its tensors."""
    with _whole(file) as (opened, fields):
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if fields.pop(TENSORS, "") != _digest_of(tensors):
            raise ValueError("the digest of its numbers is another")
        return _checkpoint_of(tensors, fields)


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
    """Convert records to tensors, which take a tenth of the space of text, and a small JSON object with the names."""
    names = list(dict.fromkeys(tuple(record.metrics) for record in records))
    heads = [
        [record.step, record.epoch, record.time_ms, names.index(tuple(record.metrics)), len(record.replicas)]
        for record in records
    ]
    diverged = [[index, asdict(divergence)] for index, record in enumerate(records) for divergence in record.diverged]
    replicas = [replica for record in records for replica in record.replicas]
    tensors = {
        "records.heads": torch.tensor(heads, dtype=torch.int64),
        "records.replicas": torch.tensor(replicas, dtype=torch.int64),
        "records.values": torch.tensor(
            [value for record in records for row in record.metrics.values() for value in row], dtype=torch.float64
        ),
    }
    return tensors, {"names": names, "diverged": diverged}


def _records_from_tensors(tensors: Mapping[str, Tensor], shape: Mapping[str, Any]) -> list[Record]:
    replicas, values = (iter(tensors[f"records.{name}"].tolist()) for name in ("replicas", "values"))
    diverged: dict[int, list[Divergence]] = {}
    for index, fields in shape["diverged"]:
        diverged.setdefault(index, []).append(Divergence(**fields))
    records = []
    for index, (step, epoch, time_ms, kind, count) in enumerate(tensors["records.heads"].tolist()):
        trained = tuple(islice(replicas, count))
        metrics = {name: list(islice(values, count)) for name in shape["names"][kind]}
        records.append(Record(step, epoch, time_ms, trained, metrics, tuple(diverged.get(index, ()))))
    return records
