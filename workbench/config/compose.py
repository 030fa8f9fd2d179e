"""Hydra, called from one place: command line -> composed configuration."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from workbench.config.compose_errors import in_our_words, reworded
from workbench.config.overrides import check_arguments, check_overrides, options_first
from workbench.config.schema import GROUPS, Config, RunSpec, packaged
from workbench.config.targets import import_also_from, refuse_foreign
from workbench.config.typed_spec import SCHEMA, typed_spec
from workbench.config.variants import Copies, Variants, copy_of
from workbench.config.yaml_files import literal, register
from workbench.core.errors import ConfigError

VERSION_BASE = "1.3"
Bases = dict[tuple[str, ...], tuple[DictConfig, dict[str, str]]]  # what is composed by Hydra, by its choices of groups
RunMany = Callable[[Any, Any], list[dict[str, float]]]  # runs of a multirun, or a search; and their launcher's executor
multirun: ContextVar[RunMany] = ContextVar("multirun")
STORED_CONFIG = "config.yaml"  # in a run's files
_COMPOSED: dict[tuple[str, ...], tuple[int, DictConfig, dict[str, str]]] = {}  # by choices of groups and folder


def add_option(group: str, name: str, node: Mapping[str, Any]) -> None:
    """Add an option to a group, for this process."""
    register()
    ConfigStore.instance().store(name, OmegaConf.create(dict(node)), group=group)
    _COMPOSED.clear()  # what was composed with an earlier option of this name


def configure(overrides: Sequence[str]) -> RunSpec:
    """The configuration of one run from overrides as on the command line.

    Raises ConfigError for unknown names and keys and for values of the wrong type.
    """
    (spec,) = configure_each(overrides, [{}])
    return spec


def configure_each(
    overrides: Sequence[str], settings: Sequence[Mapping[str, Any]], folder: Path | None = None
) -> list[RunSpec]:
    """Configurations of runs that share `overrides`, composed once; each run then sets its own values by dotted key.

    The values are of no group. `folder` holds options beside those of the workbench. Raises as `configure` does.
    """
    register()
    if folder is not None:
        import_also_from(str(folder))
    check_overrides(overrides)
    with in_our_words():
        base, choices = _configured(list(overrides), folder)
        jobs: Copies = {}
        written = tuple(overrides)
        specs = [_refined(copy_of(base, jobs, (), values), choices, written, values) for values in settings]
        return [replace(spec, folder=str(folder.resolve())) for spec in specs] if folder else specs


def _configured(overrides: list[str], folder: Path | None) -> tuple[DictConfig, dict[str, str]]:
    """The composed configuration, and the option of each group.

    Hydra composes once for each choice of groups as long as no yaml file changes; plain values are set in a copy.
    """
    path = [] if folder is None else [f"hydra.searchpath=[file://{folder.resolve()}]"]
    with hydra.initialize_config_dir(str(packaged("conf")), version_base=VERSION_BASE):
        reader = _Reader(GlobalHydra.instance().config_loader())
        parsed = [reader.parsed(line) for line in overrides]
        values = [override for override in parsed if not reader.chooses(override)]
        if any(_needs_hydra(override) or override.is_sweep_override() for override in values):
            values = []
        chosen = [line for line, override in zip(overrides, parsed, strict=True) if override not in values]
        key = (*chosen, *path)
        stamp = _stamp(folder)
        if key not in _COMPOSED or _COMPOSED[key][0] != stamp:
            config = hydra.compose("config", [*chosen, *path], return_hydra_config=True)
            _COMPOSED[key] = stamp, _without_hydra(config), _choices(config.hydra)
    _, base, choices = _COMPOSED[key]
    job = base.copy()
    ConfigLoaderImpl._apply_overrides_to_config(values, job)
    return job, dict(choices)


def _stamp(folder: Path | None) -> int:
    """A number that changes when a yaml file that Hydra may read does."""
    places = [packaged("conf"), packaged("experiments"), *([folder] if folder else [])]
    files = [file for place in places for file in place.rglob("*.yaml")]
    return hash(tuple((str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat())))


def _refined(job: DictConfig, choices: dict[str, str], written: tuple[str, ...], values: Mapping[str, Any]) -> RunSpec:
    for key, value in values.items():
        OmegaConf.update(job, key, value)
    return typed_spec(job, choices, (*written, *(f"{key}={value}" for key, value in values.items())))


def compose_runs(
    loader: ConfigLoader, config: DictConfig, runs: Sequence[Sequence[str]], bases: Bases | None = None
) -> list[RunSpec]:
    """Compose the configuration of every run of a multirun from its list of overrides, as Hydra does.

    Hydra composes once for each distinct choice of groups; values are then set in a copy, as Hydra sets them. A run
    that adds or deletes keys, or refers to Hydra's own, is composed by Hydra alone. Several calls may share `bases`.
    """
    reader = _Reader(loader)
    bases = {} if bases is None else bases
    jobs: Copies = {}
    variants, specs = Variants(), []
    for lines in runs:
        overrides = [reader.parsed(line) for line in lines]
        values = [override for override in overrides if not reader.chooses(override)]
        if any(map(_needs_hydra, values)):
            composed = loader.load_sweep_config(config, list(lines))
            specs.append(spec_of(composed, composed.hydra))
            continue
        chosen = tuple(str(override.input_line) for override in overrides if override not in values)
        if chosen not in bases:
            base = loader.load_sweep_config(config, list(chosen))
            bases[chosen] = _without_hydra(base), _choices(base.hydra)
        base, choices = bases[chosen]
        plain = {override.key_or_group: override.value() for override in values}
        job = copy_of(base, jobs, chosen, plain)
        ConfigLoaderImpl._apply_overrides_to_config(values, job)
        make_spec = partial(typed_spec, job, choices, tuple(lines))
        specs.append(variants.spec(job, chosen, plain, tuple(lines), make_spec))
    folder = _folder(config.hydra)
    return [replace(spec, folder=folder) for spec in specs] if folder else specs


class _Reader:
    """Reads overrides, each text once: parsing one takes longer than setting it."""

    def __init__(self, loader: ConfigLoader) -> None:
        parser = OverridesParser.create(config_loader=loader)
        exists = loader.repository.group_exists  # type: ignore[attr-defined]
        self.parsed: Callable[[str], Override] = cache(lambda line: parser.parse_overrides([line])[0])
        self.is_group: Callable[[str], bool] = cache(exists)

    def chooses(self, override: Override) -> bool:
        """Whether an override chooses an option of a group."""
        return self.is_group(override.key_or_group) and not isinstance(override.value(), dict)


def _needs_hydra(override: Override) -> bool:
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.package)
    return not plain or override.is_hydra_override() or "${hydra" in str(override.input_line)


def command_line(
    arguments: Sequence[str],
    run_one: Callable[[RunSpec], Any],
    run_many: RunMany | None = None,
) -> None:
    """Run Hydra's command line: call `run_one` with a single configuration, or `run_many` with all runs of ``-m``.

    ``--help``, ``--cfg``, ``--config-dir`` and shell completion are Hydra's. Raises ConfigError where composing fails.
    """
    register()
    arguments = options_first(arguments)
    for folder in (os.curdir, *filter(None, [check_arguments(arguments)])):
        import_also_from(folder)
    acted: list[BaseException] = []
    multirun.set(_noting(run_many or _refuse_many, acted))
    composed: list[tuple[RunSpec, Any]] = []
    refused: list[ConfigError] = []

    @hydra.main(config_path=str(packaged("conf")), config_name="config", version_base=VERSION_BASE)
    def main(config: DictConfig) -> None:
        settings: Any = HydraConfig.get()
        try:
            with in_our_words():
                composed.append((spec_of(config, settings), OmegaConf.select(settings, "sweeper.params")))
        except ConfigError as error:  # raised outside of Hydra, which would comment on it
            refused.append(error)

    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [sys.argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise where it would print a traceback and exit
    try:
        with in_our_words(acted), _mode_known(arguments):
            main()
    finally:
        sys.argv = before[0]
        os.environ.pop("HYDRA_FULL_ERROR")
        if before[1] is not None:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
        GlobalHydra.instance().clear()
    if len(composed) > 1:
        raise ConfigError("hydra/launcher: must be packed, which trains all runs of -m together; drop the override")
    for error in refused:
        raise error
    for spec, swept in composed:  # outside Hydra, which would comment on what training raises
        if run_many and swept:
            names = ", ".join(map(str, swept))
            logging.getLogger(__name__).warning("one run: what is chosen would sweep %s; with -m it does", names)
        run_one(spec)


@contextmanager
def _mode_known(arguments: Sequence[str]) -> Iterator[None]:
    """Keep Hydra from composing everything once more to read `hydra.mode`, which only these arguments could set."""
    if any("hydra" in argument or argument.startswith(("--c", "-c")) for argument in arguments):
        yield
        return
    before = Hydra.get_mode
    try:
        setattr(Hydra, "get_mode", lambda self, **given: None)  # noqa: B010  # None: as the command line says, -m or not
        yield
    finally:
        setattr(Hydra, "get_mode", before)  # noqa: B010


def _noting(run_many: RunMany, raised: list[BaseException]) -> RunMany:
    """Wrap `run_many` to note what it raises: Hydra calls it, but its errors are no errors in composing."""

    def noting(runs: Any, executor: Any) -> list[dict[str, float]]:
        try:
            return run_many(runs, executor)
        except BaseException as error:
            raised.append(error)
            raise

    return noting


def spec_of(config: DictConfig, settings: Any) -> RunSpec:
    """The typed configuration of one run; `settings` is Hydra's own node, which `config` may still hold."""
    spec = typed_spec(_without_hydra(config), _choices(settings), _task_overrides(settings))
    return replace(spec, folder=_folder(settings))


