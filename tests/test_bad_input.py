"""Mistakes of a user give exit code 2, one message with key, rule, value and what to write, and begin nothing."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.advised import assert_advice_works
from tests.outer import SMALL, Answer
from tests.sampling import sampled
from workbench.config.options import options
from workbench.core.credentials import without_credentials
from workbench.tracking.store import find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def listed(group: str) -> str:
    """Text by which a message lists the options of a group."""
    return f"options: {', '.join(options(group))}"


ACTIVATIONS = listed("activation")
SWEEP_HINT = "several values make a sweep; add -m"

# the override (several are parted by blanks), and the whole message
WRONG = [
    # names
    ("activation=rellu", f"activation: unknown name 'rellu'; did you mean 'relu'? {ACTIVATIONS}"),
    ("activation=", f"activation: unknown name ''; {ACTIVATIONS}"),
    (
        "init=hee",
        f"init: unknown name 'hee'; did you mean 'he'? {listed('init')}",
    ),
    (
        "data=digit",
        f"data: unknown name 'digit'; did you mean 'digits'? {listed('data')}",
    ),
    ("experiment=activation_on_digit", "experiment: unknown name *did you mean 'activations_on_digits'? options: *"),
    ("dtype=float16", "dtype: unknown name 'float16'; did you mean 'float64'? options: float32, float64"),
    ("device=gpu", "device: unknown name 'gpu'; did you mean 'cpu'? options: auto, cpu, cuda"),
    ("sweep.on_error=ignore", "sweep.on_error: unknown name 'ignore'; options: continue, stop"),
    ("hydra/launcher=joblib", "hydra/launcher: unknown name 'joblib'; options: basic, packed, *"),
    # keys
    ("optimizer.lrr=1", "optimizer.lrr: unknown key; did you mean optimizer.lr? keys of optimizer: lr, *"),
    ("+optimizer.lrr=1", "optimizer.lrr: unknown key; did you mean optimizer.lr? keys of optimizer: lr, *"),
    ("trian.epochs=1", "trian: unknown key; did you mean train? keys of a run: activation, architecture, *"),
    (
        "+train.epoch=3",
        "train.epoch: unknown key; did you mean train.epochs? keys of train: batch_size, clip_norm, *",
    ),
    (
        "++train.epoch=3",
        "train.epoch: unknown key; did you mean train.epochs? keys of train: batch_size, clip_norm, *",
    ),
    ("activation.slope=1", "activation.slope: unknown key; keys of activation: none; drop it"),
    ("architecture.n_in=3", "architecture.n_in: unknown key; keys of architecture: dropout, hidden; drop it"),
    # values out of range
    ("optimizer.lr=true", "optimizer.lr: must be a valid number, got True; write for example optimizer.lr=0.1"),
    ("optimizer.lr=-1", "optimizer.lr: must be greater than 0, got -1; write for example optimizer.lr=0.1"),
    ("optimizer.lr=0", "optimizer.lr: must be greater than 0, got 0; write for example optimizer.lr=0.1"),
    ("optimizer.lr=nan", "optimizer.lr: must be a finite number, got nan; write for example optimizer.lr=0.1"),
    ("optimizer.lr=inf", "optimizer.lr: must be a finite number, got inf; write for example optimizer.lr=0.1"),
    (
        "optimizer.momentum=1",
        "optimizer.momentum: must be less than 1, got 1; write for example *momentum=0.0",
    ),
    ("optimizer.weight_decay=-1", "optimizer.weight_decay: must be greater than or equal to 0, got -1; write *"),
    ("init.gain=0", "init.gain: must be greater than 0, got 0; write for example init.gain=1.0"),
    ("bias.value=inf", "bias.value: must be a finite number, got inf; write for example bias.value=0.0"),
    (
        "architecture.hidden=[0]",
        "architecture.hidden[0]: must be greater than or equal to 1, got 0; write *",
    ),
    ("train.epochs=0", "train.epochs: must be at least 1, got 0; write for example train.epochs=30"),
    ("train.batch_size=0", "train.batch_size: must be at least 1, got 0; write for example train.batch_size=32"),
    ("split.valid=1.5", "split.valid: must be above 0 and below 1, got 1.5; write for example split.valid=0.1"),
    ("split.test=0.95", "split.test: must be above 0 and below 1 - split.valid, got 0.95; write for example *"),
    ("split.valid=nan", "split.valid: must be above 0 and below 1, got nan; write for example split.valid=0.1"),
    ("sweep.pack_gib=0", "sweep.pack_gib: must be above 0 and finite, got 0.0; write for example sweep.pack_gib=0.5"),
    # values of another type
    ("optimizer.lr=high", "optimizer.lr: must be a valid number, * got 'high'; write for example optimizer.lr=0.1"),
    ("optimizer.lr=null", "optimizer.lr: must be a valid number, got None; write for example optimizer.lr=0.1"),
    ("architecture.hidden=64", "architecture.hidden: must be a valid list, got 64; write for example *=[64,64]'"),
    ("architecture.hidden=[2.5]", "architecture.hidden[0]: must be a valid integer, * got 2.5; write for example *"),
    ("train.epochs=x", "train.epochs: must be of type integer, got 'x'; write for example train.epochs=30"),
    ("train.epochs=1.5", "train.epochs: must be of type integer, got '1.5'; write for example train.epochs=30"),
    ("seed=one", "seed: must be of type integer, got 'one'; write for example seed=0"),
    ("train=1", "train: *Train*"),
    ("activation=null", "activation=null: a group must name one of its options, got nothing; write activation=relu"),
    ("activation=[relu]", "activation: must name one of its options, not a list, got ['relu']; write activation=relu"),
    ("tracking.experiment=", "tracking.experiment: must be a name, got ''; write for example *=workbench"),
    # what is missing
    ("bias=constant", "bias.value: must be given, it has no default; write bias.value=..."),
    ("~optimizer.lr", "optimizer.lr: must be given, it has no default; write for example optimizer.lr=0.1"),
    ("~activation", "~activation: a run must have one; write activation=relu, or drop the override"),
    ("activation", "'activation': must be key=value; write for example *"),
    # what does not fit together
    (
        "data=wine loss=binary_nll",
        "loss: binary_nll needs binary targets, but data=wine has 3 classes; write loss=softmax_nll "
        "(also possible: weighted_nll, softmax_mse, squared_error)",
    ),
    (
        "data=diabetes loss=softmax_nll",
        "loss: softmax_nll needs one_hot targets, but data=diabetes has real targets; write loss=squared_error",
    ),
    ("data=wine split.valid=0.001", "data=wine: wine: cannot split off 0.001 and 0.1 of 178: *; write for example *"),
    ("data=idx", "data.path: must be given, it has no default; write data.path=..."),
    (
        "data=idx data.path=/no/folder",
        "data=idx: data.path: the folder /no/folder must hold train-images-idx3-ubyte, *",
    ),
    (
        "data=table data.path=/no/file data.target=y",
        "data=table: data.path: there is no file /no/file; write data.path=*",
    ),
    (
        "data=wine split.limit=1000",
        "data=wine: split.limit: must be from 3 to the 142 examples of *; write for example *",
    ),
    (
        "data=wine split.label_noise=2",
        "data=wine: split.label_noise: must be at most 1 for classes, *, got 2; write for example *",
    ),
    ("data=curve data.low=1", "data=curve: data.low: must be below data.high, got 1 and 1; write for example *"),
    ("data=wine split.valid=0.5 split.test=0.499", "data=wine: wine: cannot split off 0.5 and 0.499 of 178: *"),
    # targets that are no such thing
    (
        "activation._target_=os.system",
        "activation: os.system must say that it returns Activation; write '-> Activation', or name another",
    ),
    ("activation._target_=nowhere.f", "activation: _target_ 'nowhere.f' cannot be used: *"),
    (
        "activation._target_=workbench.nn.losses.softmax_nll",
        "activation: workbench.nn.losses.softmax_nll must return Activation, got Loss; name another",
    ),
    ("data._target_=workbench.nn.activations.relu", "data: * must return Dataset, got Activation; name another"),
    # stores
    ("tracking.uri=runs", "tracking.uri: must start with one of sqlite, *, got 'runs'; write for example *mlflow.db"),
    ("tracking.uri=file:./mlruns", "tracking.uri: must start with one of sqlite, *, got 'file:./mlruns'; write *"),
    (
        "tracking.uri=ftp://me:word@host",
        "tracking.uri: must start with one of *, got 'ftp://host'; write *",
    ),
    ("tracking.uri=sqlite://", "tracking.uri: must name a file after sqlite:///, got 'sqlite://'; write for example *"),
    ("tracking.uri=sqlite:////", "tracking.uri: must name a file after sqlite:///, got 'sqlite:////'; write *"),
    (
        "tracking.uri=sqlite:////no/folder/x.db",
        "tracking.uri: the folder /no/folder must exist; *",
    ),
    # sweeps
    ("activation=relu,tanh", f"activation=relu,tanh: {SWEEP_HINT}, or quote them to mean one text"),
    ("seed=range(3)", f"seed=range(3): {SWEEP_HINT}"),
    ("-m activation=relu,rellu", f"activation: unknown name 'rellu'; did you mean 'relu'? {ACTIVATIONS}"),
    ("-m optimizer.lr=0.1,-1 seed=range(2)", "optimizer.lr: must be greater than 0, got -1; write for example *"),
    ("-m train.epochs=1,0", "train.epochs: must be at least 1, got 0; write for example train.epochs=30"),
    (
        "-m data=wine,breast_cancer loss=binary_nll",
        "loss: binary_nll needs binary targets, but data=wine *",
    ),
    ("-m seed=range(0)", "sweep: must have at least one run, got none; write for example 'seed=range(5)'"),
    (
        "-m sweep.on_error=continue,stop",
        "sweep.on_error: must be the same for all runs of a sweep, got *; write *=continue",
    ),
    (
        "-m tracking.experiment=a,b",
        "tracking.experiment: must be the same for all runs of a sweep, got a, b; *=a",
    ),
    ("-m seed=1,2 hydra/launcher=basic", "hydra/launcher: must be packed, *"),
    # Hydra's own options
    ("--config-name=other", "--config-name: there is no configuration 'other'; drop it"),
    ("--config-dir=/no/folder", "--config-dir: there is no folder '/no/folder'; correct the path, or drop it"),
]


ONLY_THE_USER_KNOWS = {  # a path, or a function of their own: no line to paste
    "data=idx",
    "data=idx data.path=/no/folder",
    "data=table data.path=/no/file data.target=y",
    "activation._target_=os.system",
    "activation._target_=nowhere.f",
    "activation._target_=workbench.nn.losses.softmax_nll",
    "data._target_=workbench.nn.activations.relu",
    "tracking.uri=sqlite:////no/folder/x.db",
}


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, whose stars stand for anything on the line."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


@pytest.mark.parametrize(("overrides", "message"), sampled(WRONG, 4), ids=[overrides for overrides, _ in WRONG])
def test_wrong_request_is_refused_before_it_starts(cli: Cli, folder: Path, overrides: str, message: str) -> None:
    """Exit code 2, exactly one line on stderr, none on stdout, no database, no file of a run."""
    answer = cli("train", *overrides.split(" "))
    assert answer.code == 2
    assert answer.err.endswith("\n")
    assert matches(f"workbench: {message}", answer.err.removesuffix("\n"))
    assert answer.out == ""
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [overrides for overrides, _ in WRONG])
def test_what_the_message_of_a_wrong_request_advises_works(cli: Cli, folder: Path, overrides: str) -> None:
    """Each way out that a message offers works, unless only the user knows it."""
    words = ["train", *overrides.split(" ")]
    assert_advice_works(cli, words, cli(*words).err, overrides in ONLY_THE_USER_KNOWS)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(cli: Cli, folder: Path) -> None:
    """`device=cuda` on a machine without one names what works."""
    answer = cli("train", "device=cuda")
    assert answer.code == 2
    assert answer.err.startswith("workbench: device: cuda must be available, but torch ")
    assert answer.err.endswith("write device=cpu or device=auto\n")
    assert list(folder.iterdir()) == []
    assert_advice_works(cli, ["train", "device=cuda"], answer.err)


@pytest.mark.parametrize("command", ["train", "check"])
def test_check_refuses_as_train_does(cli: Cli, folder: Path, command: str) -> None:
    """`check` and `train` refuse a wrong value with the same message."""
    answer = cli(command, "optimizer.lr=-1")
    assert answer.code == 2
    assert answer.err == "workbench: optimizer.lr: must be greater than 0, got -1; write for example optimizer.lr=0.1\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--nonsense", "workbench: --nonsense: there is no such option; write key=value, or --help to see options "),
        ("--cfg=nothing", "usage: "),
    ],
)
def test_unknown_options_of_train(cli: Cli, folder: Path, option: str, said: str) -> None:
    """No key is named that is far from it; values of an option are refused with its usage."""
    answer = cli("train", option)
    assert answer.code == 2
    assert answer.err.startswith(said)
    assert list(folder.iterdir()) == []


def test_missing_driver_is_named(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without its driver: which module is missing, how to get it, and no password in the message."""
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    answer = cli("train", *SMALL, "tracking.uri=postgresql+psycopg2://me:pass@word@127.0.0.1:1/runs")
    assert answer.code == 2
    assert "postgresql+psycopg2://127.0.0.1:1/runs needs a driver that is not installed" in answer.err
    assert "workbench[postgres]" in answer.err
    assert "word" not in answer.err + answer.out
    assert "Traceback" not in answer.err


