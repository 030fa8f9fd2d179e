"""Nets of piecewise linear units: affine between breakpoints, all of which are computed, and how many there are.

The lecture ("ReLU and Generalizations"): with ReLU, |z|, maxout or leaky ReLU units the network computes a piecewise
linear function, up to the output's activation. Along a random line every breakpoint of a random net is found layer by
layer; between two of them the net must be straight, and it must be the affine function that the cell's value and slope
say. Nets of smooth units, and probabilities in place of logits, must fail the same test. How many pieces there are is
not said by the lecture: as a sawtooth, 2 to the depth; at initialization, about one per unit, whatever the depth.
"""

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.figure import Figure

import workbench as wb

STRAIGHT = 1e-10  # a second difference, relative to the net's largest value, that counts as none
MOVES = 0.1  # nets whose logits move less along the line say nothing about the output's activation
SHAPES = ([32, 32], [128, 128], [64] * 4, [32] * 8, [128] * 4)
DEPTHS = range(1, 13)
SEGMENTS = 20


def sawtooth_pieces(depth: int) -> int:
    """Every layer folds all pieces in two."""
    return 2**depth


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Straight or not; counts of pieces by construction, at random, and of trained nets."""
    for unit in study.claim.parts["affine"].cells["unit"]:
        yield wb.Cell("affine", straight_cells(unit, study["nets"]), {"unit": unit})
    for unit in study.claim.parts["smooth"].cells["unit"]:
        yield wb.Cell("smooth", bent_nets(unit, "identity", study["nets"]), {"unit": unit})
    for output in study.claim.parts["output"].cells["output"]:
        yield wb.Cell("output", bent_nets("relu", output, study["nets"]), {"output": output})
    wrong = [depth for depth in DEPTHS if not is_sawtooth(depth)]
    yield wb.Cell("sawtooth", wb.Exact(len(DEPTHS), len(wrong), example=f"depths {wrong}"))
    yield from at_initialization(study)
    yield from on_digits(study)


def lines(unit: str, nets: int) -> Iterator[tuple]:
    """(net, line, pieces on it) of random nets: depth, widths, inputs, weights, biases and the line are drawn."""
    for seed in range(nets):
        net = wb.exact.regions.random_net(unit, seed)
        line = wb.exact.regions.random_line(net, seed)
        yield net, line, net.pieces(*line)


def straight_cells(unit: str, nets: int) -> wb.Exact:
    """Cells between breakpoints; a counterexample is one in which the net bends, or is not its affine function."""
    off = []
    for net, line, pieces in lines(unit, nets):
        curve = net.curve(*line)
        bend = wb.exact.regions.second_differences(curve, pieces)
        off += torch.maximum(bend, wb.exact.regions.distances(curve, pieces)).tolist()
    bad = sum(value > STRAIGHT for value in off)
    why = (
        "by induction over layers: an affine map keeps a cell affine, and so does a unit where z crosses no kink; "
        "largest deviation"
    )
    example = f"a cell of a {unit} net deviates by {max(off):.3g} of its largest value"
    return wb.Exact(len(off), bad, max(off), example, f"{why} {max(off):.1g}")


def bent_nets(unit: str, output: str, nets: int) -> wb.Exact:
    """Nets that move along their line; a counterexample is one that is straight between its breakpoints."""
    bends = []
    for net, line, pieces in lines(unit, nets):
        logits = net.curve(*line)(torch.linspace(0, 1, 50, dtype=torch.float64))
        if (logits.amax(0) - logits.amin(0)).max() > MOVES:
            bends.append(float(wb.exact.regions.second_differences(net.curve(*line, output), pieces).max()))
    straight = sum(bend <= STRAIGHT for bend in bends)
    example = f"a {unit} net with {output} output is straight between all its breakpoints"
    return wb.Exact(len(bends), straight, min(bends), example, f"the least of their largest bends is {min(bends):.1g}")


def is_sawtooth(depth: int) -> bool:
    """The constructed net has just the pieces that are expected, all with slopes ±2^depth, without rounding."""
    pieces = wb.exact.regions.sawtooth(depth).pieces(*(torch.tensor([end], dtype=torch.float64) for end in (0, 1)))
    steep = bool((pieces.slopes.abs() == 2**depth).all())
    return steep and wb.exact.regions.count(pieces) == sawtooth_pieces(depth)


def at_initialization(study: wb.Study) -> Iterator[wb.Cell]:
    """Pieces on the whole real line of nets of one input, by shape and seed; a regression over shapes for each seed."""
    counts = [
        [wb.exact.regions.regions_of_the_input(wb.exact.regions.gaussian_relu_net(shape, seed)) for shape in SHAPES]
        for seed in study.seeds
    ]
    units = np.array([sum(shape) for shape in SHAPES])
    depths = np.array([len(shape) for shape in SHAPES])
    table = np.array(counts)
    slopes = np.linalg.lstsq(np.stack([np.ones(len(SHAPES)), units, depths], 1), table.T, rcond=None)[0][1]
    by_depth = np.polyfit(depths, ((table - 1) / units).T, 1)[0]
    yield wb.Cell("pieces_per_unit", wb.PerSeed(tuple(slopes.tolist())))
    yield wb.Cell("pieces_by_depth", wb.PerSeed(tuple(by_depth.tolist())))
    shown = [
        {
            "shape": f"{len(shape)} x {shape[0]}",
            "depth": len(shape),
            "units": sum(shape),
            "seed": seed,
            "pieces": pieces,
        }
        for seed, row in zip(study.seeds, counts, strict=True)
        for shape, pieces in zip(SHAPES, row, strict=True)
    ]
    study.keep("initialization", shown)


def on_digits(study: wb.Study) -> Iterator[wb.Cell]:
    """Breakpoints per hidden unit on segments between two test digits, before and after training."""
    trained = study.train(seeds=range(study["digits_seeds"]), tracked=False)
    rows = []
    for arm, depth in zip(study.claim.arms, study.claim.parts["typical"].cells["depth"], strict=True):
        pack, final = trained.final(arm)
        pairs = study.rng("segments").integers(0, pack.data.test.size, (SEGMENTS, 2)).tolist()
        for when, params in (("before", pack.initial_params()), ("after", final)):
            means = []
            for replica in range(len(pack)):
                net = wb.exact.regions.Net.of(pack.objective.model, params, replica)
                x = pack.data.test.x[pack.data.split_of[replica]].double()
                found = [wb.exact.regions.count(net.pieces(x[a], x[b] - x[a])) - 1 for a, b in pairs if a != b]
                means.append(float(np.mean(found)) / sum(fan_out for fan_out, _ in [*net.model.products()][:-1]))
            rows += [{"depth": depth, "when": when, "breakpoints per unit": mean} for mean in means]
            yield wb.Cell("typical", wb.PerSeed(tuple(means)), {"when": when, "depth": depth})
    study.keep("digits", rows)


def draw(figure: Figure, study: wb.Study) -> None:
    """One line through a ReLU net and a tanh net; pieces by units at initialization; digits."""
    curve, counts, digits = figure.subplots(1, 3)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for unit in ("relu", "tanh"):
        net, line, pieces = next(lines(unit, 1))
        (drawn,) = curve.plot(t, net.curve(*line)(t)[:, 0], label=unit)
        if unit == "relu":
            knots = wb.exact.regions.breakpoints(pieces)
            curve.plot(
                knots, pieces.at(knots)[:, 0], "o", markersize=4, color=drawn.get_color(), label="its breakpoints"
            )
    curve.set(xlabel="t on the line", ylabel="output")
    curve.legend(fontsize="small")
    for shape, rows in study.tables["initialization"].groupby("shape", sort=False):
        beside = rows["units"] + 8 * (rows["depth"] - 4)  # three shapes have 256 units
        counts.plot(beside, rows["pieces"], "o", markersize=4, alpha=0.5, label=f"{shape}")
    counts.plot([0, 550], [1, 551], "k--", label="units + 1")
    counts.set(xlabel="hidden units", ylabel="pieces at initialization")
    counts.legend(fontsize="small", title="layers x width", title_fontsize="small")
    for (depth, when), rows in study.tables["digits"].groupby(["depth", "when"], sort=False):
        digits.plot([f"{depth} {when}"] * len(rows), rows["breakpoints per unit"], "o", alpha=0.5)
    digits.set(xlabel="hidden layers, training", ylabel="breakpoints per unit, digits", ylim=(0, None))
    digits.tick_params(axis="x", rotation=30)


if __name__ == "__main__":
    wb.reproduce("piecewise_linear")
