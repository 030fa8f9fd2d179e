"""Spot checks of trained packs find and report wrong gradients, and raise no alarm over right ones."""

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import workbench as wb
from tests.claims.small import write
from tests.outer import SMALL, Answer, finish, replace_target, runs_of, start
from tests.reference import build
from workbench.certificates.trained import SHARE, SpotChecks, Verdict, check_line, examples
from workbench.config.compose import configure
from workbench.config.options import options
from workbench.config.prepare import build_pack
from workbench.engine.replicas import Pack
from workbench.nn import activations, losses
from workbench.nn.check import spot_check
from workbench.nn.check.gradcheck import by_hand
from workbench.nn.check.spot_check import Point
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Mode
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.tied import Tied
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
UNITS = """
import torch
from workbench.nn.activations import Activation

def sine() -> Activation:
    return Activation(torch.sin, lambda z, a: torch.sin(z), (-1.0, 1.0))

def late() -> Activation:
    return Activation(torch.sin, lambda z, a: torch.where(z > 6, -torch.cos(z), torch.cos(z)), (-1.0, 1.0))

def right() -> Activation:
    return Activation(torch.sin, lambda z, a: torch.cos(z), (-1.0, 1.0))

def foreign() -> Activation:
    return Activation(lambda z: torch.from_numpy(z.numpy() ** 2), lambda z, a: 2 * z, (0.0, float("inf")))
"""


def _own(folder: Path, module: str) -> str:
    """Write a user's folder of options, whose functions lie in a module of the current folder."""
    (folder / f"{module}.py").write_text(UNITS)
    group = folder / "own" / "activation"
    group.mkdir(parents=True)
    for name in ("sine", "late", "right", "foreign"):
        (group / f"{name}.yaml").write_text(f"_target_: {module}.{name}\n")
    return str(folder / "own")


def _verdict(*overrides: str, seeds: int = 2, change: Callable[[Params], object] = lambda params: None) -> Verdict:
    """Spot-check untrained nets of `seeds` seeds after `change` was applied to their parameters."""
    pack = build_pack([wb.configure(*overrides, f"seed={seed}") for seed in range(seeds)])
    params = pack.initial_params()
    change(params)
    found = SpotChecks().verdict(pack, params, 0.01)
    assert found.says != "not checked", found
    return found


