"""A small convolutional net: probes after each pool, orientation of its first filters, classes in its channels.

Trained as the dense nets are, with learning rates of its own; fewer seeds, as a run takes as long as ten of theirs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import workbench as wb

from . import filters, linear_probes, stages

Accuracies = Sequence[Sequence[float]]  # [stages, R]
Array = NDArray[np.float64]
NAME, FIRST, LAST, CHANCE = "convolutional", 0, -1, 0.1
DRAWN_ANEW = "split.label_noise=0.9"  # of ten classes every one is equally likely then
COMPONENTS, ALL = 64, 0
FEATURES = {f"{COMPONENTS} components": COMPONENTS, "all": ALL}
RANDOM = "random, as smooth"
DRAWS = 200  # of random filters for each filter
COMPARED = (  # part, and the representations whose probes are compared, with their stage
    ("convolutional_learned", ("trained", LAST), ("untrained", LAST)),
    ("over_dense", ("trained", LAST), ("dense net", FIRST)),
    ("random_convolutions", ("untrained", LAST), ("pixels", FIRST)),
)


class Net(NamedTuple):
    """Accuracy of probes by features, share of variance between classes by stage, and first filters [R, C, k, k]."""

    probes: Mapping[str, Accuracies]
    classes: Array
    filters: Array


def measure(study: wb.Study, data: Mapping[str, Sequence[str]], beside: Mapping[str, Accuracies]) -> Iterator[wb.Cell]:
    """Train, probe, compare; `data` are overrides by name, `beside` accuracies of pixels and dense net on them."""
    net = [override for override in study.claim.arms[NAME] if not override.startswith("data=")]
    tuned = study.tune(
        {f"{NAME}, {name}": [*own, *net] for name, own in data.items()},
        metric="valid/accuracy",
        tracked=False,
        chance=CHANCE,
    )
    anew = {f"{arm}, labels drawn anew": [*own, DRAWN_ANEW] for arm, own in tuned.items()}
    seeds = study.draws(min(study["seeds"], study[NAME]))
    trained = study.train({**tuned, **anew}, seeds, tracked=False)
    by_data = {name: nets(trained, f"{NAME}, {name}") for name in data}
    selective = {name: selectivities(found, study.rng(f"filters {name}")) for name, found in by_data.items()}
    for name, found in by_data.items():
        edge = trained.edge(f"{NAME}, {name}")
        yield from _probes(found, [one[: len(seeds)] for one in beside[name]], edge, name)
        yield from _filters(found, selective[name], edge, name)
    _keep(study, by_data, selective, seeds)


def nets(trained: wb.Trained, arm: str) -> dict[str, Net]:
    """Measure nets untrained, trained on labels drawn anew, and trained; probes learn the true labels."""
    pack, params = trained.final(arm)
    misled, model = trained.final(f"{arm}, labels drawn anew")[1], pack.objective.model
    found = {}
    for name, own in (("untrained", pack.initial_params()), ("labels drawn anew", misled), ("trained", params)):
        parts = [stages.outputs(model, own, linear_probes.whole(pack.data, part)) for part in ("train", "test")]
        flat = [[maps.reshape(*maps.shape[:2], -1) for maps in part] for part in parts]
        probes = {
            features: [linear_probes.of_codes(one, other, pack.data, count) for one, other in zip(*flat, strict=True)]
            for features, count in FEATURES.items()
        }
        labels = linear_probes.labels_of_test(pack.data)
        classes = [[stages.between_classes(*each) for each in zip(maps, labels, strict=True)] for maps in parts[1]]
        W = own["l1.W"].double().numpy()
        side = round(W.shape[2] ** 0.5)
        found[name] = Net(probes, np.array(classes), W.reshape(*W.shape[:2], side, side))
    return found


def _probes(found: Mapping[str, Net], beside: Accuracies, edge: tuple[str, ...], data: str) -> Iterator[wb.Cell]:
    """Compare accuracies of probes, seed by seed."""
    probes = {f: {name: net.probes[f] for name, net in found.items()} for f in FEATURES}
    reduced = {**probes[f"{COMPONENTS} components"], "pixels": beside[:1], "dense net": beside[1:]}
    for part, better, worse in COMPARED:
        pair = {name: reduced[name][stage] for name, stage in (better, worse)}
        yield _cell(part, _difference(pair), pair, edge, data=data)
    for features, own in probes.items():
        by_stage = {"last stage": own["trained"][LAST], "first stage": own["trained"][FIRST]}
        yield _cell("convolutional_layers", _difference(by_stage), by_stage, edge, data=data, features=features)
    gained = np.subtract(reduced["trained"], reduced["labels drawn anew"])
    scores = {name: reduced[name][LAST] for name in ("trained", "labels drawn anew")}
    yield _cell("general_to_specific", gained[LAST] - gained[FIRST], scores, edge, data=data)
    classes = found["trained"].classes
    yield _cell("classes_in_channels", classes[LAST] - classes[FIRST], scores, edge, data=data)


def selectivities(found: Mapping[str, Net], rng: np.random.Generator) -> dict[str, Array]:
    """Orientation selectivity of first filters, a mean over those of a net [R]: of each net, and of random ones.

    Random ones have the power of the trained at each spatial frequency, so that they are as smooth.
    """
    of_nets = {name: filters.selectivity(net.filters).mean(1) for name, net in found.items()}
    return of_nets | {RANDOM: filters.redrawn(found["trained"].filters, DRAWS, rng).mean((0, 2))}


def _filters(
    found: Mapping[str, Net], selective: Mapping[str, Array], edge: tuple[str, ...], data: str
) -> Iterator[wb.Cell]:
    """Compare the orientation selectivity of first filters."""
    scores = {name: found[name].probes["all"][LAST] for name in ("trained", "untrained")}
    for part, other in (("edges", "untrained"), ("edges_beyond_smoothness", RANDOM)):
        yield _cell(part, selective["trained"] - selective[other], scores, edge, data=data)


def _difference(pair: Mapping[str, Sequence[float]]) -> Array:
    first, second = pair.values()
    return np.subtract(first, second)


def _cell(part: str, values: Array, scores: Mapping[str, Sequence[float]], edge: tuple[str, ...], **at: str) -> wb.Cell:
    arms = tuple(wb.ArmScores(name, tuple(own), CHANCE) for name, own in scores.items())
    return wb.Cell(part, wb.PerSeed(tuple(values.tolist()), edge, arms), at)


def _keep(
    study: wb.Study,
    by_data: Mapping[str, Mapping[str, Net]],
    selective: Mapping[str, Mapping[str, Array]],
    seeds: Sequence[int],
) -> None:
    """Keep accuracies and shares by stage, selectivity by seed, and the filters of the first seed."""
    places = [(data, name, net) for data, found in by_data.items() for name, net in found.items()]
    study.keep(
        "stages",
        [
            {"data": data, "net": name, "stage": number + 1, "seed": seed, "between_classes": shares[row]}
            | {features: own[number][row] for features, own in net.probes.items()}
            for data, name, net in places
            for number, shares in enumerate(net.classes)
            for row, seed in enumerate(seeds)
        ],
    )
    study.keep(
        "selectivity",
        [
            {"data": data, "filters": name, "seed": seed, "selectivity": one}
            for data, of_data in selective.items()
            for name, several in of_data.items()
            for seed, one in zip(seeds, several, strict=True)
        ],
    )
    shown = {
        f"{data}, {name}, {number}": one.ravel()
        for data, name, net in places
        for number, one in enumerate(net.filters[0])
    }
    study.keep("filters", shown)
