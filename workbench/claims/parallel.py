"""Claims measured at the same time, each by a process of its own, as measuring one takes one core."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

from workbench.core import signals
from workbench.core.errors import ConfigError, Terminated

Done = TypeVar("Done")
OnError = Callable[[str, Exception], None]


def each_in_a_process(
    measure: Callable[[str], Done], names: Sequence[str], processes: int, on_error: OnError | None = None
) -> Iterator[Done]:
    """Call `measure`, which can be pickled, with each name, `processes` at a time; yields what is done first, first.

    Where one fails, `on_error` is told and the others go on; without it the error is raised. Raises ConfigError for a
    process that died. When this process is interrupted it ends the others, which close their runs.
    """
    others = set(multiprocessing.active_children())
    resource_tracker.ensure_running()  # starting it unblocks SIGINT, which the first worker would receive
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, signals.end_with_parent) as pool:
        with signals.held_back():  # Ctrl-C reaches the whole group; this process says when the others end
            futures = {pool.submit(_measured, measure, name): name for name in names}
        try:
            for done in as_completed(futures):
                with telling(on_error, futures[done]):
                    yield _result(done, futures[done])
        except BaseException as error:
            signals.ending(error)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def telling(on_error: OnError | None, name: str) -> Iterator[None]:
    """Tell `on_error` of what fails in the block; without it the error is raised."""
    try:
        yield
    except Exception as error:
        if on_error is None:
            raise
        on_error(name, error)


def _result(done: "Future[Done]", name: str) -> Done:
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"claim {name}: a process that measures claims ended by itself, for example for lack of memory; what is "
            "done is kept: write --processes 1 to go on"
        ) from error


def _measured(measure: Callable[[str], Done], name: str) -> Done:
    """Measure in this worker process, which SIGTERM ends: while it measures by an exception that closes its runs.

    Back in the pool it would wait for a lock that a process which was ended may hold forever.
    """
    signals.listen(signal.SIGTERM)
    try:
        return measure(name)
    except Terminated:
        os._exit(signals.code())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
