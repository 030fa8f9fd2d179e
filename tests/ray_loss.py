"""A sweep of 2,000 runs on a Ray cluster of two nodes, one of which is killed in the middle.

python tests/ray_loss.py [runs] [settings ...]
"""

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlflow.entities import Run

import workbench as wb
from tests.outer import finish, start, wait_for
from tests.ray_nodes import cluster
from tests.servers import free_port
from workbench.sweeps.packing import group
from workbench.tracking.client import connect, search_all
from workbench.tracking.store import Store

SETTINGS = ("data=digits", "architecture.hidden=[32]", "train.epochs=10")


def runs_in(store: Store) -> list[Run]:
    """All runs but the sweep's own."""
    return search_all(connect(store), ["1"], "tags.kind = 'run'")


def main(count: int, settings: list[str]) -> None:
    """Train, kill, count; fails where a run is missing, double, open, or trained again after it had finished."""
    packs = group([wb.configure(*SETTINGS)] * count, parallel=2)
    with TemporaryDirectory() as name, cluster(free_port()) as made:
        folder, doomed = Path(name), made.nodes[1]
        store = Store(f"sqlite:///{folder}/mlflow.db")
        connect(store)
        launcher = ("hydra/launcher=packed_ray", f"hydra.launcher.executor.address={made.address}")
        begun = monotonic()
        process = start(
            ["train", "-m", *launcher, *SETTINGS, f"seed=range({count})", *settings], folder, **made.secrets
        )

        def in_the_middle() -> bool:
            assert process.poll() is None, process.communicate()
            ends = Counter(run.info.status for run in runs_in(store))
            return ends["FINISHED"] >= count // 3 and doomed.is_training

        wait_for(in_the_middle, 1800, every=2.0)
        family = {str(pid) for pid in doomed.family}
        doomed.kill()
        killed = monotonic()
        before = runs_in(store)
        lost = [run for run in before if run.info.status == "RUNNING" and run.data.tags["pid"] in family]
        finished = {run.info.run_id: run.info.start_time for run in before if run.info.status == "FINISHED"}
        answer = finish(process, 1800)
        ended = monotonic()
        after = runs_in(store)
    members = [run for run in after if run.data.tags[f"in.{run.data.tags['sweep']}"] == "run"]
    statuses = Counter(run.info.status for run in members)
    seeds = Counter(run.data.params["seed"] for run in members)
    print(answer.out.splitlines()[-3] if answer.code == 0 else f"{answer.out}{answer.err}")
    print(
        f"{count} runs in {len(packs)} packs of {len(packs[0])}: {ended - begun:.0f} s, {killed - begun:.0f} s before"
    )
    print(f"lost with the node: {len(lost)} open runs; finished before: {len(finished)}")
    print(f"members {dict(statuses)}, seeds {len(seeds)}; superseded {len(after) - len(members)}")
    assert answer.code == 0
    assert statuses == {"FINISHED": count}
    assert seeds == {str(seed): 1 for seed in range(count)}
    assert "RUNNING" not in {run.info.status for run in after}
    assert {run.info.run_id: run.info.start_time for run in members}.items() >= finished.items()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, sys.argv[2:])
