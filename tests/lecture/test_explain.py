"""`workbench explain`: every number it prints against the lecture's own form, its three formats, its refusals."""
# ruff: noqa: E741 - l is the lecture's index of layers

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.outer import replace_target
from workbench.cli.entry import main
from workbench.config.compose import configure
from workbench.config.prepare import build_pack
from workbench.lecture import textbook
from workbench.lecture.explain.content import Equation, Matrix, Step, steps, title
from workbench.lecture.explain.defaults import with_defaults
from workbench.lecture.explain.render import RENDERERS, WIDTH, number
from workbench.lecture.explain.step import exact_pack
from workbench.lecture.explain.worked import work
from workbench.lecture.textbook import Net, OneExample
from workbench.nn.activations import identity
from workbench.nn.builders import mlp
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.model import Model

CASES: list[tuple[list[str], int]] = [
    ([], 2),
    (["optimizer.weight_decay=0.1", "activation=tanh"], 4),
    (["architecture.hidden=[]"], 3),
    (["architecture.hidden=[3,4,2]", "activation=softplus", "seed=7"], 1),
    (["loss=softmax_nll", "architecture.hidden=[3]", "optimizer.weight_decay=0.01"], 2),
    (["data=diabetes", "loss=squared_error", "activation=relu", "optimizer.momentum=0.9"], 5),
    (["data=wine", "optimizer.lr=0.01", "init=he", "dtype=float32"], 142),
]
OUTPUTS = {
    "binary_nll": textbook.logistic,
    "softmax_nll": textbook.softmax,
    "squared_error": lambda: textbook.regression(identity()),
}


def _made(overrides: Sequence[str], example: int) -> tuple[str, list[Step]]:
    spec = configure(with_defaults(overrides))
    worked = work(spec, exact_pack(spec), example)
    return title(spec, worked), list(steps(spec, worked))


def _equations(given: Sequence[Step]) -> list[Equation]:
    return [step for step in given if isinstance(step, Equation)]


def _tensor(value: Matrix) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _up(layer: int) -> str:
    return f"⁽{'⁰¹²³⁴⁵⁶⁷⁸⁹'[layer]}⁾"


def _expected(overrides: Sequence[str], example: int, shown: dict[str, Tensor]) -> dict[str, list[Tensor]]:
    """Symbol -> the matrices of its equation, the value last, by the slow form for one example.

    Takes no number from the explanation but W and b, which another test holds against the initial parameters.
    """
    spec = configure(with_defaults([*overrides, "dtype=float64"]))
    pack = build_pack([spec])
    x, y = (part[0, example - 1] for part in (pack.data.train.x, pack.data.train.y))
    depth = len([symbol for symbol in shown if re.fullmatch("W⁽.⁾", symbol)])
    levels = range(1, depth + 1)
    W = {l: shown[f"W{_up(l)}"] for l in levels}
    b = {l: shown[f"b{_up(l)}"][:, 0] for l in levels}
    optimizer = spec.resolved["optimizer"]
    lam, lr = optimizer["weight_decay"], optimizer["lr"]
    activation = next((one.activation for one in pack.objective.model.layers if isinstance(one, Activate)), identity())
    net = Net(W, b, activation, OUTPUTS[spec.choices["loss"]]())
    z, a = textbook.forward(OneExample(), net, x)
    delta = textbook.deltas(OneExample(), net, z, a, y)
    J, dW, db = textbook.objective(OneExample(), net, x[:, None], y[:, None], lam)
    new = [{l: old[l] - lr * gradient[l] for l in levels} for old, gradient in ((W, dW), (b, db))]
    after = textbook.cost(OneExample(), Net(*new, net.f, net.output), x[:, None], y[:, None], lam)
    last = depth + 1
    penalty = textbook.penalty(net, lam)
    expected = {"x": [x], "y": [y], "h": [a[last]], "C": [J - penalty], "J": [J]}
    expected |= {"J before": [J], "J after": [after], "change": [after - J]} | ({"P": [penalty]} if lam else {})
    for l in range(1, last + 1):
        expected[f"a{_up(l)}"] = [a[l]]
    for l in range(2, last):
        slope = textbook.slope(net.f, z[l])
        expected[f"f′(z{_up(l)})"] = [slope]
        expected[f"δ{_up(l)}"] = [W[l].T, delta[l + 1], slope, delta[l]]
    expected[f"δ{_up(last)}"] = [a[last], y, delta[last]]
    for l in levels:
        expected[f"W{_up(l)}"], expected[f"b{_up(l)}"] = [W[l]], [b[l]]
        expected[f"z{_up(l + 1)}"] = [W[l], a[l], b[l], z[l + 1]]
        expected[f"∂J/∂W{_up(l)}"] = [delta[l + 1], a[l][None], *([W[l]] if lam else []), dW[l]]
        expected[f"∂J/∂b{_up(l)}"] = [db[l]]
        expected[f"new W{_up(l)}"] = [W[l], dW[l], new[0][l]]
        expected[f"new b{_up(l)}"] = [b[l], db[l], new[1][l]]
    return expected


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "example"), CASES, ids=str)
def test_every_number_is_the_lectures_own(overrides: list[str], example: int) -> None:
    """Each matrix of each equation, filled in or result, equals the one-example form; no equation is left out."""
    equations = _equations(_made(overrides, example)[1])
    expected = _expected(overrides, example, {one.symbol: _tensor(one.value) for one in equations})
    assert sorted(one.symbol for one in equations) == sorted(expected)
    for equation in equations:
        shown = [part for part in (*equation.filled, equation.value) if not isinstance(part, str)]
        for got, wanted in zip(shown, expected[equation.symbol], strict=True):
            column = wanted if wanted.ndim == 2 else wanted.reshape(-1, 1)
            torch.testing.assert_close(_tensor(got), column, rtol=1e-12, atol=1e-14, msg=equation.symbol)


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "example"), CASES, ids=str)
def test_parameters_are_the_runs_own_rounded(overrides: list[str], example: int) -> None:
    """W and b are those a run starts from, to two digits; λ and η in the formulas are the configuration's."""
    pack = build_pack([configure(with_defaults([*overrides, "dtype=float64"]))])
    equations = {one.symbol: one for one in _equations(_made(overrides, example)[1])}
    for name, values in pack.initial_params().items():
        value = _tensor(equations[f"{name[-1]}{_up(int(name[1]))}"].value)
        rounded = [float(f"{one:.2g}") for one in values.flatten().tolist()]
        assert value.flatten().tolist() == rounded
    lr, lam = float(pack.optimizer.lr), float(pack.optimizer.weight_decay)
    assert f"− {lr:.4g}" in equations["new W⁽¹⁾"].filled
    assert (f"+ {lam:.4g}" in equations["∂J/∂W⁽¹⁾"].filled) == (lam > 0)


