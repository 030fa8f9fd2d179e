"""Command lines of `train`, `check`, `explain` that go wrong: keys, values, prefixes, packages, Hydra's options."""

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import TINY

GROUPS = CORPUS["groups"]
VALUES = CORPUS["keys"]
NODES = CORPUS["nodes"]
HYDRA = CORPUS["hydra keys"]
UNKNOWN = CORPUS["unknown keys"]

WORDS = st.sampled_from(CORPUS["values"])
INTERPOLATIONS = st.sampled_from(CORPUS["interpolations"])
SWEEPS = st.sampled_from(CORPUS["sweeps"])
PREFIXES = st.sampled_from([*[""] * 8, "+", "++", "~"])
PACKAGES = st.sampled_from([*[""] * 20, "@x", "@", "@loss.output", "@:x", "@a:b", "@_global_", "@_group_", "@hydra"])
OPTIONS = st.sampled_from(CORPUS["hydra options"])


def _override(keys: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def written(prefix: str, key: str, package: str, value: str | None) -> str:
        return f"{prefix}{key}{package}" + ("" if value is None else f"={value}")

    values = st.one_of(
        WORDS, WORDS, INTERPOLATIONS, SWEEPS, st.none(), st.text("[]{}(),:=$'\"\\ .ab1-@~+", max_size=12)
    )
    return st.builds(written, PREFIXES, keys, PACKAGES, values)


KEYS = st.sampled_from([*GROUPS, *VALUES, *VALUES, *NODES, *UNKNOWN])
DRY = (*TINY, "sweep.dry_run=true")


def _case(command: str, many: bool, overrides: list[str], options: list[str]) -> Case:
    written = tuple(one.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") for one in overrides)
    begin = ("train", "-m") if many and command == "train" else (command,)
    return Case("overrides", (*begin, *(DRY if command == "train" else TINY), *written, *options), codes=(0, 1, 2))


OVERRIDES = st.builds(
    _case,
    st.sampled_from(["train", "train", "train", "train", "check", "explain"]),
    st.sampled_from([False, False, True]),
    st.one_of(
        st.lists(_override(KEYS), min_size=1, max_size=1),
        st.lists(_override(KEYS), min_size=1, max_size=1),
        st.lists(_override(st.sampled_from(HYDRA)), min_size=1, max_size=1),
        st.lists(_override(KEYS), min_size=2, max_size=3),
        st.lists(st.text(max_size=20).filter(lambda text: "\0" not in text), min_size=1, max_size=1),
    ),
    st.one_of(st.just([]), st.just([]), st.just([]), st.lists(OPTIONS, min_size=1, max_size=2)),
)
