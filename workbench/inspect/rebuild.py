"""Rebuilding a run from what a store holds: its configuration, its pack, its weights, and training it again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from workbench.config.compose import spec_from
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import GROUPS, RunSpec
from workbench.core.errors import NumericsError, TrackingError
from workbench.core.plain_text import one_line
from workbench.core.version import __version__
from workbench.engine.checkpoint import weights_digest
from workbench.engine.history import Record
from workbench.engine.replicas import Pack
from workbench.inspect.rerun_command import command_of
from workbench.nn.params import Params
from workbench.runs.run_writer import DIGEST, WEIGHTS
from workbench.runs.train_pack import Job, train_pack
from workbench.sweeps.identity import run_key
from workbench.sweeps.jobs import environment_tags
from workbench.tracking.base import MemorySink
from workbench.tracking.find_run import FullRun, read_run, tagged_like
from workbench.tracking.reader import artifact
from workbench.tracking.store import Store
from workbench.tracking.stored_run import whole_number

COMMIT = "mlflow.source.git.commit"
PACK = re.compile(r"([^:'%]+):(\d{1,9})/(\d{1,9})")  # the tag pack: digest of its keys, place, number of runs


def spec_of(stored: FullRun) -> RunSpec:
    """Configuration that a run was trained with, from its ``config.yaml`` and its params.

    Raises TrackingError where it has none that can be read.
    """
    if not stored.config:
        why = stored.trouble or f"its files are {', '.join(map(one_line, stored.files)) or 'none'}"
        raise TrackingError(
            f"run {stored.run.id}: must have kept its config.yaml, but {why}; put the file back with the run, or "
            f"train it again: {command_of(stored).strip() or 'workbench train ...'}"
        )
    choices = {group: stored.run.params.get(group, "") for group in GROUPS}
    try:
        return spec_from(stored.config, choices, stored.allowed)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TrackingError(
            f"run {stored.run.id}: its config.yaml must be the configuration that it was trained with, but it was "
            f"edited: {type(error).__name__}: {error}; put the file back with the run"
        ) from error


@dataclass(frozen=True)
class Again:
    """A run trained again, among `size` replicas: its last metrics, and the parameters [P] that it ended with."""

    pack: Pack
    params: Params
    metrics: dict[str, float]
    size: int

    @property
    def digest(self) -> str:
        """Digest of its final weights."""
        return weights_digest(self.params.layout, self.params.flat[0])


def train_again(stored: FullRun, pack_runs: Sequence[FullRun] = ()) -> Again:
    """Train a run as it was trained, alone or in the pack of `pack_runs` (itself among them, in their order).

    A replica leaves where it was pruned. Raises NumericsError where the training fails.
    """
    members = list(pack_runs) or [stored]
    specs = [spec_of(member) for member in members]
    index = next(index for index, member in enumerate(members) if member.run.id == stored.run.id)
    leaves = [_number(member, "pruned.epoch", -1) for member in members]

    def give_up(record: Record) -> list[int]:
        return [replica for replica in record.replicas if leaves[replica] == record.epoch]

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, _number(stored, "threads", before)))
    try:
        done = train_pack([Job(spec, "", "") for spec in specs], MemorySink(), give_up=give_up)
    finally:
        torch.set_num_threads(before)
    if done.results[index].error:
        raise NumericsError(f"run {stored.run.id}: must train again, but {done.results[index].error}")
    pack = build_pack([specs[index]])
    params = pack.initial_params()
    params.flat[0].copy_(done.final[index])
    return Again(pack, params, done.results[index].metrics, len(members))


def repeat(store: Store, stored: FullRun) -> tuple[Again, list[str]]:
    """A run trained again so that it ends with the same bits, if that can be; and why it cannot, in words.

    First alone; where that gives others than its digest, and nothing explains them, with its whole pack.
    """
    digest, reasons = stored.run.tags.get(DIGEST, ""), what_differs(stored, spec_of(stored))
    again = train_again(stored)
    if digest and again.digest != digest and not reasons:
        members = pack_of(store, stored)
        if not members:
            reasons = ["the store lacks runs of the pack that it was trained in, and last bits may depend on that"]
        elif len(members) > 1:
            again = train_again(stored, members)
    if again.digest != digest:
        reasons = reasons or other_commit(stored)
    return again, reasons if digest else [*reasons, "it kept no digest of its final weights"]


def final_weights(store: Store, stored: FullRun) -> tuple[Pack, Params, str]:
    """Pack of one with a run's final parameters, and a sentence on their origin.

    Raises TrackingError where the stored weights are not the run's own, and training again gives others too.
    """
    before, wrong = "", ""
    if WEIGHTS in stored.files:
        pack, params, wrong = stored_weights(store, stored)
        if not wrong:
            return pack, params, f"weights: kept, {WEIGHTS}"
        before = f"{WEIGHTS} was not used, {wrong}; "
    again, reasons = repeat(store, stored)
    same = again.digest == stored.run.tags.get(DIGEST)
    if wrong and not same:
        raise TrackingError(
            f"run {stored.run.id}: its {WEIGHTS} must hold what it ended with, but was not used, {wrong}, and training "
            f"it again ends with other weights ({'; '.join(reasons) or 'see workbench verify'}); put the file back "
            "with the run, or remove it to go on with those others"
        )
    how = "to the same bits" if same else f"to other bits: {'; '.join(reasons) or 'see workbench verify'}"
    return again.pack, again.params, f"weights: {before}trained again, {how}"


def stored_weights(store: Store, stored: FullRun) -> tuple[Pack, Params, str]:
    """Pack of one with the parameters of a run's `WEIGHTS`; and why these are not its final ones, or ""."""
    pack = build_pack([spec_of(stored)])
    params = pack.initial_params()
    return pack, params, _fill(params, artifact(store, stored.run.id, WEIGHTS), stored.run.tags.get(DIGEST, ""))