def _folder(settings: Any) -> str | None:
    """The folder of ``--config-dir``, or None; `settings` is Hydra's own node."""
    paths = [source.path for source in settings.runtime.config_sources if source.provider == "command-line"]
    return str(paths[0]) if paths else None


def spec_from(resolved: Any, choices: Mapping[str, str], allowed: Sequence[str] = ()) -> RunSpec:
    """Restore a run from its stored `resolved` configuration and the names chosen in its groups.

    Stored configurations are data: no interpolation in them is resolved, and they may name functions of the workbench
    and of `allowed` modules only. Groups added to the workbench since then get their defaults. Raises ConfigError for
    other functions, and for keys and values that the present schema does not have.
    """
    if not isinstance(resolved, Mapping) or not all(isinstance(key, str) for key in resolved):
        raise ConfigError(f"{STORED_CONFIG}: must hold keys with values, got {type(resolved).__name__}")
    refuse_foreign(STORED_CONFIG, resolved, allowed)
    missing_groups = [group for group in GROUPS if group not in resolved]
    defaults = configure([]) if missing_groups else RunSpec(Config(), {}, {}, ())
    completed: dict[Any, Any] = {group: defaults.resolved[group] for group in missing_groups}
    choices = {**choices, **{group: defaults.choices[group] for group in missing_groups}}
    completed |= resolved
    try:
        job = OmegaConf.merge(SCHEMA, literal(completed))
    except OmegaConfBaseException as error:
        raise reworded(error) from error
    assert isinstance(job, DictConfig)
    return typed_spec(job, dict(choices), ())


def _without_hydra(config: DictConfig) -> DictConfig:
    job = config.copy()
    with open_dict(job):
        job.pop("hydra", None)
        job.claim = None
    return job


def _choices(settings: Any) -> dict[str, str]:
    return {str(group): str(name) for group, name in settings.runtime.choices.items()}


def _task_overrides(settings: Any) -> tuple[str, ...]:
    """Overrides as they were written: reading them one by one would resolve their interpolations."""
    written: Any = OmegaConf.to_container(settings.overrides.task, resolve=False)
    return tuple(written)


def _refuse_many(specs: list[RunSpec], executor: Any) -> list[dict[str, float]]:
    raise ConfigError(f"check: takes one configuration, got {len(specs)}; drop -m")
