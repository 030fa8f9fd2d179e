"""Training on the page: the bits of the sweep that keeps it, frames that say what the engine says, and orders."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from workbench.engine.evaluate import measure
from workbench.nn.layers.base import Mode
from workbench.play.session import Order, Pace, Session
from workbench.play.settings import compose, offer, overrides_of
from workbench.play.training import Training
from workbench.play.views import SIDE, Views
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink

NET = {"data": "annuli", "data.points": 120, "activation": "tanh", "architecture.hidden": [4, 3], "loss": "binary_nll"}
SECONDS = 20


def training(side: dict[str, Any] = NET, seeds: int = 3) -> Training:
    """A pack of a small net on few points."""
    return Training(compose(overrides_of(side, offer(None)), seeds, None))


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of one pack."""
    opened = Session([training()])
    yield opened
    opened.close()
    opened.join()


def frame_of(session: Session, step: int = 0) -> dict[str, Any]:
    """The first frame at this step or a later one."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if (text := session.take()) and (frame := json.loads(text))["sides"][0]["step"] >= step:
            return dict(frame)
    pytest.fail(f"no frame of step {step}")


@pytest.mark.parametrize("extra", [{}, {"norm": "batch"}, {"architecture.dropout": 0.2}, {"optimizer": "adam"}])
def test_the_page_trains_to_the_bits_of_the_sweep(extra: dict[str, Any]) -> None:
    """After whole epochs, with frames between, parameters are those of ``train -m`` for as many epochs."""
    played = training({**NET, **extra})
    views = Views(played)
    views.about()
    for _ in range(3 * played.trainer.steps_per_epoch):
        played.step()
        views.frame(1)
    assert played.epochs == 3
    overrides = [*overrides_of({**NET, **extra}, offer(None)), "train.epochs=3"]
    trained = train_pack([Job(spec, "", "") for spec in compose(overrides, 3, None)], MemorySink())
    for replica, flat in trained.final.items():
        assert torch.equal(flat, played.trainer.params.flat[replica])


def test_rewinding_repeats_the_same_training() -> None:
    """From the same weights in the same order, with fresh state of the optimizer."""
    played = training({**NET, "optimizer": "adam"})
    start = played.trainer.params.flat.clone()
    rows = []
    for _ in range(2):
        assert torch.equal(played.trainer.params.flat, start)
        for _ in range(7):
            played.step()
        rows.append(played.trainer.params.flat.clone())
        played.rewind()
    assert torch.equal(*rows)
    assert played.steps == 0


def test_two_packs_begin_with_the_same_weights() -> None:
    """What differs in bias alone has the same W: A and B compare on the same seeds."""
    a, b = training(NET), training({**NET, "bias": "small_positive"})
    for name, values in a.trainer.params.items():
        assert torch.equal(values, b.trainer.params[name]) == name.endswith(".W")


def test_a_frame_says_what_the_engine_measures() -> None:
    """Loss, accuracy, decisions and agreement are those of the nets, seed by seed."""
    played = training()
    frame = Views(played).frame(1)
    trainer = played.trainer
    pack = trainer.pack
    metrics, _ = measure(pack.objective, trainer.params, pack.data, pack.data.train)
    assert frame["loss"] == pytest.approx(metrics["loss"].tolist(), rel=1e-5)
    assert frame["accuracy"] == pytest.approx(metrics["accuracy"].tolist())
    axis = np.linspace(-1, 1, SIDE) * Views(played).extent
    points = torch.tensor([[(x, -y) for x in axis] for y in axis], dtype=torch.float32).view(1, -1, 2)
    classes = np.stack(
        [
            (pack.objective.model.forward(one, points)[0] > 0)[0, :, 0].numpy()
            for one in (trainer.params.with_flat(trainer.params.flat[[seed]]) for seed in range(3))
        ]
    )
    shown = {name: np.frombuffer(b64decode(text), np.uint8) for name, text in frame["map"].items()}
    assert (shown["classes"] == classes[1]).mean() > 0.999
    assert np.abs(shown["agree"] / 255 - (classes == classes[1]).mean(0)).max() < 0.01
    assert shown["sure"].min() >= 127


def test_gradients_of_a_frame_are_those_of_a_step() -> None:
    """The norm by layer is that of a backward pass of the objective on the same examples."""
    played = training()
    frame, pack = Views(played).frame(0), played.trainer.pack
    x, y = pack.data.chunk(pack.data.train, 0, 256)
    pack.objective.gradients(played.trainer.params, played.trainer.grads, x, y, Mode(training=True))
    for row, layer in zip(frame["signals"]["grad"], ("l1", "l2", "l3"), strict=True):
        parts = [played.trainer.grads[f"{layer}.{kind}"].flatten(1) for kind in ("W", "b")]
        norms = torch.cat(parts, 1).norm(dim=1).double()
        assert row == pytest.approx(
            [float(value) for value in (norms.min(), norms.median(), norms.max(), norms[0])], rel=1e-5
        )


def test_dead_and_saturated_units_are_marked() -> None:
    """ReLU units with a large negative bias are dead; tanh units with large weights are saturated, and not dead."""
    dead = Views(training({**NET, "activation": "relu", "bias": "constant", "bias.value": -50})).frame(0)
    assert dead["deadNets"] == 3
    assert dead["deadUnits"] == dead["allUnits"] == 7
    assert all(all(state["dead"]) and not any(state["saturated"]) for state in dead["states"].values())
    flat = Views(training({**NET, "bias": "constant", "bias.value": 5})).frame(0)
    assert flat["deadUnits"] == 0
    assert all(all(state["saturated"]) for state in flat["states"].values())
    relu = Views(training({**NET, "activation": "relu"})).frame(0)
    assert not any(any(state["saturated"]) for state in relu["states"].values())


def test_theory_stands_beside_what_is_measured_and_is_missing_where_there_is_none() -> None:
    """Theory of plain layers, and none of normalized ones."""
    about = Views(training()).about()
    assert all(value > 0 for value in about["theory"]["delta"])
    assert about["theory"]["q"][-1] is None
    assert set(Views(training({**NET, "norm": "layer"})).about()["theory"]["delta"]) == {None}


def test_digits_are_shown_by_examples() -> None:
    """The board has a row for each class, and the gray values of its pictures."""
    views = Views(training({"data": "digits", "architecture.hidden": [5]}))
    about, frame = views.about(), views.frame(2)
    assert about["board"] == "examples"
    assert about["shape"] == (10, 10)
    assert len(b64decode(about["examples"]["pixels"])) == 100 * 64
    assert len(b64decode(frame["units"][0]["pictures"])) == 5 * 100


def test_numbers_that_are_not_finite_are_null() -> None:
    """A pack that diverges is shown as far as it can be."""
    played = training({**NET, "optimizer.lr": 1e38})
    for _ in range(9):
        played.step()
    frame = Views(played).frame(0)
    assert frame["loss"] == [None, None, None]
    json.dumps(frame, allow_nan=False)


def test_orders_are_followed(session: Session) -> None:
    """Step, play, pause, look, rewind."""
    assert frame_of(session)["sides"][0]["step"] == 0
    session.order(Order(do="step"))
    assert frame_of(session, 1)["sides"][0]["step"] == 1
    session.order(Order(do="play", seed=2))
    assert frame_of(session, 20)["seed"] == 2
    session.order(Order(do="pause"))
    session.order(Order(do="rewind"))
    end = time.monotonic() + SECONDS
    while (frame := frame_of(session))["sides"][0]["step"] or frame["playing"]:
        assert time.monotonic() < end
    session.order(Order(do="look", seed=99))
    assert frame_of(session)["seed"] == 2


def test_speed_limits_the_steps() -> None:
    """At two steps a second a step is due each half second, and none is made up for; without a limit, always."""
    pace = Pace(2.0)
    times = [0.0, 0.1, 0.49, 0.5, 0.9, 1.0, 5.0, 5.1, 5.5]
    assert [now for now in times if pace.is_due(now)] == [0.0, 0.5, 1.0, 5.0, 5.5]
    assert pace.wait(5.6) == pytest.approx(0.4)
    assert all(Pace().is_due(now) for now in (0.0, 0.0, 1.0))
    assert Pace().wait(3.0) == 0


def test_training_waits_for_no_page(session: Session) -> None:
    """Without anyone who takes frames, steps go on; closed, the thread ends."""
    session.order(Order(do="play"))
    end = time.monotonic() + SECONDS
    while session.trainings[0].steps < 50:
        assert time.monotonic() < end
        time.sleep(0.01)
    session.close()
    session.join()
    assert not session.is_running
