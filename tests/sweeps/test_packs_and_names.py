"""Check which runs train together, what they are called, and when two runs are the same run."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from rich.console import Console

import workbench as wb
from tests.outer import SMALL
from workbench.config.arms import PALETTE
from workbench.config.instantiate import resolve_target
from workbench.config.prepare import GIB, Prepared, prepare
from workbench.config.schema import RunSpec
from workbench.nn.activations import relu
from workbench.runs.train_pack import Job, PackResult, train_pack
from workbench.sweeps import identity, progress
from workbench.sweeps.identity import _code, run_key
from workbench.sweeps.jobs import in_sweep, make_jobs
from workbench.sweeps.naming import arm_names, run_names
from workbench.sweeps.packing import group, pack_bytes
from workbench.sweeps.progress import SweepProgress
from workbench.tracking.base import MemorySink


@cache
def spec_of(variant: str) -> RunSpec:
    """A small run with these overrides, parted by blanks."""
    return wb.configure(*SMALL, *variant.split())


def specs_of(*variants: str) -> list[RunSpec]:
    """Specifications of small runs, one per variant."""
    return [spec_of(variant) for variant in variants]


TOGETHER = [
    ("seed=0", "seed=1"),
    ("split.seed=0", "split.seed=1"),
    ("optimizer.lr=0.1", "optimizer.lr=1"),
    ("optimizer.momentum=0", "optimizer.momentum=0.9"),
    ("optimizer.weight_decay=0", "optimizer.weight_decay=0.1"),
    ("init=he", "init=glorot"),
    ("init=normal", "init=normal init.std=0.5"),
    ("init.gain=1", "init.gain=2"),
    ("bias=zero", "bias=small_positive"),
    ("bias.value=0", "bias.value=0.3"),
    ("tracking.experiment=a", "tracking.experiment=b"),
    ("activation=leaky_relu activation.slope=0.1", "activation=leaky_relu activation.slope=0.2"),
    ("schedule=step schedule.factor=0.5", "schedule=step schedule.factor=0.9"),
    (
        "schedule=warmup schedule@schedule.then=cosine schedule.then.floor=0",
        "schedule=warmup schedule@schedule.then=cosine schedule.then.floor=0.5",
    ),
    ("train.clip_norm=null", "train.clip_norm=1"),
    ("train.clip_norm=2", "train.clip_norm=1"),
    ("optimizer=adam optimizer.beta1=0.9", "optimizer=adam optimizer.beta1=0.8"),
    ("init=he", "init=lsuv"),
    ("bias=zero", "bias=uniform"),
]
APART = [
    ("activation=relu", "activation=tanh"),
    ("architecture.hidden=[6]", "architecture.hidden=[7]"),
    ("architecture.hidden=[6]", "architecture.hidden=[6,6]"),
    ("loss=softmax_nll", "loss=squared_error"),
    ("train.batch_size=32", "train.batch_size=16"),
    ("train.epochs=2", "train.epochs=3"),
    ("data=wine", "data=digits"),
    ("dtype=float32", "dtype=float64"),
    ("device=auto", "device=cpu"),
    ("split.valid=0.1", "split.valid=0.2"),
    ("split.standardize=true", "split.standardize=false"),
    ("loss=squared_error", "loss=squared_error activation@loss.output=tanh"),
    ("loss.smoothing=0", "loss.smoothing=0.1"),
    ("loss=squared_error target=label", "loss=squared_error target=input"),
    ("schedule=constant", "schedule=cosine"),
    ("schedule=step schedule.every=5", "schedule=step schedule.every=6"),
    ("schedule=warmup", "schedule=warmup schedule@schedule.then=cosine"),
    ("norm=none", "norm=layer"),
    ("architecture.dropout=0", "architecture.dropout=0.1"),
    ("optimizer=sgd optimizer.momentum=0.9", "optimizer=nesterov"),
    ("optimizer=adam", "optimizer=adamw optimizer.weight_decay=0"),
]


@pytest.mark.parametrize("pair", TOGETHER)
def test_what_is_a_number_per_replica_shares_a_pack(pair: tuple[str, str]) -> None:
    """Runs that differ in a per-replica value only are one pack."""
    assert group(specs_of(*pair)) == [[0, 1]]


@pytest.mark.parametrize("pair", APART)
def test_what_changes_the_program_makes_a_pack(pair: tuple[str, str]) -> None:
    """Runs whose programs differ train apart."""
    assert group(specs_of(*pair)) == [[0], [1]]


@pytest.mark.slow
def test_packs_keep_every_run_once() -> None:
    """Interleaved programs are sorted into their packs; no run is lost or doubled."""
    specs = specs_of(*(f"activation={unit} seed={seed}" for seed in range(3) for unit in ("relu", "tanh")))
    assert group(specs) == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.slow
@pytest.mark.parametrize(("fitting", "sizes"), [(7, [7]), (6, [4, 3]), (3, [3, 2, 2]), (1, [1] * 7), (0.5, [1] * 7)])
def test_memory_budget_splits_a_pack(fitting: float, sizes: list[int]) -> None:
    """A pack takes no more replicas than its budget has room for, at least one, and parts are of even size."""
    some = specs_of(*(f"seed={seed}" for seed in range(7)))
    whole = max(1, int(fitting))
    gib = min(1, fitting) * 1.001 * pack_bytes(some, range(whole)) / GIB
    specs = specs_of(*(f"seed={seed} sweep.pack_gib={gib!r}" for seed in range(7)))
    found = group(specs)
    assert [len(pack) for pack in found] == sizes
    assert sorted(position for pack in found for position in pack) == list(range(7))


@pytest.mark.slow
def test_a_split_that_runs_share_counts_once() -> None:
    """Room for one copy of the data and three replicas holds three runs of one split, or two of their own."""
    small = "data=digits architecture.hidden=[1]"
    (first,) = specs_of(small)
    gib = (
        1.001
        * (3 * prepare(first).replica_bytes + prepare(first).data_bytes + prepare(first).evaluation_bytes(3))
        / GIB
    )
    assert prepare(first).replica_bytes < prepare(first).data_bytes / 3
    for split_seed, sizes in (("0", [3, 3]), ("${seed}", [2] * 3)):
        specs = specs_of(*(f"{small} seed={seed} split.seed={split_seed} sweep.pack_gib={gib!r}" for seed in range(6)))
        found = group(specs)
        assert [len(pack) for pack in found] == sizes
        assert all(pack_bytes(specs, pack) <= gib * GIB for pack in found)


@pytest.mark.parametrize(
    ("parallel", "runs", "sizes"),
    [
        (1, 300, [300]),
        (2, 300, [38] * 4 + [37] * 4),  # four for each worker
        (2, 60, [30, 30]),  # a pack stays worthwhile
        (8, 32, [32]),
        (100, 300, [30] * 10),
    ],
)
def test_several_workers_share_a_program(parallel: int, runs: int, sizes: list[int]) -> None:
    """A large program is split in even parts of neighbors, so that all workers have some, a small one is not."""
    found = group([spec_of("")] * runs, parallel)
    assert [len(pack) for pack in found] == sizes
    assert [position for pack in found for position in pack] == list(range(runs))


@pytest.mark.parametrize(
    ("hidden", "sizes"), [("[64,64]", [30]), ("[256,256]", [10, 10, 10]), ("[2048,2048]", [8, 8, 7, 7])]
)
def test_packs_of_a_cpu_fit_its_cache(hidden: str, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The larger the net, the fewer its replicas, but at least eight; a GPU takes them all."""
    specs = [spec_of(f"data=digits architecture.hidden={hidden} sweep.pack_gib=100")] * 30
    assert [len(pack) for pack in group(specs)] == sizes
    monkeypatch.setitem(vars(prepare(specs[0])), "device", torch.device("cuda"))
    monkeypatch.setattr(Prepared, "free_bytes", lambda self: 1000 * GIB)
    assert [len(pack) for pack in group(specs)] == [30]


