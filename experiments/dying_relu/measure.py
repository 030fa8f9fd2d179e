"""Rates at which rectifiers die, at birth and in training, with b = 0 and b = 0.1.

Slide "ReLU vs. Sigmoid and Tanh". Before training, a narrow deep net is often constant: this is simulated for random
nets and held against derived bounds. Then nets are trained on |x|, where a constant is easily seen, and on digits,
where only test accuracy counts; learning rates are tuned for every arm. Narrow and usual nets are decided apart.
"""

from collections.abc import Iterator
from itertools import product
from math import sqrt

import numpy as np
import torch

import workbench as wb
from workbench.engine.replicas import Pack
from workbench.nn.params import Params

from . import born_dead

CHANCE, LEARNED, CONSTANT = 0.1, 0.99, 1e-6
USUAL = 3  # hidden layers of nets on digits
DEEP = 9  # those of the nets that learn |x|
GROUPS = 20  # of random nets whose means count as one value
ABSOLUTE = ["data=curve", "data.target=absolute", "data.points=128", f"data.low={-sqrt(3)}", f"data.high={sqrt(3)}"]
SHORT = ["train.epochs=50", "train.batch_size=16", "diagnostics=off"]  # 400 steps
BIASES = {"b=0": 0.0, "b=0.01": 0.01, "b=0.1": 0.1, "b=1": 1.0}


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Random nets, nets on |x|, nets on digits, and learning rates that are too high."""
    yield from random_nets(study)
    yield from live_domain(study)
    yield from narrow(study)
    yield from digits(study)
    yield from high_rates(study)


def stream(study: wb.Study, name: str) -> torch.Generator:
    """A stream of torch's, fixed by the claim and this word."""
    return torch.Generator().manual_seed(int(study.rng(name).integers(2**63)))


def random_nets(study: wb.Study) -> Iterator[wb.Cell]:
    """Constant before training: the first layers of deep nets stand for the shallower ones."""
    part, nets, rows = study.claim.parts["in_bounds"], study["nets"], []
    depths = part.values("depth", int)
    for width in part.values("width", int):
        died = born_dead.deaths(width, max(depths) - 1, nets, stream(study, f"born dead {width}"))
        for depth in depths:
            dead, (low, high) = int(died[depth - 2]), born_dead.bounds(width, depth)
            found, off = outside(dead / nets, low, high, nets)
            where = f"width {width}, {depth} layers: {dead / nets:.5f} ± {found:.5f}, from {low:.5f} to {high:.5f}"
            yield wb.Cell("in_bounds", wb.Exact(1, int(off), 0.0, where, where), {"width": width, "depth": depth})
            yield wb.Cell("born_dead", wb.Rate(dead, nets), {"width": width, "depth": depth})
            rows.append((width, depth, dead / nets, found, low, high))
    study.keep(
        "born_dead", [dict(zip(("width", "depth", "share", "error", "low", "high"), row, strict=True)) for row in rows]
    )


def outside(share: float, low: float, high: float, nets: int) -> tuple[float, bool]:
    """The share's standard error, and whether it lies beyond a bound by more than four of the bound's."""
    error, at_low, at_high = (sqrt(p * (1 - p) / nets) for p in (share, low, high))
    return error, share > high + 4 * at_high or share < low - 4 * at_low


def live_domain(study: wb.Study) -> Iterator[wb.Cell]:
    """Measure the share of the input domain where random nets have a slope, with and without b."""
    part, biases, rows = study.claim.parts["more_alive"], tuple(BIASES.values()), []
    for width in part.values("width", int):
        for depth in part.values("depth", int):
            nets = stream(study, f"alive {width} {depth}")
            shares = born_dead.live_shares(width, depth, biases, study["slopes"], nets)
            gain = (shares[2] - shares[0]).view(GROUPS, -1).mean(1)
            yield wb.Cell("more_alive", wb.PerSeed(tuple(gain.tolist())), {"width": width, "depth": depth})
            constant = (shares == 0).double().mean(1)
            rows += [
                (width, depth, *row) for row in zip(biases, shares.mean(1).tolist(), constant.tolist(), strict=True)
            ]
    study.keep("alive", [dict(zip(("width", "depth", "b", "live", "constant"), row, strict=True)) for row in rows])