@pytest.mark.slow
def test_a_wrong_derivative_is_said_by_every_command(
    cli: Cli, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`train` ends with exit code 1 and a command that shows it; `compare`, `diagnose` and `show` say it of the run."""
    own = _own(folder, "wrong_everywhere")
    monkeypatch.syspath_prepend(folder)
    words = ("train", "-m", "--config-dir", own, *SMALL, "activation=sine,right", "seed=0,1")
    answer = cli(*words)
    assert answer.code == 1
    assert "GRADIENTS DISAGREE with autograd: sine seed=0 and 1 more of other seeds" in answer.out
    assert "f'(z) of the units of l1 at z = " in answer.out
    assert "dJ/d l1.W (error " in answer.out
    shown = next(line for line in answer.out.splitlines() if line.startswith("  see workbench check "))
    check = cli(*shlex.split(shown.removeprefix("  see workbench ")))
    assert (check.code, "DISAGREES" in check.out) == (1, True)
    tags = [run.data.tags for run in runs_of(store)]
    assert [one["certificate"] for one in tags] == ["DISAGREES", "DISAGREES", "agrees", "agrees"]
    assert tags[0]["certificate.check"] == shown.removeprefix("  see ")

    again, accepted = cli(*words), cli(*words, "certificate=off")
    assert (again.code, "GRADIENTS DISAGREE" in again.out) == (1, True)
    assert (accepted.code, "GRADIENTS DISAGREE" in accepted.out) == (0, True)

    for form in ("markdown", "latex"):
        lines = cli("compare", "--format", form).out.splitlines()
        assert any("sine (gradients of 2 DISAGREE)" in line for line in lines), form
        assert not any("right (" in line for line in lines)
    rows = [line.split(",") for line in cli("compare", "--format", "csv").out.splitlines()]
    assert {row[0]: row[-1] for row in rows} == {"arm": "disagree", "sine": "2", "right": "0"}
    arms = cli("diagnose").out.partition("sine:\n")[2].partition("right:")
    assert arms[0].lstrip().startswith("wrong gradients: they DISAGREE with autograd")
    assert "wrong gradients" not in arms[2]
    assert shown.removeprefix("  see ") in arms[0]
    page = cli("show", "sine seed=0").out
    assert "DISAGREES with autograd" in page
    assert "agrees with autograd" in cli("show", "right seed=0").out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sine", "late"])
def test_a_single_run_and_its_check_find_the_same(
    cli: Cli, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """`check` repeats the disagreement that `train` found, also where f' is wrong at no z that the net takes."""
    own = _own(folder, f"wrong_alone_{name}")
    monkeypatch.syspath_prepend(folder)
    arguments = ("--config-dir", own, *SMALL, f"activation={name}")
    assert cli("train", *arguments).code == 1
    check = cli("check", *arguments)
    assert (check.code, "DISAGREES: f'(z) of the units of l1" in check.out) == (1, True)
    assert cli("train", *arguments, "seed=1", "certificate=off").code == 0
    assert cli("train", "--config-dir", own, *SMALL, "activation=right").code == 0


@pytest.mark.slow
def test_what_autograd_cannot_follow_is_said_to_be_unchecked(
    cli: Cli, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run whose units autograd cannot follow is trained, and its log, tag and page say "not checked"."""
    own = _own(folder, "foreign_units")
    monkeypatch.syspath_prepend(folder)
    assert cli("train", "--config-dir", own, *SMALL, "activation=foreign").code == 0
    assert "gradients could not be checked: RuntimeError" in caplog.text
    assert runs_of(store)[0].data.tags["certificate"] == "not checked"
    assert "not checked: RuntimeError" in cli("show").out


@pytest.mark.slow
def test_workers_say_it_too(store: Store, folder: Path) -> None:
    """A disagreement found in a worker process is printed, and the command exits with 1."""
    own = _own(folder, "wrong_in_workers")
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = ["train", "-m", "--config-dir", own, *SMALL, "activation=sine,right", "hydra/launcher=packed_processes"]
    answer = finish(start([*words, "hydra.launcher.executor.workers=1"], folder, PYTHONPATH=path))
    assert answer.code == 1
    assert "GRADIENTS DISAGREE with autograd: sine" in answer.out


@pytest.mark.slow
def test_a_claim_measured_by_wrong_gradients_says_so(
    cli: Cli, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim with wrong gradients says so and exits with 1, for tracked and untracked runs and a stored verdict."""
    _own(folder, "wrong_in_claims")
    monkeypatch.syspath_prepend(folder)
    for name, tracked in (("kept", "True"), ("held", "False")):
        code = CLAIM.format(tracked=tracked)
        write(folder / "own", name, code, {"claim.arms": {"relu": ["activation=relu"], "tanh": ["activation=sine"]}})
    for name in ("kept", "held", "held"):
        answer = cli("reproduce", name, "--claims", str(folder / "own"))
        assert answer.code == 1, answer
        assert "GRADIENTS DISAGREE with autograd" in answer.out


CLAIM = """
import workbench as wb


def measure(study):
    study.train(tracked={tracked})
    yield wb.Cell("p", wb.Rate(1, 40))
"""


def _planted(kind: type, change: Callable[..., None]) -> Callable[[pytest.MonkeyPatch], None]:
    """A mistake in a layer's backward pass: a change of what it wrote and returns."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = kind.backward

        def wrong(
            self: Any, params: Any, tape: Any, grad_out: Tensor, grads: Any, need_grad_in: bool = True, *more: Any
        ) -> Tensor | None:
            grad_in = right(self, params, tape, grad_out.clone(), grads, need_grad_in, *more)
            change(self, grads)
            return grad_in if grad_in is None or kind in (Dense, Tied) else grad_in * 1.001

        patch.setattr(kind, "backward", wrong)

    return plant


def _nothing(layer: Any, grads: Any) -> None:
    return


def _bias(layer: Any, grads: Any) -> None:
    grads[f"{layer.name}.b"].mul_(1.001)


MISTAKES = [
    (Dense, _bias, []),
    (BatchNorm, _nothing, ["norm=batch"]),
    (LayerNorm, _nothing, ["norm=layer"]),
    (Dropout, _nothing, ["architecture.dropout=0.3"]),
    (Highway, _nothing, ["architecture=highway_mlp"]),
    (Residual, _nothing, ["architecture=residual_mlp"]),
    (Maxout, _nothing, ["architecture=maxout_mlp", "architecture.hidden=[5,5]"]),
    (Tied, _bias, ["architecture.hidden=[5]", "pretraining=autoencoder", "pretraining.tied=true"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "change", "overrides"), MISTAKES, ids=[kind.__name__ for kind, *_ in MISTAKES])
def test_a_wrong_backward_pass_is_found(
    monkeypatch: pytest.MonkeyPatch, kind: type, change: Callable[..., None], overrides: list[str]
) -> None:
    """A backward pass that is off by a thousandth is found for each layer, pretraining's tied layer included."""
    assert _verdict("data=wine", *overrides).says == "agrees"
    _planted(kind, change)(monkeypatch)
    assert _verdict("data=wine", *overrides).disagreement


def test_a_wrong_delta_is_found_even_where_the_net_is_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta that is cut to 0 only where some |z| is at least 8 is found as a disagreement of the loss."""
    right = losses.softmax_nll()

    def measure(z: Tensor, y: Tensor) -> Any:
        value, delta = right.measure(z, y)
        return value, lambda: delta() * (z.abs().amax(2, keepdim=True) < 8)

    replace_target(monkeypatch, "workbench.nn.losses.softmax_nll", lambda smoothing: replace(right, measure=measure))
    assert "delta of the loss" in _verdict("data=wine").disagreement


def test_a_constant_that_one_replica_has_alone_is_looked_at() -> None:
    """A derivative that knows the usual slope only is right for the first replica and wrong for the last."""
    usual = activations.leaky_relu()
    wrong = replace(usual, derivative=lambda z, a, _: usual.derivative(z, a, 0.01))
    specs = [wb.configure("data=wine", "activation=leaky_relu", f"activation.slope={slope}") for slope in (0.01, 0.3)]
    pack = build_pack(specs)
    layers = [
        replace(one, activation=wrong) if isinstance(one, Activate) else one for one in pack.objective.model.layers
    ]
    planted = replace(pack, objective=replace(pack.objective, model=Model(tuple(layers))))
    assert SpotChecks().verdict(pack, pack.initial_params(), 0.01).says == "agrees"
    assert SpotChecks().verdict(planted, pack.initial_params(), 0.01).disagreement


def test_runs_that_diverged_carry_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replica that diverges by a wrong gradient carries the disagreement, and its run the tag DISAGREES."""
    right = activations.relu()
    wrong = replace(right, derivative=lambda z, a: right.derivative(z, a).mul_(-1e30))
    replace_target(monkeypatch, "workbench.nn.activations.relu", lambda: wrong)
    sink = MemorySink()
    jobs = [Job(wb.configure(*SMALL, "activation=relu", "optimizer.lr=1e9", f"seed={seed}"), "", "") for seed in (0, 1)]
    done = train_pack(jobs, sink, spot_checks=SpotChecks())
    assert [one.outcome.value for one in done.results] == ["diverged", "diverged"]
    assert all(one.disagreement for one in done.results)
    assert {run.tags["certificate"] for run in sink.runs.values()} == {"DISAGREES"}


@pytest.mark.slow
def test_kinks_that_a_net_stands_on_raise_no_alarm() -> None:
    """Nets whose z lies on a kink (x = 0, b = 0), where torch's autograd takes another side, agree."""
    words = ("data=xor", "split.standardize=false", "loss=binary_nll", "bias=zero")
    for activation in ("leaky_relu", "hard_tanh", "absolute", "relu", "elu"):
        assert _verdict(*words, f"activation={activation}").says == "agrees"


NETS = [
    [],
    ["norm=batch"],
    ["norm=layer", "architecture.dropout=0.3"],
    ["architecture=residual_mlp", "architecture.width=4"],
    ["architecture=highway_mlp", "architecture.width=4", "architecture.depth=3"],
    ["architecture=maxout_mlp", "architecture.hidden=[4,4]"],
    ["pretraining=autoencoder", "pretraining.tied=true", "architecture.hidden=[4]"],
]
DATA = [
    ["data=wine", "loss=softmax_nll"],
    ["data=wine", "loss=softmax_mse"],
    ["data=breast_cancer", "loss=binary_nll", "split.standardize=false"],
    ["data=diabetes", "loss=squared_error"],
    ["data=diabetes", "loss=squared_error", "activation@loss.output=sigmoid"],
    ["data=xor", "loss=binary_nll", "split.standardize=false"],
]


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    net=st.sampled_from(NETS),
    data=st.sampled_from(DATA),
    activation=st.sampled_from([name for name in options("activation") if name != "unit_step"]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4, 1e9, 1e30]),
    shift=st.sampled_from([0.0, -5.0, 1e3]),
)
def test_right_gradients_raise_no_alarm(
    net: list[str], data: list[str], activation: str, scale: float, shift: float
) -> None:
    """Dead, saturated, huge and vanishing nets agree, whatever they consist of."""

    def change(params: Params) -> None:
        params.trained.mul_(scale).add_(shift)

    found = _verdict(*data, *net, f"activation={activation}", "dtype=float64", change=change)
    assert found.says == "agrees", found
    assert found.worst < 3e-7


