"""The command line from end to end: train, sweeps, check, help, completion, user configs."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer, all_runs, finish, replace_target, runs_of, start
from workbench import __version__
from workbench.config.options import options
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation, relu
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
CONTRACT = (
    "data=digits",
    "architecture=mlp",
    "architecture.hidden=[64,64]",
    "activation=relu",
    "init=he",
    "bias=small_positive",
    "optimizer=sgd",
    "optimizer.lr=0.1",
    "seed=3",
)
MODULE = '''
import torch
from workbench.nn.activations import Activation


def swish(sharpness: float = 1.0) -> Activation:
    """z sigmoid(sharpness z)."""

    def derivative(z, a):
        s = torch.sigmoid(sharpness * z)
        return s + sharpness * a * (1 - s) * {factor}

    return Activation(lambda z: z * torch.sigmoid(sharpness * z), derivative, (-0.3, float("inf")), max_slope=1.1)
'''


def test_train_one_run(cli: Cli, store: Store) -> None:
    """A run with every group named: exit code 0, its scores, its link, and one FINISHED run in the store."""
    answer = cli("train", *CONTRACT, "train.epochs=2")
    assert (answer.code, answer.err) == (0, "")
    assert re.search(r"1 finished\ntest/accuracy 0\.\d+, test/loss \d", answer.out)
    (run,) = all_runs(store)
    assert f"&viewStateShareKey={run.info.run_id}" in answer.out
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] > 0.8
    wanted = {
        "architecture.hidden": "[64, 64]",
        "init": "he",
        "bias": "small_positive",
        "bias.value": "0.1",
        "seed": "3",
    }
    assert wanted.items() <= run.data.params.items()


@pytest.mark.slow
def test_train_sweep_over_groups_values_and_ranges(cli: Cli, store: Store) -> None:
    """`-m` multiplies choices of a group, values and range(), and leaves one flat run for each."""
    sweep = ("activation=relu,tanh", "optimizer.lr=0.1,0.01", "seed=range(2)")
    answer = cli("train", "-m", *SMALL, *sweep)
    assert answer.code == 0, answer.err
    assert "8 runs of 4 arms; kept in" in answer.out
    assert "8 finished" in answer.out
    assert re.search(r"compare: workbench compare \d{8}-\d{6}-[0-9a-f]{4}\n", answer.out)
    names = [run.info.run_name for run in runs_of(store)]
    assert names == [f"{f} lr={lr} seed={s}" for f in ("relu", "tanh") for lr in ("0.1", "0.01") for s in (0, 1)]


def test_experiment_option_wins_over_defaults_and_yields_to_the_line(cli: Cli, folder: Path) -> None:
    """An experiment's values replace config.yaml's, and the command line's replace both."""
    answer = cli("train", "--cfg", "job", "experiment=activations_on_digits", "architecture.hidden=[5]", "debug=fast")
    assert answer.code == 0
    assert "experiment: debug" in answer.out  # debug comes after experiment
    assert "hidden:\n  - 5\n" in answer.out


@pytest.mark.slow
def test_one_run_of_a_sweep_is_said(cli: Cli, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Training an experiment without -m says that it would sweep; training without an experiment says nothing."""
    small = ("data=wine", "architecture.hidden=[3]", "debug=fast")
    assert "1 finished" in cli("train", "experiment=activations_on_digits", *small).out
    assert [record.getMessage() for record in caplog.records] == [
        "one run: what is chosen would sweep activation, seed; with -m it does"
    ]
    caplog.clear()
    assert "1 finished" in cli("train", *small).out
    assert not caplog.records


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_command(cli: Cli, arguments: tuple[str, ...]) -> None:
    """No arguments and `--help` show the commands with examples and give exit code 0."""
    answer = cli(*arguments)
    assert answer.code == 0
    for command in ("train", "check", "compare", "ui", "bench", "demo"):
        assert re.search(rf"^    {command} ", answer.out, re.MULTILINE)
    assert "workbench train -m activation=relu,tanh seed=range(5)" in answer.out


@pytest.mark.parametrize("arguments", [("--help",), ("--all", "-h")])
def test_check_help_is_of_check(arguments: tuple[str, ...], cli: Cli, folder: Path) -> None:
    """Its own help begins that of the overrides, and names --all."""
    answer = cli("check", *arguments)
    assert answer.code == 0
    assert answer.out.startswith("workbench check: ")
    assert "workbench check --all  " in answer.out
    assert "\n\n== Configuration groups" in answer.out


@pytest.mark.slow
def test_train_help_lists_groups_and_composed_keys(cli: Cli, folder: Path) -> None:
    """`train --help` shows each group's options and the keys with their defaults, and trains nothing."""
    answer = cli("train", "--help", "activation=tanh")
    assert answer.code == 0
    assert f"activation: {', '.join(options('activation'))}" in answer.out
    assert "batch_size: 32" in answer.out
    assert "_target_: workbench.nn.activations.tanh" in answer.out
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "check"])
def test_cfg_job_prints_the_composed_configuration(cli: Cli, folder: Path, command: str) -> None:
    """`--cfg job` shows what would run; nothing runs."""
    answer = cli(command, "--cfg", "job", "optimizer.lr=0.25", "seed=7")
    assert answer.code == 0
    assert "lr: 0.25" in answer.out
    assert "seed: 7" in answer.out
    assert list(folder.iterdir()) == []


