"""The runtime's process: its Tasks, each from its assignment to its posted result, then an exit code."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from enum import IntEnum
from pathlib import Path

from aos.agent.failure import CannotReportError
from aos.agent.journal import Journal, Level, leave_termination_message
from aos.agent.settings import DEFAULT_TERMINATION_LOG, AgentSettings, SettingsError
from aos.agent.tasks import do_many, do_one
from aos.model.pod_tasks import PodTasks


class ExitCode(IntEnum):
    """How the process ends."""

    REPORTED = 0
    """A result or a failure stands on each Task; a Service was told to stop."""
    NOT_REPORTED = 1
    """Nothing could be posted; the termination message says why."""
    MISCONFIGURED = 2
    """The environment is incomplete."""
    TERMINATED = 143
    """The pod was ended first."""


def main() -> int:
    """Run the agent that the environment describes and return the process's exit code (an :class:`ExitCode`)."""
    try:
        settings = AgentSettings.from_environment(os.environ)
    except SettingsError as error:
        return _give_up(Path(DEFAULT_TERMINATION_LOG), Journal(), ExitCode.MISCONFIGURED, str(error))
    return asyncio.run(run_agent(settings))


async def run_agent(settings: AgentSettings) -> int:
    """Do the pod's Tasks and return the process's exit code (an :class:`ExitCode`)."""
    journal = Journal()
    # The libraries' own log lines may hold arguments and results; without a handler they would go to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        _check_files(settings)
        if settings.tasks is PodTasks.MANY:
            await _serve(settings, journal)
        else:
            async with _ended_by_sigterm():
                await do_one(settings, journal)
    except CannotReportError as error:
        return _give_up(settings.termination_log, journal, ExitCode.NOT_REPORTED, str(error))
    except asyncio.CancelledError:
        return _give_up(
            settings.termination_log,
            journal,
            ExitCode.TERMINATED,
            "the pod was ended before its task was done",
        )
    return ExitCode.REPORTED


async def _serve(settings: AgentSettings, journal: Journal) -> None:
    stop = asyncio.Event()

    def end() -> None:
        journal.write("stopping")
        stop.set()

    with _on_sigterm(end):
        await do_many(settings, journal, stop)


def _check_files(settings: AgentSettings) -> None:
    for path in (settings.token_file, settings.ca_file):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotReportError(f"can't read {path}: {error.strerror}") from error


def _give_up(termination_log: Path, journal: Journal, code: ExitCode, message: str) -> ExitCode:
    journal.write("gave up", Level.ERROR, message=message)
    leave_termination_message(termination_log, message)
    return code


@asynccontextmanager
async def _ended_by_sigterm() -> AsyncGenerator[None]:
    """Cancel the work on SIGTERM, which a container's first process would otherwise not even notice."""
    task = asyncio.current_task()
    with _on_sigterm(lambda: task.cancel() if task is not None else None):
        yield


@contextlib.contextmanager
def _on_sigterm(act: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # Handlers exist in the main thread alone; in another one, somebody else owns the process.
    with contextlib.suppress(RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, act)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)
