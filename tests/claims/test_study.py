"""Seeds, budgets and learning rates of a claim's runs, with training replaced where only the choice matters."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.claims.small import entry
from workbench.claims.claim import TUNING_SEED
from workbench.claims.evidence import ArmScores, Cell, PerSeed, Rate
from workbench.claims.populations import OVER, populated
from workbench.claims.rules import Above, Label
from workbench.claims.study import Study
from workbench.claims.trained_arms import Arm, Trained, best_rate, beyond, shared_ratio
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError, NumericsError, UnknownNameError
from workbench.engine.evaluate import evaluate

Score = Callable[[str, float, int], Mapping[str, float]]


class Fake:
    """Stand in for training: score by a formula of (activation, learning rate, seed), and record what was asked for."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.asked: list[list[tuple[str, str, float, int]]] = []

    def __call__(self, specs: list[RunSpec], arms: list[str]) -> list[Mapping[str, float]]:
        """Score the runs that `Study.train_kept` would train."""
        rows = [
            (arm, spec.choices["activation"], spec.config.optimizer["lr"], spec.config.seed)
            for spec, arm in zip(specs, arms, strict=True)
        ]
        self.asked.append(rows)
        return [self.score(*row[1:]) for row in rows]

    def by_arm(self) -> dict[str, list[tuple[float, int]]]:
        """(rate, seed) that each activation was trained at."""
        found: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for rows in self.asked:
            for _, activation, rate, seed in rows:
                found[activation].append((rate, seed))
        return dict(found)


def study(folder: Path, score: Score | None = None, **changes: Any) -> tuple[Study, Fake]:
    """A study of the small claim whose training is `score`, or is real."""
    fake = Fake(score or (lambda activation, rate, seed: {}))
    written = {f"claim.{key}": value for key, value in changes.items()}
    return Study(entry(folder, changes=written), {"seeds": 3}, fake if score else None), fake


def bowl(best: Mapping[str, float]) -> Score:
    """A validation loss with its minimum at another rate for each activation."""
    return lambda activation, rate, seed: {"valid/loss": abs(np.log(rate / best[activation])) + 0.01 * (seed % 10)}


def test_tuning_gives_every_arm_the_same_budget_on_seeds_of_its_own(tmp_path: Path) -> None:
    """Same rates, same seeds, none of them a seed of the verdict; the best rate ends up in the overrides."""
    made, fake = study(tmp_path, bowl({"relu": 0.03, "tanh": 0.3}), tuning_seeds=2)
    tuned = made.tune()
    budgets = {activation: sorted(runs) for activation, runs in fake.by_arm().items()}
    grid = [0.01, 0.03, 0.1, 0.3, 1.0]
    assert budgets["relu"] == budgets["tanh"] == [(r, seed) for r in grid for seed in (TUNING_SEED, TUNING_SEED + 1)]
    assert tuned == {
        "relu": ["activation=relu", "optimizer.lr=0.03"],
        "tanh": ["activation=tanh", "optimizer.lr=0.3"],
    }
    assert (tuned.at_edge, tuned.rates) == ((), {"relu": 0.03, "tanh": 0.3})
    assert made.tuning == {"relu": "0.03 of 0.01, 0.03, 0.1, 0.3, 1", "tanh": "0.3 of 0.01, 0.03, 0.1, 0.3, 1"}
    assert [{arm for arm, *_ in rows} for rows in fake.asked] == [
        {f"tuning {arm} lr={rate:g}" for arm in ("relu", "tanh") for rate in grid}
    ]
    made.train(tuned)
    assert {row[2:] for row in fake.asked[-1] if row[1] == "relu"} == {(0.03, 0), (0.03, 1), (0.03, 2)}
    assert made.runs == 2 * 5 * 2 + 2 * 3


@pytest.mark.slow
def test_every_fold_of_the_tuning_seeds_chooses_for_its_seeds(tmp_path: Path) -> None:
    """Seed i has the rate that tuning seeds i mod 4 like best; with an offset the seeds are counted from there."""
    liked = (0.03, 0.1, 0.1, 0.3)

    def score(activation: str, rate: float, seed: int) -> Mapping[str, float]:
        return {"valid/loss": abs(np.log(rate / liked[(seed - TUNING_SEED) % 4]))}

    for offset in (0, 5):
        made, fake = study(tmp_path, score, tuning_seeds=8)
        made.settings = {"seeds": 6, "seed_offset": offset}
        made.train({"relu": [*made.tune({"relu": ["activation=relu"]}, tracked=True)["relu"], "train.epochs=2"]})
        turned = liked[offset % 4 :] + liked[: offset % 4]
        assert [row[2] for row in fake.asked[-1]] == [turned[number % 4] for number in range(6)]
        assert made.tuning["relu"].startswith("0.03, 0.1 (2 folds), 0.3 of 0.01, 0.03, 0.1, 0.3, 1")
        assert made.folds == 4


