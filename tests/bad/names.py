"""Names that nobody would give, on the command line and in the store: of experiments, runs, sweeps, tags, metrics."""

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.corpus import CORPUS
from tests.bad.stage import TINY
from workbench.cli.commands.new import KINDS

ODD = CORPUS["names"]
ANY = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8),
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "ascii", "latin-1", "cp1252", "cp437", "utf-16"][:7])


def quoted(text: str) -> str:
    """Quote a text as a value in an override."""
    return "'" + text.replace("\\'", "\\\\'").replace("'", "\\'") + ("\\" if text.endswith("\\") else "") + "'"


READ = ["show", "verify", "export", "diagnose", "figures", "compare"]


@st.composite
def _asked(draw: st.DrawFn) -> Case:
    """A name of a run or sweep, or of what is to be shown of it, that is not there."""
    name = draw(ANY)
    command = draw(
        st.sampled_from(
            [
                *[(read, name) for read in READ],
                ("compare", "--by", name),
                ("compare", "--metric", name),
                ("compare", "--format", name),
                ("compare", name, name),
                ("doctor", "--end", name),
                ("recover", name),
                ("demo", name),
                ("reproduce", name),
                ("new", draw(st.sampled_from(list(KINDS))), name),
                ("new", name, "x"),
                (name,),
                (name, name),
                ("reproduce", "xor", "--profile", name),
                ("reproduce", "xor", "--seed-offset", name),
                ("bench", name),
                ("ui", "--port", name),
                ("explain", "--example", name),
                ("train", *TINY, f"hydra.job.name={quoted(name)}", "sweep.dry_run=true"),
                ("show", "--uri", name),
                ("claims", "--uri", name),
                ("check", "--all", name),
            ]
        )
    )
    return Case("names", command, template="swept", codes=(0, 1, 2), encoding=draw(ENCODINGS))


@st.composite
def _experiment(draw: st.DrawFn) -> Case:
    """The name of a new experiment: what was trained under it must be found again."""
    name = draw(ANY)
    if draw(st.integers(0, 4)) == 0:
        return Case(
            "names",
            ("train", *TINY),
            environment={"MLFLOW_EXPERIMENT_NAME": name},
            template="store",
            codes=(0, 2),
            encoding=draw(ENCODINGS),
        )
    many = draw(st.sampled_from([(), ("-m",)]))
    return Case(
        "names",
        ("train", *many, *TINY, f"tracking.experiment={quoted(name)}"),
        template="store",
        codes=(0, 2),
        encoding=draw(ENCODINGS),
    )


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


TAGS = CORPUS["tags"]
PARAMS = CORPUS["params"]
TABLES = CORPUS["columns"]


@st.composite
def _edited(draw: st.DrawFn) -> str:
    """A statement that changes what a store holds, as another program or hand may have."""
    new = draw(st.one_of(ANY, st.sampled_from(["-1", "5", "relu", "x" * 100, "nan", "1e400", "[]", "{}", "2"])))
    some = draw(st.sampled_from(["", " AND rowid % 2 = 0", " AND rowid % 3 = 1"]))
    match draw(st.integers(0, 5)):
        case 0:
            return f"DELETE FROM tags WHERE key = '{draw(st.sampled_from(TAGS))}'{some}"
        case 1:
            return f"UPDATE tags SET value = {_sql_text(new)} WHERE key = '{draw(st.sampled_from(TAGS))}'{some}"
        case 2:
            return f"DELETE FROM params WHERE key = '{draw(st.sampled_from(PARAMS))}'{some}"
        case 3:
            return f"UPDATE params SET value = {_sql_text(new)} WHERE key = '{draw(st.sampled_from(PARAMS))}'{some}"
        case 4:
            return draw(
                st.sampled_from(
                    [
                        "DELETE FROM tags",
                        "DELETE FROM params",
                        "DELETE FROM metrics",
                        "DELETE FROM latest_metrics",
                        "DELETE FROM inputs",
                        "DELETE FROM datasets",
                        "DELETE FROM runs",
                        "DROP TABLE tags",
                        "DROP TABLE alembic_version",
                        "UPDATE alembic_version SET version_num = 'x'",
                        "DELETE FROM alembic_version",
                        "DELETE FROM experiments WHERE experiment_id > 0",
                        "UPDATE metrics SET is_nan = 1",
                        "UPDATE runs SET lifecycle_stage = 'deleted'",
                        "UPDATE experiments SET lifecycle_stage = 'deleted'",
                        "UPDATE runs SET end_time = NULL",
                    ]
                )
            )
    table, _, column = draw(st.sampled_from(TABLES)).partition(".")
    if column == "key" or (table == "experiments" and column == "name"):
        some = " AND rowid = (SELECT max(rowid) FROM " + table + ")"
    return f"UPDATE OR IGNORE {table} SET {column} = {_sql_text(new)} WHERE 1{some}"


@st.composite
def _stored(draw: st.DrawFn) -> Case:
    command = draw(
        st.sampled_from(
            [
                *[(read,) for read in READ],
                ("compare",),
                ("show",),
                ("show", "relu seed=0"),
                ("doctor",),
                ("doctor", "--dry-run"),
                ("claims",),
                ("recover",),
                ("compare", "--by", "activation"),
                ("train", "-m", *TINY, "activation=relu,tanh", "seed=0,1", "sweep.keep_weights=true"),
            ]
        )
    )
    return Case(
        "names",
        command,
        sql=(draw(_edited()),),
        template="swept",
        codes=(0, 1, 2),
        encoding=draw(ENCODINGS),
        may_leave=True,
    )


KEPT = CORPUS["kept configurations"]
TARGETS = CORPUS["kept targets"]


@st.composite
def _kept_file(draw: st.DrawFn) -> Case:
    """A run's own files, changed where the store keeps them: data, never code."""
    command = draw(st.sampled_from(["verify", "export", "figures", "show", "diagnose", "compare"]))
    pattern = draw(
        st.sampled_from(["config.yaml", "config.yaml", "config.yaml", "history.parquet", "model.safetensors"])
    )
    place = draw(st.floats(0, 1, exclude_max=True, width=32))
    if pattern == "config.yaml" and draw(st.booleans()):
        group = draw(
            st.sampled_from(
                [
                    "activation",
                    "data",
                    "optimizer",
                    "init",
                    "loss",
                    "architecture",
                    "schedule",
                    "norm",
                    "bias",
                    "diagnostics",
                    "pretraining",
                ]
            )
        )
        more = draw(
            st.sampled_from(
                ["", ", file: opened, mode: w", ", path: made", ", args: [touch, made]", ", _args_: [made]"]
            )
        )
        text = f"\n{group}: {{_target_: {draw(st.sampled_from(TARGETS))}{more}}}\n"
        edit = ("append", place, text) if draw(st.booleans()) else ("replace", place, text)
    elif pattern == "config.yaml" and draw(st.booleans()):
        edit = ("replace", place, draw(st.sampled_from(KEPT)))
    else:
        edit = (
            draw(
                st.sampled_from(
                    ["truncate", "flip", "zero", "cut", "insert", "remove", "doubled", "drop line", "double line"]
                )
            ),
            place,
            draw(st.sampled_from(["", "1", "64"])),
        )
    return Case(
        "names",
        (command,),
        edits=((f"mlartifacts/*/*/artifacts/{pattern}", *edit),),
        template="swept",
        codes=(0, 1, 2),
        encoding=draw(ENCODINGS),
    )


STORED_NAMES = st.one_of(_asked(), _experiment(), _stored(), _stored(), _kept_file())
