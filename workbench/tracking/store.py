"""Addresses of stores, and links into their pages. Imports nothing of MLflow."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

from workbench.core.credentials import without_credentials
from workbench.core.errors import TrackingError
from workbench.core.quoting import override

DATABASE = "mlflow.db"
UI_PORT = 5000
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")
SQLITE = "sqlite:///"
POSTGRES = "postgresql"
DRIVERS = ("psycopg", "psycopg2")  # of PostgreSQL; SQLAlchemy's own choice differs between its versions
FOLDER = ".workbench"
ARTIFACTS = "mlartifacts"
_OPTIONS = re.compile(r"\?\w+=[^/]*$")  # at the end of an address, as SQLAlchemy writes them


@dataclass(frozen=True)
class Store:
    """A tracking store by its address: a database or a server.

    The address of an sqlite database is ``sqlite:///`` and the path of its file as it stands, with nothing quoted:
    `sqlite_uri` and `file` are each other's inverse. SQLAlchemy and MLflow get `sqlite.engine_uri`.
    """

    uri: str

    @property
    def file(self) -> Path | None:
        """Database file of an sqlite store; None for other stores."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @property
    def is_postgres(self) -> bool:
        """Whether it is a PostgreSQL database."""
        return self.uri.partition("://")[0].partition("+")[0] == POSTGRES

    @property
    def home(self) -> Path:
        """Folder for files that belong to the store and cannot be in it: beside an sqlite database, else here."""
        return (Path.cwd() if self.file is None else self.file.parent) / FOLDER

    @property
    def name(self) -> str:
        """Name of the store in files of `home`: equal for all who write to it, and without credentials."""
        return re.sub(r"^(\w+)\+\w+:", r"\1:", self.shown) if self.file is None else self.file.name

    @property
    def is_missing(self) -> bool:
        """Whether it is an sqlite database that is not there, or is empty: reading would make its tables."""
        return self.file is not None and not (self.file.exists() and self.file.stat().st_size)

    @property
    def is_server(self) -> bool:
        """Whether MLflow's own server answers at this address."""
        return self.uri.startswith("http")

    @property
    def shown(self) -> str:
        """The address without credentials, for messages and logs."""
        return without_credentials(self.uri)

    @property
    def artifacts(self) -> Path | None:
        """Folder of the runs' files, beside an sqlite database; None where the server decides."""
        return None if self.file is None else self.file.parent / ARTIFACTS


def sqlite_uri(file: Path) -> str:
    """The address of an sqlite database."""
    return f"{SQLITE}{file}"


def find_store(uri: str | None) -> Store:
    """The store at `uri`, else at MLFLOW_TRACKING_URI, else ``mlflow.db`` in the current folder.

    An sqlite database is identified by its file: a link to it is the same store. Raises TrackingError for an address
    that MLflow cannot use.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{DATABASE}"
    scheme = uri.partition("://")[0].partition("+")[0]
    if "://" not in uri or scheme not in SCHEMES:
        raise TrackingError(
            f"tracking.uri: must start with one of {', '.join(SCHEMES)}, got {Store(uri).shown!r}; {_EXAMPLE}"
        )
    if scheme == "sqlite":
        return Store(sqlite_uri(_database(uri)))
    _check(uri)
    return Store(_with_driver(uri))


_EXAMPLE = f"write for example tracking.uri={SQLITE}/tmp/{DATABASE}"


def _database(uri: str) -> Path:
    """File of an sqlite address, with links resolved; raises TrackingError where no database can be there."""
    text = uri.removeprefix(SQLITE)
    if not uri.startswith(SQLITE) or text in ("", ":memory:") or text.startswith("file:"):
        raise TrackingError(f"tracking.uri: must name a file after {SQLITE}, got {uri!r}; {_EXAMPLE}")
    if options := _OPTIONS.search(text):
        named = uri.removesuffix(options[0])
        raise TrackingError(
            f"tracking.uri: must name a file and nothing else, got the options {options[0]!r} after it, which "
            f"workbench sets by itself; write {override('tracking.uri', named)}"
        )
    try:
        path = Path(text).expanduser().resolve()
        str(path).encode()
        is_folder, is_in_folder = path.is_dir(), path.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, no home, no text
        raise TrackingError(
            f"tracking.uri: must name a file that there can be: {error}; got {uri!r}; {_EXAMPLE}"
        ) from (error)
    if is_folder:
        raise TrackingError(
            f"tracking.uri: must name a file after {SQLITE}, got {uri!r}; write "
            f"{override('tracking.uri', sqlite_uri(path / DATABASE))} for a database in this folder"
        )
    if not is_in_folder:
        raise TrackingError(f"tracking.uri: the folder {path.parent} must exist; make it or name another")
    return path


def _check(uri: str) -> None:
    """Raise TrackingError for a malformed address of a server or a database; the parser's own message is left out."""
    try:
        if uri.startswith("http"):
            parts = urlsplit(uri)
            is_read = bool(parts.hostname) and (parts.port or 1) > 0
        else:
            from sqlalchemy.engine import make_url  # takes a while, and is needed for these alone

            make_url(uri)
            is_read = True
    except ImportError:
        return  # its driver is missed where it is needed, with what to install
    except Exception:  # each of these has errors of its own, which may quote a password
        is_read = False
    if not is_read:
        raise TrackingError(
            f"tracking.uri: must be SCHEME://HOST:PORT/DATABASE, with user and password before HOST if it needs them, "
            f"got {Store(uri).shown!r}; quote a password as urllib.parse.quote(password, safe='') does"
        ) from None


