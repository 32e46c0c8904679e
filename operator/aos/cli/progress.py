"""Shows the progress of something that takes a while on standard error: a live line on a terminal, else plain lines."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rich.status import Status


QUIET_SECONDS: Final = 15.0
"""How long a log says nothing while something is waited for."""


class Progress(Protocol):
    """Where progress is shown."""

    def say(self, line: str) -> None:
        """Show something that happened; it stays."""

    def wait_for(self, what: str) -> None:
        """Show what is waited for, in place of what was shown before."""


class PlainProgress:
    """One line for each thing that happened, with the seconds since the start; what is waited for where nothing does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_at = self._said_at = clock()

    def say(self, line: str) -> None:
        """Print the line."""
        self._said_at = self._clock()
        print(f"{self._said_at - self._started_at:6.1f}s  {line}", file=sys.stderr, flush=True)

    def wait_for(self, what: str) -> None:
        """Print it if nothing was printed for QUIET_SECONDS: a log has no line to come back to."""
        if what and self._clock() - self._said_at >= QUIET_SECONDS:
            self.say(f"... {what}")


class LiveProgress(PlainProgress):
    """The same lines, above one that always says what is waited for."""

    def __init__(self, status: "Status") -> None:
        super().__init__()
        self._status = status

    def wait_for(self, what: str) -> None:
        """Replace the last line."""
        from rich.text import Text

        # As Text: what an object says must not be read as rich's markup.
        self._status.update(Text(what))


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Give a place for progress that suits standard error."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.text import Text

    # Rich redirects what is printed meanwhile, so that plain lines go above the live one.
    with Console(stderr=True).status(Text(title)) as status:
        yield LiveProgress(status)
