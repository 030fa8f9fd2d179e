"""The conf tree and the code, both ways: every option builds, every public factory has an option."""

import ast
import inspect
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, get_type_hints

import omegaconf
import pytest
import torch
from omegaconf import OmegaConf

import workbench as wb
from tests.outer import trained
from tests.reference import OF_TOKENS, example, inputs_of
from workbench import data, diagnostics, nn
from workbench.config.instantiate import KINDS, call, call_stacked, checked, resolve_target
from workbench.config.options import option, options
from workbench.config.prepare import MIXED_GROUPS, build_pack, prepare
from workbench.config.schema import GROUPS, MISSING, TARGET, Config, packaged
from workbench.config.validate import validate
from workbench.config.yaml_files import experiments_in
from workbench.core.axes import is_per_replica
from workbench.diagnostics import quantities
from workbench.nn import activations, check
from workbench.nn.layers import norms

pytest_plugins = ["tests.outer_fixtures"]

CONF = packaged("conf")
CPU = torch.device("cpu")
OPTIONS = [(group, name) for group in GROUPS for name in options(group)]
LEAVES = (nn, data, diagnostics)  # packages whose functions the options name
MODULES = [
    import_module(found.name)
    for package in LEAVES
    for found in walk_packages(package.__path__, f"{package.__name__}.")
    if not found.name.startswith(check.__name__)
]
STACKED = ("optimizer", "schedule", "pretraining")  # whose numbers become tensors [R] first
FITTING = {
    ("activation", "unit_step"): ["architecture=perceptron", "loss=softmax_nll"],
    ("architecture", "tcn"): ["data=recall"],
    ("architecture", "transformer"): ["data=recall"],
    ("pretraining", "masked_lm"): ["architecture=transformer", "data=copy", "data.examples=50"],
    ("pretraining", "next_token"): ["architecture=lstm", "data=copy", "data.examples=50"],
}  # what an option needs beside it
MADE_OF_PARTS = {"compose", "at_positions", "masked"}  # take no values of a configuration


def node_of(group: str, stem: str) -> dict[str, Any]:
    """The option's node with an example for what it leaves open."""
    return {**option(group, stem), **example(group, stem)}


def given_to(group: str, stem: str) -> dict[str, Any]:
    """Return the values that the build hands to the group's factories beside the node's own."""
    if group != "architecture":
        return {}
    inputs = inputs_of(stem)
    parts = {"activation": activations.relu(), "norm": norms.none(), "inputs": inputs, "per_position": False}
    return {"n_in": inputs.size, "n_out": inputs.size, **parts}


