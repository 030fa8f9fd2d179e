"""A run from what a store holds of it alone: its configuration, its pack, and how it is trained again."""

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
from workbench.tracking.find_run import FullRun, read_run, runs_where
from workbench.tracking.reader import artifact
from workbench.tracking.store import Store
from workbench.tracking.stored_run import whole_number

COMMIT = "mlflow.source.git.commit"
PACK = re.compile(r"([^:'%]+):(\d{1,9})/(\d{1,9})")  # the tag pack: digest of its keys, place, number of runs


def spec_of(kept: FullRun) -> RunSpec:
    """The configuration a run was trained with, from its ``config.yaml`` and its params.

    Raises TrackingError where the run kept none that can be read.
    """
    if not kept.config:
        why = kept.trouble or f"its files are {', '.join(map(one_line, kept.files)) or 'none'}"
        raise TrackingError(
            f"run {kept.run.id}: must have kept its config.yaml, but {why}; put the file back with the run, or "
            f"train it again: {command_of(kept).strip() or 'workbench train ...'}"
        )
    choices = {group: kept.run.params.get(group, "") for group in GROUPS}
    try:
        return spec_from(kept.config, choices, kept.allowed)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TrackingError(
            f"run {kept.run.id}: its config.yaml must be the configuration that it was trained with, but it was "
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
        """That of its final weights."""
        return weights_digest(self.params.layout, self.params.flat[0])


def train_again(kept: FullRun, others: Sequence[FullRun] = ()) -> Again:
    """Train a run as it was trained, alone or in the pack of all `others` (itself among them, in their order).

    A replica leaves where it was pruned. Raises NumericsError where the training fails.
    """
    members = list(others) or [kept]
    specs = [spec_of(one) for one in members]
    place = next(place for place, one in enumerate(members) if one.run.id == kept.run.id)
    leaves = [_number(one, "pruned.epoch", -1) for one in members]

    def give_up(record: Record) -> list[int]:
        return [replica for replica in record.replicas if leaves[replica] == record.epoch]

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, _number(kept, "threads", before)))
    try:
        done = train_pack([Job(spec, "", "") for spec in specs], MemorySink(), give_up=give_up)
    finally:
        torch.set_num_threads(before)
    if done.results[place].error:
        raise NumericsError(f"run {kept.run.id}: must train again, but {done.results[place].error}")
    pack = build_pack([specs[place]])
    params = pack.initial_params()
    params.flat[0].copy_(done.final[place])
    return Again(pack, params, done.results[place].metrics, len(members))


def repeat(store: Store, kept: FullRun) -> tuple[Again, list[str]]:
    """A run trained again so that it ends with the same bits, if that can be; and why it cannot, in words.

    First alone; where that gives others than its digest, and nothing explains them, with its whole pack.
    """
    digest, reasons = kept.run.tags.get(DIGEST, ""), what_differs(kept, spec_of(kept))
    again = train_again(kept)
    if digest and again.digest != digest and not reasons:
        members = pack_of(store, kept)
        if not members:
            reasons = ["the store lacks runs of the pack that it was trained in, and last bits may depend on that"]
        elif len(members) > 1:
            again = train_again(kept, members)
    if again.digest != digest:
        reasons = reasons or other_commit(kept)
    return again, reasons if digest else [*reasons, "it kept no digest of its final weights"]


def final_weights(store: Store, kept: FullRun) -> tuple[Pack, Params, str]:
    """A run's pack of one with the parameters that it ended with, and where they are from, in words.

    Raises TrackingError where those that were kept are not its own, and training again gives others too.
    """
    before, wrong = "", ""
    if WEIGHTS in kept.files:
        pack, params, wrong = kept_weights(store, kept)
        if not wrong:
            return pack, params, f"weights: kept, {WEIGHTS}"
        before = f"{WEIGHTS} was not used, {wrong}; "
    again, reasons = repeat(store, kept)
    same = again.digest == kept.run.tags.get(DIGEST)
    if wrong and not same:
        raise TrackingError(
            f"run {kept.run.id}: its {WEIGHTS} must hold what it ended with, but was not used, {wrong}, and training "
            f"it again ends with other weights ({'; '.join(reasons) or 'see workbench verify'}); put the file back "
            "with the run, or remove it to go on with those others"
        )
    how = "to the same bits" if same else f"to other bits: {'; '.join(reasons) or 'see workbench verify'}"
    return again.pack, again.params, f"weights: {before}trained again, {how}"


