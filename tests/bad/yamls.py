"""Files that a user puts into a folder for ``--config-dir``, and rows of a sweep: what YAML allows and we do not."""

from itertools import pairwise

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import TINY

RIGHT = {
    "activation": "_target_: workbench.nn.activations.leaky_relu\nslope: 0.1\n",
    "optimizer": "_target_: workbench.nn.optimizers.sgd\nlr: 0.1\nmomentum: 0.5\n",
    "init": "_target_: workbench.nn.initializers.he\ngain: 1.0\n",
    "data": "_target_: workbench.data.datasets.xor\n",
    "experiment": "# @package _global_\ndefaults:\n  - override /activation: tanh\nseed: 1\ntrain:\n  epochs: 1\n",
    "debug": "# @package _global_\ntrain:\n  epochs: 1\n",
    "architecture": "_target_: workbench.nn.builders.mlp\nhidden: [2]\ndropout: 0.0\n",
}
GROUPS = st.sampled_from(sorted(RIGHT))


def _bomb(begin: str, pair: str) -> str:
    """Eight levels of nine references each: a kilobyte that stands for a billion."""
    return begin + "".join(f"{two}: &{two} {pair.replace('?', one)}\n" for one, two in pairwise("abcdefghi"))


BOMBS = [
    _bomb("a: &a [x, x, x]\n", f"[{', '.join(['*?'] * 9)}]"),
    _bomb("a: &a {x: 1}\n", f"{{{', '.join(f'k{number}: *?' for number in range(9))}}}"),
]
FORMS = [*CORPUS["yaml"], *BOMBS]
KEYS = CORPUS["yaml keys"]
ODD_VALUES = CORPUS["yaml values"]
TARGETS = CORPUS["targets"]
DEFAULTS = CORPUS["defaults"]
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7", "shift-jis"]


@st.composite
def _mutated(draw: st.DrawFn, right: str) -> bytes:
    """A right text with lines and characters added, dropped or changed."""
    text = right
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        match draw(st.integers(0, 3)):
            case 0:
                text = (
                    text[:at] + draw(st.sampled_from(list("\t[]{}:,'\"&*!|>%@`#-? \n\x00\x07\x1b\x85é🙂"))) + text[at:]
                )
            case 1:
                text = text[:at] + text[at + draw(st.integers(1, 8)) :]
            case 2:
                key, value = draw(st.sampled_from(KEYS)), draw(st.sampled_from(ODD_VALUES))
                text = f"{text}{key}: {value}\n"
            case _:
                text = text + draw(st.sampled_from(FORMS))
    if draw(st.integers(0, 5)) == 0:
        return ("# é\n" + text).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    return text.encode("utf-8", "surrogatepass")


def _deep(depth: int, form: str) -> bytes:
    match form:
        case "flow":
            return f"a: {'[' * depth}{']' * depth}\n".encode()
        case "maps":
            return f"a: {'{a: ' * depth}1{'}' * depth}\n".encode()
        case "open":
            return f"a: {'[' * depth}\n".encode()
        case "lists":
            return b"a:\n" + b"- " * depth + b"1\n"
    return "".join(f"{' ' * level}a:\n" for level in range(min(depth, 600))).encode()


DEEP = st.builds(
    _deep, st.sampled_from([30, 200, 1000, 20_000]), st.sampled_from(["flow", "maps", "open", "lists", "block"])
)
BYTES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(FORMS).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(FORMS).map(lambda text: text.encode("utf-8", "surrogatepass")),
    DEEP,
)


def _targeted(right: str, target: str, more: str) -> bytes:
    rest = [line for line in right.splitlines() if not line.startswith("_target_")]
    return "\n".join([*rest, f"_target_: {target}", more, ""]).encode()


MORE = st.sampled_from(
    [
        "",
        "",
        "",
        "_partial_: true",
        "_args_: [1]",
        "_args_: 5",
        "_convert_: all",
        "_convert_: x",
        "_recursive_: false",
        "file: opened",
        "path: made",
    ]
)


@st.composite
def _options(draw: st.DrawFn) -> Case:
    group = draw(GROUPS)
    right = RIGHT[group]
    content = draw(
        st.one_of(
            BYTES,
            _mutated(right),
            st.builds(_targeted, st.just(right), st.sampled_from(TARGETS), MORE),
            st.sampled_from(DEFAULTS).map(lambda value: f"defaults: {value}\n{right}".encode()),
        )
    )
    files = {f"conf/{group}/mine.yaml": content}
    if draw(st.integers(0, 9)) == 0:
        files[f"conf/{group}/other.yaml"] = b"defaults: [mine]\n"
    command = draw(st.sampled_from(["train", "train", "train", "check", "explain"]))
    ending = ("sweep.dry_run=true",) if command == "train" else ()
    tiny = [one for one in TINY if not one.startswith((f"{group}=", f"{group}."))]
    chosen = (f"{group}=mine",)
    return Case("yaml", (command, "--config-dir", "conf", *tiny, *ending, *chosen), files, codes=(0, 1, 2))


@st.composite
def _whole(draw: st.DrawFn) -> Case:
    """A file in the place of one of the workbench's own, or of Hydra's."""
    name = draw(
        st.sampled_from(
            ["config", "schema", "hydra/launcher/packed", "hydra/sweeper/grid", "hydra/launcher/mine", "hydra/config"]
        )
    )
    content = draw(
        st.one_of(
            BYTES,
            _mutated("defaults: [_self_]\nseed: 1\n"),
            st.builds(_targeted, st.just(""), st.sampled_from(TARGETS), MORE),
        )
    )
    chosen = ("hydra/launcher=mine",) if name.endswith("mine") else ()
    arguments = ("train", "-m", "--config-dir", "conf", *TINY, "sweep.dry_run=true", *chosen)
    return Case("yaml", arguments, {f"conf/{name}.yaml": content}, codes=(0, 1, 2))


ROWS = CORPUS["yaml rows"]
CSVS = CORPUS["csv rows"]


@st.composite
def _listed(draw: st.DrawFn) -> Case:
    ending = draw(st.sampled_from(["yaml", "csv", "yml", "json", "txt", ""]))
    texts = st.sampled_from(CSVS if ending == "csv" else ROWS)
    content = draw(
        st.one_of(
            texts.map(str.encode),
            BYTES,
            st.sampled_from(ENCODINGS).map(lambda name: "seed\n1é\n".encode(name, "replace")),
        )
    )
    name = f"runs.{ending}" if ending else "runs"
    sweeper = (
        "hydra/sweeper=listed",
        f"hydra.sweeper.file={draw(st.sampled_from([name, name, name, 'no.yaml', '.', '/dev/null']))}",
    )
    return Case("yaml", ("train", "-m", *TINY, "sweep.dry_run=true", *sweeper), {name: content}, codes=(0, 1, 2))


YAMLS = st.one_of(_options(), _options(), _options(), _whole(), _listed())
