"""Figures of a run: what is drawn is what was logged, and what the weights say; the command on a trained run."""

from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.image import imread

import workbench as wb
from tests.inspect.test_diagnose import made_up
from tests.outer import Answer, client_of, runs_of, trained
from workbench.config.prepare import build_pack
from workbench.diagnostics.signal import FixedPoint
from workbench.engine.diagnostic_tables import SIGNAL
from workbench.inspect.export import standalone
from workbench.inspect.logged_figures import logged_figures
from workbench.inspect.logged_run import RunSeries
from workbench.inspect.weight_figures import has_weight_figure, weight_figures
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
LIFE = pd.DataFrame(
    {
        "layer": ["l1"] * 5 + ["l2"] * 2,
        "unit": [0, 1, 2, 3, 4, 0, 1],
        "born_dead": [True, True, False, False, False, False, False],
        "deaths": [0, 0, 1, 1, 0, 0, 2],
        "dead_at_end": [True, False, True, False, False, False, True],
    }
)
HISTOGRAMS = pd.DataFrame(
    {
        "step": [1, 1, 1, 9, 9, 9],
        "layer": ["l1"] * 6,
        "quantity": ["a", "a", "z", "a", "a", "a"],
        "low": [0.0, 1.0, 0.0, -np.inf, 0.0, 2.0],
        "high": [1.0, 3.0, 1.0, 0.0, 1.0, 3.0],
        "count": [10, 10, 99, 7, 5, 15],
    }
)


def test_gradients_are_drawn_by_depth() -> None:
    """The gradient figure has one curve for the first moment and one for the last, with layers in order."""
    series = RunSeries(made_up({f"grad_norm/l{n}": [0.1 * n, 0.01 * n] for n in (10, 2, 1)}, {"steps_per_epoch": "20"}))
    figures = dict(logged_figures(series, {}, "made up"))
    assert list(figures) == ["gradient_flow"]
    (axes,) = figures["gradient_flow"].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["l1", "l2", "l10"]
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [
        pytest.approx([0.1, 0.2, 1.0]),
        pytest.approx([0.01, 0.02, 0.1]),
    ]
    assert [line.get_label() for line in axes.lines] == ["epoch 0", "step 10"]
    assert axes.get_yscale() == "log"


def test_saturation_and_activations_are_drawn_over_time() -> None:
    """A line for each layer over epochs; the band is a standard deviation to each side of the mean."""
    series = {"saturation/l1": [0.1, 0.5], "act_mean/l1": [0.0, 1.0], "act_var/l1": [4.0, 9.0]}
    figure = dict(logged_figures(RunSeries(made_up(series, {"steps_per_epoch": "5"})), {}, "t"))["saturation_over_time"]
    saturation, values = figure.axes
    assert np.asarray(saturation.lines[0].get_xydata()).tolist() == [[0, 0.1], [2, 0.5]]
    assert np.asarray(values.lines[0].get_ydata()).tolist() == [0.0, 1.0]
    corners = values.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (-2.0, 4.0)


def test_fates_of_units_by_hand() -> None:
    """Units are counted by fate: born dead and never alive, dead in the end, dead for a while, always alive."""
    series = RunSeries(made_up({"dead_rate/l2": [0.0, 0.5], "dead_rate/l9": [0.0, 1.0]}, {"steps_per_epoch": "5"}))
    curves, axes = dict(logged_figures(series, {"unit_life": LIFE}, "t"))["unit_life"].axes
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [[1, 0], [1, 1], [2, 0], [1, 1]]
    assert [np.asarray(line.get_xydata()).tolist() for line in curves.lines] == [[[0, 0], [2, 0.5]]]


