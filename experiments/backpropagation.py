"""Backpropagation: are the lecture's formulas the gradient of its J?

Slides "Backpropagation Algorithm" to "Softmax for Dataset of m Examples". Random nets of every depth, unit, loss, m and
λ decide: the formulas, corrected where slides disagree, against automatic differentiation and against differences of
J. Then the formulas as printed, which must not give any net's gradient if the corrections are needed.
"""

import numpy as np
import torch

import workbench as wb

STEPS = [10.0**-exponent for exponent in np.arange(1, 10.5, 0.5)]


def gradient(problem):
    """The formulas under test: the lecture's, corrected."""
    return wb.exact.backpropagation.lecture(problem)


def problems(study, name, nets, **where):
    """Random nets, a batch for each shape."""
    rng, nn = study.rng(name), wb.exact.backpropagation
    shapes = nn.shapes(rng, **{"layers": study["layers"], "examples": study["examples"], **where})
    return (nn.problem(rng, shape, nets) for shape in shapes)


def exactly(found, tolerance):
    """Evidence from pairs of a shape and the errors of its nets."""
    checked, failed, worst, example = 0, 0, 0.0, ""
    for shape, errors in found:
        checked, failed = checked + len(errors), failed + int((errors > tolerance).sum())
        if float(errors.max()) > worst:
            worst, example = float(errors.max()), f"{shape}: {float(errors.max()):.2g}"
    return wb.Exact(checked, failed, worst, example, f"largest error {worst:.1e}")


def by_differences(given, step=1e-5, tolerance=1e-7):
    """Errors of nets against central differences, where no kink lies between and J resolves them."""
    nn = wb.exact.backpropagation
    return nn.errors(gradient(given), *nn.differences(given, step), nn.resolution(given, step, tolerance))


def measure(study):
    """The formulas in every cell, their forms, the V over h, and what is printed."""
    for several in (gradients, forms, steps, printed, saturated):
        yield from several(study)


def gradients(study):
    """The formulas against both references, for every unit and loss."""
    nn = wb.exact.backpropagation
    for loss in nn.LOSSES:
        every = []
        for activation in nn.ACTIVATIONS:
            cell, own = {"activation": activation, "loss": loss}, {"activations": [activation], "losses": [loss]}
            several = list(problems(study, f"{activation} {loss}", study["nets"], **own))
            errors = [(one.shape, nn.errors(gradient(one), one.reference())) for one in several]
            yield wb.Cell("autograd", exactly(errors, 1e-10), cell)
            few = problems(study, f"differences {activation} {loss}", study["differenced"], **own)
            part = "kinks" if "relu" in activation else "differences"
            yield wb.Cell(part, exactly(((one.shape, by_differences(one)) for one in few), 1e-7), cell)
            every += several
        narrow = ((one.shape, nn.errors(gradient(one.single()), one.single().reference())) for one in every)
        yield wb.Cell("single_precision", exactly(narrow, 1e-4), {"loss": loss})


def saturated(study):
    """Where a − y, computed from a, is lost to rounding."""
    for dtype in ("float32", "float64"):
        logits = torch.arange(0, 50, 0.1, dtype=torch.float64)
        gone = logits[torch.sigmoid(logits.to(getattr(torch, dtype))) - 1 == 0]
        found = f"a − y = 0 from logit {gone[0]:.1f} on, where it should be −{torch.sigmoid(-gone[0]):.2g}"
        yield wb.Cell("saturated_output", wb.Witness(len(gone) > 0, found, True, float(gone[0])), {"dtype": dtype})


def forms(study):
    """One gradient written as sums, vectors and matrices."""
    nn = wb.exact.backpropagation
    pairs = {
        "sums and vectors": (nn.SUMS, nn.VECTORS, {"activations": ["tanh"], "examples": [2], "penalties": [0.1]}),
        "vectors and matrices": (nn.VECTORS, nn.MATRICES, {}),
    }
    for name, (one, other, where) in pairs.items():
        nets = problems(study, name, study["scalar"], **where)
        apart = ((net.shape, nn.errors(nn.gradient(net, one), nn.gradient(net, other), least=1.0)) for net in nets)
        yield wb.Cell("vectorized", exactly(apart, 1e-13), {"forms": name})


