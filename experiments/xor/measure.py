"""XOR and the single neuron: what cannot be, by proof; what can, by example; and what training finds.

The lecture ("Perceptron vs. Logistic Neuron"): a perceptron cannot represent XOR, and logistic, ReLU and tanh neurons
have the same limitation. A monotone f(w·x + b) decides by a half-space, for which XOR's four inequalities sum to 0 ≥ 1:
multipliers in rational numbers prove it, for ReLU regression on every way to place the points around the kink. That a
hidden layer lifts the limit is decided by weights that do it and by training from random initial weights.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product

import torch

import workbench as wb

PARITIES = {3: "learned_parity_3", 4: "learned_parity_4"}  # parts by number of bits
PARITY_HIDDEN = 8
UNITS = {"absolute": "|x₁ - x₂|", "maxout": "max(x₁ - x₂, x₂ - x₁)"}


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Proofs, examples, training."""
    yield from impossible(study)
    yield from possible(study)
    yield from learned(study)


def impossible(study: wb.Study) -> Iterator[wb.Cell]:
    """No half-space holds just the ones, and an activation said to be monotone does not fall."""
    exact, weights = wb.proofs.separation, wb.proofs.farkas.Solution
    proof = exact.separate(exact.SQUARE, exact.XOR)
    certificate = f"{proof}, where row i is s(w·x + b) ≥ 1 for point i, s = ±1 its label"
    for activation in study.claim.parts["limit"].values("activation", str):
        found = exact.falls(activation)
        example = f"{activation} falls at z = {found.first:.4g}" if found.falls else f"(w, b) = {proof}"
        failed = found.falls + isinstance(proof, weights)
        evidence = wb.Exact(found.places + 1, failed, 0.0, example, certificate)
        yield wb.Cell("limit", evidence, {"activation": activation})
    for activation in study.claim.parts["regression"].values("activation", str):
        answers = [cell.answer for cell in exact.kinked_regression(exact.SQUARE, exact.XOR, *exact.KINKED[activation])]
        fits = [answer for answer in answers if isinstance(answer, weights)]
        proofs = f"in each cell, such as {max(map(str, answers), key=len)}, with three rows for each point"
        evidence = wb.Exact(len(answers), len(fits), 0.0, f"(w, b) = {[*fits, ''][0]}", proofs)
        yield wb.Cell("regression", evidence, {"activation": activation})
    best = exact.best_agreement(exact.SQUARE, exact.XOR)
    yield wb.Cell("three_of_four", wb.Exact(16, int(best != Fraction(3, 4)), 0.0, f"{best}", f"{best}"))
    for bits in study.claim.parts["parity_limit"].values("bits", int):
        proof = exact.separate(exact.PARITY[bits], exact.parity(exact.PARITY[bits]))
        evidence = wb.Exact(1, isinstance(proof, weights), 0.0, f"(w, b) = {proof}", f"{proof}, as for XOR")
        yield wb.Cell("parity_limit", evidence, {"bits": bits})


def possible(study: wb.Study) -> Iterator[wb.Cell]:
    """Weights, evaluated by the package's own layers."""
    exact = wb.proofs.separation
    x, y = (torch.tensor(table, dtype=torch.float64) for table in (exact.SQUARE, exact.XOR))
    for activation in study.claim.parts["two_hidden_units"].values("activation", str):
        yield wb.Cell("two_hidden_units", computed(activation, x, y), {"activation": activation})
    part = study.claim.parts["parity_units"]
    for activation, bits in product(part.values("activation", str), part.values("bits", int)):
        points = exact.PARITY[bits]
        x_bits, odd = (torch.tensor(table, dtype=torch.float64) for table in (points, exact.parity(points)))
        yield wb.Cell("parity_units", computed(activation, x_bits, odd), {"activation": activation, "bits": bits})
    for unit in study.claim.parts["not_monotone"].values("unit", str):
        right = torch.equal(exact.SINGLE_UNITS[unit](x), y)
        yield wb.Cell("not_monotone", wb.Witness(right, UNITS[unit]), {"unit": unit})


def computed(activation: str, x: torch.Tensor, y: torch.Tensor) -> wb.Witness:
    """Whether the net with a hidden unit for each input decides all points rightly."""
    z = wb.proofs.separation.parity_units(activation, x)
    return wb.Witness(torch.equal(z > 0, y > 0), f"logits {', '.join(f'{value:.3g}' for value in z.tolist())}")


def learned(study: wb.Study) -> Iterator[wb.Cell]:
    """Training by the rule's optimizer decides; what other optimizers do is shown beside it."""
    rows = []
    others = [
        ({"optimizer": name, "lr": lr}, [f"optimizer={name}", f"optimizer.lr={lr}"]) for name, lr in study["others"]
    ]
    for by, changed in [({}, []), *others]:
        for arm, overrides in study.claim.arms.items():
            for hidden in study["hidden"]:
                rate, at = successes(study, [*overrides, *changed], hidden), {"activation": arm, "hidden": hidden, **by}
                rows.append(at | rate.interval(0.95)._asdict())
                yield wb.Cell("learned", rate, at)
                if hidden == 1 and arm in study.claim.parts["one_hidden_unit"].values("activation", str):
                    example = f"{rate.successes} of {rate.n} initial weights learn it"
                    yield wb.Cell("one_hidden_unit", wb.Exact(rate.n, rate.successes, example=example), at)
    study.keep("learned", rows)
    for bits, part in PARITIES.items():
        for arm in study.claim.parts[part].values("activation", str):
            overrides = [*study.claim.arms[arm], "data=parity", f"data.bits={bits}"]
            yield wb.Cell(part, successes(study, overrides, PARITY_HIDDEN), {"activation": arm})


def successes(study: wb.Study, overrides: list[str], hidden: int) -> wb.Rate:
    """Count the initial weights from which training ends with all points right."""
    one, inits = study.pack(*overrides, f"architecture.hidden=[{hidden}]", seeds=[0]), study["inits"]
    pack = replace(one.select([0] * inits), seeds=tuple(study.draws(inits)))  # composed once, not once per seed
    params = study.descend(pack, study["steps"])
    x, y = pack.data.chunk(pack.data.train, 0, pack.data.train.size)
    z, _ = pack.objective.model.forward(params, x)
    return wb.Rate.of(((z > 0) == (y > 0)).all(1))
