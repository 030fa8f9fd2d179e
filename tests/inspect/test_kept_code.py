"""A store's content is data: no reader runs a function or imports a module because a kept file names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

import workbench as wb
from tests.outer import SMALL, Answer, client_of, runs_of, trained
from workbench.config.compose import spec_from
from workbench.config.schema import GROUPS
from workbench.config.targets import refuse_foreign
from workbench.core.bounded_yaml import MOST_BYTES, parse_yaml
from workbench.core.errors import ConfigError, TrackingError
from workbench.sweeps.search import read_trial
from workbench.sweeps.space import make_space
from workbench.tracking.find_run import find_run
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
CANARY = """
from pathlib import Path
from workbench.nn.activations import Activation, tanh as usual
Path({mark!r}).write_text("imported")
def tanh() -> Activation:
    return usual()
"""
FOREIGN = (
    *("os.system", "posix.system", "builtins.exec", "builtins.eval", "subprocess.call", "functools.partial"),
    *("hydra.utils.call", "pickle.loads", "importlib.import_module", "workbench.cli.commands.demo.run"),
    *(
        "workbench.config.instantiate.os.system",
        "workbench.config.instantiate.call",
        "workbench.tracking.store.find_store",
        "workbench",
        "",
    ),
    *("workbench.nnx.f", "workbench_nn.f", "..os.system", "os", "__main__.f", "canary.tanh"),
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    """A store with one run."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    trained(*SMALL, f"tracking.uri={store.uri}", "seed=1")
    return store


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exists once a module `canary...`, which Python finds, was imported."""
    file = tmp_path / "imported"
    for name in ("canary", "canary_verify", "canary_export", "canary_figures"):
        (tmp_path / f"{name}.py").write_text(CANARY.format(mark=str(file)))
    monkeypatch.syspath_prepend(tmp_path)
    return file


def plant(store: Store, text: str) -> None:
    """Another config.yaml for the run in the store."""
    client_of(store).log_text(runs_of(store)[0].info.run_id, text, "config.yaml")


@pytest.fixture
def planted(kept: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Changes what is kept of the run, until the test's end."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", kept.uri)
    config = find_run(kept, None).config

    def change(**changed: Any) -> None:
        plant(kept, yaml.safe_dump({**config, **changed}))

    yield change
    plant(kept, yaml.safe_dump(dict(config)))


def configuration() -> dict[str, Any]:
    """Return a configuration as a store keeps it."""
    return wb.configure(*SMALL).resolved


@pytest.mark.slow
@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("place", ["group", "value", "list", "deep"])
def test_functions_of_others_are_refused_wherever_they_stand(target: str, place: str, mark: Path) -> None:
    """Foreign functions are refused as option, as its value, in a list or deep inside, before the module is sought."""
    node = {"_target_": target, "_args_": ["touch x"], "_partial_": True}
    config = configuration()
    if place == "group":
        config["activation"] = node
    elif place == "value":
        config["loss"]["output"] = node
    elif place == "list":
        config["architecture"]["hidden"] = [6, node]
    else:
        config["diagnostics"]["quantities"] = {"a": {"_target_": "workbench.nn.activations.relu", "b": [[node]]}}
    with pytest.raises(ConfigError, match="is not run from a store; if you trust it, add --allow"):
        spec_from(config, dict.fromkeys(GROUPS, ""))
    assert not mark.exists()


@pytest.mark.parametrize("target", [3, None, ["os.system"], {"_target_": "os.system"}, "os.system\n", "ｏs.system"])
def test_targets_that_are_no_names_are_refused(target: object) -> None:
    """Targets that are no names of functions are refused, even where they are no texts."""
    with pytest.raises(ConfigError, match="is not run from a store"):
        refuse_foreign("config.yaml", {"activation": {"_target_": target}})


@pytest.mark.parametrize(
    "target",
    [
        "workbench.nn.activations.torch.hub.load",
        "workbench.nn.activations.relu.__globals__",
        "workbench.nn.initializers.sqrt",
        "workbench.nn.losses.softmax_nll",
        "workbench.data.tables.openml",
        "workbench.data.files.Path",
        "workbench.nn.nowhere.relu",
    ],
)
def test_own_modules_give_what_returns_the_kind(target: str) -> None:
    """Targets that a leaf module imports from elsewhere, or that return another kind, are refused and never called."""
    config = configuration() | {"activation": {"_target_": target}}
    with pytest.raises(ConfigError, match="activation: "):
        wb_validate(spec_from(config, dict.fromkeys(GROUPS, "")))


def wb_validate(spec: Any) -> None:
    """Build what `verify` builds first."""
    from workbench.config.validate import validate

    validate(spec)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["verify", "export", "figures"])
def test_readers_run_no_code_of_a_store(cli: Cli, planted: Any, folder: Path, mark: Path, command: str) -> None:
    """Exit code 2 and the way out; nothing is imported or written, and with `--allow` the same run is read."""
    module = f"canary_{command}"
    planted(activation={"_target_": f"{module}.tanh"})
    answer = cli(command)
    assert answer.code == 2
    assert f"names '{module}.tanh'" in answer.err
    assert answer.err.endswith(f"add --allow {module}\n")
    assert not mark.exists()
    allowed = cli(command, "--allow", module)
    assert mark.exists() or command == "figures"  # of logged numbers alone
    assert "canary" not in allowed.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "activation: !!python/object/apply:os.system ['touch x']",
        "activation: !!python/name:os.system",
        "!!python/object/new:os.system ['touch x']",
        "- a\n- b",
        "text",
        "activation: [",
        "\ta: 1",
        "[" * 20_000,
        "a: &a [" + "x," * 50 + "]\n" + "".join(f"b{n}: &b{n} [*a,*a,*a]\n" for n in range(3)) + "z: &z [*z]",
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)),
        "a: " + "x" * MOST_BYTES,
        "1: 2",
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("command", ["verify", "show"])
def test_readers_refuse_yaml_that_is_none(cli: Cli, planted: Any, kept: Store, command: str, text: str) -> None:
    """Tags that make objects, other content, broken, deep, endless and large files: exit code 2, no traceback."""
    plant(kept, text)
    answer = cli(command)
    assert answer.code == (2 if command == "verify" else 0)
    assert "Traceback" not in answer.err
    assert "config.yaml" in answer.err + answer.out


def test_an_alias_bomb_costs_nothing() -> None:
    """YAML aliases for 9⁴⁰ values are counted, not made, and refused."""
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    with pytest.raises(ConfigError, match=r"bomb, line \d+: must hold at most 100000 values, aliases followed"):
        parse_yaml(text.encode(), "bomb")


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${seed}", r"\${seed}", r"a\\${hydra:runtime.cwd}b", "${", "\\"])
def test_what_was_kept_is_not_resolved(text: str) -> None:
    """Texts that look like interpolations come back as they are: no value of this environment enters a run."""
    config = configuration()
    config["tracking"]["experiment"] = text
    assert spec_from(config, dict.fromkeys(GROUPS, "")).config.tracking.experiment == text


@pytest.mark.parametrize(
    "row",
    [
        "{activation._target_: os.system}",
        "{activation: {_target_: os.system}}",
        "{loss: {output: [{_target_: os.system}]}}",
        "{activation._args_: [x]}",
    ],
)
def test_a_list_of_runs_names_no_functions(cli: Cli, folder: Path, row: str) -> None:
    """A file of runs gives values to keys; naming a function there is refused with exit code 2."""
    Path("runs.yaml").write_text(f"- {row}\n")
    answer = cli("train", "-m", *SMALL, "hydra/sweeper=listed", "hydra.sweeper.file=runs.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "runs.yaml: run 1: must give values, not functions" in answer.err
    assert find_store(None).file is None or not (folder / "mlflow.db").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"act": "{_target_: os.system}", "lr": 0.1},
        {"act": "relu"},
        {"act": "relu", "lr": "os.system"},
        {"act": "relu", "lr": 2},
        {"act": "relu", "lr": 0.1, "data._target_": "os.system"},
        {"act": ["relu"], "lr": 0.1},
        3,
    ],
)
def test_a_kept_trial_chose_from_what_is_searched(values: object) -> None:
    """A trial read from a store must hold keys and values of what is searched; any other is refused."""
    overrides = OverridesParser.create().parse_overrides(["act=relu,tanh", "lr=interval(0,1)"])
    space = make_space(overrides, ("seed",))
    assert read_trial("trial.1", json.dumps({"number": 1, "values": {"act": "relu", "lr": 0.5}}), space).number == 1
    with pytest.raises(TrackingError, match=r"the tag trial.1 must be a trial of what is searched"):
        read_trial("trial.1", json.dumps({"number": 1, "values": values}), space)