def asked(factory: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given values that the factory takes."""
    return {name: value for name, value in given.items() if name in inspect.signature(factory).parameters}


@pytest.mark.parametrize(("group", "stem"), OPTIONS)
def test_every_option_binds_and_builds(group: str, stem: str) -> None:
    """Each yaml names a function of its group's module, and its keys and values make the group's kind of object."""
    node, given = node_of(group, stem), given_to(group, stem)
    factory = resolve_target(group, node[TARGET])
    assert inspect.getmodule(factory) in MODULES
    values = {key: value for key, value in node.items() if key != TARGET}
    inspect.signature(factory).bind(**values, **asked(factory, given))
    assert checked(group, node, tuple(given)) == values
    made = call_stacked(group, [node], torch.tensor) if group in STACKED else call(group, node, **given)
    assert isinstance(made, KINDS[group])


def test_public_names_are_what_they_say() -> None:
    """Each public name is what its home defines, also after the submodules are imported, which could hide it."""
    found = {name: getattr(wb, name) for name in wb.__all__}
    assert [name for name, value in found.items() if inspect.ismodule(value)] == ["proofs"]
    assert all(callable(value) for name, value in found.items() if name != "proofs")
    with pytest.raises(AttributeError, match=r"it has Arm, .* check, compare, configure, explain, option, .*, train"):
        wb.trian  # noqa: B018


@pytest.mark.parametrize("group", GROUPS)
def test_every_public_factory_is_reached(group: str) -> None:
    """No function that makes the group's kind of object lacks a yaml."""
    made_here = [
        function
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and name not in MADE_OF_PARTS
        and inspect.signature(function).return_annotation is KINDS[group]
    ]
    reached = [resolve_target(group, node_of(group, stem)[TARGET]) for other, stem in OPTIONS if other == group]
    assert made_here
    assert [function.__name__ for function in made_here if function not in reached] == []


def test_every_quantity_is_in_full_under_its_name() -> None:
    """The module's functions that make one, which need no arguments, are what full.yaml lists, by name."""
    made_here = {
        name: f"{quantities.__name__}.{name}"
        for name, function in inspect.getmembers(quantities, inspect.isfunction)
        if function.__module__ == quantities.__name__ and not inspect.signature(function).parameters
    }
    listed = option("diagnostics", "full")["quantities"]
    assert {name: node[TARGET] for name, node in listed.items()} == made_here


@pytest.mark.parametrize(("group", "stem"), OPTIONS)
def test_every_key_of_a_factory_is_in_its_yaml(group: str, stem: str) -> None:
    """Each parameter of a factory stands in its yaml with its default: `--help` and `--cfg job` show all there is."""
    node, given = node_of(group, stem), given_to(group, stem)
    parameters = set(inspect.signature(resolve_target(group, node[TARGET])).parameters) - set(given)
    assert set(node) - {TARGET} == parameters


@pytest.mark.parametrize("group", GROUPS)
def test_every_parameter_is_annotated(group: str) -> None:
    """A factory's parameter without a type would take any value from the command line."""
    for other, stem in OPTIONS:
        if other == group:
            factory = resolve_target(group, node_of(group, stem)[TARGET])
            assert set(inspect.signature(factory).parameters) <= set(get_type_hints(factory)), stem


@pytest.mark.slow
@pytest.mark.parametrize(("group", "stem"), [option for option in OPTIONS if option[0] not in ("data", "loss")])
def test_every_option_composes_into_a_valid_run(group: str, stem: str) -> None:
    """Each option, chosen on the command line, gives a run that passes every check before step 0."""
    fitting = FITTING.get((group, stem), [])
    values = [f"{group}.{key}={value}" for key, value in example(group, stem).items()]
    spec = wb.configure(f"{group}={stem}", *values, *fitting)
    assert spec.choices[group] == stem
    validate(spec)


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        *((name, None) for name in options("data") if name not in OF_TOKENS),
        ("wine", "softmax_nll"),
        *((name, "binary_nll") for name in ("xor", "breast_cancer", "spirals", "parity", "npz", "table", "openml")),
    ],
)
def test_every_data_set_composes_with_its_loss(data: str, loss: str | None) -> None:
    """Classification takes its losses by name; a regression brings the squared error along."""
    values = [f"data.{key}={value}" for key, value in example("data", data).items()]
    spec = wb.configure(f"data={data}", *values, *([f"loss={loss}"] if loss else []))
    usual = "softmax_nll" if prepare(spec).dataset.n_classes else "squared_error"
    assert spec.choices["loss"] == (loss or usual)
    assert len(build_pack([spec])) == 1


def test_every_value_that_may_differ_in_a_pack_is_a_number() -> None:
    """Per-replica parameters of optimizers, schedules and activations are plain numbers in their yaml."""
    for group, stem in OPTIONS:
        node = node_of(group, stem)
        hints = get_type_hints(resolve_target(group, node[TARGET]), include_extras=True)
        per_replica = {key for key, hint in hints.items() if is_per_replica(hint)}
        assert all(isinstance(node[key], float) for key in per_replica), stem
        assert not per_replica or group in MIXED_GROUPS


