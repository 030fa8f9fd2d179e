"""A refused command for every text of the source that tells a user to write something.

Files that a command reads are in FILES, by a part of their name; their names differ, as data is cached by its path.
"""

import io
from collections.abc import Callable

import numpy as np


def table(row: Callable[[int], str], head: str = "a,b,y\n") -> str:
    """Forty rows of a CSV file."""
    return head + "".join(f"{row(number)}\n" for number in range(40))


def _row(b: object, number: int, y: object = None) -> str:
    return f"{number * 37 % 100 / 100},{b},{'ab'[number % 2] if y is None else y}"


def _npz(y: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, x=X, y=y)
    return file.getvalue()


X = np.random.default_rng(0).normal(size=(40, 3))
FILES: dict[str, str | bytes] = {
    "text_among.csv": table(lambda i: _row("x" if i == 3 else i * 71 % 100 / 100, i)),
    "gap.csv": table(lambda i: _row("" if i == 3 else i * 71 % 100 / 100, i)),
    "gap_target.csv": table(lambda i: _row(i * 71 % 100 / 100, i, "" if i == 3 else "ab"[i % 2])),
    "void.csv": table(lambda i: f"{i * 37 % 100 / 100},{_row('', i)}", "c,a,b,y\n"),
    "commas.csv": table(lambda i: _row(f'"{i % 7},{i % 9}"', i)),
    "percent.csv": table(lambda i: _row(f"{i % 7}.{i % 9}%", i)),
    "times.csv": table(lambda i: _row(f"2024-01-{i % 28 + 1:02d}", i)),
    "index.csv": table(lambda i: f"{i},{i * 71 % 100 / 100},{'ab'[i % 2]}"),
    "leak.csv": table(lambda i: _row("ab"[i % 2], i)),
    "latin.csv": table(lambda i: _row(f"é{i % 3}", i)).encode("latin-1"),
    "wide.csv": table(lambda i: _row(i * 71 % 100 / 100, i)).encode("utf-16"),
    "headless.csv": table(lambda i: f"{i / 100},{i * 71 % 100 / 100},{i % 2}", "1.5,2.5,1\n"),
    "semicolons.csv": table(lambda i: _row(i * 71 % 100 / 100, i).replace(",", ";"), "a;b;y\n"),
    "tabs.csv": table(lambda i: _row(i * 71 % 100 / 100, i).replace(",", "\t"), "a\tb\ty\n"),
    "outlier.csv": table(lambda i: _row("1e60" if i == 5 else i * 71 % 100 / 100, i)),  # in the test part of seed 0
    "fractions.csv": table(lambda i: _row(i * 71 % 100 / 100, i, i * 13 % 100 / 100)),
    "whole.csv": table(lambda i: _row(i * 71 % 100 / 100, i, i * 13 % 100)),
    "letters.csv": table(lambda i: _row(i * 71 % 100 / 100, i)),
    "points.csv": table(lambda i: _row(i * 71 % 100 / 100, i)),
    "huge.csv": table(lambda i: _row(f"{i + 1}e60", i)),
    "names.csv": "a,b,y\n" + "".join(f"{i / 100},name{i},{'ab'[i % 2]}\n" for i in range(4000)),
    "twice.csv": table(lambda i: f"{i / 100},{i * 71 % 100},{_row(i * 13 % 100 / 100, i)}", "c,c,a,b,y\n"),
    "several_columns.npz": _npz(X),
    "texts.npz": _npz(np.array(["a", "b"] * 20)),
    "several.yaml": "- {activation: 'relu,tanh'}\n",
    "three.yaml": "3\n",
    "listing/norm/mine.yaml": "- 1\n",
    "target/norm/mine.yaml": "_target_: sine\n",
    "indented/norm/mine.yaml": "a:\n\tb: 1\n",
    "binary/norm/mine.yaml": "a: \x07\n",
    "many/norm/mine.yaml": "".join(
        f"{key}: &{key} [{', '.join([value] * 10)}]\n"
        for key, value in (("a", "1"), ("b", "*a"), ("c", "*b"), ("d", "*c"), ("e", "*d"), ("f", "*e"))
    ),
}
READ = "train data=table data.target=y data.path="
OWN = "train norm=mine --config-dir="
CASES = {
    "activation: must have a slope, but f' of {} is 0 everywhere: no gradient reaches the layers "
    "below it; write activation=sigmoid, or train one such neuron by the perceptron rule with "
    "architecture=perceptron loss=perceptron": "train loss=softmax_nll data=xor activation=unit_step",
    "train.batch_size: must be at least {} for norm={}, whose statistics are those of the batch, got "
    "{}; write train.batch_size=32 or norm=layer": "train norm=batch train.batch_size=1",
    "; write for example {}": "train optimizer.lr=-1",
    "; write for example {}={}": "train train.epochs=x",
    "split.limit: must be from {} to the {} examples of the training part of {}, got {}; write for "
    "example split.limit={}": "train data=wine split.limit=1",
    "{}: must be {}, got {}; write for example {}={}": "train train.epochs=0",
    "write for example train.epochs=30": "train train.epochs=1000000000000",
    "write a smaller {}": "train data=curve data.points=1000000000",
    "new {}: NAME must be a Python identifier, got {}; write workbench new {} my_{}": "new data 3x",
    "reproduce: --seed-offset must be from 0 to {}, as seeds from {} are for tuning, got {}; write "
    "for example --seed-offset 1000": "reproduce xor --profile quick --seed-offset -1",
    "reproduce: --processes must be at least 1, got {}; write --processes 1": (
        "reproduce perceptron_vs_logistic xor --profile quick --processes 0"
    ),
    "architecture: a transformer reads tokens, got {}; write data=recall loss=softmax_nll": "train data=wine architecture=transformer",
    "architecture: a tied output must have a number for each of {} tokens, got {} outputs to learn; write "
    "architecture.tied=false": "train data=recall architecture=transformer architecture.tied=true",
    "Attention {}: heads must divide the width {}, got {} heads; write architecture.heads={}": (
        "train data=recall architecture=transformer architecture.heads=3"
    ),
    "{}: has a value already; write {} without +": "train +activation=relu",
    "data.low: must be below data.high, got {} and {}; write for example data.low={}": "train data=curve data.low=3 data.high=2",
    "data.name: cannot get {} from openml.org: {}; look its name up on https://www.openml.org, and "
    "where there is no connection write data.cache=FOLDER with the folder that "
    "sklearn.datasets.fetch_openml(..., data_home=FOLDER) filled elsewhere": "train data=openml data.name=nothing_of_this_name",
    "split.label_noise: must be at most 1 for classes, a share of the labels, got {}; write for "
    "example split.label_noise=0.1": "train data=wine split.label_noise=2",
    "{}; write for example split.valid={}{}": "train data=wine split.valid=0.001",
    "write for example --out step.html": "explain data=xor --out /proc/x architecture.hidden=[2]",
    "explain chain: takes --format and --out only, got {}; write workbench explain chain": "explain chain data=xor --example 2",
    "explain: architecture must be a plain chain Dense, Activate, ..., Dense, got {}; write {}": "explain data=xor architecture=maxout_mlp",
    "explain: sequences must have no padding, got data={}; write data=recall data.pairs=1 data.keys=2 data.values=2 "
    "data.length=3": "explain data=agreement loss=softmax_nll architecture=elman",
    "explain: {}, got {}; write architecture={} architecture.layers=1 architecture.bidirectional=false "
    "architecture.truncate=null architecture.readout=last": "explain data=parity split.standardize=false architecture=gru architecture.layers=2",
    "explain: {}, got {}; write architecture=cnn architecture.channels=[1] architecture.kernel=3 architecture.pool=4 "
    "architecture.hidden=[] architecture.dropout=0 norm=none data=digits": "explain architecture=cnn norm=batch",
    "explain: {}, got {} with {} heads; write architecture=transformer architecture.blocks=1 architecture.heads=1 "
    "architecture.readout=last architecture.tied=false architecture.dropout=0 norm=none": (
        "explain architecture=transformer architecture.blocks=2"
    ),
    "explain: optimizer must be plain sgd, whose step is one line, got {}; write optimizer=sgd "
    "train.clip_norm=null": "explain data=xor optimizer=adam",
    "explain: pretraining must be none, or the first step is not the whole net's, got {}; write "
    "pretraining=none": "explain data=xor pretraining=autoencoder",
    "explain: --example must be from 1 to {}, the training examples of data={}, got {}; write for "
    "example --example 1": "explain data=xor --example 99",
    "pretraining: an auto-encoder needs a net whose hidden layers are affine with an activation, got "
    "{}; write architecture=mlp with hidden layers, or pretraining=none": "train pretraining=autoencoder architecture=maxout_mlp",
    "loss.output: must have a slope, but f' of this one is 0 everywhere and no gradient passes it; "
    "write activation@loss.output=sigmoid, or take loss=perceptron, which has a unit step": "train loss=squared_error activation@loss.output=unit_step",
    "{}: its value must be in quotes; write {}": "train tracking.experiment=a;b",
    "hydra/sweeper=listed: must have its runs in one place, got {}; write for example "
    "'hydra.sweeper.runs=[{activation:relu}]', or hydra.sweeper.file=FILE": "train -m hydra/sweeper=listed",
    "{}: must be a list of at least one run, got {}; write for example {}": "train -m hydra/sweeper=listed hydra.sweeper.runs=3",
    "{}: must give values to keys, got {}; write for example {}": "train -m hydra/sweeper=listed hydra.sweeper.runs=[3]",
    "{}: {} must be searched, it has no list of values; add hydra/sweeper=search, or write for "
    "example {}=0.1,0.2": "train -m optimizer.lr=interval(0.1,1)",
    "hydra/sweeper=search: must have something to search, got fixed values; write for example "
    "'optimizer.lr=tag(log,interval(0.001,1))' or activation=relu,tanh": "train -m hydra/sweeper=search seed=0,1",
    "{} must be options to choose from; write for example activation=relu,tanh": "train -m hydra/sweeper=search activation=interval(0,1)",
    "hydra.sweeper.metric: must mean the same in all trials, but {} is of searched losses; write "
    "hydra.sweeper.metric=valid/{}": "train -m hydra/sweeper=search loss=softmax_nll,softmax_mse",
    "tracking.uri: must name a file after {}, got {}; write {} for a database in this folder": "train tracking.uri=sqlite:////",
    "write for example tracking.uri={}/tmp/{}": "train tracking.uri=sqlite://",
    "tracking.experiment: must have 1 to {} printable characters, got {}; write for example "
    "tracking.experiment=digits": f"train tracking.experiment={'a' * 300}",
    "{}: there is no such option; write {}": "train --nope",
    "{}: must be followed by a value; write it behind, or drop {}": "train -m --cfg",
    "write {}={} in its place": "train experiment=xor ~train",
    "write for example {}={} in its place, or ": "train experiment=xor ~train",
    "{}: a run must have one; write {}={}, or drop the override": "train ~data",
    "{}: {} must say that it returns {}; write '-> {}', or name another": "train activation._target_=os.system",
    "tracking.uri: must name a file and nothing else, got the options {} after it, which workbench "
    "sets by itself; write {}": 'train tracking.uri="sqlite:///x.db?timeout=5"',
    "architecture: a cnn reads pictures, but the data are {}; write data=digits, or an architecture for these "
    "data": "train architecture=cnn data=wine",
    "architecture.pool: {} pools of {} x {} pixels need pictures of {} x {} pixels or more, got {} x {}; write "
    "architecture.pool=1, or leave out convolutions": "train architecture=cnn architecture.pool=3",
    "architecture: a tcn reads tokens, but the data are {}; write data=recall, or an architecture for these "
    "data": "train architecture=tcn data=wine",
    "architecture.kernel: must be 2 or more to see the {} positions of a sequence, got 1; write "
    "architecture.kernel=3": "train architecture=tcn data=recall architecture.kernel=1",
    "architecture: an autoencoder must give back its {} inputs, got {} outputs to learn; write "
    "target=input loss=squared_error": "train data=digits architecture=autoencoder target=label loss=squared_error",
    "explain: the net must have at most {} parameters to be read by eye, got {}; write for example "
    "architecture.hidden=[2], and data=xor, which has 2 inputs": "explain data=wine architecture.hidden=[30]",
    "make it with numpy.savez(FILE, x=x, y=y) and write data.path=FILE.npz": "train data=npz data.path=/no/file.npz",
    "{}: there is no such option; write key=value, or --help to see options and keys": "train --zzzz",
    "write workbench new {} {} --into {}": "new claim x --into /proc/x",
    "{}: a group must name one of its options, got nothing; write {}={}": "train activation=null",
    "{}: must name one of its options, not a list, got {}; write {}": "train activation=[relu]",
    "{}: must be given, it has no default; write {}": "train bias=constant",
    "{}: must be key=value; write for example {} in its place": "train activation",
    "loss: {} needs {} targets, but {} has {}; write loss={}{}": "train data=wine loss=binary_nll",
    "download them ({}) and write data.path=FOLDER": "train data=idx data.path=/no/folder",
    "train: --json prints a forecast and trains nothing; write sweep.dry_run=true beside it": "train --json",
    "write data.path=FILE.csv or FILE.parquet": "train data=table data.path=/no/file data.target=y",
    "sweep: must have at least one run, got none; write for example 'seed=range(5)'": "train -m seed=range(0)",
    "{}: must be the same for all runs of a sweep, got {}; write {}": "train -m sweep.on_error=continue,stop",
    "{}: must name one of its options, got {}; write {}={}": "train data=3",
    "write a smaller net, such as architecture.hidden=[64,64]": "train architecture.hidden=[100000000]",
    "{}: goes with --cfg only; write --cfg job {}, or drop it": "train --resolve",
    "--config-path: would take the workbench's options away; write {} in its place": "train --config-path /tmp",
    "--shell-completion: must be told for which shell; write -sc install=bash": "train -sc",
    "hydra.launcher.executor: must be an executor, got {}; write hydra/launcher=packed_processes in "
    "its place": "train -m hydra.launcher.executor=3",
    "{}: must be key=value, but {}; write for example train.epochs=3 in its place": "train train..epochs=3",
    "{}: {}; write for example train.epochs=3 in its place": "train 1=3",
    "++{}: a group has a value already; write {}": "train ++data=wine",
    "{}: its step must not be 0; write {}": "train -m seed=range(1,2,0)",
    "{}: must have a value on each side of a comma; write {}": "train -m seed=1,,2",
    "correct them, or write {}": READ + "text_among.csv",
    "{} each row, but has none in {}; write data.missing=median to fill blanks from the training part, or "
    "data.missing=category to mark them too, or {}": READ + "gap.csv",
    "{} some row, but has none at all; write {}": READ + "void.csv",
    "column{} {}: must hold numbers as 1{}5, or texts, got {}; write {}": READ + "percent.csv",
    "write plain numbers into the file": READ + "commas.csv",
    "column {}: must hold numbers or texts, but holds times, {} the first; write {}{} to take each for a name": READ
    + "times.csv",
    "column {}: {}; write {}, or {} where it is an input all the same": READ + "index.csv",
    "write {}, or whatever it was written in": READ + "latin.csv",
    "data.path: {} must be text in {} (data.encoding), but is in UTF-16; write {}": READ + "wide.csv",
    "data.path: {} must begin with the names of its columns, got {}; write {} {} where this is an "
    "example and the last column the target (they are named by their numbers, from 0), or {} where "
    "these are names": "train data=table data.target=1 data.path=headless.csv",
    "data.path: {} must be separated by {} (data.separator), but is by {}; write {}": READ + "tabs.csv",
    "write data.task=regression loss=squared_error to learn real values": READ + "fractions.csv",
    "{}: must hold numbers for data.task=regression, got {}; write data.task=classification "
    "loss=softmax_nll to learn classes": READ + "letters.csv data.task=regression loss=squared_error",
    "data.thousands: must differ from data.decimal, got {} twice; write data.thousands=null": READ
    + 'points.csv data.decimal="." data.thousands="."',
    "write split.standardize=true, or dtype=float64": READ + "huge.csv split.standardize=false",
    "; write {}": "train data=table data.path=letters.csv data.target=[y]",
    "write dtype=float64": READ + "outlier.csv",
    "column {}: texts must have at most {} different values, each becomes an input, got {}; write {}": READ
    + "names.csv",
    "{}: {}: must have one value in a run, got {}; write a run for each, or sweep it outside of the list": "train -m hydra/sweeper=listed hydra.sweeper.file=several.yaml",
    "{}: must hold keys with values, got {}; write for example _target_: my_module.sine": OWN + "listing",
    "{}: it must be MODULE.FUNCTION; write for example {}: my_module.sine": OWN + "target",
    "it is indented by a tab; write blanks": OWN + "indented",
    "{}: must be text, but {}; write text only, saved as UTF-8": OWN + "binary",
    "{}: must hold at most {} values, aliases followed; write fewer": OWN + "many",
    ", or write {} to leave both out": READ + "twice.csv",
    "{}: y must be one class for each example, [N], got {}; take y.argmax(1) where its columns stand "
    "for classes, and where they are real values write data.task=regression loss=squared_error": "train data=npz data.path=several_columns.npz",
    "{}: y must hold numbers for data.task=regression, got {}; write data.task=classification "
    "loss=softmax_nll to learn classes": "train data=npz data.path=texts.npz data.task=regression loss=squared_error",
    "write for example --report out": "reproduce xor --profile quick --report /proc/x",
}
MORE = (READ + "semicolons.csv", READ + "leak.csv", READ + "gap_target.csv", READ + "whole.csv")
NO_LINE = {  # what to write is no argument: text in a file, a name or a place that only the user knows
    "write a smaller {}",
    "data.name: cannot get {} from openml.org: {}; look its name up on https://www.openml.org, and "
    "where there is no connection write data.cache=FOLDER with the folder that "
    "sklearn.datasets.fetch_openml(..., data_home=FOLDER) filled elsewhere",
    "{}: {} must say that it returns {}; write '-> {}', or name another",
    "make it with numpy.savez(FILE, x=x, y=y) and write data.path=FILE.npz",
    "download them ({}) and write data.path=FOLDER",
    "write data.path=FILE.csv or FILE.parquet",
    "{}: {}: must have one value in a run, got {}; write a run for each, or sweep it outside of the list",
    "{}: must hold keys with values, got {}; write for example _target_: my_module.sine",
    "{}: it must be MODULE.FUNCTION; write for example {}: my_module.sine",
    "it is indented by a tab; write blanks",
    "{}: must be text, but {}; write text only, saved as UTF-8",
    "{}: must hold at most {} values, aliases followed; write fewer",
}
ELSEWHERE = {
    "pretraining.frozen_epochs: an output that trains alone must have weights of its own, but this one shares the "
    "embedding's; write architecture.tied=false, or pretraining.frozen_epochs=0": (
        "engine/test_language_models.py",
        "an output that trains alone must have weights of its own",
    ),
    "play: port {} must be free ({}); write --port 0": ("play/test_server.py", "must be free"),
    "play: --port must be from 0 to {}, got {}; write for example --port 8000": (
        "play/test_server.py",
        "--port must be",
    ),
    "norm: {} takes its statistics over the batch, and would count the padding of data={}; write norm=layer or "
    "norm=none": ("engine/test_sequences.py", "over the batch, and would count the padding"),
    "pretraining: a language model needs a net of tokens, got one whose first layer is {}; write "
    "architecture=transformer with data of tokens, or pretraining=none": (
        "engine/test_language_models.py",
        "a language model needs a net of tokens, got ",
    ),
    "pretraining.examples: must be at most the {} examples of the training part, got {}; write "
    "pretraining.examples={}": ("engine/test_pretrained.py", "examples of the training part, got "),
    "pretraining: to guess the next token, the net must read from the left alone, got a "
    "bidirectional one; write architecture.bidirectional=false, or pretraining=masked_lm": (
        "engine/test_language_models.py",
        "must read from the left alone",
    ),
    "data.length: {} documents must have more tokens, got {} where the third longest has {}; write data.length={}": (
        "data/test_text.py",
        " documents must have more tokens, got ",
    ),
    "data.count: so many documents must have {} blocks of {} tokens or more, got {} where {} have; write data.count={}": (
        "data/test_text.py",
        "data.count: so many documents must have ",
    ),
    "data.min_count: some token must occur so often, got {} where the most frequent occurs {} times; write "
    "data.min_count={}": ("data/test_text.py", "data.min_count: some token must occur so often"),
    "data.keys: must be at least data.pairs, as keys do not repeat, got {} and {}; write data.keys={}": (
        "data/test_sequences.py",
        "data.keys: must be at least data.pairs",
    ),
    "data.length: must be at least 3 data.pairs, for keys, values and queries, got {} and {}; write data.length={}": (
        "data/test_sequences.py",
        "data.length: must be at least 3 data.pairs",
    ),
    "architecture: {} takes features, but data={} has tokens; write architecture={}{}": (
        "engine/test_sequences.py",
        "takes features, but data=",
    ),
    "target: input must be features, but data={} has tokens; write target=label": (
        "engine/test_sequences.py",
        "target: input must be features",
    ),
    "{}: must have one value or more, got none; write for example {}=[0, 1]": (
        "api/test_from_python.py",
        ": must have one value or more, got none; write for example ",
    ),
    "{}: must be an override; write for example 'seed=3', or the keyword seed=3": (
        "api/test_from_python.py",
        ": must be an override; write for example ",
    ),
    '{}: must be a finite number, a text, None, or a tuple of them, got {} {}; write a name, as in {}="..."': (
        "api/test_from_python.py",
        ": must be a finite number, a text, None, or a tuple of them, got ",
    ),
    "data.target: must name one column, as {} names {} targets; write for example {}; options: {}": (
        "data/test_tables.py",
        "must name one column, as ",
    ),
    "claim {}: a process that measures claims ended by itself, for example for lack of memory; what is done is kept: "
    "write --processes 1 to go on": ("claims/test_parallel.py", "write --processes 1 to go on"),
    "run on one host: {}; on the others write tracking.uri=http://HOST:5000": (
        "tracking/test_store_checks.py",
        "on the others write tracking.uri=",
    ),
    "run: {} must begin one id only, but several do; write more of {}": (
        "inspect/test_single_runs.py",
        "must begin one id only, but several do; write more of ",
    ),
    "tracking: there is no {} on {}; write tracking.uri=http://... to name a server": (
        "sweeps/test_ray.py",
        "to name a server",
    ),
    "{}: must be closed to other users, because passwords may come to lie in it, but its permissions "
    "are {}; write chmod 700 {}, or name another": ("tracking/test_places.py", "chmod 700 "),
    "{}: {} must have annotations that can be read, but: {}; write for example {}": (
        "config/test_own_yaml.py",
        "must have annotations that can be read",
    ),
    # what is no matter of a line in a folder: the test that holds it, and a part of the text there
    "write certificate=false, or choose a smaller net": ("sweeps/test_pack_memory.py", "write certificate=false"),
    "${} is not followed: experiments are known by name; set {}, or write tracking.experiment=...": (
        "inspect/test_mlflow_variables.py",
        "or write tracking.experiment=...",
    ),
    "compose: a likelihood needs an output whose ln a (for the binary one ln(1 - a) too) is known "
    "where a rounds to 0 or 1; write SOFTMAX with CATEGORICAL_NLL, elementwise(sigmoid()) with "
    "BINARY_NLL": ("nn/test_losses.py", "a likelihood needs an output whose ln a "),
    "copy the database, then write: mlflow db upgrade {}": (
        "tracking/test_store_checks.py",
        "then write: mlflow db upgrade",
    ),
    "device: cuda must be available, but torch {} sees no CUDA device here; write device=cpu or device=auto": (
        "test_bad_input.py",
        "write device=cpu or device=auto",
    ),
    "hydra/launcher=packed_ray: needs Ray, which is not installed; write pip install 'workbench[ray]'": (
        "sweeps/test_ray.py",
        "hydra/launcher=packed_ray: needs Ray",
    ),
    "hydra/launcher=packed_slurm: needs submitit, which is not installed; write pip install 'workbench[slurm]'": (
        "sweeps/test_slurm.py",
        "write pip install 'workbench[slurm]'",
    ),
    "hydra/sweeper=search: needs Optuna, which is not installed; write pip install 'workbench[search]'": (
        "sweeps/test_search.py",
        "write pip install 'workbench[search]'",
    ),
    "norm: {} needs {} training examples or more, for its statistics are those of a batch, got {}; "
    "write norm=layer, or a larger split.limit": ("engine/test_rests.py", "training examples or more"),
    "put it back; if it is lost for good, write rm {}, which waits for it": (
        "tracking/test_lost_database.py",
        "which waits for it",
    ),
    "run {}: its tag {} must be a whole number, got {}; write the number there in MLflow's pages, or delete the tag": (
        "inspect/test_edited_stores.py",
        "must be a whole number",
    ),
    "tracking.uri: must be a server or database that workers on {} can reach, got {}; start `mlflow "
    "server` on a host they know and write tracking.uri=http://HOST:5000": ("sweeps/test_ray.py", " can reach, got"),
    "tracking: the store {} needs a driver that is not installed: {}; for PostgreSQL write pip "
    "install 'workbench[postgres]' and tracking.uri=postgresql://...": (
        "test_bad_input.py",
        "needs a driver that is not installed",
    ),
    "tracking: {} must be a file that can be written and locked, which some network disks do not "
    "allow, got {}; put the database on a local disk, or write tracking.uri=http://... to name a "
    "server": ("tracking/test_store_checks.py", "must be a file that can be written and locked"),
    "ui: --port must be from 1 to {}, got {}; write for example --port 5000": (
        "test_bad_requests.py",
        "write for example --port 5000",
    ),
    "ui: port {} must be free; write for example --port {}": ("tracking/test_processes.py", "write for example --port"),
    "write for example --json bench.json": ("core/test_places.py", "write for example "),
    "write for example --out figures": ("core/test_places.py", "write for example "),
    "write for example -o figures": ("core/test_places.py", "write for example "),
    "write for example -o model": ("core/test_places.py", "write for example "),
    "write for example -o table.{}": ("core/test_places.py", "write for example "),
    "{}: claim.{}: must be how many values part {} is judged by, got {}; write for example {}: 10 "
    "there, or n: null in the part if it is not judged by one value per seed": (
        "claims/test_claim.py",
        ": must be how many values part",
    ),
    "{}: claim.{}: part {} could only stay open, got {}: {}; write so many, or n: null in the part "
    "if it is not judged by one value per seed (but by a Rate, an Estimate, ...)": (
        "claims/test_claim.py",
        "could only stay open",
    ),
    "{}: some node must have cpus={} and gpus={}, got nodes with at most {} and {}; write for "
    "example {}.cpus=1 {}.gpus=0": ("sweeps/test_ray.py", ": some node must have cpus="),
}
