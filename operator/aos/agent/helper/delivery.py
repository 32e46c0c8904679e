"""Hands the pod's Tasks to the image's A2A server, one at a time, and what comes of them to the gateway.

No deadline is counted here: it moves while people decide, and the gateway says when a Task has ended.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aos.agent.helper.a2a import (
    METHOD_NOT_FOUND,
    VERSION_HEADER,
    VERSION_NOT_SUPPORTED,
    AnswerError,
    Dialect,
    JsonObject,
    Operation,
    RpcError,
    View,
    dialect_of,
    read_answer,
    request,
    work,
)
from aos.agent.helper.inbox import Assignment, Inbox
from aos.agent.helper.origin import FAULTS, Origin, UnreachableError
from aos.agent.helper.settings import A2aServer, Bounds
from aos.agent.journal import Journal, Level
from aos.model.pod_tasks import PodTasks

CARD: Final = b"/.well-known/agent-card.json"
_OK: Final = 200
_POLL_GROWTH: Final = 1.5


class FailedError(Exception):
    """The Task came to nothing."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


class EndedError(Exception):
    """The Task ended while the server worked on it."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A Task that was handed to the server: by its uid, the server's own id for it, and in which version."""

    uid: str
    id: str = ""
    dialect: Dialect = Dialect.CURRENT