def flat(node: Any, prefix: str = "") -> set[str]:
    """The dotted keys of nested mappings."""
    if not isinstance(node, dict):
        return {prefix}
    return {key for name, inner in node.items() for key in flat(inner, f"{prefix}.{name}".lstrip("."))}


def schema_keys(record: Any, prefix: str = "") -> set[str]:
    """The dotted keys of nested dataclasses, groups apart."""
    keys: set[str] = set()
    for one in fields(record):
        kind = get_type_hints(record)[one.name]
        if one.name not in GROUPS:
            keys |= schema_keys(kind, f"{prefix}{one.name}.") if is_dataclass(kind) else {prefix + one.name}
    return keys


def test_spine_of_config_yaml_is_the_schema() -> None:
    """Each key of the schema stands in config.yaml, commented, and none besides.

    But for `target`, which an architecture may set: config.yaml comes after the groups and would win.
    """
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    spine = flat({key: value for key, value in content.items() if key not in ("defaults", "hydra")})
    assert spine == schema_keys(Config) - {"target"}


def test_defaults_list_holds_every_group() -> None:
    """The schema comes first, each group of the schema has a default, and each folder of conf is in the list."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    assert content["defaults"][0] == "schema"
    named = {key.removeprefix("override ") for entry in content["defaults"] if isinstance(entry, dict) for key in entry}
    assert set(GROUPS) <= named
    folders = {str(file.parent.relative_to(CONF)) for file in CONF.rglob("*.yaml")} - {"."}
    assert folders <= named


def test_config_module_needs_no_torch() -> None:
    """The schema is read for `--help`: it imports nothing of torch."""
    tree = ast.parse(Path(inspect.getfile(Config)).read_text())
    imported = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {name.partition(".")[0] for name in imported} & {"torch", "mlflow", "hydra"}


EXPERIMENTS = {name: OmegaConf.load(file) for name, file in experiments_in(packaged("experiments")).items()}
STUDIES = [stem for stem, content in EXPERIMENTS.items() if "claim" not in content]


@pytest.mark.slow
@pytest.mark.parametrize("stem", sorted(EXPERIMENTS.keys() - STUDIES))
def test_every_claim_composes(stem: str) -> None:
    """A claim's shared configuration and each of its arms are valid runs of the claim's own MLflow experiment."""
    content: Any = EXPERIMENTS[stem]
    for overrides in [[], *content.claim.get("arms", {}).values()]:
        spec = wb.configure(f"experiment={stem}", *overrides)
        validate(spec)
        assert spec.config.tracking.experiment == stem


@pytest.mark.slow
@pytest.mark.parametrize("stem", STUDIES)
def test_every_experiment_composes_as_a_sweep(stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-m experiment=...` alone gives several valid runs of the study's own MLflow experiment, and a file runs it."""
    seen: list[Any] = []

    def stand_in(specs: Any, command: Any, console: Any, executor: Any) -> Any:
        seen.extend(specs)
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.sweeps.sweep.train_sweep", stand_in)
    with pytest.raises(KeyboardInterrupt):
        trained("-m", f"experiment={stem}")
    assert len(seen) > 1
    assert {spec.config.tracking.experiment for spec in seen} == {stem}
    for spec in seen:
        validate(spec)
    assert f'experiment="{stem}"' in (packaged("experiments") / stem / "demo.py").read_text()


@pytest.mark.parametrize("stem", sorted(file.stem for file in (CONF / "debug").glob("*.yaml")))
def test_every_debug_setting_wins_over_the_defaults(stem: str) -> None:
    """A debug file's values are those of the run."""
    settings = wb.configure(f"debug={stem}").settings
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "debug" / f"{stem}.yaml"))
    for key in flat(content):
        assert settings[key] == OmegaConf.select(OmegaConf.create(content), key)


def test_a_value_that_must_be_given_has_omegaconfs_mark() -> None:
    """The schema writes OmegaConf's mark without importing it."""
    assert omegaconf.MISSING == MISSING