def steps(study):
    """The V of central differences, net by net."""
    smooth = {"activations": ["sigmoid", "tanh", "softplus"], "examples": [2], "penalties": [0.0]}
    smooth["layers"] = range(3, 8)  # without hidden units the squared error is a parabola: no truncation, no V
    several = problems(study, "steps", study["curves"], **smooth)
    curves = [wb.exact.backpropagation.difference_curve(one, gradient(one), STEPS) for one in several]
    logs = torch.stack(curves).log10().numpy()  # [shapes, nets, steps]
    at = {round(-2 * np.log10(step)): place for place, step in enumerate(STEPS)}
    slopes = {"truncation": (4, 8), "rounding": (14, 20)}
    for part, (large, small) in slopes.items():
        slope = (logs[:, :, at[large]] - logs[:, :, at[small]]) * 2 / (small - large)
        yield wb.Cell(part, wb.PerSeed(tuple(slope.mean(0))))
    best = np.log10(STEPS)[logs.argmin(2)]
    yield wb.Cell("best_step", wb.PerSeed(tuple(best.mean(0))))
    low, middle, high = np.quantile(logs.reshape(-1, len(STEPS)), [0.05, 0.5, 0.95], axis=0)
    study.keep(
        "steps",
        [
            dict(zip(("h", "low", "median", "high"), row, strict=True))
            for row in zip(STEPS, 10**low, 10**middle, 10**high, strict=True)
        ],
    )


def printed(study):
    """Every printed formula on the nets it is for."""
    rows = []
    for part, declared in study.claim.parts.items():
        for name in declared.cells.get("erratum", ()):
            found = wb.exact.misprinted.run(name, study.rng(name), study["misprinted"])
            impossible = found.nets - found.right - found.wrong
            proof = f"cannot be computed for {impossible:,} of them" if impossible else ""
            if found.wrong:
                proof += f"{', ' if proof else ''}off by {found.least:.2g} or more for {found.wrong:,}"
            yield wb.Cell(part, wb.Exact(found.nets, found.right, 0.0, found.example, proof), {"erratum": name})
            rows.append(
                {
                    "erratum": name,
                    "nets": found.nets,
                    "right": found.right,
                    "impossible": impossible,
                    "least": found.least,
                }
            )
    study.keep("printed", rows)


def draw(figure, study):
    """The V of central differences, and the errors of the printed formulas."""
    left, right = figure.subplots(1, 2)
    curve, printed = study.tables["steps"], study.tables["printed"]
    left.fill_between(curve["h"], curve["low"], curve["high"], alpha=0.25, label="5 % to 95 % of nets")
    left.loglog(curve["h"], curve["median"], label="median net")
    left.axvspan(1e-6, 1e-5, alpha=0.15, color="C2", label="1e-6 to 1e-5")
    left.set(xlabel="step h", ylabel="relative error of central differences", title="Differences against the formulas")
    left.legend()
    names = (
        printed["erratum"]
        .str.replace(" corrected at the last hidden layer", ", mended")
        .str.replace(" with deltas that start as zeros", ", zeros")
    )
    runs = printed["least"] < np.inf
    right.plot(printed["least"][runs], names[runs].index, "o", label="least error where it runs")
    right.plot(np.full((~runs).sum(), 3.0), names[~runs].index, "x", color="C1", label="can never be computed")
    right.axvline(1e-10, color="C2", label="corrected formulas: all below")
    right.set(xscale="log", xlim=(1e-11, 10), xlabel="relative error of the gradient", title="As printed")
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.legend(loc="lower left", bbox_to_anchor=(0.06, 0.02), fontsize="small")


if __name__ == "__main__":
    wb.reproduce("backpropagation")
