"""Perceptron and logistic neuron: the same decisions from the same z, number by number, and what costs change.

The lecture ("Perceptron vs. Logistic Neuron"): at inference both decide 1 where w·x > 0, with equal misclassification
costs. Random neurons and adversarial z, decided by the package's own activations, are compared with a prediction that
names every exception. Neurons trained on breast cancer show the threshold that unequal costs need, and that what the
two rules learn is not the same.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import log

import torch

import workbench as wb
from workbench.core.stats import mean_interval
from workbench.engine.replicas import Pack
from workbench.nn.params import Params

from . import decisions


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Decisions from given z, then those of trained neurons."""
    yield from decided(study)
    yield from trained(study)


def decided(study: wb.Study) -> Iterator[wb.Cell]:
    """The unit step and σ > ½ on random neurons, on a logarithmic grid, and on every number where they may part."""
    exact = decisions
    for name in study.claim.parts["decisions"].values("dtype", str):
        dtype = getattr(torch, name)
        band = exact.find_band(dtype)
        total = exact.total(exact.random_neurons(study.rng(name), dtype), band)
        if name == "float32":
            tie = f"{total.tie:,} of {total.checked:,} random z are 0: there the step gives 1, the rule z > 0 gives 0"
            yield wb.Cell("tie", wb.Witness(exact.tie_contradicts(), tie))
        total += exact.total(exact.adversarial(dtype, band.sure), band)
        if name == "float32" and study["every_float32"]:
            total += exact.total(exact.every_float32(), band)
        proof = f"they differ on {total.tie:,} ties and {total.band:,} z of the band, as predicted"
        found = wb.Exact(total.checked, total.unexpected, 0.0, f"z = {total.example}", proof)
        yield wb.Cell("decisions", found, {"dtype": name})
        what = f"σ(z) is computed as ½ for 0 < z ≤ {band.sure:.4g} = {band.sure / torch.finfo(dtype).eps:g} eps"
        yield wb.Cell("rounding", wb.Witness(band.sure > 0, what, value=band.sure), {"dtype": name})


def trained(study: wb.Study) -> Iterator[wb.Cell]:
    """Each neuron trained by its own rule on every split; the logistic one's threshold for unequal costs."""
    arms = study.tune({"logistic": study.claim.arms["logistic"]}, tracked=False)
    arms["perceptron"] = study.claim.arms["perceptron"]
    runs = study.train(arms, tracked=False)
    (z, y), (other, _) = (on_test_part(*runs.final(arm)) for arm in ("logistic", "perceptron"))
    differ = ((z > 0) != (other > 0)).double().mean(1)
    errors = {name: ((own > 0) != (y > 0)).double().mean(1) for name, own in (("perceptron", other), ("logistic", z))}
    study.keep("errors", {"seed": study.seeds, **errors, "differ": differ})
    yield wb.Cell("learned_decisions", wb.PerSeed(tuple(differ.tolist()), runs.at_edge))
    more = errors["perceptron"] - errors["logistic"]
    yield wb.Cell("learned_error", wb.PerSeed(tuple(more.tolist()), runs.at_edge))
    yield from costs(study, z, y, runs.at_edge)


def costs(study: wb.Study, z: torch.Tensor, y: torch.Tensor, at_edge: tuple[str, ...]) -> Iterator[wb.Cell]:
    """Costs of thresholds on test examples z and labels y [R, B] of the logistic neurons, by ratio of costs."""
    exact, parts, rows = decisions, study.claim.parts, []
    for ratio in parts["equal_costs"].values("ratio", str):
        r, threshold = Fraction(ratio), best_threshold(ratio)
        checked, smaller = exact.cheaper(z, threshold, r)
        example = f"{smaller} thresholds are cheaper than {threshold:.3g}"
        yield wb.Cell("equal_costs", wb.Exact(checked, smaller, example=example), {"ratio": ratio})
        here, grid = z.new_tensor([threshold, 0.0]), torch.linspace(-4, 4, 81, dtype=z.dtype)
        paid = exact.by_ratio(z, y, here, r)
        if ratio in parts["paid_costs"].values("ratio", str):
            yield wb.Cell(
                "paid_costs", wb.PerSeed(tuple((paid[:, 0] - paid[:, 1]).tolist()), at_edge), {"ratio": ratio}
            )
        shown = {"ratio": ratio, "best": threshold}
        shown["expected_there"] = float(exact.by_ratio(z, z.sigmoid(), here, r)[:, 0].mean())
        by_threshold = zip(grid.tolist(), exact.by_ratio(z, y, grid, r).T.tolist(), strict=True)
        rows += [{**shown, "threshold": at, **mean_interval(paid)._asdict()} for at, paid in by_threshold]
    study.keep("costs", rows)


def best_threshold(ratio: str) -> float:
    """ln r: from there on p of a false positive's cost is less than 1 - p of a false negative's."""
    return log(Fraction(ratio))


def on_test_part(pack: Pack, params: Params) -> tuple[torch.Tensor, torch.Tensor]:
    """z and labels [R, B] of the test examples, in float64."""
    x, y = pack.data.chunk(pack.data.test, 0, pack.data.test.size)
    z, _ = pack.objective.model.forward(params, x)
    return z.squeeze(2).double(), y.squeeze(2).double()
