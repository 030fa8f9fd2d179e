"""Where the store is, how its address is shown, and links into its pages. Imports nothing of MLflow."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from workbench.errors import TrackingError

DATABASE = "mlflow.db"
UI_PORT = 5000
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")
SQLITE = "sqlite:///"
POSTGRES = "postgresql"
DRIVERS = ("psycopg", "psycopg2")  # of PostgreSQL; SQLAlchemy's own choice differs between its versions
FOLDER = ".workbench"


def without_credentials(text: str) -> str:
    """The text with users and passwords taken out of the addresses in it."""
    return re.sub(r"(?<=password=)[^&\s]+", "...", re.sub(r"(?<!/)//[^/\s]*@", "//", text))


@dataclass(frozen=True)
class Store:
    """A tracking store by its URI: a database or a server."""

    uri: str

    @property
    def file(self) -> Path | None:
        """The database file of an sqlite store."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @property
    def is_postgres(self) -> bool:
        """Whether it is a PostgreSQL database."""
        return self.uri.partition("://")[0].partition("+")[0] == POSTGRES

    @property
    def home(self) -> Path:
        """Where what belongs to the store and cannot be in it is kept: beside an sqlite database, else here."""
        return (Path.cwd() if self.file is None else self.file.parent) / FOLDER

    @property
    def name(self) -> str:
        """How files in `home` name the store: the same for all who write to it, and without credentials."""
        return re.sub(r"^(\w+)\+\w+:", r"\1:", self.shown) if self.file is None else self.file.name

    @property
    def is_server(self) -> bool:
        """Whether MLflow's own server answers at this address."""
        return self.uri.startswith("http")

    @property
    def shown(self) -> str:
        """The address without credentials, for people and logs."""
        return without_credentials(self.uri)

    @property
    def artifacts(self) -> str | None:
        """Where runs keep files: beside an sqlite database, else where the server decides."""
        return None if self.file is None else (self.file.parent / "mlartifacts").as_uri()


def find_store(uri: str | None) -> Store:
    """The store at `uri`, else at MLFLOW_TRACKING_URI, else ``mlflow.db`` in the current folder.

    Raises TrackingError for an address that MLflow cannot use.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{DATABASE}"
    example = f"write for example tracking.uri={SQLITE}/tmp/{DATABASE}"
    scheme = uri.partition("://")[0].partition("+")[0]
    if "://" not in uri or scheme not in SCHEMES:
        raise TrackingError(
            f"tracking.uri: must start with one of {', '.join(SCHEMES)}, got {Store(uri).shown!r}; {example}"
        )
    if scheme == "sqlite":
        path = Path(uri.removeprefix(SQLITE)).expanduser().absolute()
        if not uri.startswith(SQLITE) or path.is_dir():
            raise TrackingError(f"tracking.uri: must name a file after {SQLITE}, got {uri!r}; {example}")
        if not path.parent.is_dir():
            raise TrackingError(f"tracking.uri: the folder {path.parent} must exist; make it or name another")
        uri = f"{SQLITE}{path}"
    return Store(_with_driver(uri))


def _with_driver(uri: str) -> str:
    """A PostgreSQL address without a driver, with the first that is installed."""
    found = [driver for driver in DRIVERS if find_spec(driver)]
    return re.sub(f"^{POSTGRES}:", f"{POSTGRES}+{found[0]}:", uri) if found else uri


def ui_base(store: Store, port: int = UI_PORT) -> str:
    """The address of the pages: the server's own, or that of ``workbench ui``."""
    return store.shown.rstrip("/") if store.is_server else f"http://127.0.0.1:{port}"


def member_tag(sweep: str) -> str:
    """The tag whose value ``run`` makes a run one of a sweep: it may be in several."""
    return f"in.{sweep}"


def sweeps_of(tags: Mapping[str, str]) -> list[str]:
    """The sweeps that a run with these tags is in, the newest first: their ids begin with when they began."""
    start = member_tag("")
    found = (tag.removeprefix(start) for tag, value in tags.items() if tag.startswith(start) and value == "run")
    return sorted(found, reverse=True)


def runs_filter(sweep: str) -> str:
    """MLflow's search for the runs of one sweep."""
    return f"tags.`{member_tag(sweep)}` = 'run'"


def sweep_link(base: str, experiment_id: str, sweep: str, saved_view: bool) -> str:
    """The runs of one sweep with their charts, in the model-training view; through its saved view if any."""
    shown = f"viewStateShareKey={sweep}" if saved_view else f"searchFilter={quote(runs_filter(sweep))}"
    return f"{base}/#/experiments/{experiment_id}/runs?{_VIEW}&compareRunsMode=CHART&{shown}"


def run_link(base: str, experiment_id: str, run: str) -> str:
    """The charts of one run; its experiment's runs where the run was never begun."""
    place = f"runs/{run}/model-metrics" if run else "runs"
    return f"{base}/#/experiments/{experiment_id}/{place}?{_VIEW}"


_VIEW = "workflowType=machine_learning"