def test_signals_are_drawn_beside_theory_where_there_is_one() -> None:
    """A point for each layer that has the quantity; the axis of what spans a decade is logarithmic."""
    signal = pd.DataFrame(
        {
            "layer": ["l1", "l2", "l3"],
            "q_expected": [1.0, 0.5, None],
            "q_measured": [0.9, 0.6, None],
            "delta_expected": [0.01, 0.1, 1.0],
            "delta_measured": [0.02, 0.2, 1.0],
        }
    )
    deep = {"l1": None, "l2": FixedPoint(0.1, 0.5, 1.4427)}
    figure = dict(logged_figures(RunSeries(made_up({})), {"signal": signal}, "t", deep))["signal_propagation"]
    q, delta = figure.axes
    drawn = [{line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines} for axes in (q, delta)]
    assert drawn == [
        {"expected": [1.0, 0.5], "measured": [0.9, 0.6]},
        {"expected": [0.01, 0.1, 1.0], "measured": [0.02, 0.2, 1.0]},
    ]
    assert (q.get_yscale(), q.get_ylim(), delta.get_yscale()) == ("linear", (0, 1.05), "log")
    assert figure.get_supxlabel() == "deep nets of layers like l2: chi 0.5, depth scale 1.44 layers"
    none = signal.assign(q_measured=None)  # a net without activations
    assert not dict(logged_figures(RunSeries(made_up({})), {"signal": none}, "t"))
    signal = signal.assign(q_expected=None, delta_expected=None)
    bare = dict(logged_figures(RunSeries(made_up({})), {"signal": signal}, "t"))["signal_propagation"]
    assert [line.get_label() for axes in bare.axes for line in axes.lines] == ["measured", "measured"]
    assert bare.get_supxlabel() == ""


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (None, "signals grow for ever"),
        (FixedPoint(0.3, 1.25, None), "chi 1.25 is above 1, gradients explode: no depth scale"),
        (FixedPoint(1.0, 1.0, inf), "chi 1, depth scale ∞"),
    ],
)
def test_what_deep_nets_do_is_said(point: FixedPoint | None, said: str) -> None:
    """The figure says in words whether signals of deep nets grow, are chaotic or critical."""
    signal = pd.DataFrame({"layer": ["l1"], **{name: [1.0] for name in SIGNAL}})
    figure = dict(logged_figures(RunSeries(made_up({})), {"signal": signal}, "t", {"l1": point}))["signal_propagation"]
    assert figure.get_supxlabel() == f"deep nets of layers like l1: {said}"


def test_histograms_are_densities() -> None:
    """Counts over widths and their sum, for the activation only, without the bins that have no end."""
    figure = dict(logged_figures(RunSeries(made_up({})), {"histograms": HISTOGRAMS}, "t"))["activation_histograms"]
    (axes,) = figure.axes
    assert [np.asarray(line.get_xydata()).tolist() for line in axes.lines] == [
        [[0.5, 0.5], [2.0, 0.25]],
        [[0.5, 0.25], [2.5, 0.75]],
    ]


def _cells(axes: Axes) -> list[tuple[float, float, list[float | None]]]:
    """The rows of a panel: low, high, and the shares by step."""
    (mesh,) = axes.collections
    assert isinstance(mesh, QuadMesh)
    ends = mesh.get_coordinates()[:, 0, 1].tolist()
    shares = np.ma.masked_invalid(np.asarray(mesh.get_array(), dtype=float)).tolist()
    return list(zip(ends, ends[1:], shares, strict=False))


def test_histograms_over_time_by_hand() -> None:
    """Rows z, a, delta. Even bins are drawn as they are, empty ones left out.

    Others have one cell for 0 and the 2 % beside it: of the 110 numbers beside the bin of 0 one, and not three more.
    """
    bins = [
        ("l1", "a", 1, 0.0, 0.5, 3),
        ("l1", "a", 1, 1.0, 1.5, 1),
        ("l1", "a", 9, 0.5, 1.0, 4),
        ("l1", "z", 1, -0.01, 0.01, 50),
        ("l1", "z", 1, 0.01, 0.1, 1),
        ("l1", "z", 1, 0.1, 0.3, 3),
        ("l1", "z", 1, 0.3, 1.0, 96),
        ("l1", "z", 9, 1000.0, np.inf, 2),
        ("l1", "delta", 1, -0.01, 0.01, 7),
        ("l2", "z", 1, -1.0, -0.1, 8),
    ]
    table = pd.DataFrame(bins, columns=["layer", "quantity", "step", "low", "high", "count"])
    figure = dict(logged_figures(RunSeries(made_up({})), {"histograms": table}, "t"))["histograms_over_time"]
    z, z2, a, a2, delta, delta2, _colors = figure.axes
    assert _cells(a) == [
        (0.0, 0.5, [0.75, None]),
        (0.5, 1.0, [None, 1.0]),
        (1.0, 1.5, [0.25, None]),
    ]
    assert _cells(z) == [
        (-0.1, 0.1, [pytest.approx(51 / 150), None]),
        (0.1, 0.3, [pytest.approx(3 / 150), None]),
        (0.3, 1.0, [pytest.approx(96 / 150), None]),
        (1.0, 1e3, [None, None]),
        (1e3, 1e4, [None, 1.0]),
    ]
    assert _cells(z2) == [(-1.0, -0.1, [1.0, None])]
    assert _cells(delta) == [(-0.01, 0.01, [1.0, None])]
    assert (z.get_yscale(), a.get_yscale()) == ("symlog", "linear")
    assert [axes.axison for axes in (a2, delta, delta2)] == [False, True, False]