@pytest.mark.slow
def test_a_sample_says_what_its_interval_is_for(tmp_path: Path) -> None:
    """Ratio and folds of the runs that were trained before it, but for nets and processes, which share no data."""
    made, _ = study(tmp_path, bowl({"relu": 0.03, "tanh": 0.3}), tuning_seeds=4)

    def measure(made: Study) -> Iterator[Cell]:
        yield Cell("p", PerSeed((1.0, 2.0)), {"when": "before"})
        made.train(made.tune())
        yield Cell("p", PerSeed((1.0, 2.0)), {"when": "after"})
        yield Cell("p", PerSeed((1.0, 2.0), ratio=0.0), {"when": "of its own"})
        yield Cell("p", Rate(3, 4), {"when": "no number per seed"})
        yield Cell("q", PerSeed((1.0, 2.0)), {"when": "a part that is none"})

    before, after, own, rate, unknown = [cell.evidence for cell in made.measured(measure)]
    assert before == PerSeed((1.0, 2.0), ratio=0.0, population="for other seeds")
    ratio = shared_ratio(made.specs()[0])
    assert ratio > 0
    words = f"for other data like these (test / train = {ratio:.2g}) and other tuning"
    assert after == PerSeed((1.0, 2.0), ratio=ratio, folds=4, population=words)
    assert own == PerSeed((1.0, 2.0), ratio=0.0, folds=4, population="for other seeds and other tuning")
    assert rate == Rate(3, 4, population="for other seeds on these data with this tuning")
    assert unknown == PerSeed((1.0, 2.0))
    part = made.claim.parts["p"]
    for over, words in OVER.items():
        found = populated(PerSeed((1.0, 2.0), ratio=0.5), part.model_copy(update={"over": over}), 0.8, 4, False)
        assert found == PerSeed((1.0, 2.0), ratio=0.0, population=words)
    fresh = populated(PerSeed((1.0, 2.0)), part, 0.0, 1, True)
    assert fresh.population == "for other seeds with fresh data for each"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("best", "tried", "rate", "edge"),
    [
        (3.3, [0.01, 0.03, 0.1, 0.3, 1, 10 / 3, 100 / 9], 10 / 3, False),
        (1e9, [0.01, 0.03, 0.1, 0.3, 1, 10 / 3, 100 / 9], 100 / 9, True),
        (0.0033, [0.01 / 9, 0.01 / 3, 0.01, 0.03, 0.1, 0.3, 1], 0.01 / 3, False),
        (1e-9, [0.01 / 9, 0.01 / 3, 0.01, 0.03, 0.1, 0.3, 1], 0.01 / 9, True),
    ],
)
def test_grid_is_extended_twice_and_then_marked(
    tmp_path: Path, best: float, tried: list[float], rate: float, edge: bool
) -> None:
    """A grid is extended twice in its ratio, for the arm at the end only, then marked; the other keeps five rates."""
    made, fake = study(tmp_path, bowl({"relu": best, "tanh": 0.1}))
    tuned = made.tune()
    assert sorted(r for r, _ in fake.by_arm()["relu"]) == pytest.approx(tried)
    assert len(fake.by_arm()["tanh"]) == 5
    assert tuned.rates["relu"] == pytest.approx(rate)
    assert tuned.at_edge == (("relu",) if edge else ())
    assert made.tuning["relu"].endswith(", at the edge of the grid") is edge
    assert made.train(tuned, seeds=[0]).at_edge == tuned.at_edge


@pytest.mark.slow
def test_arm_at_the_edge_leaves_the_verdict_open(tmp_path: Path) -> None:
    """Though every seed says the same: from the tuning to the label, trained for one epoch with rates far too small."""
    made, _ = study(tmp_path, learning_rates=[1e-6, 2e-6, 4e-6, 8e-6, 16e-6])
    tuned = made.tune({"slow": ["activation=relu"], "fast": ["activation=relu", "optimizer=adam"]}, tracked=False)
    assert tuned.at_edge == ("slow", "fast")
    assert tuned.rates == pytest.approx(dict.fromkeys(("slow", "fast"), 64e-6))
    trained = made.train(tuned, seeds=range(8), tracked=False)
    differences = trained.differences("train/loss", "slow", "fast")
    assert differences.at_edge == ("slow", "fast")
    judgment = Above(than=-100).judge(differences)
    assert judgment.label is Label.inconclusive
    assert judgment.reason.endswith("edge: slow, fast")
    assert Above(than=-100).judge(type(differences)(differences.values)).label is Label.supported


