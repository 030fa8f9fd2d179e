"""What does a trained net know of an image that its pixels and an untrained net do not show?

Slides "Representation Learning: Images". Hidden layers are frozen and a linear probe, the same for all of them, is
fitted to each: of nets before training, after it, and after training on labels without meaning. On digits in their
place pixels are good features; on digits at random places they are bad ones.
"""

from collections.abc import Iterator

import numpy as np

import workbench as wb

from . import linear_probes

DRAWN_ANEW = "split.label_noise=0.9"  # of ten classes every one is equally likely then
COMPONENTS, FIRST, LAST, CHANCE = 64, 0, -1, 0.1
SHOWN = 12
COMPARED = (  # part, and the representations whose probes are compared, with their layer
    ("learned", ("trained", LAST), ("untrained", LAST)),
    ("layer_by_layer", ("trained", LAST), ("trained", FIRST)),
    ("over_pixels", ("trained", LAST), ("pixels", FIRST)),
    ("over_components", ("trained", LAST), ("components", FIRST)),
    ("by_labels", ("trained", LAST), ("labels drawn anew", LAST)),
    ("random_first", ("untrained", FIRST), ("pixels", FIRST)),
    ("random_deeper", ("untrained", FIRST), ("untrained", LAST)),
)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Train, probe, compare."""
    tuned = study.tune(metric="valid/accuracy", tracked=False, chance=CHANCE)
    shuffled = {f"{data}, labels drawn anew": [*own, DRAWN_ANEW] for data, own in tuned.items()}
    study.train(tuned)
    trained = study.train({**tuned, **shuffled}, tracked=False)
    rows = []
    for data in tuned:
        found = probes(trained, data)
        edge = tuple({data} & set(tuned.at_edge))
        for part, better, worse in COMPARED:
            pair = [found[name][layer] for name, layer in (better, worse)]
            names = better[0], worse[0]
            arms = tuple(wb.ArmScores(name, tuple(one), CHANCE) for name, one in zip(names, pair, strict=True))
            yield wb.Cell(part, wb.PerSeed(tuple(np.subtract(pair[0], pair[1])), edge, arms), {"data": data})
        rows += [
            {"data": data, "representation": name, "layer": layer, "seed": seed, "accuracy": accuracy}
            for name, layers in found.items()
            for layer, several in enumerate(layers, start=name not in ("pixels", "components"))
            for seed, accuracy in zip(study.seeds, several, strict=True)
        ]
    study.keep("probes", rows)
    weights = trained.final("digits")[1]["l1.W"][0][:SHOWN]
    study.keep("weights", {f"unit {number}": one.tolist() for number, one in enumerate(weights)})


def probes(trained: wb.Trained, data: str) -> dict[str, list[list[float]]]:
    """Representation -> accuracy of its probe, by layer and seed; labels are the true ones for all of them."""
    pack, params = trained.final(data)
    (_, misled), model = trained.final(f"{data}, labels drawn anew"), pack.objective.model
    nets = {"untrained": pack.initial_params(), "labels drawn anew": misled, "trained": params}
    return {
        "pixels": [linear_probes.of_pixels(pack.data)],
        "components": [linear_probes.of_pixels(pack.data, COMPONENTS)],
        **{name: linear_probes.of_layers(model, own, pack.data) for name, own in nets.items()},
    }


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
