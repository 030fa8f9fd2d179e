"""Addresses of stores: one file for each path, what is refused, and no password in what is said."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from requests.exceptions import InvalidURL
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

from tests.outer import SMALL, Answer
from workbench.core.credentials import bare, hidden, without_credentials
from workbench.core.errors import StoreAway, TrackingError
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.sqlite import engine_uri, store_at
from workbench.tracking.store import Store, find_store, sqlite_uri
from workbench.tracking.store_errors import translating_store_errors

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
SIGNS = "ab?#%&=;:,+'\"~@ []{}$!*()|<>\\ü日\n"
NAMES = st.text(SIGNS, min_size=1, max_size=12).map(lambda text: f"{text}%2F") | st.text(SIGNS, min_size=1, max_size=12)


@given(st.lists(NAMES, min_size=1, max_size=3))
@example(["why?a"])
@example(["feature%2Fbranch"])
@example(["~", " "])
@example(["file:a", "?mode=ro&uri=true"])
def test_a_path_and_its_addresses_are_inverse(names: list[str]) -> None:
    """A path of any names comes back from its address for people, and from its address for SQLAlchemy."""
    store = Store(sqlite_uri(Path("/", *names, "mlflow.db")))
    assert store.file == Path("/", *names, "mlflow.db")
    assert store_at(engine_uri(store)) == store


@given(NAMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_path_opens_its_own_file_and_no_other(tmp_path: Path, name: str) -> None:
    """SQLAlchemy opens the file of a folder of any name, and makes nothing else."""
    assume(name not in (".", ".."))
    folder = tmp_path / "one" / name
    folder.mkdir(parents=True)
    try:
        store = find_store(sqlite_uri(folder / "mlflow.db"))
        with create_engine(engine_uri(store), poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "mlflow.db"]
        assert [path for path in tmp_path.rglob("*") if path.is_dir()] == [tmp_path / "one", folder]
    finally:
        shutil.rmtree(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["why?a 100%25#'\"", "feature%2Fbranch"])
def test_odd_folders_keep_their_own_runs(
    cli: Cli, folder: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A folder with an odd name is trained in, shown and examined, and a folder of a similar name keeps no run."""
    odd, other = folder / name, folder / f"{name}b"
    for place in (odd, other):
        place.mkdir()
        shutil.copy(empty_database, place / "mlflow.db")
    monkeypatch.chdir(odd)
    assert cli("train", *SMALL).code == 0
    shown = cli("show")
    assert (shown.code, "config.yaml" in shown.out) == (0, True)
    assert "nothing to do" in cli("doctor").out
    assert len(list(odd.glob("mlartifacts/*/*/artifacts/config.yaml"))) == 1
    assert cli("show", "--uri", f"sqlite:///{odd}/mlflow.db").code == 0
    monkeypatch.chdir(other)
    assert "holds no run" in cli("show").err
    assert sorted(os.listdir(folder)) == sorted([odd.name, other.name])


@pytest.mark.parametrize(
    ("name", "file"),
    [("a%20b.db", "a%20b.db"), ("a b.db", "a b.db"), ("x#1.db", "x#1.db"), (".//s/../m.db", "m.db")],
)
def test_a_path_in_an_address_stands_as_it_is(folder: Path, name: str, file: str) -> None:
    """A path in an address is not unquoted, and a file has the same address by any path."""
    (folder / "s").mkdir()
    assert find_store(f"sqlite:///{name}").file == folder / file
    assert find_store(f"sqlite:///{folder}/{name}") == find_store(f"sqlite:///{name}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:m.db", "must name a file"),
        ("sqlite:///m.db?timeout=5", "write 'tracking.uri=\"sqlite:///m.db\"'"),
        ("sqlite:///m.db?mode=ro&uri=true", "write 'tracking.uri=\"sqlite:///m.db\"'"),
        ("sqlite:///.", " for a database in this folder"),
        ("sqlite:///a\0b", "must name a file that there can be"),
        ("sqlite:///\udcff.db", "must name a file that there can be"),
        ("sqlite:///~nobody_of_this_name/m.db", "must name a file that there can be"),
        (f"sqlite:///{'x' * 300}.db", "must name a file that there can be"),
        ("sqlite:///no/such/m.db", "must exist"),
        ("file:mlruns", "must start with one of"),
        ("mlruns", "must start with one of"),
        ("http://", "must be SCHEME"),
        ("http://h:port", "must be SCHEME"),
        ("http://[h", "must be SCHEME"),
        ("postgresql://u:a@b:c@h/db", "quote a password as"),
    ],
)
def test_an_address_that_names_no_store_is_refused(cli: Cli, folder: Path, uri: str, said: str) -> None:
    """An address that names no store is refused with exit code 2 and what to write; nothing is made."""
    answer = cli("show", "--uri", uri)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "b:c" not in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_the_database_of_a_link_is_written_through_it(folder: Path, empty_database: Path) -> None:
    """A database named by a link, even before it exists, is written through it: the link stays."""
    (folder / "real").mkdir()
    link = folder / "mlflow.db"
    link.symlink_to("real/data.db")
    assert find_store(None) == find_store(f"sqlite:///{folder}/real/data.db")
    MlflowSink(find_store(None), "e").writer.flush()
    assert link.is_symlink()
    assert (folder / "real/data.db").is_file()


