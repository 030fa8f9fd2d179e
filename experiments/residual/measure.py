"""Residual learning: does it train nets of any depth?

Slide "A Rapidly Evolving Field". Plain and residual nets of the same width take the same steps at growing depth, each
arm and depth with its own learning rate. Depth must hurt the plain net, or there is nothing to allow, and must not hurt
the residual one. Two other roads to depth stand beside it: orthogonal weights, and gates.
"""

from collections.abc import Iterator, Sequence
from math import log

import numpy as np
import torch

import workbench as wb

LOSS, ACCURACY, TRAINED = "train/loss", "test/accuracy", "train/accuracy"
UNTRAINED, CHANCE = log(10), 0.1
BASE, DEEPER = 10, 30


def sized(study: wb.Study, arm: str, depth: int, width: int = 32) -> list[str]:
    """The arm with this many hidden layers or blocks of so many units."""
    units = f"architecture.width={width}"
    sizes = {
        "architecture=mlp": [f"architecture.hidden=[{','.join([str(width)] * depth)}]"],
        "architecture=residual_mlp": [units, f"architecture.blocks={depth}"],
        "architecture=highway_mlp": [units, f"architecture.depth={depth}"],
    }
    overrides = study.claim.arms[arm]
    return [*overrides, *sizes[overrides[0]]]


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Nets before training, then trained ones."""
    yield wb.Cell("sum_explodes", wb.PerSeed(tuple(growth(study))))
    yield from training(study)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """All arms at all depths."""
    depths = {arm: study["highway" if arm == "highway" else "depths"] for arm in study.claim.arms}
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=d): sized(study, arm, d) for arm, several in depths.items() for d in several
    }
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    for part, at, first, second in pairs(study):
        yield wb.Cell(part, trained.differences(LOSS, first, second, UNTRAINED, TRAINED, CHANCE), at)
    for block in study.claim.parts["trend"].values("block", str):
        yield wb.Cell("trend", trend(trained, block, [d for d in study["depths"] if d >= BASE]), {"block": block})
    deepest = max(study.claim.parts["residual_holds"].values("depth", int))
    for block in study.claim.parts["pays"].values("block", str):
        names = wb.Arm(f"{block}", depth=deepest), wb.Arm(f"{block}", depth=BASE)
        yield wb.Cell("pays", trained.differences(ACCURACY, *names, diverged=CHANCE), {"block": block})
    for d in depths["highway"]:
        yield wb.Cell("highway", orders(trained, wb.Arm("plain", depth=d), wb.Arm("highway", depth=d)), {"depth": d})
    keep(study, trained, depths)


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Thirty scaled blocks against ten."""
    block = "scaled"
    arms: dict[str, list[str]] = {wb.Arm(block, depth=d): sized(study, block, d, width) for d in (DEEPER, BASE)}
    first, second = arms
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    found = trained.differences(LOSS, first, second, UNTRAINED, TRAINED, CHANCE)
    yield wb.Cell("residual_holds", found, {"block": block, "depth": DEEPER})


def pairs(study: wb.Study) -> Iterator[tuple[str, dict[str, str | int], str, str]]:
    """Part, cell, and the two arms whose train loss is compared."""
    for d in study["depths"]:
        yield "better", {"depth": d}, wb.Arm("plain", depth=d), wb.Arm("scaled", depth=d)
        if d >= BASE:
            yield "not_necessary", {"depth": d}, wb.Arm("orthogonal tanh", depth=d), wb.Arm("scaled", depth=d)
        if d > BASE:
            yield "plain_degrades", {"depth": d}, wb.Arm("plain", depth=d), wb.Arm("plain", depth=BASE)
            for block in ("scaled", "normalized"):
                deep, base = wb.Arm(block, depth=d), wb.Arm(block, depth=BASE)
                yield "residual_holds", {"block": block, "depth": d}, deep, base


def trend(trained: wb.Trained, block: str, depths: Sequence[int]) -> wb.PerSeed:
    """Slope of the train loss against log2 of the blocks, by least squares, seed by seed."""
    arms = [wb.Arm(block, depth=d) for d in depths]
    slope, _ = np.polyfit(np.log2(depths), [trained.values(arm, LOSS, UNTRAINED) for arm in arms], 1)
    scores = tuple(trained.scores(arm, TRAINED, CHANCE) for arm in (arms[0], arms[-1]))
    return wb.PerSeed(tuple(slope), trained.edge(*arms), scores)


def orders(trained: wb.Trained, *arms: str) -> wb.PerSeed:
    """Orders of magnitude between the train losses of two arms."""
    losses = [np.log10(trained.values(arm, LOSS, UNTRAINED)) for arm in arms]
    scores = tuple(trained.scores(arm, TRAINED, CHANCE) for arm in arms)
    return wb.PerSeed(tuple(losses[0] - losses[1]), trained.edge(*arms), scores)


def growth(study: wb.Study, *overrides: str) -> np.ndarray:
    """ln of the factor by which a bare block multiplies the variance before training."""
    spreads = []
    for blocks in (10, 40):
        bare = ["architecture=residual_mlp", "architecture.order=activation_first", "architecture.width=256"]
        pack = study.pack(*bare, f"architecture.blocks={blocks}", "dtype=float64", *overrides)
        x, _ = pack.data.chunk(pack.data.train, 0, 128)
        z, _ = pack.objective.model.forward(pack.initial_params(), x)
        spreads.append(torch.log(z.square().mean((1, 2))).numpy())
    grown: np.ndarray = spreads[1] - spreads[0]
    return grown / 30


def keep(study: wb.Study, trained: wb.Trained, depths: dict[str, list[int]]) -> None:
    """Loss and accuracy of every run, for the figure."""
    rows = [(arm, d, wb.Arm(arm, depth=d)) for arm, several in depths.items() for d in several]
    study.keep(
        "runs",
        [
            {"net": arm, "depth": d, "loss": loss, "accuracy": accuracy}
            for arm, d, name in rows
            for loss, accuracy in zip(
                trained.values(name, LOSS, UNTRAINED), trained.values(name, ACCURACY, CHANCE), strict=True
            )
        ],
    )
