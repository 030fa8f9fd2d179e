"""Errata of the lecture that change a gradient, run as printed on the net of an explanation.

They are the forms and formulas of `lecture.misprints`, on one example, which is a data set of m = 1.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import nan

import torch

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture import textbook
from workbench.lecture.errata import ERRATA
from workbench.lecture.erratum import Erratum, failure
from workbench.lecture.explain.content import output_of
from workbench.lecture.explain.worked import ByLayer, Worked
from workbench.lecture.misprints import (
    AverageOfEachColumn,
    Formula,
    InputEverywhere,
    MisprintProblem,
    SkippedLayer,
    WeightsOfTheNextLayer,
    slope_kept_at_the_output,
    softmax_bias_left_out,
    softmax_weights_unpenalized,
    with_slope_kept,
    without_penalty,
)
from workbench.lecture.textbook import Net, OneExample, OutputLayer
from workbench.nn.activations import Activation, identity
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import within

LOGISTIC, SOFTMAX, REGRESSION = "binary_nll", "softmax_nll", "squared_error"


@dataclass(frozen=True)
class Misprint:
    """A printed formula by the id of its erratum: the form or formula that is run, and the losses it is printed for."""

    id: str
    by: OneExample | Formula
    losses: tuple[str, ...] = (LOGISTIC, SOFTMAX, REGRESSION)
    needs_hidden_layer: bool = False
    net: Callable[[Net], Net] = lambda net: net  # what gives the deltas of a formula


MISPRINTS = (
    Misprint("E1", WeightsOfTheNextLayer(), needs_hidden_layer=True),
    Misprint("E2", without_penalty),
    Misprint("E3", SkippedLayer(), (SOFTMAX,), needs_hidden_layer=True),
    Misprint("E4", InputEverywhere(), needs_hidden_layer=True),
    Misprint("E6", softmax_weights_unpenalized, (SOFTMAX,)),
    Misprint("E7", softmax_bias_left_out, (SOFTMAX,)),
    Misprint("E8", slope_kept_at_the_output, (REGRESSION,), needs_hidden_layer=True, net=with_slope_kept),
    Misprint("E12", AverageOfEachColumn()),
)


@dataclass(frozen=True)
class Printed:
    """An erratum with the step as printed, and why it cannot be run to its end, if it cannot."""

    erratum: Erratum
    step: Worked
    failure: str = ""


def printed_steps(spec: RunSpec, pack: Pack, worked: Worked) -> Iterator[Printed]:
    """Run each erratum that is printed for such a net; none for a loss that the lecture does not have."""
    given = problem_of(spec, pack, worked)
    if given is None:
        return
    errata = {erratum.id: erratum for erratum in ERRATA}
    for misprint in MISPRINTS:
        if spec.choices["loss"] in misprint.losses and (worked.last > 2 or not misprint.needs_hidden_layer):
            step, reason = _run(misprint, given, worked)
            yield Printed(errata[misprint.id], _finished(step, given), reason)


def problem_of(spec: RunSpec, pack: Pack, worked: Worked) -> MisprintProblem | None:
    """Return net, example and λ of a step in the lecture's forms, or None for a loss that the lecture does not have."""
    output = _output_layer(spec)
    if output is None:
        return None
    net = Net(worked.W, worked.b, _hidden_activation(pack), output)
    return MisprintProblem(net, worked.a[1][:, None], worked.y[:, None], worked.lam)


def _output_layer(spec: RunSpec) -> OutputLayer | None:
    if output_of(spec).targets or not output_of(spec).delta:
        return None
    match spec.choices["loss"]:
        case "binary_nll":
            return textbook.logistic()
        case "softmax_nll":
            return textbook.softmax()
        case "squared_error" if spec.settings.get("loss.output", "identity") == "identity":
            return textbook.regression(identity())
    return None


def _hidden_activation(pack: Pack) -> Activation:
    """Return f with its constants as the run has them."""
    layer = next((layer for layer in within(pack.objective.model) if isinstance(layer, Activate)), None)
    if layer is None:
        return identity()
    f, params = layer.activation, pack.initial_params()
    constants = [params[f"{layer.name}.{name}"] for name in f.constants]
    return replace(
        f,
        forward=lambda z: f.forward(z, *constants),
        derivative=lambda z, a: f.derivative(z, a, *constants),
    )


def _run(misprint: Misprint, given: MisprintProblem, worked: Worked) -> tuple[Worked, str]:
    if isinstance(misprint.by, OneExample):
        return _by_form(misprint.by, given, worked)
    got = misprint.by(given.net, given.x, given.y, given.lam)
    z, a = textbook.forward(OneExample(), given.net, given.x[:, 0])
    delta = textbook.deltas(OneExample(), misprint.net(given.net), z, a, given.y[:, 0])
    return replace(worked, delta=delta, dW=got.dW, db=got.db), ""


def _by_form(form: OneExample, given: MisprintProblem, worked: Worked) -> tuple[Worked, str]:
    """Run a form as far as it goes: where a pass stops, later layers are missing, and gradients that need them."""
    x, y = next(form.parts(given.x, given.y))
    z: ByLayer = {}
    a, delta, dW, db = {1: x}, dict(z), dict(z), dict(z)
    reason = ""
    try:
        for l, z_l, a_l in textbook.layers_forward(form, given.net, x):
            z[l], a[l] = z_l, a_l
        delta.update(textbook.layers_backward(form, given.net, z, a, y))
    except (KeyError, RuntimeError) as error:
        reason = failure(error)
    for l, W in given.net.W.items():
        try:
            dW[l] = form.dW(delta, a, l) + given.lam * W
            db[l] = torch.broadcast_to(form.db(delta, l), given.net.b[l].shape)
        except KeyError as error:
            reason = reason or failure(error)
    slope = {l: textbook.slope(given.net.f, z[l]) for l in z if l < given.net.last}
    vectors = {"z": _flat(z), "a": _flat(a), "delta": _flat(delta), "slope": _flat(slope)}
    return replace(worked, **vectors, dW=dW, db=db, output_slope=None), reason  # type: ignore[arg-type]


def _flat(columns: ByLayer) -> ByLayer:
    return {l: column.flatten() for l, column in columns.items()}


def _finished(step: Worked, given: MisprintProblem) -> Worked:
    """Add the costs and the update to a step as printed; J after it is the true cost of the new parameters."""
    new_W, new_b = _moved(step.W, step.dW, step.lr), _moved(step.b, step.db, step.lr)
    whole = len(new_W) == len(step.W) and len(new_b) == len(step.b)
    after = replace(given, net=replace(given.net, W=new_W, b=new_b)).gradients().J if whole else nan
    C = given.net.output.cost(step.a[step.last], step.y) if step.last in step.a else nan
    J = C + textbook.penalty(given.net, given.lam)
    return replace(step, new_W=new_W, new_b=new_b, C=float(C), J=float(J), J_after=float(after))


def _moved(old: ByLayer, gradient: ByLayer, lr: float) -> ByLayer:
    return {l: old[l] - lr * by for l, by in gradient.items()}