def kept_weights(store: Store, kept: FullRun) -> tuple[Pack, Params, str]:
    """A run's pack of one with the parameters of its `WEIGHTS`; and why they are not those it ended with, if so."""
    pack = build_pack([spec_of(kept)])
    params = pack.initial_params()
    return pack, params, _fill(params, artifact(store, kept.run.id, WEIGHTS), kept.run.tags.get(DIGEST, ""))


def _fill(params: Params, content: bytes, digest: str) -> str:
    """Take the first replica's parameters from a file; why they are not those that the run ended with, if so."""
    try:
        weights = load(content)
        own = {name: (tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in params.items()}
        found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items()}
        if other := sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name)):
            return f"as its names, shapes or types are not those of the net: {', '.join(map(one_line, other[:3]))}"
        for name in params:
            params[name][0].copy_(weights[name])
    except (SafetensorError, LookupError, RuntimeError, ValueError) as error:
        return f"as it cannot be read: {str(error).splitlines()[0]}"
    same = not digest or weights_digest(params.layout, params.flat[0]) == digest
    return "" if same else f"as its weights are not those of the tag {DIGEST}"


def pack_of(store: Store, kept: FullRun) -> list[FullRun]:
    """The runs that trained together with this one, in their order; none where the store lacks one of them."""
    pack = PACK.fullmatch(kept.run.tags.get("pack", ""))
    if pack is None:
        return []
    digest, place, size = pack.groups()
    near = runs_where(store, kept.experiment_id, f"tags.pack LIKE '{digest}:%'")
    others = [(PACK.fullmatch(run.data.tags["pack"]), run.info.run_id) for run in near]
    found = {one[2]: run for one, run in others if one} | {place: kept.run.id}
    if len(found) < int(size):
        return []
    runs = [found[number] for number in sorted(found, key=int)]
    return [kept if run == kept.run.id else replace(read_run(store, run), allowed=kept.allowed) for run in runs]


def _number(kept: FullRun, tag: str, otherwise: int) -> int:
    """A tag that tells how a run was trained.

    Raises TrackingError where it is there and tells nothing.
    """
    number = whole_number(kept.run.tags, tag)
    if number is None and tag in kept.run.tags:
        raise TrackingError(
            f"run {kept.run.id}: its tag {tag} must be a whole number, got {kept.run.tags[tag]!r}; write the number "
            "there in MLflow's pages, or delete the tag"
        )
    return otherwise if number is None else number


def what_differs(kept: FullRun, spec: RunSpec) -> list[str]:
    """Why the same bits cannot be promised here, each in words: another machine, version, data or code."""
    tags = kept.run.tags
    device = prepare(spec).device
    here = {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}
    changed = {name: value for name, value in here.items() if tags.get(name) != value}
    found = [f"{name} was {tags.get(name, 'not kept')}, here {value}" for name, value in changed.items()]
    if tags.get("device", "cpu") != "cpu" or device.type != "cpu":
        found.append(f"device was {tags.get('device')}, here {device.type}: sums on a GPU have no fixed order")
    digest = prepare(spec).dataset.digest
    if kept.data and kept.data != digest:
        found.append(f"the data set had digest {kept.data}, here {digest}")
    elif tags.get("workbench") != __version__:
        found.append(f"workbench was {tags.get('workbench', 'not kept')}, here {__version__}")
    elif tags.get("key") != run_key(spec, digest):
        found.append("the source of a function that it chose (activation, data, ...) was edited since")
    return found


def other_commit(kept: FullRun) -> list[str]:
    """That the code may have changed within its version, in words, where both commits are known and differ."""
    was, here = kept.run.tags.get(COMMIT), environment_tags().get(COMMIT)
    return [f"the code was of commit {was[:10]}, here {here[:10]}"] if was and here and was != here else []
