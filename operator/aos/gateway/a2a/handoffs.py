"""Handing work over: judged, looked through, admitted, made a Task, and given back. One message makes one Task."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import ValidationError

from aos.gateway.a2a import rights
from aos.gateway.a2a.carrying import InputSchemas, input_checked
from aos.gateway.a2a.children import Children, TaskReader, TaskSource, child_manifest, child_name
from aos.gateway.a2a.message import HandoffMessage
from aos.gateway.a2a.protocol import INVALID_PARAMS, REFUSED, TASK_NOT_CANCELABLE, A2aError, Operation
from aos.gateway.a2a.views import view_of
from aos.gateway.caller import Caller
from aos.gateway.control.asked import AskedCall, Finished, Ticket
from aos.gateway.control.likeness import likeness
from aos.gateway.journal import CallOutcome, Entry, Journal, Subject, arguments_digest
from aos.gateway.refusal import RefusalCode, Refused
from aos.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from aos.kube.resources import TASKS, Resource
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.model.workflow_run import DEFAULT_RUN_TASKS
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import EffectivePolicy
from aos.policy.obligations import DataRules, Obligations

RETRY_SECONDS: Final = 1.0
QUOTA_RETRY_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


class HandoffRegistry(TaskSource, Protocol):
    """What is asked of the registry."""

    def agent(self, namespace: str, name: str) -> Agent | None:
        """Return the Agent as it is now, or None."""

    def policy(self, namespace: str, agent: str) -> EffectivePolicy | None:
        """Return what the agent may do, or None."""

    def run_tasks(self, root_uid: str, *, undoing: bool) -> int:
        """Return how many Tasks there are of a first run and of all that it started."""


class TaskStore(TaskReader, Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Create an object."""

    async def delete(self, resource: Resource, name: str, *, namespace: str = "", uid: str = "") -> None:
        """Delete one object."""


class Control(Protocol):
    """What is asked of `aos.gateway.control.control.CallControl`."""

    async def admit(self, asked: AskedCall) -> Ticket | Refused:
        """Reserve what the call takes and write its intent."""

    def finish(self, ticket: Ticket, finished: Finished) -> None:
        """Settle the call."""

    def refuse(self, asked: AskedCall, refused: Refused) -> None:
        """Record a call that was refused before."""


@dataclass(frozen=True, slots=True)
class _Cleared:
    """A handoff that may be made, with what is really handed over."""

    asked: AskedCall
    content: JsonObject


