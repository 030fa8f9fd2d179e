"""End of every command: send events that wait for the store, and end runs that this process left open."""

from contextlib import suppress
from time import monotonic, sleep

from workbench.core import signals
from workbench.core.errors import TrackingError
from workbench.core.plain_text import say
from workbench.tracking import store_checks, unsent_files
from workbench.tracking.base import Outcome
from workbench.tracking.recover import recover, recovery_command
from workbench.tracking.unsent_files import unsent

SECONDS_AT_THE_END = 5.0  # for a store to come back before a command leaves what it could not send
NOT_ALL_SENT, INTERRUPTED = 3, 130  # exit codes


def end_own() -> None:
    """End runs that this process has left open in the stores it wrote to, as far as they answer."""
    outcome = Outcome.interrupted if signals.code() == INTERRUPTED else Outcome.killed
    for store in list(unsent_files.used):
        with suppress(TrackingError):
            store_checks.end_own(store, outcome)


def send_rest(code: int) -> int:
    """Exit code of a command at its end: 3 in place of 0 where the store has not everything.

    Events that this process and its workers could not send are tried for some seconds more.
    """
    late = monotonic() + SECONDS_AT_THE_END
    for store in list(unsent_files.used):
        while any(file.is_free for file in unsent(store)):
            sent = recover(store)
            for result in sent:
                if not result.error:
                    say(f"workbench: {result.summary}")
            if monotonic() > late or not any(result.error for result in sent):
                break
            sleep(1)
        for left in unsent(store):
            if left.is_free:
                command = recovery_command(store)
                say(f"workbench: not everything is in {store.shown}, the rest is in {left.file}; send it: {command}")
                code = code or NOT_ALL_SENT
    return code
