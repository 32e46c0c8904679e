"""One thread that does blocking work in the order given, and tells the event loop when it is done."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class Worker:
    """A thread; leaner than an executor, since a call of the gateway waits for it twice."""

    def __init__(self, name: str) -> None:
        """Start the thread; it ends with `close`, or with the process."""
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(
        self, function: Callable[[], Result], done: Callable[[Result | None, Exception | None], None]
    ) -> None:
        """Call ``function`` in the thread, then ``done`` with its result or error in the running event loop."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            result: Result | None = None
            failed: Exception | None = None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  - it is raised again where it is waited for
                failed = error
            # The loop may have ended meanwhile; then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, result, failed)

        self._work.put(work)

    def close(self) -> None:
        """End the thread once it has done what was asked of it."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
