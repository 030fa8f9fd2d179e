"""Composing a multirun once per choice of groups gives what Hydra gives run by run."""

from collections.abc import Sequence
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.outer import trained
from tests.sampling import sampled
from workbench.config.compose import command_line, compose_runs, configure_each, spec_of
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.sweeps import launcher

GROUP_CHOICES = (
    "activation=tanh",
    "activation=leaky_relu",
    "optimizer=adam",
    "init=glorot",
    "norm=layer",
    "data=wine",
    "+schedule@schedule.then=cosine",
    "schedule=warmup",
    "experiment=activations_on_digits",
)
VALUES = (
    "seed=3",
    "optimizer.lr=0.3",
    "optimizer.lr=${split.valid}",
    "split.seed=7",
    "split.seed=null",
    "architecture.hidden=[8,4]",
    "train.epochs=2",
    "train.clip_norm=1.5",
    "train={epochs:3}",
    "certificate=false",
    "device=cpu",
    "dtype=float64",
    "tracking.experiment=other",
    "+optimizer.extra=1",
    "++train.epochs=4",
    "~optimizer.weight_decay",
    "bias.value=0.5",
    "hydra.job.name=other",
)
override_lists = st.lists(st.sampled_from(GROUP_CHOICES + VALUES), max_size=6, unique_by=lambda one: one.split("=")[0])


def outcome(make: Any) -> Any:
    """The run's configuration, or the error in its words."""
    try:
        spec = make()
    except ConfigError as error:
        return str(error)
    return spec.config, spec.resolved, spec.choices, spec.overrides


@pytest.fixture(scope="module")
def hydra_context() -> Any:
    """The loader and the configuration that Hydra hands to a launcher."""
    seen: list[Any] = []

    def keep(loader: Any, config: Any, runs: Sequence[Sequence[str]]) -> list[RunSpec]:
        seen.append((loader, config))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launcher, "compose_runs", keep)
        with pytest.raises(KeyboardInterrupt):
            trained("-m", "seed=1,2")
    return seen[0]


def both(hydra_context: Any, lines: Sequence[str]) -> tuple[Any, Any]:
    """Compose a run's overrides by our composer and by Hydra, and return both outcomes."""
    from workbench.config.compose_errors import reworded

    loader, config = hydra_context

    def guarded(make: Any) -> Any:
        def call() -> RunSpec:
            try:
                return make()
            except ConfigError:
                raise
            except Exception as error:
                raise reworded(error) from error

        return outcome(call)

    def hydras() -> RunSpec:
        whole = loader.load_sweep_config(config, list(lines))
        return spec_of(whole, whole.hydra)

    return guarded(lambda: compose_runs(loader, config, [["seed=0"], lines, lines])[1]), guarded(hydras)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(lines=override_lists)
def test_a_run_is_what_hydra_composes(hydra_context: Any, lines: list[str]) -> None:
    """Choices, values, interpolations, added and deleted keys give Hydra's configuration, or its error."""
    ours, hydras = both(hydra_context, lines)
    assert ours == hydras


@pytest.mark.exhaustive
@settings(max_examples=50, deadline=None)
@given(lines=override_lists)
def test_many_runs_are_what_hydra_composes(hydra_context: Any, lines: list[str]) -> None:
    """Many random lists of overrides give Hydra's configuration, or its error."""
    test_a_run_is_what_hydra_composes.hypothesis.inner_test(hydra_context, lines)


@pytest.mark.parametrize("line", sampled([*GROUP_CHOICES, *VALUES], 3))
def test_each_override_alone(hydra_context: Any, line: str) -> None:
    """Each override of GROUP_CHOICES and VALUES by itself gives Hydra's configuration, or its error."""
    ours, hydras = both(hydra_context, [line])
    assert ours == hydras


def test_groups_are_composed_once(hydra_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two choices of groups with fifty values each are composed by Hydra twice."""
    loader, config = hydra_context
    calls = []
    composed = type(loader).load_sweep_config
    monkeypatch.setattr(
        type(loader), "load_sweep_config", lambda self, *args: calls.append(args) or composed(self, *args)
    )
    runs = [[f"activation={name}", f"seed={seed}"] for name in ("relu", "tanh") for seed in range(50)]
    specs = compose_runs(loader, config, runs)
    assert len(calls) == 2
    assert [(spec.choices["activation"], spec.config.seed) for spec in specs] == [
        (name, seed) for name in ("relu", "tanh") for seed in range(50)
    ]
    assert specs[7].resolved["split"]["seed"] == 7  # the interpolation follows the run's own seed


def test_configure_each_is_configure() -> None:
    """Values set in a composed configuration are those of composing with them."""
    specs = configure_each(["activation=tanh"], [{"seed": 4, "optimizer.lr": 0.3}, {}])
    alone = wb.configure("activation=tanh", "seed=4", "optimizer.lr=0.3")
    assert (specs[0].config, specs[0].resolved, specs[0].overrides) == (alone.config, alone.resolved, alone.overrides)
    assert specs[1].config.seed == 0


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        (["architecture.hidden=[9,8,7]", "seed=3"], ["architecture.hidden=[5]", "seed=${train.epochs}"]),
        (["train.clip_norm=2", "split.seed=4"], ["train.clip_norm=null", "split.seed=${seed}"]),
        (["optimizer={lr:0.3,momentum:0.9}"], ["optimizer={lr:0.2}"]),
        (["tracking.experiment=one"], ["tracking.experiment=two"]),
        (["seed=1"], ["seed=2"]),  # which the split's seed repeats
        (["seed=1", "split.seed=5"], ["seed=2", "split.seed=6"]),
        (["dtype=float32", "device=cpu"], ["dtype=float64", "device=auto"]),
        (["bias=constant", "bias.value=0.1"], ["bias=constant", "bias.value=1"]),
        (["train.epochs=3", "optimizer.lr=0.1"], ["train.epochs=4", "optimizer.lr=${bias.value}"]),
        (["loss=squared_error", "loss.output=null"], ["loss=squared_error", "loss.output=${activation}"]),
    ],
)
def test_a_run_before_leaves_nothing(hydra_context: Any, before: list[str], lines: list[str]) -> None:
    """Runs that set the same keys share the configuration they are set in, and are what they would be alone."""
    loader, config = hydra_context
    between = compose_runs(loader, config, [lines, before, lines, before])
    alone = [compose_runs(loader, config, [one])[0] for one in (lines, before)]
    assert [(one.config, one.resolved) for one in between] == 2 * [(one.config, one.resolved) for one in alone]
    assert between[0].resolved != between[1].resolved


@pytest.mark.slow
def test_a_single_run_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra would compose once more to read `hydra.mode`, which is read where an argument may set it."""
    calls: list[int] = []
    composed: Any = ConfigLoaderImpl.load_configuration

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(len(calls))
        return composed(*given, **named)

    def run_many(runs: Any, executor: Any) -> list[dict[str, float]]:
        calls.clear()
        return [{}, {}]

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    command_line(["seed=3"], lambda spec: None)
    assert len(calls) == 1
    command_line(["seed=3", "hydra.mode=RUN"], lambda spec: None)
    assert len(calls) == 3
    command_line(["seed=3,4", "hydra.mode=MULTIRUN"], lambda spec: None, run_many)
    assert calls == []
