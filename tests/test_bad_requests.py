"""Requests that Hydra, OmegaConf or the system would answer with a traceback: exit code 2, and a way out that works."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.advised import assert_advice_works
from tests.outer import SMALL, Answer
from tests.sampling import sampled
from workbench.config.overrides import check_overrides, options_first
from workbench.core.errors import ConfigError

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
WRONG = [
    # interpolations
    *("seed=${seed}", "train=${train}", "train.epochs=${train.epochs}", "seed=${oc.env:NO_SUCH}", "seed=${nope:1}"),
    *("seed=${train}", "optimizer=${optimizer}", "optimizer.lr=${optimizer.lr}", "seed=${", "seed=${oc.create:{}}"),
    *("architecture.hidden=${architecture}", "hydra.run.dir=${nope}"),
    # names
    *("data=[-3]", "init=[[1],[2]]", "init=[]", "data=3", "data=true", "experiment=3", "optimizer=[adam,sgd]"),
    *("data=[wine]", "init=[[1]]", "--dry-run", "--epochs 3", "--lr=0.5", "--activation tanh"),
    *("data={a:1}", "activation=null", "hydra/launcher=3", "hydra=1"),
    # numbers
    *(f"seed={'9' * 60}", f"seed={2**63}", "seed=-1", f"split.seed={'9' * 60}", f"train.epochs={'9' * 60}"),
    *(f"train.epochs={2**62}", f"train.batch_size={'9' * 60}", f"architecture.hidden=[{'9' * 60}]", "seed=0x10"),
    *(f"optimizer.lr={'9' * 400}", "optimizer.lr=1e400", "optimizer.lr=1e300", f"seed={'9' * 5000}"),
    *("sweep.pack_gib=1e400", "sweep.checkpoint_seconds=1e400", "train.clip_norm=1e300", "bias.value=1e39"),
    *(f"train.epochs={2**60}", "architecture.hidden=[100000000]"),
    # options
    *("--resolve", "--package train", "--run --multirun", "--experimental-rerun x", "--config-path /tmp", "-sc"),
    *("--config-dir /etc/passwd", "--cfg job --info", "--cfg job -p nope.x", "--config-name activation/relu"),
    # places
    *("hydra.run.dir=/proc/x", "hydra.run.dir=null", "hydra.output_subdir=/proc/y", "hydra.verbose=3"),
    *("hydra.searchpath=x", "-m hydra.launcher.executor=3", "-m hydra.sweeper._target_=os.getcwd"),
    # grammar
    *("=3", "=", "train.epochs", "train..epochs=3", "~x", "+", "+experiment=xor", "+data=wine", "++data=wine", "a@b=c"),
    *("~train", "~train.epochs", "~tracking", "~sweep", "~split", "~seed", "~certificate", "~experiment", "~debug"),
    *("experiment=xor ~experiment", "experiment=null", "~data", "~pretraining", "-m seed=0,1 ~hydra/launcher"),
    *("~hydra/sweeper", "~hydra.job", "hydra.job.env_set=${oc.decode:x}", "hydra.job.env_set={a:[1]}"),
    *("activation@x.y=relu", "-m seed=range(1,2,0)", "-m seed=range(1e18)", "-m seed=glob(*)", "-m seed=1,,2"),
]
ONLY_THE_USER_KNOWS = {  # another place or plugin, or what Hydra said by itself above the message
    "--cfg job -p nope.x",
    "hydra.run.dir=/proc/x",
    "hydra.output_subdir=/proc/y",
    "-m hydra.sweeper._target_=os.getcwd",
    "hydra.job.env_set=${oc.decode:x}",
}
TEXTS = (
    "~x",
    "a;b",
    "ü",
    "(x)",
    "a=b",
    "'a",
    '"a',
    "[a",
    "{a",
    "a]",
    "#x",
    "&x",
    "`a`",
    "<a>",
    "a!",
    "日本",
    "😀",
    "a,b(",
)


@pytest.mark.parametrize("words", sampled(WRONG, 4), ids=[words[:40] for words in WRONG])
def test_wrong_request_is_one_message(cli: Cli, folder: Path, words: str) -> None:
    """A wrong request gives exit code 2 and one message with a way out, no traceback or Hydra's advice, and no file."""
    options = [word for word in words.split(" ") if word in ("-m", "-sc")]
    rest = [word for word in words.split(" ") if word not in options]
    answer = cli("train", *options, *SMALL, "sweep.dry_run=true", *rest)
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("workbench: ")
    assert "HYDRA_FULL_ERROR" not in answer.err
    assert "Traceback" not in answer.err
    assert [file for file in folder.rglob("*") if file.is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("words", WRONG, ids=[words[:40] for words in WRONG])
def test_way_out_is_one(cli: Cli, folder: Path, words: str) -> None:
    """The command that the message makes of the refused one is accepted."""
    refused = ["train", *words.split(" ")]
    assert_advice_works(cli, refused, cli(*refused).err, words in ONLY_THE_USER_KNOWS)


@pytest.mark.parametrize("text", TEXTS)
def test_quoted_form_that_is_given_is_read(text: str) -> None:
    """The quoted form that a message gives to paste into a shell is accepted and holds the text that was meant."""
    with pytest.raises(ConfigError, match="its value must be in quotes; write ") as refused:
        check_overrides([f"tracking.experiment={text}"])
    (pasted,) = shlex.split(str(refused.value).partition("; write ")[2])
    check_overrides([pasted])
    key, _, value = pasted.partition("=")
    assert key == "tracking.experiment"
    assert value[1:-1].replace('\\"', '"') == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("seed=0,1 -m", "runs: 2 of 1 arms"),
        ("seed=0,1 --multirun train.epochs=1", "runs: 2 of 1 arms"),
        ("-m seed=0,1 --config-dir mine activation=tanh,relu", "runs: 4 of 2 arms"),
        ("seed=0 -cd mine norm=mine", "runs: 1 of 1 arms"),
        ("seed=0 --config-dir=mine -- norm=mine", "runs: 1 of 1 arms"),
        ("seed=5 -c job train.epochs=7", "epochs: 7"),
        ("seed=5 -p train -c job", "epochs: 2"),
    ],
)
def test_options_may_stand_anywhere(cli: Cli, folder: Path, words: str, said: str) -> None:
    """Options before, between and behind overrides take effect, and no override is lost."""
    (folder / "mine" / "norm").mkdir(parents=True)
    (folder / "mine" / "norm" / "mine.yaml").write_text("_target_: workbench.nn.layers.norms.none\n")
    answer = cli("train", *SMALL, "sweep.dry_run=true", *words.split(" "))
    assert (answer.code, answer.err) == (0, "")
    assert said in answer.out


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ("a=1 -i b=2", "-i all a=1 b=2"),
        ("a=1 --info config b=2", "--info config a=1 b=2"),
        ("a=1 -cjob --multi b=2", "-cjob --multi a=1 b=2"),
        ("a=1 --config-d mine b=2 -- -c", "--config-d mine a=1 b=2 -- -c"),
    ],
)
def test_short_and_shortened_options_keep_their_values(given: str, ordered: str) -> None:
    """Short and shortened options are moved to the front with their values, as argparse reads them."""
    assert options_first(given.split(" ")) == ordered.split(" ")


@pytest.mark.slow
def test_hydras_own_values_may_be_referred_to(cli: Cli, folder: Path) -> None:
    """`${hydra:...}` is resolved for a single run as for a sweep."""
    asked = "tracking.experiment=${hydra:job.name}"
    assert cli("train", *SMALL, "sweep.dry_run=true", asked).code == 0
    assert cli("train", "-m", *SMALL, "sweep.dry_run=true", asked).code == 0


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_ports_are_checked(cli: Cli, folder: Path, store: object, port: int) -> None:
    """Ports out of range are refused; port 0 would be another port than the port that is asked for health."""
    answer = cli("ui", "--port", str(port))
    assert answer.code == 2
    assert "write for example --port 5000" in answer.err