def hidden(depth: int, width: int) -> str:
    """So many layers of this width."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def narrow(study: wb.Study) -> Iterator[wb.Cell]:
    """|x| by 10 affine layers: which learn it, and which end as a constant."""
    parts, rows, ways = study.claim.parts, [], study.claim.arms
    widths = parts["helps_narrow"].values("width", int)
    names = {(way, width): f"{way} on |x|, width {width}" for width in widths for way in ways}
    nets = {name: [*ways[way], *ABSOLUTE, *SHORT, hidden(DEEP, width)] for (way, width), name in names.items()}
    tuned = study.tune(nets, tracked=False)
    trained = study.train(tuned, tracked=False)
    learned = {name: np.array(trained.values(name, "train/r2", -1.0)) > LEARNED for name in tuned}
    for (way, width), name in names.items():
        flat, none = constant(*trained.final(name)), names["b=0", width]
        rows.append({"width": width, "way": way, **wb.Rate.of(learned[name]).interval(0.95)._asdict()})
        if name == none:
            yield wb.Cell("collapses", wb.Rate.of(flat), {"width": width})
            continue
        part, at = compared(way)
        edge = tuple(one for one in (name, none) if one in tuned.at_edge)
        yield wb.Cell(part, wb.Rates.of(learned[name], learned[none], edge), {**at, "width": width})
    study.keep("narrow", rows)


def compared(way: str) -> tuple[str, dict[str, str | float]]:
    """The part that compares a way to begin with b = 0, and the way's coordinate in it."""
    if way == "b=0.1":
        return "helps_narrow", {}
    return ("other_biases", {"b": BIASES[way]}) if way in BIASES else ("other_ways", {"way": way})


def constant(pack: Pack, params: Params) -> np.ndarray:
    """Mark the trained nets whose output is the same finite number for all training inputs."""
    x, y = pack.data.chunk(pack.data.train, 0, pack.data.train.size)
    outputs, _ = pack.objective.model.forward(params, x)
    span = outputs.amax((1, 2)) - outputs.amin((1, 2))
    flat: np.ndarray = (span <= CONSTANT * (y.amax((1, 2)) - y.amin((1, 2)))).numpy()
    return flat


def digits(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracy and dead units over depth, width and b."""
    part, seeds, rows = study.claim.parts["helps_digits"], study.seeds[: study["digits_seeds"]], []
    sizes = list(product(part.values("depth", int), part.values("width", int)))
    names = {(b, *size): wb.Arm(f"{b} on digits", depth=size[0], width=size[1]) for size in sizes for b in BIASES}
    nets: dict[str, list[str]] = {
        name: [*study.claim.arms[b], hidden(depth, width)] for (b, depth, width), name in names.items()
    }
    trained = study.train(study.tune(nets, tracked=False, chance=CHANCE), seeds, tracked=False)
    for depth, width in sizes:
        at, pair = {"depth": depth, "width": width}, (names["b=0.1", depth, width], names["b=0", depth, width])
        found = trained.differences("test/accuracy", *pair, diverged=CHANCE)
        yield wb.Cell("helps_digits", found, at)
        dead = {b: dead_share(trained, names[b, depth, width], depth) for b in BIASES}
        yield wb.Cell("fewer_dead", wb.PerSeed(tuple(dead["b=0"] - dead["b=0.1"]), found.at_edge, found.arms), at)
        for b in BIASES:
            accuracies = trained.values(names[b, depth, width], "test/accuracy", CHANCE)
            rows += [{**at, "b": b, "accuracy": one, "dead": two} for one, two in zip(accuracies, dead[b], strict=True)]
    study.keep("digits", rows)


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Nets of three layers on digits, with b = 0.1 and b = 0."""
    arms: dict[str, list[str]] = {
        wb.Arm(f"{b} on digits", depth=USUAL, width=width): [*study.claim.arms[b], hidden(USUAL, width)]
        for b in ("b=0.1", "b=0")
    }
    first, second = arms
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE), tracked=False)
    found = trained.differences("test/accuracy", first, second, diverged=CHANCE)
    yield wb.Cell("helps_digits", found, {"depth": USUAL, "width": 64})


def dead_share(trained: wb.Trained, arm: str, depth: int) -> np.ndarray:
    """Dead share of each run's units, over hidden layers."""
    layers = np.array([trained.values(arm, f"dead_rate/l{layer}", 0.0) for layer in range(1, depth + 1)])
    return np.asarray(layers.mean(0))


def high_rates(study: wb.Study) -> Iterator[wb.Cell]:
    """Units that die in training, by learning rate."""
    rates, seeds, rows = (
        study.claim.parts["dies_in_training"].values("lr", float),
        study.seeds[: study["digits_seeds"]],
        [],
    )
    sgd = [hidden(3, 64), "optimizer=sgd", "diagnostics.spacing=1"]  # units at the last epoch, also of what diverges
    arms = [wb.Arm(b, lr=lr) for b in ("b=0", "b=0.1") for lr in rates]
    overrides: dict[str, list[str]] = {
        arm: [*sgd, *study.claim.arms[arm.name], f"optimizer.lr={arm.at['lr']}"] for arm in arms
    }
    trained = study.train(overrides, seeds, tracked=False)
    for arm in arms:
        layers = [trained.course(arm, f"dead_rate/l{layer}") for layer in (1, 2, 3)]
        died = np.mean([[course[-1] - course[0] for course in layer] for layer in layers], axis=0)
        rows += [{"arm": arm.name, **arm.at, "died": one} for one in died]
        if arm.name == "b=0":
            yield wb.Cell("dies_in_training", wb.PerSeed(tuple(died)), arm.at)
    study.keep("high_rates", rows)