def test_regions_and_unit_lines_in_raw_coordinates() -> None:
    """A net whose one unit is (x₁ - 0.25): class 1 right of the line, in the coordinates of the data."""
    spec = wb.configure("data=xor", "loss=binary_nll", "architecture.hidden=[1]", "activation=tanh")
    pack = build_pack([spec])
    params = pack.initial_params()
    params["l1.W"][0].copy_(torch.tensor([[2.0, 0.0]]))  # inputs are scaled: (x - 0.5) / 0.5
    params["l1.b"].fill_(1.0)  # 2 · (x - 0.5) / 0.5 + 1 = 4 x - 1
    params["l2.W"].fill_(3.0)
    params["l2.b"].fill_(0.0)
    ((name, figure),) = weight_figures(spec, pack, params, "t")
    (axes,) = figure.axes
    assert name == "decision_boundary"
    said = np.asarray(axes.images[0].get_array())
    x = np.linspace(-0.1, 1.1, said.shape[1])
    assert (said == (x > 0.25)).all()
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == pytest.approx([0.25, 0.25])


def test_fitted_function_is_the_net_s() -> None:
    """The curve is what the exported model answers."""
    spec = wb.configure("data=curve", "architecture.hidden=[5]")
    pack = build_pack([spec])
    params = pack.initial_params()
    ((name, figure),) = weight_figures(spec, pack, params, "t")
    assert name == "fitted_function"
    x, y = np.asarray(figure.axes[0].lines[0].get_data())
    module, _, _ = standalone(spec, pack, params)
    expected = module(torch.tensor(x, dtype=torch.float32).unsqueeze(1))[:, 0].numpy()
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.slow
def test_first_weights_are_pictures() -> None:
    """Row u of W, in the shape of the picture, is image u."""
    spec = wb.configure("data=digits", "architecture.hidden=[3]")
    pack = build_pack([spec])
    params = pack.initial_params()
    ((name, figure),) = weight_figures(spec, pack, params, "t")
    assert name == "first_weights"
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    for image, w in zip(shown, params["l1.W"][0], strict=False):
        assert np.array_equal(np.asarray(image), w.view(8, 8).numpy())
    assert not has_weight_figure(wb.configure("data=wine"))


@pytest.mark.slow
def test_figures_of_a_run(cli: Cli, store: Store, folder: Path) -> None:
    """PNG and SVG in a folder and with the run, by name or the newest run."""
    trained("data=xor", "architecture.hidden=[4,4]", "train.epochs=3", "diagnostics=full")
    (run,) = runs_of(store)
    answer = cli("figures")
    assert (answer.code, answer.err) == (0, "")
    assert "weights: trained again, to the same bits" in answer.out
    names = {"gradient_flow", "signal_propagation", "saturation_over_time", "unit_life"}
    names |= {"activation_histograms", "histograms_over_time", "decision_boundary", "confusion_matrix"}
    place = folder / "figures" / run.info.run_id[:8]
    drawn = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert {file.name for file in place.iterdir()} == {*drawn, "class_scores.csv"}
    assert all(imread(file).std() > 0.01 for file in place.glob("*.png"))
    kept = {file.path for file in client_of(store).list_artifacts(run.info.run_id, "figures")}
    assert kept == {f"figures/{file.name}" for file in place.iterdir()}


@pytest.mark.slow
def test_figures_of_a_run_of_another_machine(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained on CUDA, drawn where there is none: what was logged needs no device."""
    trained("data=wine", "architecture.hidden=[5,5]", "train.epochs=2", "diagnostics=full")
    far = wb.configure("data=wine", "architecture.hidden=[5,5]", "device=cuda")
    monkeypatch.setattr("workbench.inspect.run_figures.spec_of", lambda kept: far)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = cli("figures")
    assert (answer.code, answer.err) == (0, "")
    assert "gradient_flow, signal_propagation, " in answer.out
