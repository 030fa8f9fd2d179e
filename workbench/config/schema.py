"""The typed spine of a configuration, and one run's composed configuration.

`Config` is the schema that ``conf/config.yaml`` refines; the choices of a group (``activation``, ``data``, ...) are
nodes with a ``_target_``, checked against that function's signature when they are built. Nothing here imports torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.core.errors import ConfigError

GROUPS = (
    *("architecture", "activation", "init", "bias", "norm", "loss"),
    *("optimizer", "schedule", "pretraining", "data", "diagnostics"),
)
TARGET = "_target_"
MISSING = (
    "???"  # OmegaConf's mark of a value that must be given; to import it takes commands that compose nothing 0.07 s
)
LARGEST = 2**63 - 1  # integer that tables and databases hold
MOST = 3.4e38  # number that float32 holds
NOT_RESULT = ("certificate", "tracking", "sweep")  # sections that change no number of a run

Device = Enum("Device", ["auto", "cpu", "cuda"])
Dtype = Enum("Dtype", ["float32", "float64"])
LearnedTarget = Enum("LearnedTarget", ["label", "input"])
OnError = Enum("OnError", ["continue", "stop"])
Rerun = Enum("Rerun", ["missing", "failed", "all"])


@dataclass
class Train:
    """Number of epochs, batch size, and the norm at which a gradient is clipped (None: no clipping).

    A run stops after `patience` epochs without a smaller validation loss than before (None: it does not).
    """

    epochs: int = 30
    batch_size: int = 32
    clip_norm: float | None = None
    patience: int | None = None


@dataclass
class SplitConfig:
    """Fractions of the examples for validation and test, the seed that draws them, and changes made to them.

    The training part is cut to `limit` examples, a share `label_noise` of its labels is made wrong, and inputs above
    the share `binarize` of their range become 1, the others 0.
    """

    valid: float = 0.1
    test: float = 0.1
    standardize: bool = True
    limit: int | None = None
    label_noise: float = 0.0
    binarize: float | None = None
    seed: int = 0


@dataclass
class Tracking:
    """The MLflow store and experiment that runs are logged to."""

    uri: str | None = None
    experiment: str = "workbench"


@dataclass
class SweepConfig:
    """Training of a multirun. A pack is split where it would take more than `pack_gib` GiB, or than is free.

    `rerun` selects runs to train again: missing ones, failed ones as well, or all. A pack in training writes a
    checkpoint every `checkpoint_seconds` (0: after each epoch, None: none), and `keep_weights` stores final parameters.
    `dry_run` prints what the runs will take, and trains and writes nothing.
    """

    rerun: Rerun = Rerun["failed"]
    on_error: OnError = OnError["continue"]
    pack_gib: float = 0.5
    checkpoint_seconds: float | None = 10.0
    keep_weights: bool = False
    dry_run: bool = False


@dataclass
class Config:
    """Configuration of one run: groups first, then the spine. Training ignores `claim`, which says what is decided."""

    architecture: Any = MISSING
    activation: Any = MISSING
    init: Any = MISSING
    bias: Any = MISSING
    norm: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    pretraining: Any = MISSING
    data: Any = MISSING
    diagnostics: Any = MISSING
    target: LearnedTarget = LearnedTarget["label"]
    split: SplitConfig = field(default_factory=SplitConfig)
    train: Train = field(default_factory=Train)
    tracking: Tracking = field(default_factory=Tracking)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    device: Device = Device["auto"]
    dtype: Dtype = Dtype["float32"]
    certificate: bool = True
    seed: int = 0
    claim: Any = None

    def __post_init__(self) -> None:
        """Raise ConfigError for the first value out of its range."""
        for rule, holds, key, value in self._rules():
            if not holds:
                raise ConfigError(f"{key}: must be {rule}, got {value!r}; write for example {key}={DEFAULTS[key]}")

    def _rules(self) -> Iterator[tuple[str, bool, str, Any]]:
        split, train, tracking = self.split, self.train, self.tracking
        for key, count in (("train.epochs", train.epochs), ("train.batch_size", train.batch_size)):
            yield "at least 1", count >= 1, key, count
            yield f"at most {LARGEST}", count <= LARGEST, key, count
        clip, patience = train.clip_norm, train.patience
        yield "at least 1, or null", patience is None or patience >= 1, "train.patience", patience
        yield "above 0, or null", clip is None or clip > 0, "train.clip_norm", clip
        yield f"at most {MOST:g}", clip is None or clip <= MOST, "train.clip_norm", clip
        yield "above 0 and below 1", 0 < split.valid < 1, "split.valid", split.valid
        yield (
            "above 0 and below 1 - split.valid",
            0 < split.test < 1 - split.valid,
            "split.test",
            split.test,
        )
        limit, noise, binarize = split.limit, split.label_noise, split.binarize
        yield "at least 1, or null", limit is None or limit >= 1, "split.limit", limit
        yield "at least 0", 0 <= noise < float("inf"), "split.label_noise", noise
        yield "at least 0 and below 1, or null", binarize is None or 0 <= binarize < 1, "split.binarize", binarize
        gib, seconds = self.sweep.pack_gib, self.sweep.checkpoint_seconds
        yield "above 0 and finite", 0 < gib < float("inf"), "sweep.pack_gib", gib
        rule = "at least 0 and finite, or null"
        yield rule, seconds is None or 0 <= seconds < float("inf"), "sweep.checkpoint_seconds", seconds
        for key, seed in (("seed", self.seed), ("split.seed", split.seed)):
            yield f"from 0 to {LARGEST}", 0 <= seed <= LARGEST, key, seed
        yield (
            "a name",
            bool(tracking.experiment.strip()),
            "tracking.experiment",
            tracking.experiment,
        )


DEFAULTS = {
    "seed": 0,
    "split.seed": 0,
    "train.epochs": 30,
    "train.batch_size": 32,
    "train.clip_norm": 1,
    "train.patience": 5,
    "split.valid": 0.1,
    "split.test": 0.1,
    "split.limit": 100,
    "split.label_noise": 0.1,
    "split.binarize": 0.5,
    "sweep.pack_gib": 0.5,
    "sweep.checkpoint_seconds": 10,
    "tracking.experiment": "workbench",
}


@dataclass(frozen=True)
class RunSpec:
    """A composed configuration, the names chosen in its groups, and the overrides it was made with.

    `folder` is the user's own (``--config-dir``), where there is one.
    """

    config: Config
    resolved: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]
    folder: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Arguments of ``workbench train`` that make this run."""
        return (*(("--config-dir", self.folder) if self.folder else ()), *self.overrides)

    @property
    def epochs(self) -> int:
        """Total epochs, pretraining included."""
        pretraining, hidden = self.resolved["pretraining"], self.resolved["architecture"].get("hidden", [])
        stages = max(1, len(hidden))  # a language model is one
        return int(
            self.config.train.epochs + stages * pretraining.get("epochs", 0) + pretraining.get("frozen_epochs", 0)
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole configuration, flat: dotted keys, a group's choice under the group's own name."""
        flat: dict[str, Any] = {}
        for key, value in self.resolved.items():
            if key in GROUPS:
                flat[key] = self.choices[key]
            flat |= _flatten(key, value)
        inner = {group.partition("@")[2]: name for group, name in self.choices.items() if "@" in group}
        flat |= {key: name for key, name in inner.items() if key.partition(".")[0] in GROUPS}
        return {key: value for key, value in flat.items() if not key.endswith(TARGET)}


def _flatten(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flatten(f"{key}.{name}", inner)
    return flat


def packaged(folder: str) -> Path:
    """The folder ``conf`` or ``experiments``: inside the installed package, or beside it in a checkout.

    Raises ConfigError where there is none.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / folder, package.parent / folder):
        if any(candidate.glob("*/*.yaml")):  # in a checkout, the package has a module `experiments` only
            return candidate
    raise ConfigError(f"workbench: the folder {folder!r} must lie in {package} or beside it; install the package again")