class Delivery:
    """The image's A2A server, and the Tasks that are handed to it."""

    def __init__(
        self,
        server: A2aServer,
        inbox: Inbox,
        marker: Path,
        bounds: Bounds,
        journal: Journal,
        works_on: Callable[[str], None],
    ) -> None:
        """Name a server; nothing is asked yet.

        Args:
            server: where it listens.
            inbox: where Tasks come from.
            marker: where is kept in mind which Task was handed over.
            bounds: of the helper.
            journal: of the helper.
            works_on: told the uid of the Task at hand before the server hears of it.
        """
        self._server = Origin("127.0.0.1", server.port, bounds)
        self._path = server.path.encode()
        self._inbox = inbox
        self._marker = marker
        self._bounds = bounds
        self._journal = journal
        self._works_on = works_on

    async def run(self, tasks: PodTasks) -> None:
        """Hand over the pod's Task, or one after the other."""
        try:
            await self._run(tasks)
        finally:
            self._server.close()

    async def _run(self, tasks: PodTasks) -> None:
        while True:
            task = await self._inbox.wait()
            self._journal.write("task received", task=task.name)
            self._works_on(task.uid)
            try:
                await self._do(task)
            except OSError as error:
                # The gateway is away for long. Once it is back it hands out the same Task, and is told what became of it.
                self._journal.write("gave up", Level.ERROR, message=str(error))
            if tasks is not PodTasks.MANY:
                return

    async def _do(self, task: Assignment) -> None:
        before = _read(self._marker)
        if before is not None and before.uid == task.uid:
            await self._end(before)
            await self._fail(
                task,
                "Restarted",
                "the helper ended while the agent worked on the Task, and what came of it is lost",
            )
            return
        begun = _Begun(task.uid)
        _write(self._marker, begun)
        try:
            dialect = await self._ready()
            begun, view = await self._begin(task, dialect)
            _write(self._marker, begun)
            view = await self._followed(begun, view)
        except EndedError:
            self._journal.write("task had ended")
            await self._end(begun)
        except FailedError as error:
            await self._fail(task, error.reason, error.message)
        else:
            await self._hand_in(task, view)

    async def _ready(self) -> Dialect:
        """Return which version the server speaks, once it answers for its card."""
        until, last = time.monotonic() + self._bounds.ready_seconds, "it never answered"
        while True:
            try:
                answer = await self._server.ask(b"GET", CARD, [])
                if answer.status == _OK:
                    return dialect_of(answer.body)
                last = f"HTTP {answer.status}"
            except AnswerError as error:
                last = str(error)
            except FAULTS as error:
                last = str(error) or type(error).__name__
            if time.monotonic() > until:
                raise FailedError(
                    "AgentUnreachable",
                    f"the agent's A2A server gave no agent card at {CARD.decode()}"
                    f" in {self._bounds.ready_seconds:g} seconds: {last}",
                )
            await asyncio.sleep(self._bounds.retry_pause_seconds)

    async def _begin(self, task: Assignment, dialect: Dialect) -> tuple[_Begun, View]:
        for attempt in (dialect, dialect.other):
            try:
                view = await self._watched(
                    task.uid, self._ask(attempt, Operation.SEND, work(attempt, task.uid, task.input))
                )
                return _Begun(task.uid, view.id, attempt), view
            except RpcError as error:
                is_other = error.code in (METHOD_NOT_FOUND, VERSION_NOT_SUPPORTED)
                if not is_other or attempt is not dialect:
                    raise FailedError(
                        "AgentRefused", f"the agent's A2A server refuses: {error.message}"
                    ) from error
            except AnswerError as error:
                raise FailedError("AgentAnswerInvalid", f"the agent's A2A server: {error}") from error
            except FAULTS as error:
                raise await self._lost(error) from error
        raise FailedError("AgentRefused", "the agent's A2A server speaks neither A2A 1.0 nor 0.3")

    async def _followed(self, begun: _Begun, view: View) -> View:
        """Return how the work ended."""
        pause, checked = self._bounds.first_poll_seconds, time.monotonic()
        while view.is_open:
            await asyncio.sleep(pause)
            pause = min(_POLL_GROWTH * pause, self._bounds.max_poll_seconds)
            view = await self._polled(begun)
            if view.is_open and time.monotonic() - checked > self._bounds.task_check_seconds:
                checked = time.monotonic()
                if not await self._inbox.is_open(begun.uid):
                    raise EndedError
        return view

    async def _polled(self, begun: _Begun) -> View:
        """Return how far the server is; one that went away is asked again for a while."""
        until = time.monotonic() + self._bounds.lost_seconds
        while True:
            try:
                return await self._ask(begun.dialect, Operation.GET, {"id": begun.id})
            except RpcError as error:
                raise FailedError(
                    "AgentLost", f"the agent's A2A server does not know the work any more: {error.message}"
                ) from error
            except AnswerError as error:
                raise FailedError("AgentAnswerInvalid", f"the agent's A2A server: {error}") from error
            except FAULTS as error:
                if time.monotonic() > until:
                    raise await self._lost(error) from error
            await asyncio.sleep(self._bounds.retry_pause_seconds)

    async def _lost(self, error: BaseException) -> FailedError:
        """Return what a server that is gone means, once the pod had time to end, which says more."""
        if not isinstance(error, UnreachableError):
            await asyncio.sleep(self._bounds.lost_seconds)
        return FailedError(
            "AgentUnreachable",
            f"the agent's A2A server went away while it worked on the Task ({type(error).__name__})",
        )

    async def _watched(self, uid: str, sending: Coroutine[None, None, View]) -> View:
        """Return what the server answers; it may take the whole work, in which the Task may end."""
        answering = asyncio.ensure_future(sending)
        try:
            while True:
                done, _ = await asyncio.wait({answering}, timeout=self._bounds.task_check_seconds)
                if done:
                    return answering.result()
                if not await self._inbox.is_open(uid):
                    raise EndedError
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _ask(self, dialect: Dialect, operation: Operation, params: JsonObject) -> View:
        headers = [(b"Content-Type", b"application/json"), (VERSION_HEADER, dialect.value.encode())]
        answer = await self._server.ask(b"POST", self._path, headers, request(dialect, operation, params))
        if answer.status != _OK and not answer.body.startswith(b"{"):
            raise AnswerError(f"HTTP {answer.status}")
        return read_answer(answer.body)

    async def _hand_in(self, task: Assignment, view: View) -> None:
        if view.state != "completed":
            said = f": {view.message}" if view.message else ""
            await self._fail(task, "AgentFailed", f"the agent ended its work as {view.state}{said}")
            return
        if view.output is None:
            await self._fail(
                task, "OutputInvalid", "the agent's A2A server completed the work without any output"
            )
            return
        refusal = await self._inbox.post(task.uid, {"output": view.output})
        if refusal is not None:
            await self._fail(task, "OutputInvalid", refusal.message)

    async def _fail(self, task: Assignment, reason: str, message: str) -> None:
        self._journal.write("task failed", Level.ERROR, reason=reason)
        refusal = await self._inbox.post(task.uid, {"failure": {"reason": reason, "message": message}})
        if refusal is not None:
            raise OSError(f"the gateway refuses the failure {reason}")

    async def _end(self, begun: _Begun) -> None:
        """Cancel work that nobody waits for; return once the server is done with it, so that it does nothing for the next Task."""
        told = False
        while begun.id:
            try:
                async with asyncio.timeout(self._bounds.cancel_seconds):
                    operation = Operation.GET if told else Operation.CANCEL
                    view = await self._ask(begun.dialect, operation, {"id": begun.id})
                if not view.is_open:
                    return
            except (RpcError, AnswerError) as error:
                if told:
                    # It does not know it any more.
                    return
                self._journal.write("not cancelled", Level.WARNING, reason=type(error).__name__)
            except FAULTS:
                return
            if not told:
                self._journal.write("waiting for the agent to stop")
            told = True
            await asyncio.sleep(self._bounds.max_poll_seconds)


def _read(marker: Path) -> _Begun | None:
    try:
        said = json.loads(marker.read_text(encoding="utf-8"))
        return _Begun(said["uid"], said["id"], Dialect(said["dialect"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(marker: Path, begun: _Begun) -> None:
    said = {"uid": begun.uid, "id": begun.id, "dialect": begun.dialect.value}
    marker.write_text(json.dumps(said), encoding="utf-8")
