"""The benchmark: its ways do the same work, and its figures are what they say. No times are asserted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from tests.outer import Answer
from workbench.bench import diagnostics, parts, positions, rivals, start, sweeps
from workbench.bench import steps as bench
from workbench.bench.memory import peak_bytes
from workbench.bench.positions import PositionsCase
from workbench.bench.products import products_alone
from workbench.bench.steps import BenchmarkCase, Timing
from workbench.bench.sweeps import Beside, ScalingRow
from workbench.core.errors import WorkbenchError
from workbench.nn.check.torch_twin import copy_into
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

TINY = BenchmarkCase("mlp", (5, 7, 6, 3), batch=4, replicas=2, seconds=1e-4)
CPU = torch.device("cpu")


def inside(step: Any, name: str) -> Any:
    """Value of a variable that a training step closes over."""
    names = step.__code__.co_freevars
    return step.__closure__[names.index(name)].cell_contents


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels of the tiny case."""
    stream = torch.Generator().manual_seed(1)
    return torch.randn(1, 4, 5, generator=stream), torch.randint(3, (1, 4), generator=stream)


def test_ours_and_autograd_take_the_same_steps(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Ours and autograd, from the same weights, have the same losses and parameters after each of five steps."""
    x, labels = batch
    ours, theirs = bench._ours(TINY, x, labels), rivals.eager(TINY.model, x[0], labels[0], bench.LR)
    params, net = inside(ours, "params"), inside(inside(theirs, "measured"), "net")
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for number, linear in enumerate(linears, start=1):
            linear.weight.copy_(params[f"l{number}.W"][1])
            linear.bias.copy_(params[f"l{number}.b"][1])
    for _ in range(5):
        expected = float(nn.functional.cross_entropy(net(x[0]), labels[0]).detach())
        assert float(ours()[1]) == pytest.approx(expected, rel=1e-5)
        theirs()
        for number, linear in enumerate(linears, start=1):
            torch.testing.assert_close(params[f"l{number}.W"][1], linear.weight.detach(), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(params[f"l{number}.b"][1], linear.bias.detach(), rtol=1e-5, atol=1e-6)


def test_floor_is_the_products_of_ours(
    batch: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floor multiplies matrices of exactly the shapes that our step multiplies, and as often."""
    x, labels = batch
    floor, ours = bench.floor(TINY, CPU), bench._ours(TINY, x, labels)
    seen: list[tuple[tuple[int, ...], ...]] = []
    bmm, baddbmm = torch.bmm, torch.baddbmm

    def watched(a: torch.Tensor, b: torch.Tensor, **rest: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(a.shape), tuple(b.shape)))
        return bmm(a, b, **rest)

    def watched_add(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(a.shape), tuple(b.shape)))
        return baddbmm(bias, a, b)

    monkeypatch.setattr(torch, "bmm", watched)
    monkeypatch.setattr(torch, "baddbmm", watched_add)
    floor()
    of_floor, seen[:] = sorted(seen), []
    ours()
    assert of_floor == sorted(seen)
    assert len(of_floor) == 3 + 3 + 2


