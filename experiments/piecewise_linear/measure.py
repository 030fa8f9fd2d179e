"""Nets of piecewise linear units: affine between breakpoints, all of which are computed, and how many there are.

The lecture ("ReLU and Generalizations"): with ReLU, |z|, maxout or leaky ReLU units the network computes a piecewise
linear function, up to the output's activation. Along a random line every breakpoint of a random net is found layer by
layer; between two of them the net must be straight, and it must be the affine function that the cell's value and slope
say. Nets of smooth units, and probabilities in place of logits, must fail the same test. How many pieces there are is
not said by the lecture: as a sawtooth, 2 to the depth; at initialization, about one per unit, whatever the depth.
"""

from collections.abc import Iterator, Sequence

import workbench as wb

from . import random_lines

STRAIGHT = 1e-10  # a second difference, relative to the net's largest value, that counts as none
MOVES = 0.1  # nets whose logits move less along the line say nothing about the output's activation
SHAPES = ([32, 32], [128, 128], [64] * 4, [32] * 8, [128] * 4)
DEPTHS = range(1, 13)
SEGMENTS = 20
WHY = "by induction over layers: an affine map keeps a cell affine, and so does a unit where z crosses no kink"


def sawtooth_pieces(depth: int) -> int:
    """Every layer folds all pieces in two."""
    return int(2**depth)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Straight or not; counts of pieces by construction, at random, and of trained nets."""
    parts, nets = study.claim.parts, study.draws(study["nets"])
    for unit in parts["affine"].values("unit", str):
        yield wb.Cell("affine", straight_cells(unit, nets), {"unit": unit})
    for unit in parts["smooth"].values("unit", str):
        yield wb.Cell("smooth", bent_nets(unit, "identity", nets), {"unit": unit})
    for output in parts["output"].values("output", str):
        yield wb.Cell("output", bent_nets("relu", output, nets), {"output": output})
    wrong = [depth for depth in DEPTHS if not random_lines.is_sawtooth(depth, sawtooth_pieces(depth))]
    yield wb.Cell("sawtooth", wb.Exact(len(DEPTHS), len(wrong), example=f"depths {wrong}"))
    yield from at_initialization(study)
    yield from on_digits(study)


def straight_cells(unit: str, nets: Sequence[int]) -> wb.Exact:
    """Cells between breakpoints; a counterexample is one in which the net bends, or is not its affine function."""
    off = random_lines.deviations(unit, nets)
    example = f"a cell of a {unit} net deviates by {max(off):.3g} of its largest value"
    return wb.Exact.within(off, STRAIGHT, example, f"{WHY}; largest deviation {max(off):.1g}")


def bent_nets(unit: str, output: str, nets: Sequence[int]) -> wb.Exact:
    """Nets that move along their line; a counterexample is one that is straight between its breakpoints."""
    bends = random_lines.bends(unit, output, nets, MOVES)
    example = f"a {unit} net with {output} output is straight between all its breakpoints"
    straight = sum(bend <= STRAIGHT for bend in bends)
    return wb.Exact(len(bends), straight, min(bends), example, f"the least of their largest bends is {min(bends):.1g}")


def at_initialization(study: wb.Study) -> Iterator[wb.Cell]:
    """Pieces on the whole real line of nets of one input, by shape and seed; a regression over shapes for each seed."""
    counts = random_lines.initial_pieces(SHAPES, study.seeds)
    for part, slopes in zip(("pieces_per_unit", "pieces_by_depth"), random_lines.trends(counts, SHAPES), strict=True):
        yield wb.Cell(part, wb.PerSeed(tuple(slopes)))
    rows = []
    for shape, found in zip(SHAPES, counts.T.tolist(), strict=True):
        named = {"shape": f"{len(shape)} x {shape[0]}", "depth": len(shape), "units": sum(shape)}
        rows += [{**named, "seed": seed, "pieces": pieces} for seed, pieces in zip(study.seeds, found, strict=True)]
    study.keep("initialization", rows)


def on_digits(study: wb.Study) -> Iterator[wb.Cell]:
    """Breakpoints per hidden unit on segments between two test digits, before and after training."""
    trained, rows = study.train(seeds=study.draws(study["digits_seeds"]), tracked=False), []
    for arm, depth in zip(study.claim.arms, study.claim.parts["typical"].values("depth", int), strict=True):
        pack, final = trained.final(arm)
        pairs = study.rng("segments").integers(0, pack.data.test.size, (SEGMENTS, 2)).tolist()
        inputs = [pack.data.test.x[split].double() for split in pack.data.split_of]
        for when, params in (("before", pack.initial_params()), ("after", final)):
            nets = [
                wb.proofs.regions.PiecewiseLinearNet.of(pack.objective.model, params, replica)
                for replica in range(len(pack))
            ]
            means = [random_lines.breakpoints_per_unit(*one, pairs) for one in zip(nets, inputs, strict=True)]
            rows += [{"depth": depth, "when": when, "breakpoints per unit": mean} for mean in means]
            yield wb.Cell("typical", wb.PerSeed(tuple(means)), {"when": when, "depth": depth})
    study.keep("digits", rows)
