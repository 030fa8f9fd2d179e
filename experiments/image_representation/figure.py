"""Figure of the claim: accuracy over depth for both data sets, and first weights."""

import numpy as np

import workbench as wb


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy over depth for both data sets, and first weights."""
    left, middle, right = figure.subplots(1, 3, width_ratios=[3, 3, 2])
    means = study.tables["probes"].groupby(["data", "representation", "layer"], sort=False)["accuracy"].mean()
    for panel, data in ((left, "digits"), (middle, "shifted_digits")):
        own = means[data]
        for name in ("untrained", "labels drawn anew", "trained"):
            panel.plot([0, *own[name].index], [own["pixels"][0], *own[name]], "o-", label=name)
        panel.axhline(own["components"][0], color="black", ls="--", label="components")
        panel.set(xlabel="hidden layer (0: pixels)", title=data.replace("_", " "), xticks=[0, *own["trained"].index])
    left.set(ylabel="test accuracy of a probe")
    middle.legend(fontsize="small")
    images = study.tables["weights"].to_numpy().T.reshape(-1, 8, 8)
    size = np.abs(images).max((1, 2), keepdims=True)
    framed = np.pad(images / size, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    right.imshow(np.block([list(row) for row in framed.reshape(4, 3, 9, 9)]), cmap="RdBu", vmin=-1, vmax=1)
    right.set(title="first weights", xticks=[], yticks=[])