def trained(specs: Sequence[RunSpec]) -> PackResult:
    """The runs as one pack, kept in memory."""
    return train_pack([Job(spec, "", "") for spec in specs], MemorySink())


@pytest.mark.slow
def test_swept_runs_equal_single_runs() -> None:
    """A pack that differs in everything it may gives each run the numbers it has alone (float64, 1e-9)."""
    specs = specs_of(
        "dtype=float64 seed=0",
        "dtype=float64 seed=1 optimizer.lr=0.03 optimizer.momentum=0.9",
        "dtype=float64 seed=2 init=glorot init.gain=1.5 bias=small_positive",
        "dtype=float64 seed=3 optimizer.weight_decay=0.05 split.seed=9",
        "dtype=float64 seed=0 init=normal init.std=0.3 bias.value=-0.2",
    )
    assert group(specs) == [[0, 1, 2, 3, 4]]
    together = trained(specs)
    for replica, spec in enumerate(specs):
        alone = trained([spec])
        torch.testing.assert_close(together.final[replica], alone.final[0], rtol=1e-9, atol=1e-12)
        assert together.results[replica].metrics == pytest.approx(alone.results[0].metrics, rel=1e-9, abs=1e-12)
    assert len({result.metrics["train/loss"] for result in together.results}) == len(specs)