def test_version(cli: Cli) -> None:
    """`--version` prints the package's version."""
    answer = cli("--version")
    assert (answer.code, answer.out) == (0, f"workbench {__version__}\n")


@pytest.mark.parametrize("arguments", [("trian",), ("--verbose",), ("compare", "--port", "1"), ("ui", "--port", "x")])
def test_unknown_commands_and_options(cli: Cli, folder: Path, arguments: tuple[str, ...]) -> None:
    """Commands and options that the parser does not know give exit code 2 with the usage on stderr."""
    answer = cli(*arguments)
    assert answer.code == 2
    assert answer.err.startswith("usage: workbench")
    assert answer.out == ""


def test_unknown_demo_lists_the_demos(cli: Cli) -> None:
    """An unknown demo is answered with the demos there are, like any other unknown name."""
    answer = cli("demo", "activations_on_digit")
    assert answer.code == 2
    assert "unknown name 'activations_on_digit'; did you mean 'activations_on_digits'? options:" in answer.err


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (("activation=softplus",), ["l1.W", "l2.W", "l3.W"]),
        (("data=wine", "architecture.hidden=[5]", "optimizer.weight_decay=0.1", "device=auto"), ["l1.W", "l2.W"]),
        (("data=breast_cancer", "loss=binary_nll", "architecture.hidden=[]", "init=normal"), ["l1.W"]),
        (("data=diabetes", "activation=tanh", "architecture.hidden=[4]", "bias=small_positive"), ["l1.W", "l2.W"]),
    ],
)
def test_check_confirms_the_gradients(
    cli: Cli, folder: Path, arguments: tuple[str, ...], parameters: list[str]
) -> None:
    """`check` prints a row for each part and each parameter, exits 0 where all agree, and keeps nothing."""
    answer = cli("check", *arguments)
    assert answer.code == 0
    assert "DISAGREES" not in answer.out
    rows = [line for line in answer.out.splitlines() if " agrees " in line and re.search(r"\bl\d+\.\w", line)]
    assert len(rows) == 2 * len(parameters)
    for name in parameters:
        assert any(re.search(rf"\b{re.escape(name)}\b", row) for row in rows)
    assert list(folder.iterdir()) == []


