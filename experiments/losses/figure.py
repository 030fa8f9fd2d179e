"""Figure of the claim: δ over z, accuracy by loss, gain over λ."""

import numpy as np

import workbench as wb
from workbench.claims import plots

SCORES = {"diabetes": "R²", "digits": "accuracy"}


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """δ over z, accuracy by loss, gain over λ."""
    delta, accuracy, gain = plots.panels(figure, 3, ratios=[3, 4, 4])
    z = np.linspace(-8, 8, 200)
    a = 1 / (1 + np.exp(-z))
    delta.plot(z, 1 - a, label="likelihood")
    delta.plot(z, (1 - a) * a * (1 - a), "--", label="squared error")
    delta.set(xlabel="z", ylabel="|δ|", title="Logistic output, y = 1")
    plots.key(delta, 1)
    plots.dots(accuracy, study.tables["accuracy"], "arm", "accuracy")
    accuracy.set(xlabel="test accuracy", title="Digits, two hidden layers")
    scores = study.tables["regularizer"].assign(score=lambda rows: rows["data"] + ", " + rows["data"].map(SCORES))
    plots.lines(gain, scores, "score", "λ", "gain")
    gain.axhline(0, **plots.REFERENCE)
    gain.set(xscale="log", xlabel="λ", ylabel="test score − that with λ = 0", title="Regularizer")
    plots.key(gain, 1)
