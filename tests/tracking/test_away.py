"""A store that is away at one moment of a sweep: in the end the sweep is, wholly, what it is where nothing happens."""

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.outer import Answer, end, finish, start, wait_for
from tests.sampling import sampled
from tests.servers import MlflowServer, mlflow_server
from tests.shown import ShownSweep, assert_same_sweep, shown
from tests.tracking.test_recover import code_of
from workbench.tracking import mlflow_sink as sinks
from workbench.tracking import resilient_backend
from workbench.tracking.client import connect
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

SWEEP = (
    *("train", "-m", "data=wine", "activation=relu,tanh,sigmoid", "architecture.hidden=[5]", "seed=0,1"),
    *("train.epochs=2", "sweep.keep_weights=true"),
)
RUNS, PACKS = 6, 3
# A process that stands still at the moments of its sweep until it is told to go on: before its own run is begun, before
# each pack is begun and ended, before its page of charts is saved and its own run is ended.
GATED = """
import sys, time
from pathlib import Path

import workbench.tracking.resilient_backend as resilient_backend
from tests.tracking.test_away import at_moments
from workbench.cli.entry import main

def stand_still(moment):
    Path(moment).touch()
    late = time.monotonic() + 300
    while not Path(f"{moment}.go").exists() and time.monotonic() < late:
        time.sleep(0.05)
    time.sleep(resilient_backend.LONGEST + 0.1)  # now it may be tried again

resilient_backend.LONGEST = 0.5
at_moments(stand_still, setattr)
sys.exit(main(sys.argv[1:]))
"""


def at_moments(act: Callable[[str], None], put: Callable[[Any, str, Any], None]) -> None:
    """Call `act` with the name of each moment of a sweep; `put` sets an attribute."""
    begun, ended, pages = MlflowSink.open, MlflowSink.end, MlflowSink.save_view
    packs: list[set[str]] = []
    own: list[str] = []

    def open_(self: MlflowSink, *given: Any) -> list[str]:
        is_pack = len(own) == 1
        act(f"begin-{len(packs)}" if is_pack else "sweep")
        runs = begun(self, *given)
        packs.append(set(runs)) if is_pack else own.extend(runs)
        return runs

    def end_(self: MlflowSink, run: str, *given: Any) -> None:
        if run in own:
            act("over")
        elif run in packs[-1]:
            packs[-1].clear()
            act(f"end-{len(packs) - 1}")
        ended(self, run, *given)

    def page(self: MlflowSink, *given: Any) -> bool:
        act("page")
        return pages(self, *given)

    for name, function in (("open", open_), ("end", end_), ("save_view", page)):
        put(MlflowSink, name, function)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> ShownSweep:
    """The sweep of a command that nothing happens to."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copy(empty_database, folder / "mlflow.db")
    assert finish(start(SWEEP, folder)).code == 0
    found = shown(f"sqlite:///{folder}/mlflow.db")
    assert (len(found.runs), found.others, found.page == {}) == (RUNS, [], False)
    return found


def sweep_in(answer: Answer) -> str:
    """The id that a command names."""
    named = re.search(r"compare: workbench compare (\S+)", answer.out)
    assert named is not None, answer
    return named[1]


def assert_compared(answer: Answer) -> None:
    """`compare` has every arm with both of its seeds."""
    assert (answer.code, answer.err) == (0, "")
    for arm in ("relu", "tanh", "sigmoid"):
        assert re.search(rf"{arm}\s+\W*\s*2\b", answer.out), answer.out


SOME = [
    ("begin-1", "begin-2"),
    ("begin-1", ""),
    ("begin-0", "begin-1"),
    ("begin-0", ""),
    ("end-0", "end-1"),
    ("end-0", ""),
]
OTHERS = [("end-0", "begin-1"), ("end-2", ""), ("page", "over"), ("page", ""), ("over", "")]
CASES = [(*moments, way) for moments in [*SOME, *OTHERS] for way in ("bulk", "calls")]


@pytest.mark.parametrize(("away", "back", "way"), sampled(CASES, 3, pytest.mark.slow, pytest.mark.exhaustive))
def test_database_is_away(
    cli: Callable[..., Answer],
    store: Store,
    alone: ShownSweep,
    monkeypatch: pytest.MonkeyPatch,
    away: str,
    back: str,
    way: str,
) -> None:
    """A file that is moved away and back, or back only after the command: written in bulk, and call by call."""
    assert store.file is not None
    elsewhere = store.file.with_name("elsewhere.db")

    moments = [away, back]

    def act(moment: str) -> None:
        if moments[:1] == [moment]:
            store.file.rename(elsewhere) if moments.pop(0) == away else elsewhere.rename(store.file)

    with monkeypatch.context() as patch:
        if way == "calls":
            patch.setattr(sinks, "engine_of", lambda client: None)
        patch.setattr(resilient_backend, "SHORTEST", 0.0)
        patch.setattr(resilient_backend, "LONGEST", 0.0)
        patch.setattr("workbench.cli.closing.SECONDS_AT_THE_END", 0)
        at_moments(act, patch.setattr)
        answer = cli(*SWEEP)
        assert answer.code == code_of("store away for a while" if back else "store gone for good"), answer
        if not back:
            elsewhere.rename(store.file)
            assert cli("recover").code == 0
    assert_same_sweep(shown(store.uri), alone)
    assert_compared(cli("compare", sweep_in(answer)))
    assert not store.home.exists()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server that is killed and started again."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as made:
        made.wait()
        yield made


@pytest.mark.parametrize(
    ("away", "back"),
    [pytest.param(*case, marks=pytest.mark.slow if case in SOME[:2] else pytest.mark.exhaustive) for case in SOME],
)
def test_server_is_away(
    cli: Callable[..., Answer], server: MlflowServer, folder: Path, alone: ShownSweep, away: str, back: str
) -> None:
    """MLflow's server, killed at that moment, and started again in the midst of the sweep or after it."""
    process = start(["-c", GATED, *SWEEP], folder, module=False, MLFLOW_TRACKING_URI=server.uri)
    moments = ["sweep", *(f"{what}-{pack}" for pack in range(PACKS) for what in ("begin", "end")), "page", "over"]
    try:
        for moment in moments:
            wait_for(lambda moment=moment: (folder / moment).exists() or process.poll() is not None)
            if moment == away:
                server.end(signal.SIGKILL)
            if moment == back:
                server.begin()
                server.wait()
            (folder / f"{moment}.go").touch()
        answer = finish(process)
    finally:
        end(process)
        if server.process is None:
            server.begin()
            server.wait()
    assert answer.code == code_of("store away for a while" if back else "store gone for good"), answer
    if not back:
        assert cli("recover", "--uri", server.uri).code == 0
    uri = f"sqlite:///{server.folder}/server.db"
    assert_same_sweep(shown(uri, sweep_in(answer), server.folder / "mlartifacts"), alone)
    assert_compared(cli("compare", sweep_in(answer), "--uri", server.uri))
    assert not list(folder.glob(".workbench/*"))
    client = connect(Store(server.uri))
    named = client.get_experiment_by_name("workbench")
    client.rename_experiment(named.experiment_id, f"{away} {back}")  # the next one begins anew
