"""A search's settings and trials, and how the next trials are chosen.

Every batch is chosen from the results of the trials before it alone, by a sampler that is seeded with their number: a
resumed search chooses as one that was never interrupted.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import inf
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from workbench.config.prepare import prepare
from workbench.config.schema import RunSpec
from workbench.config.validate import validate
from workbench.core.errors import ConfigError, TrackingError, unknown_name
from workbench.sweeps.checks import check_together
from workbench.sweeps.identity import run_key
from workbench.sweeps.pruning import Direction, load_optuna
from workbench.sweeps.shapes import Runs
from workbench.sweeps.space import Space, Values

TRIES = 20  # to choose what was not tried, before the first of what is left is taken
State = Literal["COMPLETE", "PRUNED", "FAIL"]  # as Optuna calls them


class Settings(BaseModel):
    """The settings of ``conf/hydra/sweeper/search.yaml`` beside the space."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metric: str
    direction: Direction | None
    trials: Annotated[int, Ge(1)]
    batch: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]
    prune: bool
    prune_after: Annotated[int, Ge(1)]
    prune_least: Annotated[int, Ge(1)]

    @property
    def aim(self) -> Direction:
        """The direction; by default the metric's own."""
        return self.direction or ("minimize" if self.metric.endswith("/loss") else "maximize")

    @property
    def worst(self) -> float:
        """The value of a trial that diverged."""
        return inf if self.aim == "minimize" else -inf


def make_settings(**settings: Any) -> Settings:
    """Check settings; raises ConfigError with the key, the rule and the value."""
    try:
        return Settings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Input should be ")
        raise ConfigError(f"hydra.sweeper.{first['loc'][0]}: must be {rule}, got {first['input']!r}") from error


@dataclass(frozen=True)
class Trial:
    """A trial's chosen values, its state, the mean objective of its runs, and their ids."""

    number: int
    values: Values
    state: State | None = None
    value: float | None = None
    runs: tuple[str, ...] = ()
    error: str = ""


def read_trial(name: str, text: str, space: Space) -> Trial:
    """Read a trial from the tag `name` of a sweep.

    Raises TrackingError where it is not a trial of this space: its values become a configuration.
    """
    with suppress(ValueError):  # of json and of pydantic
        trial = TypeAdapter(Trial).validate_python(json.loads(text))
        if space.holds(trial.values):
            return trial
    raise TrackingError(f"search: the tag {name} must be a trial of what is searched; delete it, and it is tried again")


@dataclass(frozen=True)
class Search:
    """A search: its space, its settings, and `compose`, which makes runs of overrides."""

    space: Space
    settings: Settings
    compose: Callable[[Runs], list[RunSpec]]

    def __len__(self) -> int:
        """The most runs that it may have."""
        return self.settings.trials * len(self.corners[0])

    @cached_property
    def corners(self) -> list[list[RunSpec]]:
        """Runs at the corners of the space.

        Raises ConfigError where one of them cannot run, or the metric cannot be compared.
        """
        corners = [self.compose(self.space.runs(values)) for values in self.space.corners()]
        specs = [spec for corner in corners for spec in corner]
        check_together(specs)
        for spec in specs:
            validate(spec)
        scores = {"r2" if prepare(spec).n_classes is None else "accuracy" for spec in specs}
        known = [f"{part}/{name}" for part in ("train", "valid") for name in ("loss", *scores)]
        if self.settings.metric not in known or len(scores) > 1:
            raise unknown_name("hydra.sweeper.metric", self.settings.metric, known)
        if self.settings.metric.endswith("/loss") and len({json.dumps(spec.resolved["loss"]) for spec in specs}) > 1:
            raise ConfigError(
                f"hydra.sweeper.metric: must mean the same in all trials, but {self.settings.metric} is of searched "
                f"losses; write hydra.sweeper.metric=valid/{scores.pop()}"
            )
        return corners

    @property
    def key(self) -> str:
        """Digest that is equal for searches that choose alike; number of trials and pruning do not count."""
        runs = sorted(run_key(spec, prepare(spec).dataset.digest) for corner in self.corners for spec in corner)
        settings = self.settings
        searched = {key: repr(distribution) for key, distribution in self.space.searched.items()}
        content = json.dumps([runs, searched, settings.metric, settings.aim, settings.seed])
        return sha256(content.encode()).hexdigest()[:16]

    def choose(self, begun: Sequence[Trial], marks: Callable[[Trial], dict[int, float]], count: int) -> list[Trial]:
        """Choose up to `count` trials that were not begun yet; fewer where the space has no more.

        `begun` are all trials so far, ended or not, and `marks` returns the objective of one after each epoch.
        """
        optuna = load_optuna()
        number = sha256(f"{self.settings.seed} {len(begun)}".encode()).digest()[:4]
        sampler = optuna.samplers.TPESampler(seed=int.from_bytes(number), constant_liar=True)
        study = optuna.create_study(sampler=sampler, direction=self.settings.aim)
        for trial in begun:
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState[trial.state or "RUNNING"],
                    params=dict(trial.values),
                    distributions=dict(self.space.searched),
                    value=trial.value,
                    intermediate_values=marks(trial),
                )
            )
        used, tried = {trial.number for trial in begun}, [trial.values for trial in begun]
        chosen: list[Trial] = []
        while len(chosen) < count and len(tried) < self.space.size():
            suggested = (self.space.rounded(study.ask(dict(self.space.searched)).params) for _ in range(TRIES))
            values = next((values for values in suggested if values not in tried), None)
            if values is None and self.space.size() < inf:
                values = next(values for values in self.space.every() if values not in tried)
            if values is None:
                break
            unused = next(number for number in range(len(tried) + 1) if number not in used)
            used.add(unused)
            tried.append(values)
            chosen.append(Trial(unused, values))
        return chosen