def test_check_finds_a_broken_derivative(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivative off by a thousandth: exit code 1, and only the layers it reaches disagree."""
    right = relu()
    wrong = Activation(right.forward, lambda z, a: 1.001 * right.derivative(z, a), right.bounds, 1.0, right.kinks)
    replace_target(monkeypatch, "workbench.nn.activations.relu", lambda: wrong)
    answer = cli("check", "data=wine", "architecture.hidden=[5,5]")
    assert answer.code == 1
    verdicts = dict(re.findall(r"(l\d\.[Wb]).* (agrees|DISAGREES) ", answer.out))
    assert verdicts == {
        **dict.fromkeys(("l1.W", "l1.b", "l2.W", "l2.b"), "DISAGREES"),
        **dict.fromkeys(("l3.W", "l3.b"), "agrees"),
    }


@pytest.mark.slow
def test_check_takes_one_configuration(cli: Cli, folder: Path) -> None:
    """`check -m` is refused."""
    answer = cli("check", "-m", "activation=relu,tanh")
    assert (answer.code, answer.err) == (2, "workbench: check: takes one configuration, got 2; drop -m\n")


def completions(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """Words that bash is offered after `line`."""
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    answer = cli("-sc", "query=bash")
    assert (answer.code, answer.err) == (0, "")
    return answer.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("workbench tr", ["train"]),
        ("workbench c", ["check", "claims", "compare"]),
        ("workbench train activation=so", ["activation=softplus", "activation=softsign"]),
        ("workbench train activation=relu optimizer.m", ["optimizer.momentum="]),
        ("workbench explain ch", ["chain"]),
        ("workbench explain seed", ["seed="]),
        ("workbench check init=", [f"init={name}" for name in options("init")]),
    ],
)
def test_completion_offers(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]) -> None:
    """Completion offers commands first, then Hydra's groups, options and keys."""
    assert sorted(completions(cli, monkeypatch, line)) == sorted(offered)


def test_completion_offers_the_commands_of_the_help(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that `--help` names is offered, and no other."""
    named = re.findall(r"^    ([a-z]+)(?: |$)", cli("--help").out, re.MULTILINE)
    assert len(named) >= 6
    assert sorted(completions(cli, monkeypatch, "workbench ")) == sorted(named)


def test_completion_installs(cli: Cli) -> None:
    """`-sc install=bash` prints a script for the shell's eval that asks `query=bash`."""
    answer = cli("-sc", "install=bash")
    assert answer.code == 0
    assert "query=bash" in answer.out
    assert "complete -o nospace" in answer.out


@pytest.mark.slow
def test_module_and_script_are_the_same_command(folder: Path) -> None:
    """`python -m workbench` answers as `workbench` does, with the same exit codes, from any folder."""
    version, wrong = start(["--version"], folder), start(["train", "activation=rellu"], folder)
    assert finish(version).out == f"workbench {__version__}\n"
    answer = finish(wrong)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("workbench: activation: unknown name 'rellu'; did you mean 'relu'? options: ")
    assert list(folder.iterdir()) == []


def user_folder(folder: Path, module: str, factor: str) -> Path:
    """A user's own activation: one module and one yaml."""
    (folder / "code").mkdir()
    (folder / "code" / f"{module}.py").write_text(MODULE.format(factor=factor))
    group = folder / "conf" / "activation"
    group.mkdir(parents=True)
    (group / "swish.yaml").write_text(f"_target_: {module}.swish\nsharpness: 1.5\n")
    return folder / "conf"


@pytest.mark.slow
def test_user_configs_extend_a_group(cli: Cli, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config-dir` adds a user's options, found by PYTHONPATH: sweep, check and messages take them."""
    own = user_folder(folder, "right_units", factor="1")
    path = os.pathsep.join([str(folder / "code"), *filter(None, [os.environ.get("PYTHONPATH")])])
    sweep = ["train", "-m", "--config-dir", str(own), *SMALL, "activation=relu,swish", "seed=1"]
    train = start(sweep, folder, PYTHONPATH=path)
    monkeypatch.syspath_prepend(folder / "code")
    check = cli("check", "--config-dir", str(own), "activation=swish", "activation.sharpness=2")
    wrong = cli("train", "--config-dir", str(own), "activation=swich")
    assert (check.code, wrong.code) == (0, 2)
    assert "agrees" in check.out
    assert f"did you mean 'swish'? options: {', '.join(sorted([*options('activation'), 'swish']))}" in wrong.err
    assert finish(train).code == 0
    assert [run.info.run_name for run in runs_of(store)] == ["relu seed=1", "swish seed=1"]
    assert runs_of(store)[1].data.params["activation.sharpness"] == "1.5"


def test_check_finds_a_user_s_broken_derivative(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check holds a user's derivative to the same references."""
    own = user_folder(folder, "wrong_units", factor="0.9")
    monkeypatch.syspath_prepend(folder / "code")
    answer = cli("check", "--config-dir", str(own), *SMALL, "activation=swish")
    assert answer.code == 1
    assert "DISAGREES" in answer.out


@pytest.mark.parametrize("command", ["compare", "ui"])
def test_commands_without_a_store(cli: Cli, folder: Path, command: str) -> None:
    """Reading from a folder where nothing was trained says so, and makes no database."""
    answer = cli(command)
    assert answer.code == 2
    assert f"no store at sqlite:///{folder}/mlflow.db; train something first" in answer.err
    assert list(folder.iterdir()) == []


def test_debugging_shows_the_traceback(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WORKBENCH_DEBUG=1 lets the error through as it was raised."""
    monkeypatch.setenv("WORKBENCH_DEBUG", "1")
    with pytest.raises(ConfigError, match="rellu"):
        cli("train", "activation=rellu")


def test_commands_leave_the_process_as_it_was(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command leaves Hydra's variable and the working directory as they were."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    before = Path.cwd()
    assert cli("train", *SMALL).code == 0
    assert os.environ["HYDRA_FULL_ERROR"] == "0"
    assert Path.cwd() == before
    assert sorted(file.name for file in before.iterdir()) == ["mlartifacts", "mlflow.db", "mlflow.db.lock"]