@pytest.mark.slow
def test_xor_step_worked_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of the default page that a pocket calculator confirms: z⁽²⁾ = (0.88, -0.7), h = 1/(1 + exp(-0.06505))."""
    assert main(["explain"]) == 0
    page = capsys.readouterr().out
    for line in (
        "One training step of a 2-2-1 net on example 2 of 4 of xor",
        "z⁽²⁾ = W⁽¹⁾ a⁽¹⁾ + b⁽¹⁾ = ⎡ 0.78  0.78 ⎤ ⎡ 0 ⎤ + ⎡ 0.1 ⎤ = ⎡ 0.88 ⎤",
        "                          ⎣ 0.36  −0.8 ⎦ ⎣ 1 ⎦   ⎣ 0.1 ⎦   ⎣ −0.7 ⎦",
        "δ⁽³⁾ = h − y = [0.5163] − [1] = −0.4837",
        "∂J/∂W⁽²⁾ = δ⁽³⁾ (a⁽²⁾)ᵀ = [−0.4837] [0.7068  0.3318] = [−0.3419  −0.1605]",
        "J before = 0.6611",
    ):
        assert line in page.splitlines()


class _Page(HTMLParser):
    """Every cell of a table, and everything the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href")]
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "td":
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")


def _entries(equation: Equation, scalars: bool) -> list[str]:
    """The equation's numbers as printed; `scalars` includes a single number that is the result."""
    parts = [part for part in equation.filled if not isinstance(part, str)]
    if scalars or len(equation.value) * len(equation.value[0]) > 1:
        parts.append(equation.value)
    return [number(entry) for part in parts for row in part for entry in row]


@pytest.mark.parametrize(("overrides", "example"), CASES[:6], ids=str)
def test_formats_show_every_number(overrides: list[str], example: int) -> None:
    """HTML holds the entries of all matrices in order; text and Markdown hold each equation's numbers in its lines."""
    name, given = _made(overrides, example)
    page = _Page()
    page.feed(RENDERERS["html"](name, given))
    assert page.cells == [entry for equation in _equations(given) for entry in _entries(equation, scalars=False)]
    assert page.loads == []
    assert not {"script", "link", "img"} & set(page.tags)
    for form in ("text", "markdown"):
        printed = re.findall(r"(?<![⁽\w])−?\d+\.?\d*(?:e[−+]?\d+)?", RENDERERS[form](name, given))
        for equation in _equations(given):
            for entry in _entries(equation, scalars=True):
                assert entry in printed


