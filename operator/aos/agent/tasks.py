"""The pod's Tasks: its one, or one after the other until it is told to stop. Nothing of one Task is kept for the next."""

import asyncio
from pathlib import Path

from aos.agent.assignment import Assignment
from aos.agent.failure import CannotReportError, Failure, FailureReason
from aos.agent.inbox import Inbox
from aos.agent.journal import Journal, Level
from aos.agent.settings import AgentSettings
from aos.agent.transport import gateway_client
from aos.agent.worker import Worker
from aos.model.pod_tasks import PodTasks


async def do_one(settings: AgentSettings, journal: Journal) -> None:
    """Do the pod's one Task; one that is kept warm waits for it as long as it takes.

    Raises:
        CannotReportError: nothing can be posted.
    """
    async with gateway_client(settings) as http:
        inbox = Inbox(http, settings)
        warm = settings.tasks is PodTasks.LATER
        assignment = await inbox.wait() if warm else await inbox.fetch()
    await _do(assignment, settings, journal)


async def do_many(settings: AgentSettings, journal: Journal, stop: asyncio.Event) -> None:
    """Do Tasks one after the other until ``stop`` is set; the one at hand is ended then.

    Raises:
        CannotReportError: the gateway refuses the pod.
    """
    while (assignment := await _next(settings, stop)) is not None:
        try:
            await _do_once(assignment, settings, journal)
        except CannotReportError as error:
            # No reason to end: once the gateway is back it hands out the same Task again, and is told what became of it.
            journal.write("gave up", Level.ERROR, message=str(error))
            await asyncio.sleep(settings.bounds.retry_pause_seconds)
        if stop.is_set():
            return


async def _next(settings: AgentSettings, stop: asyncio.Event) -> Assignment | None:
    async with gateway_client(settings) as http:
        inbox = Inbox(http, settings)
        waiting, stopping = asyncio.ensure_future(inbox.wait()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)
        # A Task may have been given to the pod in the moment in which it was told to stop.
        return await inbox.last()


async def _do_once(assignment: Assignment, settings: AgentSettings, journal: Journal) -> None:
    """Do a Task, unless it was begun here before: what was done of it by then may not be done twice."""
    if not _was_begun(settings.marker, assignment.uid):
        await _do(assignment, settings, journal)
        return
    failure = Failure(
        FailureReason.RESTARTED,
        "the agent's process ended while it worked on the Task, and what it had done by then is not known",
    )
    await _report(failure, assignment, settings, journal)


async def _do(assignment: Assignment, settings: AgentSettings, journal: Journal) -> None:
    journal.write(
        "task received",
        task=f"{assignment.namespace}/{assignment.name}",
        agent=assignment.agent,
        revision=assignment.revision,
    )
    async with gateway_client(settings, assignment.uid) as http:
        inbox = Inbox(http, settings)
        failure = await Worker(http, settings, inbox, assignment, journal).work()
    if failure is not None:
        await _report(failure, assignment, settings, journal)


async def _report(
    failure: Failure, assignment: Assignment, settings: AgentSettings, journal: Journal
) -> None:
    async with gateway_client(settings, assignment.uid) as http:
        recorded = await Inbox(http, settings).post_failure(failure)
    said = "failure posted" if recorded else "task had ended"
    journal.write(said, Level.ERROR, reason=failure.reason.value, message=failure.message)


def _was_begun(marker: Path, uid: str) -> bool:
    """Return whether the Task with ``uid`` was begun in this pod, and keep in mind that it is now."""
    try:
        if marker.read_text(encoding="utf-8") == uid:
            return True
    except OSError:
        # None was begun yet.
        pass
    marker.write_text(uid, encoding="utf-8")
    return False
