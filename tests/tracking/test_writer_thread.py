"""The thread that writes events: all of them, once, in their order, whatever fails or interrupts."""

import signal
import threading
import time
from collections.abc import Sequence

import pytest

from workbench.core.errors import TrackingError
from workbench.tracking import writer_thread as module
from workbench.tracking.base import Event, Rows, Tagged
from workbench.tracking.writer_thread import Writer

SLOW = 0.3


def event(number: int) -> Tagged:
    """An event that is told from others."""
    return Tagged(str(number), {})


class Store:
    """Keeps what it is given; fails at the calls with these numbers, counted from 1, and may have to wait."""

    def __init__(self, fails: Sequence[int] = ()) -> None:
        self.fails, self.calls = fails, 0
        self.kept: list[str] = []
        self.threads: set[int] = set()
        self.free = threading.Event()
        self.free.set()

    def write(self, events: Sequence[Event]) -> None:
        """Keep all of them or none."""
        self.calls += 1
        self.threads.add(threading.get_ident())
        assert self.free.wait(10)
        if self.calls in self.fails:
            raise TrackingError(f"call {self.calls}")
        self.kept += [one.run for one in events if isinstance(one, Tagged)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are not kept waiting."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(module, "MOST_OF_TIME", 1e9)


def until(store: Store, count: int) -> None:
    """Wait until a store has kept so many events."""
    late = time.monotonic() + 10
    while len(store.kept) < count:
        assert time.monotonic() < late
        time.sleep(0.001)


def test_all_is_written_once_and_in_order(at_once: None) -> None:
    """All events are written once and in order by another thread."""
    store = Store()
    writer = Writer(store.write)
    for number in range(2000):
        writer.put(event(number))
    writer.flush()
    assert store.kept == [str(number) for number in range(2000)]
    assert len(store.threads) == 1
    assert threading.get_ident() not in store.threads


def test_what_waits_is_written_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long time between two records does not keep rows back: nobody has to call again."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN_WRITES", 0.05)
    store = Store()
    writer = Writer(store.write)
    for count in (1, 2):
        writer.put(event(count))
        until(store, count)


def test_training_does_not_wait_for_the_store() -> None:
    """Events are taken while the store is busy, and are written together when it is done."""
    store = Store()
    store.free.clear()
    writer = Writer(store.write)
    for number in range(100):
        writer.put(event(number))
    assert store.kept == []
    store.free.set()
    writer.flush()
    assert len(store.kept) == 100
    assert store.calls <= 2


def test_waiting_rows_are_bounded(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is slower than training: training waits for it once MOST_ROWS are there."""
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    store = Store()
    store.free.clear()
    writer = Writer(store.write)
    threading.Timer(SLOW, store.free.set).start()
    begun = time.monotonic()
    for step in range(10):
        writer.put(Rows(("a", "b"), step, 0, {name: [0.0, 0.0] for name in "xyz"}))
    assert time.monotonic() - begun > SLOW / 2
    writer.flush()


def test_failure_is_raised_and_the_events_are_tried_again(at_once: None) -> None:
    """A write that fails in the thread: the next call says so; the one after it writes all that is there."""
    store = Store(fails=[1])
    writer = Writer(store.write)
    writer.put(event(0))
    with pytest.raises(TrackingError, match="call 1"):
        writer.flush()
    assert store.kept == []
    writer.put(event(1))
    writer.flush()
    assert store.kept == ["0", "1"]


def test_what_fails_twice_is_lost(at_once: None) -> None:
    """An event that fails twice raises both times and is lost; later events are written as usual."""
    store = Store(fails=[1, 2])
    writer = Writer(store.write)
    writer.put(event(0))
    for _ in range(2):
        with pytest.raises(TrackingError):
            writer.flush()
    writer.put(event(1))
    writer.flush()
    assert store.kept == ["1"]


def test_what_is_written_now_is_not_tried_again(at_once: None) -> None:
    """`now` writes after what waits, raises what it meets, and leaves nothing behind."""
    store = Store(fails=[2])
    writer = Writer(store.write)
    writer.put(event(0))
    with pytest.raises(TrackingError, match="call 2"):
        writer.now(lambda: store.write([event(1)]))
    writer.flush()
    assert store.kept == ["0"]


def test_interruption_waits_for_a_flush() -> None:
    """Ctrl-C while a flush waits: it is raised once everything is written."""
    store = Store()
    store.free.clear()
    writer = Writer(store.write)
    writer.put(event(0))
    threading.Timer(SLOW / 3, signal.raise_signal, [signal.SIGINT]).start()
    threading.Timer(SLOW, store.free.set).start()
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    assert store.kept == ["0"]
