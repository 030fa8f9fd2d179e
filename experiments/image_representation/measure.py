"""What does a trained net know of an image that its pixels and an untrained net do not show?

Slides "Representation Learning: Images". Hidden layers are frozen and a linear probe, the same for all of them, is
fitted to each: of nets before training, after it, and after training on labels without meaning. On digits in their
place pixels are good features; on digits at random places they are bad ones. A convolutional net is measured on the
latter, and on other pictures where a folder of them is named, by its probes, first filters and channels.
"""

from collections.abc import Iterator

import numpy as np

import workbench as wb
from workbench.claims.specification_map import named_pictures

from . import convolutional, linear_probes
from .convolutional import CHANCE, COMPONENTS, DRAWN_ANEW, FIRST, LAST

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
    pictures = named_pictures(study)
    dense = {name: own for name, own in study.claim.arms.items() if name != convolutional.NAME} | pictures
    tuned = study.tune(dense, metric="valid/accuracy", tracked=False, chance=CHANCE)
    shuffled = {f"{data}, labels drawn anew": [*own, DRAWN_ANEW] for data, own in tuned.items()}
    study.train(tuned)
    trained = study.train({**tuned, **shuffled}, tracked=False)
    rows, beside = [], {}
    for data in tuned:
        found = probes(trained, data)
        beside[data] = found["pixels"][0], found["trained"][LAST]
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
    moving = {name: own for name, own in dense.items() if name != "digits"}
    yield from convolutional.measure(study, moving, beside)


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Probes of the last layer, trained and untrained, on images in their place."""
    arms = {"trained": [f"architecture.hidden=[{width},{width},{width}]"]}
    tuned = study.tune(arms, metric="valid/accuracy", tracked=False, chance=CHANCE)
    pack, params = study.train(tuned, tracked=False).final("trained")
    nets = {"trained": params, "untrained": pack.initial_params()}
    model = pack.objective.model
    scores = {name: linear_probes.of_layers(model, net, pack.data, LAST)[0] for name, net in nets.items()}
    found = tuple(wb.ArmScores(name, tuple(one), CHANCE) for name, one in scores.items())
    gain = tuple(np.subtract(scores["trained"], scores["untrained"]))
    yield wb.Cell("learned", wb.PerSeed(gain, tuned.at_edge, found), {"data": "digits"})


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
