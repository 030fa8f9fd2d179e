"""Figure of the claim: δ over z, accuracy by loss, gain over λ."""

import numpy as np

import workbench as wb


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """δ over z, accuracy by loss, gain over λ."""
    delta, accuracy, gain = figure.subplots(1, 3)
    z = np.linspace(-8, 8, 200)
    a = 1 / (1 + np.exp(-z))
    delta.plot(z, 1 - a, label="likelihood")
    delta.plot(z, (1 - a) * a * (1 - a), label="squared error")
    delta.set(xlabel="z", ylabel="|δ|", title="logistic output, y = 1")
    delta.legend(fontsize="small", loc="center right")
    rows = study.tables["accuracy"]
    accuracy.plot(rows["accuracy"], rows["arm"], "o", markersize=4, alpha=0.5)
    accuracy.set(xlabel="test accuracy", title="digits, two hidden layers")
    for data, own in study.tables["regularizer"].groupby("data", sort=False):
        means = own.groupby("λ")["gain"].mean()
        gain.plot(means.index, means, "o-", label=f"{data}, {'R²' if data == 'diabetes' else 'accuracy'}")
    gain.axhline(0, color="black", lw=0.8)
    gain.set(xscale="log", xlabel="λ", ylabel="test score − that with λ = 0", title="regularizer")
    gain.legend(fontsize="small")