@pytest.mark.slow
def test_diverged_runs_are_the_worst_in_tuning(tmp_path: Path) -> None:
    """A rate at which one of the seeds diverges is not chosen, by a loss or by an accuracy."""

    def score(activation: str, rate: float, seed: int) -> Mapping[str, float]:
        if rate >= 0.3 and seed == TUNING_SEED + 1:
            return {}
        return {"valid/loss": 1 / rate, "valid/accuracy": rate}

    for metric in ("valid/loss", "valid/accuracy"):
        made, _ = study(tmp_path, score, tuning_seeds=3)
        assert made.tune(metric=metric).rates == {"relu": 0.1, "tanh": 0.1}
    for metric in ("valid/loss", "valid/accuracy"):
        made, _ = study(tmp_path, lambda activation, rate, seed: {})
        assert made.tune(metric=metric).at_edge == ("relu", "tanh"), "none of them works"


@pytest.mark.parametrize(
    ("scores", "metric", "best"),
    [
        ({0.1: [2.0, 4.0], 0.2: [1.0, 4.0]}, "valid/loss", 0.2),
        ({0.1: [2.0, 4.0], 0.2: [1.0, 4.0]}, "valid/accuracy", 0.1),
        ({0.2: [1.0], 0.1: [1.0]}, "valid/loss", 0.1),
        ({0.2: [1.0], 0.1: [1.0]}, "valid/r2", 0.1),
        ({0.1: [inf, 0.0], 0.2: [9.0, 9.0]}, "train/loss", 0.2),
        ({0.1: [-inf, 1.0], 0.2: [0.1, 0.1]}, "test/accuracy", 0.2),
    ],
)
def test_best_rate(scores: dict[float, list[float]], metric: str, best: float) -> None:
    """The best rate has the best mean over the seeds; of equal means, the smaller rate."""
    assert best_rate(scores, metric) == best


@pytest.mark.parametrize(("best", "expected"), [(1.0, 0.5), (2.0, None), (8.0, 32.0)])
def test_beyond_the_grid(best: float, expected: float | None) -> None:
    """The next rate beyond the grid keeps the ratio of the last two rates at that end; inner rates have none."""
    assert beyond([1.0, 2.0, 8.0], best) == expected


@pytest.mark.slow
def test_seeds_of_tuning_are_refused(tmp_path: Path) -> None:
    """Seeds reserved for tuning are refused in training, and the verdict's own seeds count from 0."""
    made, fake = study(tmp_path, bowl({"relu": 0.1, "tanh": 0.1}))
    with pytest.raises(ConfigError, match=r"claim small: seeds from 1000000 are for tuning, got 1000002"):
        made.train(seeds=[0, 1_000_002])
    assert fake.asked == []
    made.train()
    assert {row[3] for row in fake.asked[0]} == {0, 1, 2} == set(made.seeds)


def test_tuning_needs_rates(tmp_path: Path) -> None:
    """Tuning without learning rates is refused with the claim and the key."""
    made, _ = study(tmp_path, learning_rates=[])
    with pytest.raises(ConfigError, match="claim small: learning_rates must be given to tune arms"):
        made.tune()


def test_profile_values(tmp_path: Path) -> None:
    """Profile values are read by name; an unknown name is refused with the closest."""
    made, _ = study(tmp_path)
    assert made["seeds"] == 3
    with pytest.raises(UnknownNameError, match=r"claim small: profile: unknown name 'seed'; did you mean 'seeds'\?"):
        made["seed"]


TRAINED = Trained({"a": [{"m": 1.0}, {"m": 2.5}], "b": [{"m": 0.5}, {"other": 1.0}]}, at_edge=("b", "c"))


def test_values_and_differences() -> None:
    """Differences are first minus second by seed, with the given value for diverged runs and the two arms' edges."""
    assert TRAINED.values("a", "m") == [1.0, 2.5]
    assert TRAINED.values("b", "m", diverged=9.0) == [0.5, 9.0]
    differences = TRAINED.differences("m", "a", "b", diverged=9.0)
    assert (differences.values, differences.at_edge) == ((0.5, -6.5), ("b",))
    assert TRAINED.differences("m", "a", "a").at_edge == ()


