"""ApprovalRequests in memory, and which of them a change of something else concerns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from aos.controllers.keys import Key, Subject
from aos.controllers.store import Change, Store
from aos.model.approval_request import ApprovalRequest, AskedCall, RequestRun, RequestState, RequestType
from aos.reconcile.reliability import Judged, judged
from aos.reconcile.waiting import Wait, created_of, wait_of

Touch = Callable[[Key], None]
_Index = dict[tuple[str, str], set[str]]


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What look-ups need of an ApprovalRequest.

    Attributes:
        agent: whose call it is; empty at a gate, as all else of a call.
        task: the Task that the call belongs to.
        task_uid: which Task of that name.
        tool: the Tool that is called.
        run: the WorkflowRun that waits at a gate; empty for a call.
        type: what people are asked.
        state: where it stands.
        created_at: when it was made.
        wait: the time in which the call waits; None for a call that was made, and at a gate.
        judged: what people said, while the Agent's status does not surely have it; None for nothing.
    """

    agent: str
    task: str
    task_uid: str
    tool: str
    run: str
    type: RequestType
    state: RequestState
    created_at: datetime
    wait: Wait | None
    judged: Judged | None

    @property
    def is_open(self) -> bool:
        """Whether its state may still change."""
        if self.type is RequestType.REVIEW:
            return self.state is RequestState.PENDING
        return self.state in (RequestState.PENDING, RequestState.APPROVED)


def facts_of(request: ApprovalRequest) -> RequestFacts:
    """Return what look-ups need of a request."""
    subject = request.spec.subject
    call = subject if isinstance(subject, AskedCall) else None
    return RequestFacts(
        agent=call.agent.name if call else "",
        task=call.task.name if call else "",
        task_uid=call.task.uid if call else "",
        tool=call.tool if call else "",
        run=subject.name if isinstance(subject, RequestRun) else "",
        type=request.spec.type,
        state=request.status.state,
        created_at=created_of(request),
        wait=wait_of(request),
        judged=judged(request),
    )


class Requests:
    """The store of ApprovalRequests, with look-ups by agent, Task, Tool and run.

    Attributes:
        store: the requests themselves.
    """

    def __init__(self, touch: Touch) -> None:
        """Make it empty; ``touch`` hears of the work that changes of other objects make."""
        self._touch = touch
        self.store = Store("ApprovalRequest", ApprovalRequest.parse, facts_of)
        self._of_agent: _Index = {}
        self._of_task: _Index = {}
        self._of_tool: _Index = {}
        self._of_run: _Index = {}

    def changed(self, change: Change[RequestFacts]) -> None:
        """Keep the look-ups in step with the store."""
        for entry in (change.before, change.after):
            if entry is None or entry.facts is None:
                continue
            is_there = change.after is not None and change.after.facts is not None
            facts = entry.facts
            for index, name in (
                (self._of_agent, facts.agent),
                (self._of_task, facts.task),
                (self._of_tool, facts.tool),
                (self._of_run, facts.run),
            ):
                if name:
                    _put(index, (change.namespace, name), change.name, is_there=is_there)

    def of_agent(self, namespace: str, agent: str) -> Iterator[tuple[str, RequestFacts]]:
        """Yield uid and facts of the requests about an agent's calls."""
        return self._found(self._of_agent, namespace, agent)

    def of_task(self, namespace: str, task: str, uid: str) -> Iterator[RequestFacts]:
        """Yield the facts of the requests about the calls of the Task with ``uid``."""
        return (facts for _, facts in self._found(self._of_task, namespace, task) if facts.task_uid == uid)

    def states(self) -> dict[str, int]:
        """Return how many requests are in each state."""
        counts = {state.value: 0 for state in RequestState}
        for namespace in self.store.namespaces():
            for entry in self.store.within(namespace).values():
                if entry.facts is not None:
                    counts[entry.facts.state.value] += 1
        return counts

    def touch_open(self) -> None:
        """Ask for a reconcile of every request whose state may still change."""
        for namespace in self.store.namespaces():
            for name, entry in list(self.store.within(namespace).items()):
                if entry.facts is not None and entry.facts.is_open:
                    self._touch(Key(Subject.APPROVAL_REQUEST, namespace, name))

    def touch_of_agent(self, namespace: str, agent: str, *, is_another: bool) -> None:
        """Ask for a reconcile of an agent's requests: of those that it may have counted, and of the open ones if it is another."""
        self._touch_some(
            self._of_agent,
            namespace,
            agent,
            lambda facts: facts.judged is not None or (is_another and facts.is_open),
        )

    def touch_of_task(self, namespace: str, task: str) -> None:
        """Ask for a reconcile of the open requests about a Task's calls."""
        self._touch_some(self._of_task, namespace, task, lambda facts: facts.is_open)

    def touch_of_tool(self, namespace: str, tool: str) -> None:
        """Ask for a reconcile of the open requests about calls of a Tool."""
        self._touch_some(self._of_tool, namespace, tool, lambda facts: facts.is_open)

    def touch_of_run(self, namespace: str, run: str) -> None:
        """Ask for a reconcile of the open requests by which a run waits for people."""
        self._touch_some(self._of_run, namespace, run, lambda facts: facts.is_open)

    def _touch_some(
        self, index: _Index, namespace: str, owner: str, concerns: Callable[[RequestFacts], bool]
    ) -> None:
        for name in tuple(index.get((namespace, owner), ())):
            entry = self.store.entry(namespace, name)
            if entry is not None and entry.facts is not None and concerns(entry.facts):
                self._touch(Key(Subject.APPROVAL_REQUEST, namespace, name))

    def _found(self, index: _Index, namespace: str, owner: str) -> Iterator[tuple[str, RequestFacts]]:
        for name in tuple(index.get((namespace, owner), ())):
            entry = self.store.entry(namespace, name)
            if entry is not None and entry.facts is not None:
                yield entry.uid, entry.facts


def _put(index: _Index, key: tuple[str, str], name: str, *, is_there: bool) -> None:
    names = index.setdefault(key, set())
    if is_there:
        names.add(name)
    else:
        names.discard(name)
    if not names:
        del index[key]
