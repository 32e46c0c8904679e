"""Tells the person who waits what happens; results go to standard output, this goes to standard error."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_HEARTBEAT_SECONDS = 30.0


def say(message: str) -> None:
    """Print one line of progress."""
    print(message, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Write a span of time as a person reads it: `0.4 s`, `12 s`, `7 min 52 s`."""
    if seconds < 10:  # noqa: PLR2004  # below this a tenth of a second tells something
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that something starts, that it still goes on every half minute, and how long it took."""
    started = time.monotonic()
    done = threading.Event()
    say(f"{what} …")

    def beat() -> None:
        while not done.wait(_HEARTBEAT_SECONDS):
            say(f"{what}: {duration(time.monotonic() - started)} so far …")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
    say(f"{what}: {duration(time.monotonic() - started)}")