SECRETS = st.text("ab19/@%: ?#;'\"ü=+", max_size=10).map(lambda text: f"S3c{text}r3t")


def quoted(text: str) -> str:
    """Every sign that could mean something quoted."""
    return quote(text, safe="")


@given(
    secret=SECRETS,
    write=st.sampled_from([str, quote, quoted, quote_plus]),
    form=st.sampled_from(
        [
            "postgresql://u:{}@h/db",
            "postgresql+psycopg://u:{}@h:5432/db?ssl=1",
            "mysql://{}@h/db",
            "http://u:{}@h:5000",
            "https://u:{}@h/path",
            "postgresql://h/db?user=u&password={}&ssl=1",
            "postgresql://h/db?sslpassword={}",
            "mssql://h/db?PWD={}",
            "https://h/x?api_token={}&a=1",
        ]
    ),
    around=st.sampled_from(["{}", "tracking.uri={}", "the store {}"]),
)
@example("S3c/r3t", str, "postgresql://u:{}@h/db", "{}")
@example("S3c r3t", str, "postgresql://h/db?sslpassword={}", "{}")
def test_no_part_of_a_password_is_told(secret: str, write: Callable[[str], str], form: str, around: str) -> None:
    """A password is hidden however and wherever it is written; a text already hidden is left as it is."""
    assume("//" not in secret)
    address = form.format(write(secret))
    shown = without_credentials(around.format(address))
    assert "S3c" not in shown
    assert "r3t" not in shown
    assert "h" in shown
    assert without_credentials(shown) == shown
    said = f"could not connect with {secret!r} or {write(secret)} to {address} for some reason"
    assert "S3c" not in hidden(said, address).replace(repr(secret), "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h password='a b' user=u", "host=h password=... user=u"),
        ('host=h password="a \\" b" user=u', "host=h password=... user=u"),
        ("PASSWORD=x and PWD=y", "PASSWORD=... and PWD=..."),
        ("Driver=x;PWD=a b;UID=u", "Driver=x;PWD=...;UID=u"),
        ("PWD={a;b};UID=u", "PWD=...;UID=u"),
        ("token = x, secret=y", "token =... secret=..."),
        ("optimizer.lr=0.1 passes=3 compass=4", "optimizer.lr=0.1 passes=3 compass=4"),
        ("sqlite:////home/me@work/a:b@c/mlflow.db", "sqlite:////home/me@work/a:b@c/mlflow.db"),
    ],
)
def test_values_that_are_secret_by_name(text: str, shown: str) -> None:
    """Values of secret names are hidden with quotes, in lists, in capitals; nothing else is changed."""
    assert without_credentials(text) == shown
    assert bare({"a": [text, 1], "b": {"c": None}}) == {"a": [shown, 1], "b": {"c": None}}


@pytest.mark.parametrize(
    "error",
    [
        InvalidURL("Failed to parse: http://u:S3c/r3t@h"),
        OperationalError("SELECT 1", {}, Exception('password "S3c/r3t" was refused')),
    ],
    ids=["requests", "sqlalchemy"],
)
def test_what_an_error_quotes_is_not_in_its_chain(error: Exception) -> None:
    """An error's quoted password is neither in the message nor in the errors that a traceback would show."""
    with (
        pytest.raises((TrackingError, StoreAway)) as raised,
        translating_store_errors(Store("postgresql://u:S3c/r3t@h/db")),
    ):
        raise error
    assert "S3c" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_password_is_kept_nowhere(cli: Cli, folder: Path, store: Store) -> None:
    """A password in what a run is told is kept in no note, params, config or file."""
    sink = MlflowSink(store, "e")
    from workbench.tracking.base import RunInfo

    address = "postgresql://u:S3c/r3 t@h/db?sslpassword=S3c r3t"
    told = f"workbench train 'tracking.uri={address}'"
    info = RunInfo("n", {"tracking.uri": address}, {"error": told}, told, {"tracking": {"uri": address}}, None)
    sink.open([info])
    sink.writer.flush()
    assert not [file for file in folder.rglob("*") if file.is_file() and b"S3c" in file.read_bytes()]
    assert cli("train", "data=wine", f"tracking.uri={address}", "nonsense=1").code == 2


def test_a_folder_that_takes_no_files_is_refused_at_once(cli: Callable[..., Answer]) -> None:
    """A folder that takes no files is refused without a wait for a lock, even if its permissions allow writing."""
    answer = cli("train", *SMALL, "tracking.uri=sqlite:////proc/y.db")
    assert answer.code == 2
    assert "tracking: /proc must be writable for user" in answer.err
    assert "name another store by tracking.uri=" in answer.err
