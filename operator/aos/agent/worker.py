"""Carries out the conversation's commands: the only place where the pure core and the edges meet."""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import httpx2

from aos.agent.assignment import Assignment
from aos.agent.conversation import (
    AskModel,
    AwaitTool,
    CallTool,
    Event,
    ModelAnswered,
    OutputRejected,
    SubmitFailure,
    SubmitOutput,
    ToolHeld,
    ToolReturned,
    advance,
    begin,
)
from aos.agent.delegates import DelegateClient
from aos.agent.failure import CannotReportError, Failure, FailureReason, TaskFailedError
from aos.agent.holding import HeldCalls
from aos.agent.inbox import Inbox, OutputRefusedError
from aos.agent.journal import Journal, Level
from aos.agent.model import ModelClient
from aos.agent.settings import AgentSettings
from aos.agent.tools import ToolClient, ToolReply, open_tools
from aos.model.base import JsonObject

_MARGIN_SHARE: Final = 0.2
"""Most of a short deadline that is kept for reporting."""

_ASKED_BEFORE_SECONDS: Final = 2.0
"""How long before the work must end its deadline is asked for once more."""


@dataclass(frozen=True, slots=True)
class _Hands:
    """All that the model can call."""

    tools: ToolClient
    delegates: DelegateClient

    async def call(self, command: CallTool) -> ToolReply:
        hand = self.delegates if self.delegates.has(command.name) else self.tools
        return await hand.call(command)


@dataclass(frozen=True, slots=True)
class _Held:
    """A call that waits for people."""

    command: CallTool
    start: float
    task: asyncio.Task[ToolReply]


class Worker:
    """Does one task."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        settings: AgentSettings,
        inbox: Inbox,
        assignment: Assignment,
        journal: Journal,
    ) -> None:
        self._http = http
        self._settings = settings
        self._inbox = inbox
        self._assignment = assignment
        self._journal = journal
        self._held: deque[_Held] = deque()

    async def work(self) -> Failure | None:
        """Do the task before its deadline; return why it failed, or None once its output is posted.

        Raises:
            CannotReportError: the output can't be posted.
        """
        try:
            async with asyncio.timeout(self._seconds_to_work()) as limit:
                following = asyncio.create_task(self._follow_deadline(limit))
                try:
                    return await self._converse()
                finally:
                    following.cancel()
        except TimeoutError:
            waited = ", ".join(held.command.name for held in self._held)
            more = f"; people had not decided about {waited}" if waited else ""
            return Failure(FailureReason.DEADLINE_EXCEEDED, f"the deadline came before an answer{more}")
        except TaskFailedError as error:
            return error.failure
        except CannotReportError:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: a bug, too, ends in a reason on the Task
            # Its text might quote what the model or a tool said; the type is enough to look for it.
            return Failure(FailureReason.INTERNAL_ERROR, f"unexpected {type(error).__name__}")

    async def _follow_deadline(self, limit: asyncio.Timeout) -> None:
        """Ask for the deadline shortly before it comes: it moves while people decide."""
        loop = asyncio.get_running_loop()
        while (due := limit.when()) is not None:
            left = max(0.0, due - loop.time())
            await asyncio.sleep(left - min(_ASKED_BEFORE_SECONDS, left / 2))
            try:
                assignment = await self._inbox.fetch()
            except CannotReportError:
                return
            if limit.expired() or assignment.deadline == self._assignment.deadline:
                return
            self._assignment = assignment
            seconds = self._seconds_to_work()
            limit.reschedule(None if seconds is None else loop.time() + seconds)

    def _seconds_to_work(self) -> float | None:
        left = self._assignment.seconds_left(datetime.now(UTC))
        if left is None:
            return None
        margin = min(self._settings.bounds.report_margin_seconds, left * _MARGIN_SHARE)
        return max(0.0, left - margin)

    async def _converse(self) -> Failure | None:
        async with open_tools(self._http, self._settings) as tools:
            delegates = DelegateClient(self._http, self._settings, self._assignment)
            offers = (*await tools.offers(), *await delegates.offers())
            self._journal.write("tools listed", count=len(offers))
            model = ModelClient(self._http, self._settings, self._assignment, offers)
            conversation, command = begin(self._assignment, offers, self._settings.bounds)
            try:
                while not isinstance(command, SubmitFailure):
                    event = await self._perform(command, model, _Hands(tools, delegates))
                    if event is None:
                        return None
                    conversation, command = advance(conversation, event)
                return command.failure
            finally:
                await self._let_go()

    async def _perform(
        self, command: AskModel | CallTool | AwaitTool | SubmitOutput, model: ModelClient, hands: _Hands
    ) -> Event | None:
        """Carry out ``command``; None means that the output is posted and nothing is left to do."""
        match command:
            case AskModel():
                return await self._ask(model, command)
            case CallTool():
                return await self._call(hands, command)
            case AwaitTool():
                return await self._await_held()
            case SubmitOutput(output=output):
                return await self._submit(output)

    async def _ask(self, model: ModelClient, command: AskModel) -> ModelAnswered:
        start = monotonic()
        reply = await model.ask(command)
        self._journal.write(
            "model answered",
            calls=len(reply.answer.calls),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            milliseconds=_since(start),
        )
        return reply.answer

    async def _call(self, hands: _Hands, command: CallTool) -> ToolReturned | ToolHeld:
        start = monotonic()
        reply = await hands.call(command)
        if reply.hold is None and not reply.stale:
            return self._returned(command, reply, start)
        approval = reply.hold.approval if reply.hold else ""
        self._journal.write("tool waits", tool=command.name, approval=approval or None)
        waits = HeldCalls(hands.call, self._settings.bounds).see_through(command, reply)
        self._held.append(_Held(command, start, asyncio.create_task(waits)))
        return ToolHeld()

    async def _await_held(self) -> ToolReturned:
        held = self._held[0]
        reply = await held.task
        self._held.popleft()
        return self._returned(held.command, reply, held.start)

    async def _let_go(self) -> None:
        """End the repetitions of what nobody waits for any more; what is held is remembered, to be named."""
        for held in self._held:
            held.task.cancel()
        if self._held:
            await asyncio.wait([held.task for held in self._held])

    def _returned(self, command: CallTool, reply: ToolReply, start: float) -> ToolReturned:
        self._journal.write(
            "tool denied" if reply.denied else "tool failed" if reply.failed else "tool called",
            Level.WARNING if reply.failed else Level.INFO,
            tool=command.name,
            reason=reply.reason or None,
            milliseconds=_since(start),
        )
        return ToolReturned(reply.text)

    async def _submit(self, output: JsonObject) -> OutputRejected | None:
        try:
            recorded = await self._inbox.post_output(output)
        except OutputRefusedError as error:
            self._journal.write("output refused", Level.WARNING, problems=len(error.problems))
            return OutputRejected(error.problems)
        self._journal.write("output posted" if recorded else "task had ended")
        return None


def _since(start: float) -> int:
    return round(1000 * (monotonic() - start))