def test_wide_equations_go_on_below_and_are_aligned() -> None:
    """No line of the terminal's page exceeds its width where a break before an equals sign can help."""
    name, given = _made(["architecture.hidden=[4,4]", "optimizer.weight_decay=0.1"], 1)
    lines = RENDERERS["text"](name, given).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any(line.startswith(" ") and line.lstrip("⎡⎢⎣ ").startswith("= ") for line in lines)


def test_number_keeps_four_digits() -> None:
    """Four significant digits, a true minus sign, no negative zero."""
    shown = [number(value) for value in (0.123456, -1.5, -0.0, 12345.6, 1e-9)]
    assert shown == ["0.1235", "−1.5", "0", "1.235e+04", "1e−09"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--out", "step.html"], "<!doctype html>"),
        (["--out", "step.md"], "# One training step"),
        (["--out", "step.txt"], "One training step"),
        (["--format", "markdown", "--out", "step.html"], "# One training step"),
    ],
)
def test_out_writes_the_format_of_its_suffix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    start: str,
) -> None:
    """The file holds the page and the terminal names it; --format wins over the suffix."""
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *arguments]) == 0
    assert (tmp_path / arguments[-1]).read_text(encoding="utf-8").startswith(start)
    assert capsys.readouterr().out == f"explanation: {arguments[-1]}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--example", "5"], "--example must be from 1 to 4, the training examples of data=xor, got 5"),
        (["--example", "0"], "--example must be from 1 to 4, the training examples of data=xor, got 0"),
        (["architecture.hidden=[50]"], "the net must have at most 200 parameters to be read by eye, got 201; write"),
        (
            ["data=digits", "loss=softmax_nll", "architecture.hidden=[3]"],
            "write for example architecture.hidden=[2], and data=xor",
        ),
        (["-m", "seed=1,2"], "explain: takes one configuration, got 2; drop -m"),
        (["activation=tanhh"], "did you mean 'tanh'"),
        (["--out", "/proc/step.html"], "explain --out: must be a file that can be written, got '/proc/step.html'"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Exit code 2, and one line that says the rule, the value and what to write."""
    assert main(["explain", *arguments]) == 2
    answer = capsys.readouterr()
    assert message in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_two_hundred_parameters_are_still_explained() -> None:
    """The limit itself is allowed: 3·2 + 3 + 38·3 + 38 + 38 + 1 = 200."""
    assert _made(["architecture.hidden=[3,38]"], 1)[0].startswith("One training step of a 2-3-38-1 net")


def ends_with_units(hidden: list[int], dropout: float, n_in: int, n_out: int, activation: object) -> Model:
    """A net whose last layer is no Dense."""
    return Model((Dense("l1", n_in, n_out), Activate("l1", activation)))  # type: ignore[arg-type]


def two_affine_layers(hidden: list[int], dropout: float, n_in: int, n_out: int, activation: object) -> Model:
    """A net with no units between its affine layers."""
    return Model((Dense("l1", n_in, 2), Dense("l2", 2, n_out)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "found"),
    [(ends_with_units, "no Dense as the last layer"), (two_affine_layers, "Dense as layer 2")],
)
def test_other_architectures_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], build: object, found: str
) -> None:
    """Only a plain chain has the lecture's formulas; the error says what was met and what to write."""
    replace_target(monkeypatch, f"{mlp.__module__}.mlp", build)
    assert main(["explain"]) == 2
    rule = "architecture must be a plain chain Dense, Activate, ..., Dense"
    assert f"explain: {rule}, got {found}; write architecture=mlp" in capsys.readouterr().err


@pytest.mark.slow
def test_other_optimizers_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The step shown is plain gradient descent's, so no other optimizer's step may be."""

    class Other:
        pass

    monkeypatch.setattr("workbench.lecture.explain.step.SGD", Other)
    assert main(["explain"]) == 2
    rule = "optimizer must be plain sgd, whose step is one line"
    assert f"{rule}, got sgd; write optimizer=sgd train.clip_norm=null" in capsys.readouterr().err


@pytest.mark.slow
def test_an_unknown_loss_is_explained_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's own loss has no formula here: its name stands for it, and delta is ∂C/∂z."""
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: workbench.nn.losses.binary_nll\n")
    assert main(["explain", "--config-dir", str(tmp_path), "loss=mine"]) == 0
    page = capsys.readouterr().out
    assert "C = mine(z, y) = 0.6611" in page
    assert "δ⁽³⁾ = ∂C/∂z⁽³⁾ = −0.4837" in page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["activation=tanh"], {"data=xor", "loss=binary_nll", "architecture.hidden=[2]", "activation=tanh"}),
        (["data=wine"], {"data=wine", "architecture.hidden=[2]"}),
        (["optimizer=sgd"], {"data=xor", "optimizer=sgd"}),
        (["++seed=3", "~hydra.x"], {"data=xor", "++seed=3"}),
    ],
)
def test_defaults_yield_to_the_users_overrides(arguments: list[str], expected: set[str]) -> None:
    """No key comes twice, another data set takes XOR's loss along, and a group takes its keys along."""
    given = with_defaults(arguments)
    keys = [one.partition("=")[0] for one in given]
    assert expected <= set(given)
    assert len(set(keys)) == len(keys)
    assert ("loss=binary_nll" in given) == ("data=xor" in given)
    assert "optimizer.lr=0.5" not in given or "optimizer=sgd" not in given