class Handoffs:
    """Makes and cancels Tasks of other agents, in the name of one that works on a Task."""

    def __init__(
        self,
        registry: HandoffRegistry,
        store: TaskStore,
        control: Control,
        journal: Journal,
        max_run_tasks: int = DEFAULT_RUN_TASKS,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._store = store
        self._control = control
        self._journal = journal
        self._max_run_tasks = max_run_tasks
        self._now = now
        self._clock = clock
        self._schemas = InputSchemas()
        self.children = Children(registry, store, clock)

    async def send(self, caller: Caller, name: str, message: HandoffMessage) -> Task:
        """Hand ``message`` over to the agent ``name``; a message that was sent before finds its Task.

        Raises:
            A2aError: it is refused, or it is not known whether the Task was made; then the same message may be sent again.
        """
        began_at = self._clock()
        judged = await self._judge(caller, name, message)
        if isinstance(judged, Task):
            return judged
        if isinstance(judged, _Cleared):
            ticket = await self._control.admit(judged.asked)
            if isinstance(ticket, Ticket):
                return await self._make(ticket, message, judged.content, began_at)
            self._write(judged.asked, ticket.effect, ticket.reason, CallOutcome.REFUSED, began_at)
            raise refusal(ticket)
        asked, refused = judged
        self._control.refuse(asked, refused)
        self._write(asked, refused.effect, refused.reason, CallOutcome.REFUSED, began_at)
        raise refusal(refused)

    def refuse(self, caller: Caller, name: str, operation: Operation, refused: Refused) -> A2aError:
        """Record that the caller may ask nothing of ``name``; return the answer."""
        asked = AskedCall(caller, Subject.AGENT, name, operation.value)
        self._control.refuse(asked, refused)
        self._write(asked, refused.effect, refused.reason, CallOutcome.REFUSED, self._clock())
        return refusal(refused)

    async def cancel(self, caller: Caller, name: str, task: Task) -> None:
        """Delete a Task that the caller handed to ``name``; its pod goes with it.

        Raises:
            A2aError: it has ended, policy refuses, or it is not known whether it was deleted.
        """
        if view_of(task).state.is_final:
            raise A2aError(TASK_NOT_CANCELABLE, f"Task {task.metadata.name} has ended")
        began_at = self._clock()
        asked = AskedCall(
            caller, Subject.AGENT, name, Operation.CANCEL.value, obligations=rights.obligations_of(caller)
        )
        ticket = await self._control.admit(asked)
        if isinstance(ticket, Refused):
            self._write(asked, ticket.effect, ticket.reason, CallOutcome.REFUSED, began_at)
            raise refusal(ticket)
        outcome = CallOutcome.FAILED
        try:
            await self._store.delete(
                TASKS, task.metadata.name, namespace=caller.namespace, uid=task.metadata.uid
            )
            outcome = CallOutcome.ANSWERED
        except (NotFound, Conflict):
            outcome = CallOutcome.ANSWERED
        except ApiError as error:
            raise _unsure(
                f"the Task could not be deleted ({error.reason or type(error).__name__})"
            ) from error
        finally:
            self._finish(ticket, outcome, began_at)

    def response_rules(self, caller: Caller, name: str) -> DataRules:
        """Return the rules by which what ``name`` said is looked through before the caller gets it."""
        receiver = self._registry.policy(caller.namespace, name)
        return rights.with_receiver(rights.obligations_of(caller), receiver).data

    async def _judge(
        self, caller: Caller, name: str, message: HandoffMessage
    ) -> Task | _Cleared | tuple[AskedCall, Refused]:
        receiver = self._registry.policy(caller.namespace, name)
        own = rights.obligations_of(caller)
        held_to = rights.with_receiver(own, receiver)
        asked = _asked(caller, name, message, own)
        inspected = await input_checked(caller.task.metadata.uid, held_to.data, message.input)
        if isinstance(inspected, Refused):
            return asked, inspected
        content = inspected.value
        if not isinstance(content, dict):
            raise TypeError("what was an object is one after inspection")
        known = self.children.known(caller, name, child_name(caller, name, message.id))
        if known is not None:
            return _same(known, content)
        agent = self._registry.agent(caller.namespace, name)
        refused = (
            rights.refusal_of_chain(caller, name, held_to.loops)
            or self._refusal_of_run(caller)
            or rights.refusal_of_receiver(name, agent)
            or (self._schemas.misfit(agent, content) if agent else None)
        )
        if refused is not None:
            return asked, refused
        return _Cleared(_asked(caller, name, message, own, inspected.found), content)

    def _refusal_of_run(self, caller: Caller) -> Refused | None:
        """Return why the run that the caller works for may have no further Task; None where it may, and outside any run."""
        run = caller.task.spec.run
        if run is None:
            return None
        return rights.refusal_of_run(
            self._registry.run_tasks(run.root_uid, undoing=run.undoing), self._max_run_tasks
        )

    async def _make(
        self, ticket: Ticket, message: HandoffMessage, content: JsonObject, began_at: float
    ) -> Task:
        """Create the Task, or find the one that another request for the same message has just created."""
        caller, name = ticket.asked.caller, ticket.asked.name
        outcome, released = CallOutcome.FAILED, False
        try:
            manifest = child_manifest(caller, name, message.id, content, self._now())
            if manifest is None:
                released = True
                raise A2aError(
                    REFUSED,
                    f"Task {caller.task.metadata.name} has no time left to wait for another one",
                    RefusalCode.TASK_ENDED.value,
                )
            try:
                made = Task.parse(await self._store.create(TASKS, manifest))
                outcome = CallOutcome.ANSWERED
            except AlreadyExists:
                released = True
                made = await self._there(caller, name, message)
                outcome = CallOutcome.DUPLICATE
        except (Forbidden, Invalid) as error:
            released = True
            raise _not_taken(error) from error
        except (ApiError, ValidationError) as error:
            raise _unsure(f"the Task could not be made ({type(error).__name__})") from error
        finally:
            self._finish(ticket, outcome, began_at, released=released)
        return _same(made, content)

    async def _there(self, caller: Caller, name: str, message: HandoffMessage) -> Task:
        found = await self.children.find(caller, name, child_name(caller, name, message.id))
        if found is None:
            raise _unsure("a Task of this name was there and is gone")
        return found

    def _finish(
        self, ticket: Ticket, outcome: CallOutcome, began_at: float, *, released: bool = False
    ) -> None:
        reason = RefusalCode.INTERNAL if outcome is CallOutcome.FAILED else DecisionReason.ALLOWED
        seconds = self._clock() - began_at
        self._control.finish(ticket, Finished(outcome, reason, seconds, released=released))
        self._write(ticket.asked, Effect.ALLOW, reason, outcome, began_at)

    def _write(
        self,
        asked: AskedCall,
        effect: Effect,
        reason: DecisionReason | RefusalCode,
        outcome: CallOutcome,
        began_at: float,
    ) -> None:
        self._journal.record(
            Entry(
                caller=asked.caller,
                subject=asked.subject,
                name=asked.name,
                action=asked.action,
                effect=effect,
                reason=reason,
                outcome=outcome,
                duration_seconds=self._clock() - began_at,
                arguments_digest=asked.arguments_digest,
            )
        )


def refusal(refused: Refused) -> A2aError:
    """Return how A2A says that a handoff is refused."""
    facts: JsonObject = dict(refused.facts)
    if refused.retry_after_seconds is not None:
        facts["retryAfterSeconds"] = round(refused.retry_after_seconds, 3)
    return A2aError(REFUSED, refused.message, refused.reason.value, facts)


def _asked(
    caller: Caller,
    name: str,
    message: HandoffMessage,
    obligations: Obligations,
    found: frozenset[str] = frozenset(),
) -> AskedCall:
    return AskedCall(
        caller,
        Subject.AGENT,
        name,
        Operation.SEND.value,
        obligations=obligations,
        arguments_digest=arguments_digest(message.input),
        likeness=likeness(message.input),
        data_classes=found,
    )


def _same(task: Task, content: JsonObject) -> Task:
    if task.spec.input != content:
        raise A2aError(
            INVALID_PARAMS,
            "message.messageId was used for another message already: give each message an id of its own",
        )
    return task


def _not_taken(error: Forbidden | Invalid) -> A2aError:
    """Return what an agent is told of a Task that the API server refuses: nothing of the cluster's insides."""
    if isinstance(error, QuotaExceeded):
        message = "a quota of the namespace is full: try again later"
        return A2aError(
            REFUSED, message, RefusalCode.FORBIDDEN.value, {"retryAfterSeconds": QUOTA_RETRY_SECONDS}
        )
    # Its message may quote what was handed over, so that only its reason is logged.
    _log.error("the API server does not take the Task of a handoff: %d %s", error.status, error.reason)
    return A2aError(
        REFUSED,
        f"the API server does not take the Task ({error.reason}): tell those who run the gateway",
        RefusalCode.FORBIDDEN.value,
    )


def _unsure(what: str) -> A2aError:
    return A2aError(
        REFUSED,
        f"{what}; send the same message again, with the same messageId",
        RefusalCode.INTERNAL.value,
        {"retryAfterSeconds": RETRY_SECONDS},
    )