def test_missing_metrics_are_refused() -> None:
    """A missing metric is refused with how many runs lack it and which metrics there are."""
    with pytest.raises(NumericsError) as error:
        TRAINED.values("b", "m")
    assert str(error.value) == (
        "arm b: every run must have m, 1 of 2 have not; say what a diverged run counts as with diverged=..., "
        "or take one of m, other"
    )
    with pytest.raises(NumericsError, match="every run must have m, 1 of 2 have not"):
        TRAINED.differences("m", "a", "b")
    with pytest.raises(UnknownNameError, match="arm: unknown name 'aa'; did you mean 'a'"):
        TRAINED.values("aa", "m")


def test_final_parameters_are_those_of_the_last_metrics(tmp_path: Path) -> None:
    """Evaluated anew they give each run's train/loss, in the order of the seeds; tracked runs keep none."""
    made, _ = study(tmp_path)
    trained = made.train(seeds=[4, 0, 2], tracked=False)
    for arm in ("relu", "tanh"):
        pack, params = trained.final(arm)
        assert pack.seeds == (4, 0, 2)
        losses = evaluate(pack.objective, params, pack.data, pack.data.train)["loss"]
        assert losses.tolist() == pytest.approx(trained.values(arm, "train/loss"), rel=1e-5)
    assert len(set(trained.values("relu", "train/loss"))) == 3
    with pytest.raises(
        NumericsError, match="arm relu: final parameters are kept where it was trained with tracked=False"
    ):
        Trained(trained.metrics, specs=trained.specs).final("relu")
    with pytest.raises(NumericsError, match="arm other: final parameters"):
        trained.final("other")