def _fill(params: Params, content: bytes, digest: str) -> str:
    """Copy the first replica's parameters from a file; returns why they are not the run's final ones, or ""."""
    try:
        weights = load(content)
        expected = {name: (tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in params.items()}
        obtained = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items()}
        if unequal := sorted(
            name for name in expected.keys() | obtained.keys() if expected.get(name) != obtained.get(name)
        ):
            return f"as its names, shapes or types are not those of the net: {', '.join(map(one_line, unequal[:3]))}"
        for name in params:
            params[name][0].copy_(weights[name])
    except (SafetensorError, LookupError, RuntimeError, ValueError) as error:
        return f"as it cannot be read: {str(error).splitlines()[0]}"
    same = not digest or weights_digest(params.layout, params.flat[0]) == digest
    return "" if same else f"as its weights are not those of the tag {DIGEST}"


def pack_of(store: Store, stored: FullRun) -> list[FullRun]:
    """Runs that trained together with this one, in their order; empty where the store lacks one of them."""
    pack = PACK.fullmatch(stored.run.tags.get("pack", ""))
    if pack is None:
        return []
    digest, place, size = pack.groups()
    near = tagged_like(store, stored.experiment_id, "pack", f"{digest}:")
    tagged = [(PACK.fullmatch(tag), run) for run, tag in near.items()]
    ids = {match[2]: run for match, run in tagged if match} | {place: stored.run.id}
    if len(ids) < int(size):
        return []
    runs = [ids[number] for number in sorted(ids, key=int)]
    return [stored if run == stored.run.id else replace(read_run(store, run), allowed=stored.allowed) for run in runs]


def _number(stored: FullRun, tag: str, otherwise: int) -> int:
    """A tag on how a run was trained, as a whole number; `otherwise` where it is missing.

    Raises TrackingError for any other text.
    """
    number = whole_number(stored.run.tags, tag)
    if number is None and tag in stored.run.tags:
        raise TrackingError(
            f"run {stored.run.id}: its tag {tag} must be a whole number, got {stored.run.tags[tag]!r}; write the "
            "number there in MLflow's pages, or delete the tag"
        )
    return otherwise if number is None else number


def what_differs(stored: FullRun, spec: RunSpec) -> list[str]:
    """Reasons why equal bits cannot be promised here: another machine, version, data or code."""
    tags = stored.run.tags
    device = prepare(spec).device
    present = {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}
    changed = {name: value for name, value in present.items() if tags.get(name) != value}
    reasons = [f"{name} was {tags.get(name, 'not kept')}, here {value}" for name, value in changed.items()]
    if tags.get("device", "cpu") != "cpu" or device.type != "cpu":
        reasons.append(f"device was {tags.get('device')}, here {device.type}: sums on a GPU have no fixed order")
    digest = prepare(spec).dataset.digest
    if stored.data and stored.data != digest:
        reasons.append(f"the data set had digest {stored.data}, here {digest}")
    elif tags.get("workbench") != __version__:
        reasons.append(f"workbench was {tags.get('workbench', 'not kept')}, here {__version__}")
    elif tags.get("key") != run_key(spec, digest):
        reasons.append("the source of a function that it chose (activation, data, ...) was edited since")
    return reasons


def other_commit(stored: FullRun) -> list[str]:
    """A sentence that the code may have changed within its version, where both commits are known and differ."""
    former, present = stored.run.tags.get(COMMIT), environment_tags().get(COMMIT)
    return (
        [f"the code was of commit {former[:10]}, here {present[:10]}"]
        if former and present and former != present
        else []
    )
