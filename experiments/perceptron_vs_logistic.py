"""Perceptron and logistic neuron: the same decisions from the same z, number by number, and what costs change.

The lecture ("Perceptron vs. Logistic Neuron"): at inference both decide 1 where w·x > 0, with equal misclassification
costs. Random neurons and adversarial z, decided by the package's own activations, are compared with a prediction that
names every exception. Neurons trained on breast cancer show the threshold that unequal costs need, and that what the
two rules learn is not the same.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import log

import torch
from matplotlib.figure import Figure
from torch import Tensor

import workbench as wb

ROUNDING = 1e-12  # of a mean over examples: a cost must be smaller by more to count as smaller


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Decisions from given z, then those of trained neurons."""
    yield from decided(study)
    yield from trained(study)


def decided(study: wb.Study) -> Iterator[wb.Cell]:
    """The unit step and σ > ½ on random neurons, on a logarithmic grid, and on every number where they may part."""
    exact = wb.exact.decisions
    for name in study.claim.parts["decisions"].cells["dtype"]:
        dtype = getattr(torch, name)
        band = exact.find_band(dtype)
        compare = partial(exact.compare, band=band)
        total = sum(map(compare, exact.random_neurons(study.rng(name), dtype)), exact.Comparison())
        if name == "float32":
            tie = f"{total.tie:,} of {total.checked:,} random z are 0: there the step gives 1, the rule z > 0 gives 0"
            zero = torch.zeros(1)
            yield wb.Cell("tie", wb.Witness(bool(exact.perceptron_decides(zero) & ~(zero > 0)), tie))
        total = sum(map(compare, exact.adversarial(dtype, band.sure)), total)
        if name == "float32" and study["every_float32"]:
            total = sum(map(compare, exact.every_float32()), total)
        found = wb.Exact(
            total.checked,
            total.unexpected,
            example=f"z = {total.example}",
            certificate=f"they differ on {total.tie:,} ties and {total.band:,} z of the band, as predicted",
        )
        yield wb.Cell("decisions", found, {"dtype": name})
        what = f"σ(z) is computed as ½ for 0 < z ≤ {band.sure:.4g} = {band.sure / torch.finfo(dtype).eps:g} eps"
        yield wb.Cell("rounding", wb.Witness(band.sure > 0, what, value=band.sure), {"dtype": name})


def trained(study: wb.Study) -> Iterator[wb.Cell]:
    """Each neuron trained by its own rule on every split; the logistic one's threshold for unequal costs."""
    arms = study.tune({"logistic": study.claim.arms["logistic"]}, tracked=False)
    arms["perceptron"] = study.claim.arms["perceptron"]
    runs = study.train(arms, tracked=False)
    z, y = test_part(*runs.final("logistic"))
    other, _ = test_part(*runs.final("perceptron"))
    differ = ((z > 0) != (other > 0)).double().mean(1)
    errors = [((logit > 0) != (y > 0)).double().mean(1) for logit in (other, z)]
    columns = (list(study.seeds), *(column.tolist() for column in (*errors, differ)))
    names = ("seed", "perceptron", "logistic", "differ")
    study.keep("errors", [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
    yield wb.Cell("learned_decisions", wb.PerSeed(tuple(differ.tolist()), runs.at_edge))
    yield wb.Cell("learned_error", wb.PerSeed(tuple((errors[0] - errors[1]).tolist()), runs.at_edge))
    rows = []
    for ratio in study.claim.parts["equal_costs"].cells["ratio"]:
        threshold = best_threshold(ratio)
        here, cuts = torch.tensor([threshold, 0.0], dtype=z.dtype), between(z)
        expected, others = (costs(z, z.sigmoid(), thresholds, ratio) for thresholds in (here, cuts))
        smaller = int((others < expected[:, :1] - ROUNDING).sum())
        example = f"{smaller} thresholds are cheaper than {threshold:.3g}"
        yield wb.Cell("equal_costs", wb.Exact(others.numel(), smaller, example=example), {"ratio": ratio})
        paid = costs(z, y, here, ratio)
        if ratio in study.claim.parts["paid_costs"].cells["ratio"]:
            saved = wb.PerSeed(tuple((paid[:, 0] - paid[:, 1]).tolist()), runs.at_edge)
            yield wb.Cell("paid_costs", saved, {"ratio": ratio})
        grid = torch.linspace(-4, 4, 81, dtype=z.dtype)
        shown = {"ratio": ratio, "best": threshold, "expected_there": float(expected[:, 0].mean())}
        for at, cost in zip(grid.tolist(), costs(z, y, grid, ratio).mean(0).tolist(), strict=True):
            rows.append({**shown, "threshold": at, "paid": cost})
    study.keep("costs", rows)


def best_threshold(ratio: str) -> float:
    """ln r: from there on p of a false positive's cost is less than 1 - p of a false negative's."""
    return log(Fraction(ratio))


def costs(z: Tensor, ones: Tensor, thresholds: Tensor, ratio: str) -> Tensor:
    """Mean costs by threshold where a false positive costs `ratio` times as much, both together 2."""
    r = float(Fraction(ratio))
    return wb.exact.decisions.costs(z, ones, thresholds, 2 * r / (1 + r), 2 / (1 + r))


def between(z: Tensor) -> Tensor:
    """Thresholds [R, B + 1] that make every possible decision on z [R, B]: below all, between neighbors, above all."""
    ends = torch.full_like(z[:, :1], torch.inf)
    z = z.sort(1).values
    return torch.cat([-ends, (z[:, 1:] + z[:, :-1]) / 2, ends], 1)


def test_part(pack, params) -> tuple[Tensor, Tensor]:
    """z and labels [R, B] of the test examples, in float64."""
    x, y = pack.data.chunk(pack.data.test, 0, pack.data.test.size)
    z, _ = pack.objective.model.forward(params, x)
    return z.squeeze(2).double(), y.squeeze(2).double()


def draw(figure: Figure, study: wb.Study) -> None:
    """σ around 0 as computed, and what thresholds cost."""
    near, paid = figure.subplots(1, 2)
    steps = torch.linspace(-2, 3, 1001, dtype=torch.float64)
    for dtype, style in ((torch.float32, "-"), (torch.float64, "--")):
        eps = torch.finfo(dtype).eps
        above = torch.sigmoid((steps * eps).to(dtype)).double() - 0.5
        near.plot(steps, above / eps, style, label=str(dtype).removeprefix("torch."))
    near.plot(steps, steps / 4, ":", color="gray", label="exactly")
    near.axvspan(0, 0.75, color="gray", alpha=0.2, label="z > 0, σ(z) = ½")
    near.set(xlabel="z / eps", ylabel="(computed σ(z) - ½) / eps")
    near.legend(fontsize="small")
    for ratio, rows in study.tables["costs"].groupby("ratio", sort=False):
        (line,) = paid.plot(rows["threshold"], rows["paid"], label=f"{ratio}")
        paid.axvline(rows["best"].iloc[0], color=line.get_color(), linestyle=":", linewidth=1)
    paid.set(xlabel="threshold for z (dotted: ln r)", ylabel="mean cost on the test part", yscale="log")
    paid.legend(title="cost ratio r", fontsize="small")


if __name__ == "__main__":
    wb.reproduce("perceptron_vs_logistic")