def test_the_course_of_a_metric_ends_with_its_last(tmp_path: Path) -> None:
    """A number before training and one after each epoch, by seed; tracked runs keep none."""
    made, _ = study(tmp_path)
    trained = made.train({"relu": ["train.epochs=3"]}, seeds=[4, 0], tracked=False)
    course = trained.course("relu", "train/loss")
    assert [len(one) for one in course] == [4, 4]
    assert [one[-1] for one in course] == trained.values("relu", "train/loss")
    with pytest.raises(NumericsError, match="arm relu: what it did on the way is known where it was trained with"):
        Trained(trained.metrics, specs=trained.specs).course("relu", "train/loss")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_descend_is_training_on_all_examples_at_once(tmp_path: Path, optimizer: str) -> None:
    """Five steps: parameters of five epochs whose batch is the training part."""
    made, _ = study(tmp_path)
    overrides = [f"optimizer={optimizer}", "dtype=float64", "train.epochs=5", "train.batch_size=100000"]
    pack = made.pack(*overrides)
    params = made.descend(pack, 5)
    _, expected = made.train({"all": overrides}, tracked=False).final("all")
    torch.testing.assert_close(params.flat, expected.flat, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(params.flat, pack.initial_params().flat, atol=1e-4)


@pytest.mark.slow
def test_pack_is_untrained_with_a_replica_per_seed(tmp_path: Path) -> None:
    """`Study.pack` gives the nets that training would begin with, a replica per seed."""
    made, _ = study(tmp_path)
    pack = made.pack("activation=tanh", seeds=[5, 1])
    again = build_pack(made.specs("activation=tanh", seeds=[5, 1]))
    assert pack.seeds == (5, 1)
    torch.testing.assert_close(pack.initial_params().flat, again.initial_params().flat, rtol=0, atol=0)
    assert len(made.pack()) == 3


def test_random_streams_are_fixed_by_names(tmp_path: Path) -> None:
    """The same word gives the same numbers, whatever was drawn before; another word or claim gives others."""
    made, _ = study(tmp_path)
    first = made.rng("points").normal(size=4)
    made.rng("lines").normal(size=100)
    assert (made.rng("points").normal(size=4) == first).all()
    assert not np.isclose(made.rng("point").normal(size=4), first).any()
    others = {made.rng(word).integers(2**60) for word in ("ab", "ba", "a", "b", "", "aa")}
    assert len(others) == 6


def test_tables_are_kept(tmp_path: Path) -> None:
    """Kept tables are data frames, found by name."""
    made, _ = study(tmp_path)
    table = made.keep("rows", [{"a": 1, "b": 2.0}, {"a": 3, "b": 4.0}])
    assert made.tables["rows"] is table
    assert table["a"].tolist() == [1, 3]


def test_failing_runs_stop_the_study(tmp_path: Path) -> None:
    """A configuration that cannot be trained is named before anything is trained."""
    made, fake = study(tmp_path, bowl({"relu": 0.1, "tanh": 0.1}))
    with pytest.raises(UnknownNameError, match="activation: unknown name 'rleu'; did you mean 'relu'"):
        made.train({"a": ["activation=relu"], "b": ["activation=rleu"]})
    assert fake.asked == []


@pytest.mark.slow
def test_an_offset_moves_every_seed(tmp_path: Path) -> None:
    """A seed offset moves the verdict's and the tuning seeds and named streams: the study is repeated on fresh ones."""
    made, fake = study(tmp_path, bowl({"relu": 0.03, "tanh": 0.3}), tuning_seeds=2)
    streams = [made.rng("points").random()]
    made.settings = {**made.settings, "seed_offset": 1000}
    streams.append(made.rng("points").random())
    assert streams[0] != streams[1]
    made.train(made.tune())
    tuning = {seed for rows in fake.asked[:-1] for *_, seed in rows}
    assert tuning == {TUNING_SEED + 1000, TUNING_SEED + 1001}
    assert {seed for *_, seed in fake.asked[-1]} == {1000, 1001, 1002}


@pytest.mark.slow
def test_a_rate_is_best_by_whatever_is_measured(tmp_path: Path) -> None:
    """A function of the runs in the place of a metric: less is better, seed by seed."""
    made, _ = study(tmp_path, bowl({"relu": 0.03, "tanh": 0.3}), tuning_seeds=2)

    def slowness(trained: Trained, arm: str) -> list[float]:
        return [-value for value in trained.values(arm, "valid/loss")]

    assert made.tune(metric=slowness).rates["relu"] > 1, "the worst loss is far from the best rate"


FLOORED = {"parts.p.rule": {"kind": "above", "than": 0, "floor": 0.1}}


@pytest.mark.slow
def test_an_arm_that_comes_above_chance_at_no_rate_never_trains(tmp_path: Path) -> None:
    """An arm above chance at no rate is called untrained, never at the edge; the other arm is tuned as ever."""

    def score(activation: str, rate: float, seed: int) -> Mapping[str, float]:
        never = activation == "tanh"
        return {"valid/loss": -rate, "valid/accuracy": 0.15 if never else 0.1 + rate}

    one, _ = study(tmp_path, score, **FLOORED)
    tuned = one.tune(chance=0.1)
    assert (tuned.untrained, tuned.at_edge) == (("tanh",), ("relu",))
    assert one.tuning["tanh"].startswith("never trains, 15.0% at best, of 0.01, 0.03")
    assert one.tune().untrained == (), "without chance nothing is asked"
    by_arm = one.tune(chance={"relu": 0.1, "tanh": 0.01})
    assert by_arm.untrained == ()


def test_arms_know_what_they_are_made_of() -> None:
    """An arm is a name like any other, and knows the parts that it is made of."""
    arm = Arm("b=0.1 on digits", depth=3, lr=0.5)
    assert arm == "b=0.1 on digits depth=3 lr=0.5"
    assert (arm.name, arm.at) == ("b=0.1 on digits", {"depth": 3, "lr": 0.5})
    assert {arm: 1}["b=0.1 on digits depth=3 lr=0.5"] == 1


def test_differences_bring_the_accuracies_of_both_arms() -> None:
    """Differences carry both arms' accuracies, of the metric or of a named one; a diverged run counts as guessing."""
    metrics = {
        "a": [{"test/accuracy": 0.9, "train/loss": 1.0}, {}],
        "b": [{"test/accuracy": 0.5, "train/loss": 3.0}] * 2,
    }
    trained = Trained(metrics, ("b",))
    found = trained.differences("test/accuracy", "a", "b", diverged=0.1)
    assert found.arms == (ArmScores("a", (0.9, 0.1), 0.1), ArmScores("b", (0.5, 0.5), 0.1))
    other = trained.differences("train/loss", "a", "b", 2.3, "test/accuracy", 0.2)
    assert (other.values, other.at_edge) == ((-2.0, 2.3 - 3.0), ("b",))
    assert other.arms == (ArmScores("a", (0.9, 0.2), 0.2), ArmScores("b", (0.5, 0.5), 0.2))
    assert trained.differences("train/loss", "b", "a", 2.3).arms == ()


def test_an_activation_is_that_of_nets(tmp_path: Path) -> None:
    """`Study.activation` gives the activation that nets use, by its name and with options."""
    one, _ = study(tmp_path)
    z = torch.tensor([[[-1.0, 2.0]]])
    assert one.activation("relu").forward(z).tolist() == [[[0.0, 2.0]]]
    sharp = one.activation("softplus", "activation.beta=5")
    assert sharp.forward(torch.zeros(1, 1, 1)).item() == pytest.approx(np.log(2) / 5)