def _with_driver(uri: str) -> str:
    """Add the first installed driver to a PostgreSQL address without one."""
    installed = [driver for driver in DRIVERS if find_spec(driver)]
    return re.sub(f"^{POSTGRES}:", f"{POSTGRES}+{installed[0]}:", uri) if installed else uri


def ui_base(store: Store, port: int = UI_PORT) -> str:
    """Address of the pages: the server's own, or that of ``workbench ui``."""
    return store.shown.rstrip("/") if store.is_server else f"http://127.0.0.1:{port}"


def member_tag(sweep: str) -> str:
    """The tag whose value ``run`` makes a run a member of a sweep; a run may be in several."""
    return f"in.{sweep}"


def sweeps_of(tags: Mapping[str, str], kind: str = "run") -> list[str]:
    """Sweeps of a run of this kind with these tags, the newest first: their ids begin with when they began."""
    start = member_tag("")
    found = (tag.removeprefix(start) for tag, value in tags.items() if tag.startswith(start) and value == kind)
    return sorted(found, reverse=True)


def runs_filter(sweep: str, kind: str = "run") -> str:
    """Filter for MLflow's search that selects the runs of one sweep, or by the kind ``arm`` those of its arms."""
    return f"tags.`{member_tag(sweep)}` = '{kind}'"


def runs_view(sweep: str) -> str:
    """Id of the saved view of a sweep's runs, where its own shows arms."""
    return f"{sweep}.runs"


def sweep_link(base: str, experiment_id: str, sweep: str, saved_view: bool) -> str:
    """Link to the charts of a sweep: through its saved view if there is one, else of its runs."""
    if not saved_view:
        return search_link(base, experiment_id, runs_filter(sweep))
    return f"{base}/#/experiments/{experiment_id}/runs?{_VIEW}&compareRunsMode=CHART&viewStateShareKey={sweep}"


def search_link(base: str, experiment_id: str, wanted: str) -> str:
    """Link to the charts of the runs that a filter of MLflow's search selects."""
    return f"{base}/#/experiments/{experiment_id}/runs?{_VIEW}&compareRunsMode=CHART&searchFilter={quote(wanted)}"


def run_link(base: str, experiment_id: str, run: str, saved_view: bool = False) -> str:
    """Link to the charts of one run, by its saved view if there is one; to its experiment's runs if it was not begun.

    MLflow's own page of a run begins with what comes first in the alphabet.
    """
    if run and saved_view:
        return sweep_link(base, experiment_id, run, saved_view)
    page = f"runs/{run}/model-metrics" if run else "runs"
    return f"{base}/#/experiments/{experiment_id}/{page}?{_VIEW}"


_VIEW = "workflowType=machine_learning"
