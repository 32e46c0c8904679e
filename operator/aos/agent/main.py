"""The runtime's process: one task from its assignment to its posted result, then an exit code."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import IntEnum
from pathlib import Path

from aos.agent.failure import CannotReportError
from aos.agent.inbox import Inbox
from aos.agent.journal import Journal, Level, leave_termination_message
from aos.agent.settings import DEFAULT_TERMINATION_LOG, AgentSettings, SettingsError
from aos.agent.transport import gateway_client
from aos.agent.worker import Worker


class ExitCode(IntEnum):
    """How the process ends."""

    REPORTED = 0
    """A result or a failure stands on the Task."""
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
    """Do the pod's one task and return the process's exit code (an :class:`ExitCode`)."""
    journal = Journal()
    # The libraries' own log lines may hold arguments and results; without a handler they would go to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        async with _ended_by_sigterm():
            await _do_task(settings, journal)
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


async def _do_task(settings: AgentSettings, journal: Journal) -> None:
    _check_files(settings)
    async with gateway_client(settings) as http:
        inbox = Inbox(http, settings)
        assignment = await inbox.fetch()
        journal.write(
            "task received",
            task=f"{assignment.namespace}/{assignment.name}",
            agent=assignment.agent,
            revision=assignment.revision,
        )
        failure = await Worker(http, settings, inbox, assignment, journal).work()
        if failure is None:
            return
        recorded = await inbox.post_failure(failure)
        said = "failure posted" if recorded else "task had ended"
        journal.write(said, Level.ERROR, reason=failure.reason.value, message=failure.message)


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
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    # Handlers exist in the main thread alone; in another one, somebody else owns the process.
    with contextlib.suppress(RuntimeError, ValueError):
        if task is not None:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)
