"""Study: the profile, seeds, nets and trained runs that a claim's `measure` works with.

Two roads lead to trained runs. Tracked runs are kept in MLflow, those found there are not trained again. Untracked ones
stay in memory: for thousands of tiny runs, or where their final parameters are looked into.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from time import perf_counter
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd

from workbench.certificates.trained import SpotChecks, disagreements
from workbench.claims.catalog import Entry
from workbench.claims.claim import TUNING_SEED, Claim
from workbench.claims.evidence import Cell, PerSeed, Rate, Rates
from workbench.claims.populations import populated, populated_rate
from workbench.claims.request import SEED_OFFSET
from workbench.claims.trained_arms import (
    Arms,
    FoldRates,
    Score,
    Trained,
    Tuned,
    best_rate,
    beyond,
    draws_data,
    fold_rates,
    scored,
    shared_ratio,
)
from workbench.config.compose import configure_each
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.config.validate import validate_all
from workbench.core.errors import ConfigError, unknown_name
from workbench.core.quoting import plain_override
from workbench.engine.replicas import Pack
from workbench.engine.train import step
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.params import Params
from workbench.runs.train_pack import Job, PackResult, train_pack
from workbench.sweeps.packing import group
from workbench.tracking.base import MemorySink

EXTENSIONS = 2  # of a grid of learning rates whose best is at an end
Tried = dict[str, dict[float, Sequence[Mapping[str, float]]]]  # last metrics by arm, rate and tuning seed
TrainKept = Callable[[list[RunSpec], list[str]], list[Mapping[str, float]]]


@dataclass
class Study:
    """A claim under measurement.

    `disagreements` says which gradients were found to be wrong. `train_kept` gives the last metrics of runs, of which
    it trains and keeps those that are not kept yet, under the names of their arms; without it all stays in memory.
    `ratio` is the largest n_test / n_train of the verdict's runs so far, `fresh` that seeds draw their own data;
    `changes` are overrides of the claim's configuration that hold for all runs, before those of an arm.
    """

    entry: Entry
    settings: Mapping[str, Any]
    train_kept: TrainKept | None = None
    store: str | None = None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    tuning: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    folds: int = 1
    ratio: float = 0.0
    fresh: bool = False
    disagreements: list[str] = field(default_factory=list)
    spot_checks: SpotChecks = field(default_factory=SpotChecks)
    changes: Sequence[str] = ()
    _looked: WeakValueDictionary[int, Pack] = field(default_factory=WeakValueDictionary)

    def __getitem__(self, name: str) -> Any:
        """A value of the chosen profile.

        Raises UnknownNameError.
        """
        if name not in self.settings:
            raise unknown_name(f"claim {self.entry.name}: profile", name, self.settings)
        return self.settings[name]

    @property
    def claim(self) -> Claim:
        """The claim as data."""
        return self.entry.claim

    @property
    def offset(self) -> int:
        """Number that all seeds start from, tuning seeds too; another offset repeats the study on fresh seeds."""
        return int(self.settings.get(SEED_OFFSET, 0))

    @property
    def seeds(self) -> range:
        """The seeds of the verdict: ``seeds`` of the profile, counted from the offset."""
        return self.draws(self["seeds"])

    def draws(self, count: int) -> range:
        """Count seeds from the offset: for what is drawn another number of times than the verdict's runs."""
        return range(self.offset, self.offset + count)

    def rng(self, name: str) -> np.random.Generator:
        """A stream fixed by the claim's name, the offset and this word, whatever else is drawn."""
        return np.random.default_rng([*self.entry.name.encode(), self.offset, *name.encode()])

    def measured(self, measure: Callable[["Study"], Iterable[Cell]]) -> list[Cell]:
        """The cells that a claim's code measures; a sample over seeds gets the population that its runs are from."""
        cells = []
        for cell in measure(self):
            part, evidence = self.claim.parts.get(cell.part), cell.evidence
            if part is not None and isinstance(evidence, PerSeed):
                evidence = populated(evidence, part, self.ratio, self.folds, self.fresh)
            elif part is not None and isinstance(evidence, Rate | Rates):
                evidence = populated_rate(evidence, part, self.ratio, self.folds)
            cells.append(replace(cell, evidence=evidence))
        return cells

    def _saw(self, specs: Iterable[RunSpec]) -> None:
        """Remember what data the seeds of the verdict share."""
        for spec in specs:
            self.ratio = max(self.ratio, shared_ratio(spec))
            self.fresh |= draws_data(spec)

    def keep(self, name: str, rows: Sequence[Any] | Mapping[str, Any] | pd.DataFrame) -> pd.DataFrame:
        """Keep a table with the verdict, as CSV, and for the figure: rows with named fields, or columns by name."""
        self.tables[name] = pd.DataFrame(rows)
        return self.tables[name]

    def specs(self, *overrides: str, seeds: Sequence[int] | None = None) -> list[RunSpec]:
        """The claim's configuration with overrides, one per seed; of a tuned arm with the rate of the seed's fold."""
        over = self.seeds if seeds is None else seeds
        settings: list[dict[str, Any]] = [{"seed": seed} for seed in over]
        for tuned in (override for override in overrides if isinstance(override, FoldRates)):
            settings = [{**one, "optimizer.lr": tuned.at(one["seed"] - self.offset)} for one in settings]
        return self._specs(overrides, settings)

    def _specs(self, overrides: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[RunSpec]:
        store = [] if self.store is None else [plain_override("tracking.uri", self.store)]
        base = [f"experiment={self.entry.name}", *store, *self.changes, *overrides]
        return configure_each(base, settings, self.entry.folder)

    def pack(self, *overrides: str, seeds: Sequence[int] | None = None) -> Pack:
        """Nets before training, one replica per seed."""
        specs = self.specs(*overrides, seeds=seeds)
        self._saw(specs[:1])
        return build_pack(specs)

    def descend(self, pack: Pack, steps: int) -> Params:
        """Parameters after steps on the whole training part at once, without looking on the way.

        For thousands of tiny nets, where evaluating each epoch would cost more than training.
        """
        params = pack.initial_params()
        grads = Params.zeros(params.layout.trained, len(pack), params.flat)
        state = pack.optimizer.init(params)
        x, y = pack.data.chunk(pack.data.train, 0, pack.data.train.size)
        rates = pack.learning_rates(0, steps, steps)
        start = perf_counter()
        for number in range(steps):
            step(pack, params, grads, state, x, y, number, rates[number])
        if self._looked.get(id(pack)) is not pack:  # once: claims also time this
            self._looked[id(pack)] = pack
            found = self.spot_checks.verdict(pack, params, perf_counter() - start).disagreement
            self.disagreements += [f"GRADIENTS DISAGREE with autograd: {found}"] * bool(found)
        return params

    def train(self, arms: Arms | None = None, seeds: Sequence[int] | None = None, tracked: bool = True) -> Trained:
        """Train every arm (name -> overrides; those of the claim if none are given) at every seed.

        Raises ConfigError for seeds that were for tuning.
        """
        chosen = self.claim.arms if arms is None else arms
        over = self.seeds if seeds is None else seeds
        if any(seed >= TUNING_SEED for seed in over):
            raise ConfigError(f"claim {self.entry.name}: seeds from {TUNING_SEED} are for tuning, got {max(over)}")
        specs = {arm: self.specs(*overrides, seeds=over) for arm, overrides in chosen.items()}
        self._saw(several[0] for several in specs.values() if several)
        at_edge = chosen.at_edge if isinstance(chosen, Tuned) else ()
        return self._train(specs, tracked, at_edge)

    def _train(self, specs: Mapping[str, list[RunSpec]], tracked: bool, at_edge: tuple[str, ...] = ()) -> Trained:
        everything = [spec for several in specs.values() for spec in several]
        validate_all(everything)
        packs: list[tuple[list[RunSpec], PackResult]] = []
        if tracked and self.train_kept is not None:
            found: list[Mapping[str, float]] = self.train_kept(
                everything, [arm for arm, several in specs.items() for _ in several]
            )
        else:
            packs = [self._in_memory([everything[row] for row in rows]) for rows in group(everything)]
            found = [{} for _ in everything]
            places = {id(spec): place for place, spec in enumerate(everything)}
            for members, result in packs:
                for spec, one in zip(members, result.results, strict=True):
                    found[places[id(spec)]] = one.metrics
        self.runs += len(everything)
        rows = iter(found)
        metrics = {arm: [next(rows) for _ in several] for arm, several in specs.items()}
        return Trained(metrics, at_edge, specs, packs)

    def _in_memory(self, specs: list[RunSpec]) -> tuple[list[RunSpec], PackResult]:
        jobs = [Job(spec, f"{number}", "") for number, spec in enumerate(specs)]
        checks = self.spot_checks if specs[0].config.certificate else None
        result = train_pack(jobs, MemorySink(), spot_checks=checks)
        self.disagreements += disagreements((one.job.spec, self.entry.name, one.disagreement) for one in result.results)
        errors = [one.error for one in result.results if one.error]
        if errors:
            raise ConfigError(f"claim {self.entry.name}: its runs must not fail, got {errors[0]}")
        return specs, result

    def activation(self, unit: str, *overrides: str) -> Activation:
        """A hidden unit's function, as nets of one hidden layer have it."""
        model = self.pack(f"activation={unit}", *overrides, "architecture.hidden=[1]", seeds=[0]).objective.model
        (found,) = (layer.activation for layer in model.layers if isinstance(layer, Activate))
        return found

    def tune(
        self,
        arms: Arms | None = None,
        metric: str | Score | None = None,
        tracked: bool = True,
        chance: float | Mapping[str, float] | None = None,
    ) -> Tuned:
        """Every arm with the learning rates that are best on the tuning seeds, all tried at the same rates and seeds.

        The tuning seeds are dealt into folds, each of which chooses a rate of its own, and the seeds of the verdict
        have them by turns: what they differ by contains the choice. The grid is extended by all tuning seeds together.

        `metric` is one of the runs' last metrics (without it, the claim's `tuned_by`), or a number by seed of an arm by
        name, such as how long it took, of which less is better. An arm whose best rate is an end of the grid is tried
        further out; where the best stays at the end after that, the arm is marked, and no rule decides by it. With
        `chance`, the accuracy of guessing (of all arms, or by arm), an arm whose validation accuracy is above it by the
        claim's floor at no rate never trains: its best rate is none, so it is not at an end either.

        Raises ConfigError where the claim names no `learning_rates`.
        """
        chosen = self.claim.arms if arms is None else arms
        metric = self.claim.tuned_by if metric is None else metric
        if not self.claim.learning_rates:
            raise ConfigError(f"claim {self.entry.name}: learning_rates must be given to tune arms")
        scores: dict[str, dict[float, list[float]]] = {arm: {} for arm in chosen}
        by_rate: Tried = {arm: {} for arm in chosen}
        wanted = {arm: list(self.claim.learning_rates) for arm in chosen}
        guesses = chance if isinstance(chance, Mapping) else dict.fromkeys(chosen, chance)
        accuracies = {arm: guess for arm, guess in guesses.items() if guess is not None}
        for _ in range(1 + EXTENSIONS):
            self._score(chosen, wanted, scores, by_rate, accuracies, metric, tracked)
            nearest = {arm: beyond(sorted(rates), best_rate(rates, metric)) for arm, rates in scores.items()}
            wanted = {arm: [rate] for arm, rate in nearest.items() if rate is not None}
            if not wanted:
                break
        self.folds = self.claim.folds
        best = {arm: best_rate(rates, metric) for arm, rates in scores.items()}
        by_fold = {arm: fold_rates(rates, metric, self.folds) for arm, rates in scores.items()}
        least = self.claim.floor or 0.0
        untrained = [arm for arm, found in accuracies.items() if found < (guesses[arm] or 0.0) + least]
        for arm, rates in by_fold.items():
            tried = ", ".join(f"{one:g}" for one in sorted(scores[arm]))
            edge = ", at the edge of the grid" if arm in wanted else ""
            never = f"never trains, {accuracies[arm]:.1%} at best, of {tried}" if arm in untrained else ""
            self.tuning[arm] = never or f"{rates.shown} of {tried}{edge}"
        tuned = {arm: [*overrides, by_fold[arm]] for arm, overrides in chosen.items()}
        return Tuned(tuned, tuple(arm for arm in wanted if arm not in untrained), best, tuple(untrained), by_rate)

    def _score(
        self,
        arms: Arms,
        wanted: Mapping[str, Sequence[float]],
        scores: Mapping[str, dict[float, list[float]]],
        tried: Tried,
        accuracies: dict[str, float],
        metric: str | Score,
        tracked: bool,
    ) -> None:
        """Add tuning and last metrics of every wanted arm and rate; a run that diverged counts as the worst there is.

        Of the arms in `accuracies`, keep there the best mean validation accuracy.
        """
        first = TUNING_SEED + self.offset
        seeds = range(first, first + self.claim.tuning_seeds)
        names = {(arm, rate): f"tuning {arm} lr={rate:g}" for arm, rates in wanted.items() for rate in rates}
        specs: dict[str, list[RunSpec]] = {}
        for arm, rates in wanted.items():
            settings = [{"optimizer.lr": rate, "seed": seed} for rate in rates for seed in seeds]
            made = iter(self._specs(arms[arm], settings))
            specs |= {names[arm, rate]: [next(made) for _ in seeds] for rate in rates}
        trained = self._train(specs, tracked)
        for (arm, rate), name in names.items():
            scores[arm][rate] = scored(trained, name, metric)
            tried[arm][rate] = trained.metrics[name]
            if arm in accuracies:
                mean = fmean(trained.values(name, "valid/accuracy", 0.0))
                accuracies[arm] = max(accuracies[arm], mean)