@pytest.mark.slow
def test_swept_runs_of_the_wider_engine_equal_single_runs() -> None:
    """Slopes, schedules, cuts, moments and dropout's noise: each run of the pack has the numbers it has alone."""
    same = "dtype=float64 activation=leaky_relu optimizer=adam norm=batch architecture.dropout=0.3 schedule=warmup "
    same += "schedule@schedule.then=cosine schedule.steps=3 "
    specs = specs_of(
        same + "seed=0",
        same + "seed=1 activation.slope=0.3 train.clip_norm=0.5",
        same + "seed=2 schedule.then.floor=0.5 optimizer.beta1=0.5",
        same + "seed=3 optimizer.lr=0.01 init=lsuv bias=uniform",
    )
    assert group(specs) == [[0, 1, 2, 3]]
    together = trained(specs)
    for replica, spec in enumerate(specs):
        alone = trained([spec])
        torch.testing.assert_close(together.final[replica], alone.final[0], rtol=1e-9, atol=1e-12)
        assert together.results[replica].metrics == pytest.approx(alone.results[0].metrics, rel=1e-9, abs=1e-12)


def named(specs: Sequence[RunSpec]) -> list[tuple[str, str]]:
    """(name, arm) of each run."""
    return list(zip(run_names(specs), arm_names(specs), strict=True))


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        (("seed=0", "seed=1"), [("seed=0", "relu"), ("seed=1", "relu")]),
        (
            ("activation=relu optimizer.lr=0.10", "activation=tanh optimizer.lr=1e-3"),
            [("relu lr=0.1 seed=0", "relu lr=0.1"), ("tanh lr=0.001 seed=0", "tanh lr=0.001")],
        ),
        (
            ("architecture.hidden=[8,8] seed=2", "architecture.hidden=[8] seed=2"),
            [("hidden=[8,8] seed=2", "hidden=[8,8]"), ("hidden=[8] seed=2", "hidden=[8]")],
        ),
        (
            ("init=he init.gain=2 bias.value=1", "init=glorot init.gain=2 bias.value=0"),
            [("he value=1 seed=0", "he value=1"), ("glorot value=0 seed=0", "glorot value=0")],
        ),
        (
            ("split.seed=1 seed=1", "split.seed=2 seed=2"),
            [("split.seed=1 seed=1", "relu"), ("split.seed=2 seed=2", "relu")],
        ),
        (
            ("init.gain=1 tracking.experiment=a", "init.gain=2 tracking.experiment=a"),
            [("gain=1 seed=0", "gain=1"), ("gain=2 seed=0", "gain=2")],
        ),
    ],
)
def test_runs_are_named_for_what_differs(variants: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    """Names give choices, and values by the last part of their key, where runs differ; an arm is all but the seed."""
    assert named(specs_of(*variants)) == expected


def test_single_run_is_named_for_what_was_asked() -> None:
    """A single run is named by every override that is not about tracking."""
    spec = wb.configure("activation=tanh", "optimizer.lr=0.5", "seed=4", "tracking.experiment=x", "sweep.pack_gib=1")
    assert named([spec]) == [("tanh lr=0.5 seed=4", "tanh")]
    assert make_jobs([spec])[0].name == "tanh lr=0.5 seed=4"


@pytest.mark.slow
def test_jobs_of_a_sweep_carry_its_id_and_their_colors() -> None:
    """Every job has the sweep's tag, and its arm's color: after the palette's last its first again, but lighter."""
    specs = specs_of(*(f"optimizer.lr=0.{number}" for number in range(1, 10)))
    jobs = in_sweep(make_jobs(specs), "the-sweep")
    assert {(job.tags["sweep"], job.tags["in.the-sweep"]) for job in jobs} == {("the-sweep", "run")}
    assert [job.tags["mlflow.runColor"] for job in jobs] == [*PALETTE, "#80B8D8"]
    assert [job.tags["number"] for job in jobs] == [str(number) for number in range(9)]
    assert "sweep" not in make_jobs(specs[:1])[0].tags


def key(variant: str) -> str:
    """The run key of a configuration."""
    spec = spec_of(variant)
    return run_key(spec, prepare(spec).dataset.digest)


@pytest.mark.parametrize(
    "variant", ["tracking.experiment=other", "tracking.uri=sqlite:////tmp/other.db", "sweep.pack_gib=1", "seed=0"]
)
def test_key_is_the_same_where_results_must_be(variant: str) -> None:
    """A run's key ignores where the run is kept, how its sweep is trained, and how a value is written."""
    assert key(variant) == key("")


@pytest.mark.parametrize("pair", [*APART, *(pair for pair in TOGETHER if "tracking" not in pair[0])])
def test_key_differs_where_results_may(pair: tuple[str, str]) -> None:
    """Everything that can change a number changes the key."""
    assert key(pair[0]) != key(pair[1])


def test_key_holds_the_data_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key changes with other data under the same name, or with another version of the engine."""
    spec = specs_of("")[0]
    one = run_key(spec, "0")
    assert run_key(spec, "0") == one
    assert run_key(spec, "1") != one
    monkeypatch.setattr("workbench.sweeps.identity.__version__", "9.9")
    assert run_key(spec, "0") != one


def test_key_holds_the_code_of_an_own_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key changes with the code of a user's function under the same name, or of what the function calls."""
    sources = ["SLOPE = 1.0", "SLOPE = 2.0", "SLOPE = 1.0"]
    monkeypatch.syspath_prepend(str(tmp_path))
    keys = []
    for number, slope in enumerate(sources):
        name = f"own_activation_{number}"
        code = "def steep():\n    return Activation(lambda z: SLOPE * z, lambda z, a: SLOPE + 0 * z, (-9.0, 9.0))\n"
        (tmp_path / f"{name}.py").write_text(f"from workbench.nn.activations import Activation\n{slope}\n{code}")
        keys.append(_code(resolve_target("activation", f"{name}.steep")))
    assert keys[0] == keys[2] != keys[1]


def test_comments_and_docstrings_of_a_function_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key ignores comments and docstrings: runs are trained again where code changed only."""
    digests = []
    for source in (
        '    def f(z):\n        """One."""\n        return z  # why\n',
        '    def f(z):\n        """Two."""\n\n        return z\n',
        "    def f(z):\n        return -z\n",
    ):
        identity._code.cache_clear()
        monkeypatch.setattr(identity.inspect, "getsource", lambda function, source=source: source)
        digests.append(identity._code(relu))
    identity._code.cache_clear()
    assert digests[0] == digests[1] != digests[2]


def test_key_holds_the_source_of_the_functions_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key holds the source of the chosen functions, so that an activation edited in a checkout is trained again."""
    before = key("activation=relu"), key("activation=tanh")
    monkeypatch.setattr(identity, "_code", lambda function: "edited" if function is relu else "")
    assert key("activation=relu") != before[0]
    monkeypatch.setattr(identity, "_code", lambda function: "")
    assert key("activation=tanh") != before[1]


def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress without a terminal is plain lines: share done and seconds left, at most one in ten seconds."""
    clock = iter([0.0, 5.0, 12.0, 12.0, 15.0, 24.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with SweepProgress(10, Console(file=out, width=120)) as bar:
        for epochs in (1, 2, 2):
            bar.advance(epochs)
    lines = out.getvalue().splitlines()
    assert lines == ["training: 30%, about 28 s left"]


def test_progress_is_a_bar_in_a_terminal() -> None:
    """A terminal shows the count, which never passes the total."""
    out = io.StringIO()
    with SweepProgress(4, Console(file=out, force_terminal=True, width=120)) as bar:
        bar.advance(3)
        bar.advance(3)
        assert bar.done == 4
    assert "4/4" in out.getvalue()
    assert "epochs of runs" in out.getvalue()
