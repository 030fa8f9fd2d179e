"""Results by class: the table is scikit-learn's report, the figure has the counts, and both are kept with the run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import classification_report

import workbench as wb
from tests.outer import Answer, client_of, runs_of
from workbench.config.prepare import build_pack, prepare
from workbench.data.datasets import Dataset
from workbench.inspect.class_scores import class_table, confusion_figure, names_of, truth_and_guesses
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

TRUTH = np.array([0, 0, 0, 1, 1, 2])
GUESSES = np.array([0, 0, 1, 1, 0, 1])
NAMES = ["a", "b", "c"]


def test_the_table_is_scikit_learns_report() -> None:
    """Precision, recall, F1 and examples by class, and their means; a class that is never predicted has 0."""
    report = classification_report(TRUTH, GUESSES, target_names=NAMES, output_dict=True, zero_division=0)
    table = class_table(NAMES, TRUTH, GUESSES)
    for row, name in zip(table.itertuples(index=False), [*NAMES, "macro avg"], strict=True):
        expected = [report[name][key] for key in ("support", "precision", "recall", "f1-score")]
        assert list(row)[1:] == pytest.approx(expected)
    assert table["class"].tolist() == [*NAMES, "mean"]


def test_the_figure_has_the_counts() -> None:
    """Each pair that occurs has its count at (predicted, true); shades are shares of the true class."""
    axes = confusion_figure(NAMES, TRUTH, GUESSES, "t").axes[0]
    counts = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert counts == {(0, 0): "2", (1, 0): "1", (0, 1): "1", (1, 1): "1", (1, 2): "1"}
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0.5, 0.5, 0], [0, 1, 0]])


@pytest.mark.parametrize("loss", ["softmax_nll", "binary_nll", "weighted_nll"])
def test_classes_of_the_test_part(loss: str) -> None:
    """True classes are those of the split, and predicted ones the largest outputs or those above one half."""
    spec = wb.configure("data=breast_cancer", f"loss={loss}", "architecture.hidden=[3]")
    pack = build_pack([spec])
    params = pack.initial_params()
    truth, guesses = truth_and_guesses(pack, params)
    assert truth.tolist() == prepare(spec).split(spec.config.split).test.y.tolist()
    outputs = pack.objective.loss.predict(pack.objective.model.forward(params, pack.data.test.x)[0])[0]
    expected = (outputs[:, 0] > 0.5).long() if loss == "binary_nll" else outputs.argmax(1)
    assert guesses.tolist() == expected.tolist()


def test_names_of_classes(tmp_path: Path) -> None:
    """Texts and numbers of a table name the classes; other data sets number them."""
    (tmp_path / "own.csv").write_text("a,kind,number\n1,x,3\n2,y,7\n4,x,7\n")
    run = ["data=table", f"data.path={tmp_path / 'own.csv'}"]
    assert names_of(prepare(wb.configure(*run, "data.target=kind")).dataset) == ["x", "y"]
    assert names_of(prepare(wb.configure(*run, "data.target=number")).dataset) == ["3", "7"]
    assert names_of(Dataset("own", np.ones((2, 1)), np.array([0, 1]), 2)) == ["0", "1"]


@pytest.mark.slow
def test_a_run_keeps_them(cli: Callable[..., Answer], store: Store, folder: Path) -> None:
    """`workbench figures` prints the table, and keeps it and the figure with the run."""
    assert cli("train", "data=wine", "architecture.hidden=[4]", "train.epochs=2").code == 0
    answer = cli("figures")
    assert answer.code == 0, answer.err
    assert "test part by class" in answer.out
    (run,) = runs_of(store)
    kept = {file.path for file in client_of(store).list_artifacts(run.info.run_id, "figures")}
    assert {"figures/class_scores.csv", "figures/confusion_matrix.png"} <= kept
    table = pd.read_csv(next(folder.glob("figures/*/class_scores.csv")))
    assert table["examples"].tolist()[-1] == table["examples"].iloc[:-1].sum()
    assert table["recall"].iloc[:-1] @ table["examples"].iloc[:-1] / table["examples"].iloc[-1] == pytest.approx(
        run.data.metrics["test/accuracy"]
    )
