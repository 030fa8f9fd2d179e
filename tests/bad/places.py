"""Paths that lead nowhere, elsewhere or into devices: stores, outputs, folders; and folders with odd names."""

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import TINY
from workbench.cli.commands.new import KINDS

DRY = ("train", *TINY, "sweep.dry_run=true")
NAMES = CORPUS["file names"]
SQLITE = "sqlite:///"
STORES = CORPUS["stores"]
READERS = [
    *(
        ("compare",),
        ("show",),
        ("verify",),
        ("diagnose",),
        ("figures",),
        ("export",),
        ("claims",),
        ("doctor",),
        ("doctor", "--dry-run"),
        ("recover",),
    ),
    *(("reproduce", "no"), ("show", "x"), ("doctor", "--end", "x"), ("recover", "x"), ("ui", "--port", "0")),
]
WRITERS = [
    ("export", "-o"),
    ("export", "--out"),
    ("compare", "-o"),
    ("compare", "--table"),
    ("compare", "--out"),
    ("figures", "-o"),
    ("figures", "--out"),
    ("compare", "--format", "csv", "-o"),
    ("bench", "no", "--json"),
]
OUTPUTS = CORPUS["outputs"]
LINKS = {"loop": "loop", "nowhere": "no/such/place", "up": "..", "zero": "/dev/zero", "disk.db": "mlflow.db"}


def _store(command: tuple[str, ...], uri: str, where: str) -> Case:
    if where == "environment" and "\0" not in uri:
        return Case("paths", command, environment={"MLFLOW_TRACKING_URI": uri, **PATIENT}, codes=(0, 1, 2))
    if command[0] in ("train", "check"):
        quoted = "'" + uri.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return Case("paths", (*command, f"tracking.uri={quoted}"), environment=PATIENT, codes=(0, 2))
    return Case("paths", (*command, "--uri", uri), environment=PATIENT, codes=(0, 1, 2))


PATIENT: dict[str, str] = {}


def _named_folder(name: str, command: tuple[str, ...], template: str) -> Case:
    codes = (0,) if command[0] == "train" and "\udcff" not in name else (0, 1, 2)  # no URI takes that one
    return Case("paths", command, template=template, cwd=name, codes=codes)


def _named_store(name: str, command: tuple[str, ...], ending: str) -> Case:
    """A database whose name is of every kind, in a folder that is there."""
    return _store(command, f"{SQLITE}{name}{ending}", "option")


@st.composite
def _output(draw: st.DrawFn) -> Case:
    command, place = draw(st.sampled_from(WRITERS)), draw(st.one_of(st.sampled_from(OUTPUTS), st.sampled_from(NAMES)))
    files = draw(st.sampled_from([{}, {}, {"x.csv/y": b""}, {"no": b"", "a": b"", "x": b""}]))
    return Case("paths", (*command, place), files, links={"loop": "loop"}, template="swept", codes=(0, 2))


FOLDERS = CORPUS["folders"]


@st.composite
def _folder_option(draw: st.DrawFn) -> Case:
    folder, kind = draw(st.sampled_from(FOLDERS)), draw(st.sampled_from(list(KINDS)))
    command = draw(
        st.sampled_from(
            [
                ("claims", "--claims", folder),
                ("reproduce", "no", "--claims", folder),
                ("reproduce", "no", "--report", folder),
                ("new", kind, "mine", "--into", folder),
                ("train", *TINY, "--config-dir", folder),
                ("check", *TINY, "--config-dir", folder),
                ("train", *TINY, "sweep.dry_run=true", f"hydra.run.dir='{folder}'"),
                ("train", "-m", *TINY, "sweep.dry_run=true", f"hydra.sweep.dir='{folder}'"),
                ("train", *TINY, "sweep.dry_run=true", f"hydra.searchpath=['file://{folder}']"),
                ("recover", folder),
                ("explain", *TINY, "--out", folder),
            ]
        )
    )
    return Case(
        "paths",
        command,
        links={"loop": "loop", "nowhere": "no/x"},
        folders=("empty",),
        template=draw(st.sampled_from(["empty", "store"])),
        codes=(0, 1, 2),
    )


BROKEN = [  # what lies where the database should
    *(
        b"",
        b"notes\n" * 500,
        b"SQLite format 3\0" + bytes(84),
        b"SQLite format 3\0" + b"\xff" * 4096,
        bytes(4096),
        b"PK\3\4" + bytes(100),
    ),
]


@st.composite
def _broken_store(draw: st.DrawFn) -> Case:
    command = draw(st.sampled_from([*READERS[:-1], ("train", *TINY), DRY]))
    match draw(st.integers(0, 4)):
        case 0:
            return Case("paths", command, {"mlflow.db": draw(st.sampled_from(BROKEN))}, codes=(0, 1, 2))
        case 1:
            edit = draw(st.sampled_from(["truncate", "zero", "flip", "cut", "flip"]))
            place = draw(st.floats(0, 1, exclude_max=True, width=32))
            size = draw(st.sampled_from(["1", "100", "4096", "40000"]))
            return Case(
                "paths",
                command,
                edits=(("mlflow.db", edit, place, size),),
                template="swept",
                codes=(0, 1, 2, 3),
                may_leave=True,
            )
        case 2:
            link = draw(st.sampled_from(["loop", "nowhere", "up", "zero"]))
            return Case(
                "paths",
                command,
                links={"mlflow.db": LINKS[link], **({"loop": "loop"} if link == "loop" else {})},
                codes=(0, 1, 2),
            )
        case 3:
            return Case(
                "paths",
                command,
                folders=(
                    draw(
                        st.sampled_from(["mlflow.db", "mlflow.db.lock", "mlflow.db-wal", "mlartifacts", ".workbench"])
                    ),
                ),
                codes=(0, 1, 2),
            )
    name = draw(
        st.sampled_from(
            [
                "mlflow.db.lock",
                "mlflow.db-wal",
                "mlflow.db-shm",
                "mlartifacts",
                ".workbench",
                "mlflow.db.new",
                ".workbench/unsent",
                ".workbench/checkpoints",
            ]
        )
    )
    template = draw(st.sampled_from(["empty", "store"]))
    edits = (("mlartifacts", "rename", 0.0, "elsewhere"),) if name == "mlartifacts" and template == "store" else ()
    return Case(
        "paths", command, {name: draw(st.sampled_from([b"", b"x" * 100]))}, edits, template=template, codes=(0, 1, 2, 3)
    )


COMMANDS = st.sampled_from([("train", *TINY), ("train", *TINY), DRY, *READERS[:10]])
PATHS = st.one_of(
    st.builds(
        _store,
        st.sampled_from([("train", *TINY), DRY, DRY, *READERS]),
        st.sampled_from(STORES),
        st.sampled_from(["option", "option", "environment"]),
    ),
    st.builds(
        _store,
        st.sampled_from([("train", *TINY), DRY, DRY, *READERS]),
        st.sampled_from(STORES),
        st.sampled_from(["option", "option", "environment"]),
    ),
    st.builds(
        _named_folder,
        st.sampled_from(NAMES),
        st.sampled_from([("train", *TINY), ("show",), ("compare",), ("verify",), ("doctor",), ("export",)]),
        st.just("swept"),
    ),
    st.builds(_named_store, st.sampled_from(NAMES), COMMANDS, st.sampled_from(["", ".db", "/x.db"])),
    _output(),
    _output(),
    _folder_option(),
    _broken_store(),
)
