"""Test results of a classification by class: confusion matrix, precision, recall and F1, by scikit-learn."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.table import Table
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from workbench.core.terminal import FittingTable
from workbench.data.datasets import Array, Dataset
from workbench.data.sources import shown
from workbench.engine.replicas import Pack
from workbench.inspect.figure_style import canvas
from workbench.nn.params import Params

MOST_CLASSES = 30  # that a figure and a table can show
EXAMPLES = 512  # computed at once
NUMBERS = ("precision", "recall", "f1")


def truth_and_guesses(pack: Pack, params: Params) -> tuple[Array, Array]:
    """True and predicted class [N] of each test example of a pack of one, or of each target at a position."""
    data, objective = pack.data, pack.objective
    guesses = []
    for start in range(0, data.test.size, EXAMPLES):
        x, _ = data.chunk(data.test, start, start + EXAMPLES)
        guesses.append(objective.loss.winner(objective.model.forward(params, x)[0])[0])
    labels, guessed = data.test.labels[int(data.split_of[0])].cpu(), torch.cat(guesses).cpu()
    there = labels != data.n_classes
    return labels[there].numpy(), guessed[there].numpy()


def names_of(dataset: Dataset) -> list[str]:
    """Names of the classes; their numbers, where they have no others."""
    return [shown(name, 30) for name in dataset.classes or range(dataset.n_classes or 0)]


def class_table(names: Sequence[str], truth: Array, guesses: Array) -> pd.DataFrame:
    """Number of examples, precision, recall and F1 of each class; the last row has the mean over the classes.

    A score whose denominator is 0 is 0.
    """
    scores = precision_recall_fscore_support(truth, guesses, labels=range(len(names)), zero_division=0)
    table = pd.DataFrame({"class": names, "examples": scores[3], **dict(zip(NUMBERS, scores[:3], strict=True))})
    means = {name: table[name].mean() for name in NUMBERS}
    return pd.concat([table, pd.DataFrame([{"class": "mean", "examples": len(truth), **means}])], ignore_index=True)


def printed(table: pd.DataFrame) -> Table:
    """The table of `class_table` for a terminal."""
    shown_table = FittingTable("class", title="test part by class", title_justify="left", box=None, pad_edge=False)
    for heading in ("examples", *NUMBERS):
        shown_table.add_column(heading, justify="right")
    for row in table.itertuples(index=False):
        shown_table.add_row(row[0], str(row[1]), *(f"{value:.3f}" for value in row[2:]))
    return shown_table


def confusion_figure(names: Sequence[str], truth: Array, guesses: Array, title: str) -> Figure:
    """Draw how many test examples of each class (row) were taken for which (column); shades are shares of a row."""
    counts = confusion_matrix(truth, guesses, labels=range(len(names)))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.4 + 0.42 * len(names)
    figure, (axes,) = canvas(title, inches=(side + 0.8, side))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure
