"""A page's training: a thread that steps its packs side by side, takes orders, and makes frames for the page.

A frame is made when the page has taken the one before, at most 30 times a second, and in at most 40 % of the time:
training waits for no page.
"""

import json
import threading
from collections.abc import Sequence
from queue import Empty, Full, Queue
from time import perf_counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.play.training import Training
from workbench.play.views import Views

FRAME_SECONDS = 1 / 30
COSTS_APART = 2.5  # between the beginnings of two frames, in times that one takes
NUMBERS_EVERY = 3  # frames of a playing pack, of which one has numbers too
IDLE_SECONDS = 0.25
SECONDS_TO_END = 10.0


class Order(BaseModel):
    """An order from the page: what to `do`, the `seed` to show, or steps per second as `speed` (0: no limit)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    do: Literal["play", "pause", "step", "rewind", "look"]
    seed: Annotated[int, Field(ge=0)] | None = None
    speed: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None


class Pace:
    """Steps per second, at most `speed`; 0 for no limit."""

    def __init__(self, speed: float = 0.0) -> None:
        self.speed, self._next = speed, 0.0

    def is_due(self, now: float) -> bool:
        """Whether a step is due at this time, in seconds; if so, the next one is put off."""
        if now < self._next:
            return False
        self._next = now + 1 / self.speed if self.speed else now
        return True

    def wait(self, now: float) -> float:
        """Return the seconds until the next step is due."""
        return max(0.0, self._next - now)


class Session:
    """Packs that train side by side, step for step, until `close`; `about` is what stays, for each pack."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = trainings
        self._views = [Views(training) for training in trainings]
        self.about = [views.about() for views in self._views]
        self._orders: Queue[Order] = Queue()
        self._frames: Queue[str] = Queue(maxsize=1)
        self._closed = threading.Event()
        self._playing, self._pace, self._chosen = False, Pace(), 0
        self._made = 0
        self._due = 0.0  # when the next frame may be made
        self._thread = threading.Thread(target=self._run, name="play", daemon=True)
        self._thread.start()

    def order(self, order: Order) -> None:
        """Give an order; it is followed after the step in progress."""
        self._orders.put(order)

    def take(self) -> str | None:
        """Wait a moment for a new frame, and return it as JSON; None where there is none."""
        try:
            return self._frames.get(timeout=IDLE_SECONDS)
        except Empty:
            return None

    def close(self) -> None:
        """End the training after the step in progress."""
        self._closed.set()
        self._orders.put(Order(do="pause"))

    def join(self) -> None:
        """Wait until the training has ended."""
        self._thread.join(SECONDS_TO_END)

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        changed = True
        while not self._closed.is_set():
            changed |= self._follow_orders(wait=not (self._playing or changed))
            if self._playing and self._pace.is_due(perf_counter()):
                self._step()
                changed = True
            if changed and self._frames.empty() and perf_counter() >= self._due:
                self._show()
                changed = False

    def _follow_orders(self, wait: bool) -> bool:
        """Follow the orders that came, and wait for one where there is nothing to do; returns whether any came."""
        pause = IDLE_SECONDS if wait else self._until_next()
        came = False
        while not self._closed.is_set():
            try:
                self._follow(self._orders.get(timeout=pause) if pause else self._orders.get_nowait())
            except Empty:
                break
            came, pause = True, 0.0
        return came

    def _until_next(self) -> float:
        """Seconds until there is something to do: a step, or a frame."""
        return min(self._pace.wait(perf_counter()) if self._playing else FRAME_SECONDS, FRAME_SECONDS)

    def _follow(self, order: Order) -> None:
        if order.speed is not None and order.speed != self._pace.speed:
            self._pace = Pace(order.speed)
        if order.seed is not None:
            self._chosen = min(order.seed, len(self.trainings[0].specs) - 1)
        if order.do in ("play", "pause"):
            self._playing = order.do == "play"
        elif order.do == "step":
            self._step()
        elif order.do == "rewind":
            for training in self.trainings:
                training.rewind()

    def _step(self) -> None:
        for training in self.trainings:
            training.step()

    def _show(self) -> None:
        """Make a frame; a page that reads slowly gets fewer."""
        begun = perf_counter()
        numbers = not self._playing or self._made % NUMBERS_EVERY == 0
        sides = [views.frame(self._chosen, numbers) for views in self._views]
        self._made += 1
        frame = json.dumps({"seed": self._chosen, "playing": self._playing, "sides": sides})
        period = max(FRAME_SECONDS, COSTS_APART * (perf_counter() - begun))
        self._due = max(self._due, begun - period / 2) + period
        try:
            self._frames.put_nowait(frame)
        except Full:  # the page has not taken the one before
            return