def test_stacked_nets_take_the_same_step_as_one(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Each of the nets under vmap moves as the net alone does from the same weights."""
    x, labels = batch
    stacked = rivals.vmapped(TINY.model, x[0], labels[0], bench.LR, 2)
    alone = rivals.eager(TINY.model, x[0], labels[0], bench.LR)
    params, net = inside(stacked, "params"), inside(inside(alone, "measured"), "net")
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(params[name][1])
    stacked()
    alone()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(params[name][1], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_rivals_are_timed_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """vmap and a compiler have a figure of their own case only; a compiler that fails has none."""
    case = replace(TINY, rivals=True)
    monkeypatch.setattr(rivals.torch, "compile", lambda cost: cost)
    (one,) = bench.bench([case], rounds=1, device=CPU, compiling=True)
    assert one.vmap_ms > 0
    assert one.compiled_ms > 0
    monkeypatch.setattr(rivals.torch, "compile", lambda cost: 1 / 0)
    (one,) = bench.bench([case], rounds=1, device=CPU, compiling=True)
    assert one.compiled_ms is None
    (one,) = bench.bench([TINY], rounds=1, device=CPU)
    assert (one.vmap_ms, one.compiled_ms) == (None, None)


def test_memory_is_what_is_there_at_once() -> None:
    """Peak bytes of 1000 float32 are exact: a result, two at once, a chain, in place with a view, two that stay."""
    x = torch.randn(1000)
    assert peak_bytes(lambda: x * 2) == 4000
    assert peak_bytes(lambda: (x * 2) * 2) == 8000
    assert peak_bytes(lambda: (((x * 2) * 2) * 2) * 2) == 8000
    assert peak_bytes(lambda: x.mul_(2).view(10, 100)) == 0
    assert peak_bytes(lambda: [x * 2, x * 3]) == 8000


def test_bench_gives_a_row_per_case() -> None:
    """Every figure is a positive number, and one thread computes only while it measures."""
    before = torch.get_num_threads()
    timings = bench.bench([TINY, BenchmarkCase("mlp", (4, 3), 2, 1, 1e-4)], rounds=2, device=CPU)
    assert [one.case for one in timings] == ["mlp 5-7-6-3 B=4 R=2", "mlp 4-3 B=2 R=1"]
    for one in timings:
        assert min(one.ours_ms, one.autograd_ms, one.floor_ms, one.speedup, one.over_floor) > 0
    assert torch.get_num_threads() == before


def test_figures_are_medians_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """ms per replica are medians, ratios the medians of each round's own ratio: worked on three made-up rounds."""
    rounds = iter([(2.0, 3.0, 1.0), (4.0, 5.0, 1.0), (9.0, 30.0, 2.0)])
    seconds = iter([value for row in rounds for value in row])
    monkeypatch.setattr(bench, "_repeats", lambda *rest: 1)
    monkeypatch.setattr(bench, "_clock", lambda *rest: next(seconds))
    one = bench._time(TINY, 3, CPU)
    assert one == Timing(  # ratios 3, 2.5, 6.7 and 2, 4, 4.5
        TINY.name, 2000.0, 5000.0, 500.0, 3.0, 4.0, one.ours_bytes, one.autograd_bytes
    )


@pytest.mark.parametrize("net", positions.NETS)
def test_nets_of_positions_take_the_same_steps(net: str) -> None:
    """Ours and torch's modules, from the same weights, have the same losses before and after a step."""
    ways = positions.ways(PositionsCase(net, 2, batch=3))
    params, module = inside(ways["ours"], "params"), inside(inside(ways["autograd"], "measured"), "net")
    copy_into(module, params, 1)
    x, labels = (inside(ways["autograd"], name) for name in ("x", "labels"))
    for _ in range(2):
        expected = nn.functional.cross_entropy(module(x).flatten(0, -2), labels.flatten())
        assert float(ways["ours"]()[1]) == pytest.approx(float(expected.detach()), rel=1e-5)
        ways["autograd"]()


def test_products_alone_are_those_of_the_step() -> None:
    """Products are written again where the step wrote them, and nothing else is computed."""
    left, right, bias = torch.randn(2, 3, 4), torch.randn(2, 4, 5), torch.randn(2, 1, 5)
    outs: list[torch.Tensor] = []
    alone = products_alone(lambda: outs.extend([torch.bmm(left, right), torch.baddbmm(bias, left, right), left * 2]))
    for out in outs:
        out.zero_()
    alone()
    assert all(torch.equal(out, torch.bmm(left, right)) for out in outs[:2])
    assert not outs[2].any()


def test_section_of_positions_has_a_row_per_case(
    cli: Callable[..., Answer], folder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bench positions` has each net alone and in a pack, with times, ratios and memory per replica."""
    assert {(case.net, case.replicas) for case in positions.CASES} == {
        (net, r) for net in positions.NETS for r in (1, 16)
    }
    monkeypatch.setattr(positions.bench, "__defaults__", ([PositionsCase("elman", 2, batch=2)], 1, 1e-4))
    content = json.loads(cli("bench", "positions", "--quick", "--json").out)
    (row,) = content["positions"]
    assert row.pop("case") == "elman B=2 R=2"
    assert (row.pop("vmap_ms"), row.pop("compiled_ms")) == (None, None)
    assert all(value > 0 for value in row.values())
    assert "elman B=2 R=2" in cli("bench", "positions", "--quick").out


@pytest.fixture
def one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command times a tiny case only."""
    monkeypatch.setattr(bench, "bench", lambda rounds, **rest: [Timing(TINY.name, 0.5, 1.0, 0.25, 2.0, float(rounds))])


@pytest.mark.usefixtures("one_case")
def test_json_has_its_keys(cli: Callable[..., Answer], folder: object) -> None:
    """`--json` writes nothing but JSON: the environment, the unit, a record per case; `--quick` takes fewer rounds."""
    answer = cli("bench", "--quick", "--json", "-")
    assert answer.code == 0
    content = json.loads(answer.out)
    assert set(content) == {"environment", "unit", "cases"}
    assert set(content["environment"]) == {"device", "torch", "python", "threads"}
    assert content["environment"]["torch"] == torch.__version__
    assert content["unit"] == "ms per replica and step"
    assert content["cases"] == [
        {
            "case": TINY.name,
            "ours_ms": 0.5,
            "autograd_ms": 1.0,
            "floor_ms": 0.25,
            "speedup": 2.0,
            "over_floor": float(bench.QUICK_ROUNDS),
            "ours_bytes": 0.0,
            "autograd_bytes": 0.0,
            "vmap_ms": None,
            "compiled_ms": None,
        }
    ]


@pytest.mark.usefixtures("one_case")
def test_table_and_file(cli: Callable[..., Answer], folder: object) -> None:
    """`bench --json FILE` shows the table and writes the JSON to the file."""
    answer = cli("bench", "--json", "bench.json")
    assert answer.code == 0
    assert "5-7-6-3 B=4 R=2" in answer.out
    assert "autograd / ours" in answer.out
    with open("bench.json") as file:
        assert json.load(file)["cases"][0]["over_floor"] == bench.ROUNDS


def test_cases_are_those_that_are_reported() -> None:
    """Cases are a small and a large mlp, alone and packed, and small nets of each other kind."""
    plain = [(case.batch, case.replicas) for case in bench.CASES if case.kind == "mlp"]
    assert plain == [(32, 1), (32, 32), (256, 1), (256, 4)]
    others = [(case.kind, case.batch, case.replicas) for case in bench.CASES if case.kind != "mlp"]
    assert others == [(kind, 32, replicas) for kind in bench.KINDS if kind != "mlp" for replicas in (1, 32)]


def test_what_one_more_run_costs_is_a_difference() -> None:
    """10 runs in 5 s and 30 in 9 s: 200 ms for one more; ratios are medians of the rounds' own, worked by hand."""
    assert sweeps.marginal(ScalingRow(10, 5.0, 4.0, 1.0), ScalingRow(30, 9.0, 5.0, 1.0)) == pytest.approx((200.0, 50.0))
    found = sweeps.beside([(10.0, 5.0), (20.0, 4.0), (30.0, 6.0)], [(100.0, 50.0), (400.0, 80.0), (150.0, 66.0)])
    assert found == Beside(20.0, 150.0, 5.0, 66.0, 10.0, 11.0)


@pytest.mark.slow
def test_sections_are_chosen(cli: Callable[..., Answer], folder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench sweep` and `bench scaling` start their own commands only; more runs than before cost what they add."""
    asked: list[tuple[str, int]] = []

    def taken(command: tuple[str, ...], runs: int) -> ScalingRow:
        asked.append((command[0], runs))
        return ScalingRow(runs, 2 + runs * (0.01 if command[0] == "workbench" else 0.3), 1 + runs * 0.01, 500.0)

    monkeypatch.setattr(sweeps, "take", taken)
    monkeypatch.setattr(parts.parts, "__defaults__", (16, 1))  # runs and rounds
    content = json.loads(cli("bench", "sweep", "--quick", "--json").out)
    assert set(content) == {"environment", "sweep", "parts"}
    made_of = content["parts"]
    assert sum(made_of[name] for name in ("compose", "build", "train", "evaluate", "track", "rest")) == pytest.approx(
        10
    )
    assert min(made_of[name] for name in ("compose", "build", "train", "evaluate", "track", "floor")) > 0
    assert content["sweep"]["wall_ratio"] == pytest.approx(30)
    assert {name for name, _ in asked} == {"workbench", "workbench.bench.usual"}
    asked.clear()
    answer = cli("bench", "scaling", "--quick")
    assert asked == [("workbench", 10), ("workbench", 100)]
    assert "10.0" in answer.out.splitlines()[-3]


def test_failing_sweep_is_an_error() -> None:
    """A command that does not end well is an error that shows what it said, not a time."""
    with pytest.raises(WorkbenchError, match=r"must end well, but it said: .*No module named"):
        sweeps.take(("workbench.bench.nothing",), 1)


def test_usual_script_learns_and_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is no straw man: it learns the digits, and logs seven metrics an epoch and two in the end."""
    from workbench.bench.usual import __main__ as usual

    logged: list[dict[str, float]] = []
    monkeypatch.setattr(usual.mlflow, "log_metrics", lambda metrics, step: logged.append(metrics))
    usual.train(OmegaConf.load(Path(usual.__file__).with_name("config.yaml")))
    assert [len(metrics) for metrics in logged] == 20 * [7] + [2]
    assert logged[-1]["test/accuracy"] > 0.9


@pytest.mark.slow
def test_keeping_a_run_is_timed_both_ways(cli: Callable[..., Answer], folder: Path) -> None:
    """`bench tracking` keeps the same runs by bulk statements and by calls, and writes nothing here."""
    answer = cli("bench", "tracking", "--quick", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["tracking"]
    for way in ("bulk", "calls"):
        assert set(found[way]) == {"rows_per_second", "run_ms", "run_cpu_ms"}
        assert all(value > 0 for value in found[way].values())
    assert found["rows_ratio"] == pytest.approx(found["bulk"]["rows_per_second"] / found["calls"]["rows_per_second"])
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_costs_of_diagnostics_have_a_row_for_each_option_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares are of what the same round took without: nothing for off, whose own measure is 0 too."""
    monkeypatch.setattr(diagnostics, "RUN", ("data=xor", "loss=binary_nll", "architecture.hidden=[4]", "device=cpu"))
    monkeypatch.setattr(diagnostics, "REPLICAS", (1, 2))
    costs = diagnostics.bench(rounds=1, quick=True)
    assert [(one.replicas, one.option) for one in costs] == [
        (r, name) for r in (1, 2) for name in ("off", "light", "full")
    ]
    assert [(one.share, one.measured) for one in costs if one.option == "off"] == [(0, 0)] * 2
    assert all(0 < one.measured < 1 and one.share < 1 and one.ms > 0 for one in costs if one.option != "off")
    assert diagnostics.table(costs).row_count == 6


@pytest.mark.slow
def test_start_reads_a_store_that_is_one(tmp_path: Path) -> None:
    """The store that commands are timed on holds sweeps as the workbench makes them, read without a doubt."""
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    start.fill(store, 2)
    newest = read_sweep(store, None)
    assert (len(newest.runs), newest.keys, newest.doubts) == (60, ("activation",), ())
    assert len(newest.runs[0].history["train/loss"]) == start.EPOCHS + 1
    with pytest.raises(WorkbenchError, match="must answer, but it ended with 1"):
        start.take(["-c", "raise ValueError"], str(tmp_path))
    cpu, first = start.take(["-c", "print(1)"], str(tmp_path))
    assert cpu > 0
    assert first > 0