def test_unreachable_server_is_named_without_its_password(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer: exit code 2, its address, no user and no password."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    answer = cli("train", *SMALL, "tracking.uri=http://me:secret@127.0.0.1:9")
    assert answer.code == 2
    assert "the store http://127.0.0.1:9 does not answer (ConnectionError); start it, or name another" in answer.err
    assert "secret" not in answer.err + answer.out
    assert "Traceback" not in answer.err


def test_file_that_is_no_database(cli: Cli, folder: Path) -> None:
    """A file of another kind is left as it is, and the message gives the database's reason."""
    (folder / "mlflow.db").write_text("these are notes\n" * 200)
    answer = cli("train", *SMALL)
    assert answer.code == 2
    assert "file is not a database" in answer.err
    assert (folder / "mlflow.db").read_text().startswith("these are notes")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql+psycopg2://me:p@ss@host/db", "postgresql+psycopg2://host/db"),
        ("postgresql://host/db?user=me&password=secret&ssl=1", "postgresql://host/db?user=me&password=...&ssl=1"),
        ("failed: https://token@host/a and http://u:v@h", "failed: https://host/a and http://h"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://host/#/experiments/1@2", "http://host/#/experiments/1@2"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_credentials_are_taken_out(text: str, shown: str) -> None:
    """Users and passwords of addresses vanish, whatever else the text holds."""
    assert without_credentials(text) == shown


def test_sqlite_paths_are_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is fixed to the current folder once; the environment comes after the option."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert find_store("sqlite:///mine.db").uri == f"sqlite:///{folder}/mine.db"
    assert find_store(None).uri == f"sqlite:///{folder}/other.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert find_store(None).file == folder / "mlflow.db"