def test_experiments_bring_their_own_settings() -> None:
    """Defaults are not added to an experiment's settings."""
    assert with_defaults(["experiment=activations_on_digits"]) == ["experiment=activations_on_digits"]


def test_help_needs_no_hydra(capsys: pytest.CaptureFixture[str]) -> None:
    """`workbench explain --help` shows its own options and ends with exit code 0."""
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--help"])
    assert ended.value.code == 0
    page = capsys.readouterr().out
    for option in ("--example K", "--format", "--out FILE", "overrides as for train"):
        assert option in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["norm=batch"],
        ["norm=layer", "architecture.dropout=0.3"],
        ["architecture=residual_mlp", "architecture.width=4", "norm=layer"],
        ["architecture=maxout_mlp", "architecture.hidden=[2]", "architecture.dropout=0.2"],
        ["architecture=highway_mlp"],
        ["pretraining=autoencoder"],
        ["train.clip_norm=1"],
        ["optimizer=adam"],
    ],
)
def test_what_is_advised_works(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Settings advised by an error work, together, without repeating what is set and with what must go."""
    assert main(["explain", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    advised, _, dropped = said.rpartition("; write ")[2].partition(" without ")
    keys = {one.partition("=")[0] for one in advised.split()}
    assert not set(advised.split()) & set(arguments), said
    kept = [one for one in arguments if one.partition("=")[0] not in keys and one not in dropped.split()]
    assert main(["explain", *kept, *advised.split()]) == 0


@pytest.mark.parametrize(
    ("arguments", "formulas"),
    [
        (["loss=squared_error", "data=wine"], {"h − y"}),
        (["loss=squared_error", "data=wine", "activation@loss.output=sigmoid"], {"(h − y) ∘ h′(z⁽³⁾)"}),
        (["loss=squared_error", "data=wine", "activation@loss.output=tanh"], {"(h − y) ∘ h′(z⁽³⁾)"}),
        (["loss=softmax_mse", "data=wine"], {"h − y", "2/K h ∘ (e − Σ h e)"}),
        (["loss=softmax_nll", "data=wine", "loss.smoothing=0.2"], {"(1 − s) y + s/K, s = 0.2", "h − ỹ"}),
        (["loss=binary_nll", "loss.smoothing=0.2"], {"(1 − s) y + s/2, s = 0.2", "h − ỹ"}),
    ],
)
def test_the_output_s_delta_has_the_lecture_s_formula(arguments: list[str], formulas: set[str]) -> None:
    """Each loss's delta is shown by the lecture's formula, which gives the engine's numbers, and never as ∂C/∂z."""
    spec = configure(with_defaults(arguments))
    worked = work(spec, exact_pack(spec), 1)
    equations = [step for step in steps(spec, worked) if isinstance(step, Equation)]
    assert formulas <= {one.formula for one in equations}
    assert not any("∂C" in one.formula for one in equations)
    (delta,) = (one for one in equations if one.symbol == "δ⁽³⁾")
    h, y, s = worked.a[3], worked.y, float(spec.settings.get("loss.smoothing", 0))
    e = h - (y * (1 - s) + s / max(2, len(y)))
    by_formula = {
        "h": e,
        "(": e if worked.output_slope is None else e * worked.output_slope,
        "2": 2 / len(y) * h * (e - (h * e).sum()),
    }[delta.formula[0]]
    assert [row[0] for row in delta.value] == pytest.approx(by_formula.tolist(), rel=1e-9, abs=1e-12)