def _all_ones(params: Params) -> None:
    params.trained.fill_(1.0)


def _positive(params: Params) -> None:
    for name in ("l2.W", "l3.W"):
        params[name].abs_()


@pytest.mark.parametrize("change", [_all_ones, _positive])
def test_a_gradient_of_rounding_raises_no_alarm(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Params], None]
) -> None:
    """Gradients that saturated logistic outputs reduce to rounding agree, and a mistake beside them is found."""
    words = ("data=digits", "loss=squared_error", "activation@loss.output=sigmoid", "architecture.hidden=[64,64]")
    assert _verdict(*words, change=change).says == "agrees"
    with monkeypatch.context() as patch:
        patch.setattr("workbench.nn.check.spot_check.LARGE", 1e9)
        assert "dJ/d" in _verdict(*words, change=change).disagreement
    _planted(Dense, _bias)(monkeypatch)
    assert "dJ/d" in _verdict(*words, change=change).disagreement


def test_numbers_that_are_none_are_survived() -> None:
    """Parameters that overflowed are checked as large finite numbers."""
    assert _verdict("data=wine", change=lambda params: params.flat.fill_(torch.inf)).says == "agrees"


@pytest.mark.slow
def test_more_replicas_are_looked_at_within_the_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first replica is always checked, the others while their share of the training time lasts."""
    monkeypatch.setattr("workbench.certificates.trained.CHECK_NUMBERS", 1)
    looked: list[int] = []

    def points(pack: Pack, params: Params, rows: range) -> list[Any]:
        looked.extend(rows)
        return []

    monkeypatch.setattr("workbench.certificates.trained.spot_points", points)
    pack = build_pack([wb.configure(*SMALL, f"seed={seed}") for seed in range(4)])
    SpotChecks().verdict(pack, pack.initial_params(), 0.0)
    assert looked == [0]
    SpotChecks().verdict(pack, pack.initial_params(), 100 / SHARE)
    assert looked == [0, 0, 1, 2, 3]


def test_fewer_examples_are_looked_at_where_each_has_many_positions() -> None:
    """Sixteen examples of features, fewer of nets whose passes hold more numbers, and four at least."""
    objective = build_pack([configure([])]).objective
    counts = {numbers: examples(replace(objective, numbers=numbers)) for numbers in (None, 1000, 10_000, 100_000)}
    assert counts == {None: 16, 1000: 16, 10_000: 5, 100_000: 4}


def test_the_check_line_leaves_out_where_runs_are_kept() -> None:
    """The `check` command shown leaves out the store's address, which may hold a password, and unrelated keys."""
    spec = wb.configure(*SMALL, "tracking.uri=postgresql://u:secret@host/db", "sweep.rerun=all", "certificate=on")
    assert check_line(replace(spec, folder="/my own")) == (
        "workbench check --config-dir '/my own' data=wine 'architecture.hidden=[6]' train.epochs=2"
    )
    twice = wb.configure(*SMALL, "optimizer.lr=3", "seed=1", "optimizer.lr=0.5")
    assert check_line(twice).endswith(" optimizer.lr=0.5 seed=1")


def test_examples_that_cancel_are_no_disagreement() -> None:
    """At a plateau four deltas of ±1/8 sum up to 1e-11, whose rounding no gradient can be better than."""
    model = Model((Dense("l1", 1, 1),))
    params = Params.stack(
        [{"l1.W": torch.zeros(1, 1), "l1.b": torch.tensor([-2.58e-11])}], torch.float64, torch.device("cpu"), [{}]
    )
    x, y = torch.zeros(1, 4, 1).double(), torch.tensor([[[0.0], [0.0], [1.0], [1.0]]]).double()
    point = Point(Objective(model, build("loss", "binary_nll")), params, x, y, Mode(True))
    assert [deviation.error for deviation in spot_check._gradients([point])] == [0.0, 0.0]

    def wrong(*problem: Any) -> Params:
        gradients = by_hand(*problem)
        return gradients.with_flat(gradients.flat * 1.01)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spot_check, "by_hand", wrong)
        moved = point.at(params.flat.clone())
        moved.params["l1.b"].fill_(1e-3)
        assert max(deviation.error for deviation in spot_check._gradients([moved])) > 1e-3
