"""What the page asks for, as data: options of groups and their plain values; and the runs and commands they make.

The page names options and gives numbers, flags and words. Paths, targets and interpolations never come from it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from workbench.config.compose import configure_each
from workbench.config.early_checks import check_written
from workbench.config.options import option, options, usual_options
from workbench.config.prepare import prepare
from workbench.config.schema import TARGET, RunSpec
from workbench.config.targets import hints_of, resolve_target
from workbench.core.errors import ConfigError
from workbench.core.memory import gib
from workbench.core.quoting import plain_override
from workbench.sweeps.checks import check

GROUPS = ("data", "architecture", "activation", "init", "bias", "norm", "loss", "optimizer")
OFFERED = {  # of the workbench's own options, where not all suit the page
    "data": ("xor", "annuli", "spirals", "digits"),
    "architecture": ("mlp", "residual_mlp", "highway_mlp", "maxout_mlp"),
}
DRAWN = "points"  # data drawn on the page
OTHER_VALUES: dict[str, Any] = {"train.batch_size": 32}
WORD = re.compile(r"[A-Za-z_]\w{0,60}", re.ASCII)
MOST_SEEDS, MOST_POINTS = 32, 600

Value = bool | int | FiniteFloat | Annotated[str, Field(max_length=60)] | Annotated[list[int], Field(max_length=100)]
Side = dict[str, Value]
Point = tuple[FiniteFloat, FiniteFloat, Annotated[int, Field(ge=0, le=3)]]
Offer = dict[str, dict[str, dict[str, Any]]]  # group -> option -> key -> default


class Settings(BaseModel):
    """Settings of pack `a` and, to compare, of pack `b`, on the same `seeds`, 0 to `seeds` - 1, and the same data."""

    model_config = ConfigDict(extra="forbid", strict=True)

    a: Side
    b: Side | None = None
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 16
    points: Annotated[list[Point], Field(max_length=MOST_POINTS)] = []

    @property
    def sides(self) -> list[Side]:
        """The settings of each pack."""
        return [self.a] if self.b is None else [self.a, self.b]


def offer(folder: Path | None) -> Offer:
    """List each option that the page offers, with its plain values; None stands for a value that must be given."""
    own = {group: options(group, folder) if folder else [] for group in GROUPS}
    return {
        group: packaged | {name: _plain(group, option(group, name, folder), words=False) for name in own[group]}
        for group, packaged in _packaged().items()
    }


@cache
def _packaged() -> Offer:
    offered = {
        group: {name: _plain(group, option(group, name), words=True) for name in OFFERED.get(group, options(group))}
        for group in GROUPS
    }
    return {**offered, "data": {**offered["data"], DRAWN: {}}}


@cache
def word_choices() -> dict[str, list[str]]:
    """List, by key, the words that a value of the workbench's own options may be, where it is a word."""
    choices = {}
    for group, offered in _packaged().items():
        words = {(name, key) for name, values in offered.items() for key in values if isinstance(values[key], str)}
        for name, key in sorted(words):
            hints = hints_of(resolve_target(group, option(group, name)[TARGET]))
            choices[key] = list(get_args(hints[key.partition(".")[2]]))
    return choices


def _plain(group: str, node: Mapping[str, Any], words: bool) -> dict[str, Any]:
    """Plain values of an option's node; texts only where they are `words`, as others may be paths."""
    values = {key: None if value == "???" else value for key, value in node.items() if key != TARGET}
    kinds = (bool, int, float, type(None), *((str,) if words else ()))
    return {
        f"{group}.{key}": value
        for key, value in values.items()
        if isinstance(value, kinds) or (key == "hidden" and isinstance(value, list))
    }


def overrides_of(side: Side, offered: Offer, points: Path | None = None) -> list[str]:
    """Write a pack's settings as overrides, options first; `points` is the file of drawn data.

    Raises ConfigError for what the page does not offer.
    """
    usual = usual_options()
    chosen = {group: str(side.get(group, usual[group])) for group in GROUPS}
    values = {key for group, name in chosen.items() for key in offered[group].get(name, {})} | OTHER_VALUES.keys()
    for key, value in side.items():
        if key not in values and key not in GROUPS:
            raise ConfigError(f"play: {key!r} must be a value of a chosen option; drop it")
        if isinstance(value, str) and not WORD.fullmatch(value):
            raise ConfigError(f"play: {key} must be a word or a number, got {value!r}; choose one on the page")
    if chosen["data"] not in offered["data"]:
        raise ConfigError(f"play: data must be one of {', '.join(offered['data'])}, got {chosen['data']}")
    lines = ["split.seed=0"]
    if chosen["data"] == DRAWN:
        lines += ["data=npz", plain_override("data.path", str(points)), "split.standardize=false"]
    picked = [key for key in side if key in GROUPS and side[key] != usual[key] and side[key] != DRAWN]
    given = [key for key in side if key not in GROUPS]
    return lines + [plain_override(key, side[key]) for key in (*picked, *given)]


def save_points(points: Sequence[Point], folder: Path) -> Path:
    """Write drawn points as arrays, in a file named by their digest; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{sha256(json.dumps(points).encode()).hexdigest()[:16]}.npz"
    table = np.array(points, dtype=np.float64).reshape(-1, 3)
    np.savez(file, x=table[:, :2], y=table[:, 2].astype(np.int64))
    return file


def compose(overrides: Sequence[str], seeds: int, folder: Path | None) -> list[RunSpec]:
    """Compose the runs of a pack, one for each seed, and check them as a sweep is checked.

    Raises ConfigError as ``workbench train -m`` does, and where the pack is no classification or takes too much memory.
    """
    specs = configure_each(overrides, [{"seed": seed} for seed in range(seeds)], folder)
    check_written(specs)
    check(specs)
    shared, most = prepare(specs[0]), specs[0].config.sweep.pack_gib * 2**30
    if shared.n_classes is None or shared.dataset.vocabulary is not None:
        raise ConfigError(f"play: data must have features and classes, got data={specs[0].choices['data']}")
    needed = seeds * shared.replica_bytes + shared.evaluation_bytes(seeds) + shared.data_bytes
    if needed > most:
        raise ConfigError(
            f"play: the pack must take at most {gib(int(most))}, got {gib(needed)}; choose fewer seeds or a smaller net"
        )
    return specs


def sweep_words(overrides: Sequence[str], seeds: int, epochs: int, folder: Path | None) -> list[str]:
    """Arguments of ``workbench`` that train a pack as a sweep, and keep it in the store."""
    config = [] if folder is None else ["--config-dir", str(folder)]
    return ["train", "-m", *config, *overrides, f"seed=range({seeds})", f"train.epochs={epochs}"]
