"""``aos audit trace``: the whole story of a Task as a tree, with the Tasks that it handed over. Mostly pure."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue, ValidationError
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from aos.audit.event import AuditEvent, AuditRow, Phase
from aos.cli.approvals import decisions_text, read_requests
from aos.cli.audit import called, read, row_data
from aos.cli.audit_source import AuditPlace, AuditSource
from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import DataFormat
from aos.cli.output import as_data, one_line, short_digest
from aos.cli.progress import progress
from aos.inspection.visible import visible
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import Forbidden
from aos.kube.objects import key_of
from aos.kube.resources import TASKS
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.policy.decision import Effect

MAX_ROWS = 20_000
_MICRO = 1_000_000
_TEXT_LENGTH = 200


@dataclass(slots=True)
class Call:
    """One call: its intent and its outcome, or its refusal."""

    first: AuditRow
    last: AuditRow

    @property
    def event(self) -> AuditEvent:
        """What is known last."""
        return self.last.event


@dataclass(slots=True)
class Node:
    """One Task of the story.

    Attributes:
        name: of the Task.
        uid: of the Task.
        task: the object; None if it was deleted or can't be read.
        calls: in order of time.
        children: Tasks that it handed over.
        released_by: of each ApprovalRequest that is there, who decided it, as a phrase.
    """

    name: str
    uid: str
    task: Task | None
    calls: list[Call] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)
    released_by: dict[str, str] = field(default_factory=dict)

    def total(self, part: str) -> int:
        """Return the sum of a number of the events, with those of the Tasks that it handed over."""
        own = sum(int(getattr(call.event, part)) for call in self.calls)
        return own + sum(child.total(part) for child in self.children)


async def trace(connection: Connection, place: AuditPlace, name: str, style: DataFormat | None) -> ExitCode:
    """Print the story of a Task.

    Raises:
        ApiError: the API server refused to be asked.
        CommandError: the rows can't be read, or nothing is known of such a Task.
    """
    async with connection.client() as client:
        source = AuditSource(client, place)
        with progress(f"reading the story of {name}") as said:
            tasks = await _tasks(client, place.namespace)
            decided = await _decided(client, place.namespace)
            family = _family(name, tasks)
            rows: list[AuditRow] = []
            for member in family or [name]:
                query = {"namespace": place.namespace, "task": member, "limit": str(MAX_ROWS)}
                found, _ = await read(source, query, said)
                rows += found
    node = story(name, rows, tasks, decided)
    if node is None:
        raise CommandError(
            ExitCode.FAILURE,
            f"neither a Task nor an audit row of {name} is there in namespace {place.namespace}; its rows may be past"
            " the retention",
        )
    if style is not None:
        print(as_data(data(node), style))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(tree(node))
    return ExitCode.SUCCESS


def story(
    name: str, rows: Sequence[AuditRow], tasks: Mapping[str, Task], decided: Mapping[str, str] | None = None
) -> Node | None:
    """Return the tree of what is known of a Task.

    Args:
        name: name or uid of the Task.
        rows: of it and of the Tasks that it handed over.
        tasks: those that are there, by uid.
        decided: who decided the ApprovalRequests that are there, by name, as a phrase.
    """
    by_task: dict[str, list[AuditRow]] = {}
    for row in rows:
        by_task.setdefault(row.event.task_uid or row.event.task, []).append(row)
    uid = next((uid for uid, task in tasks.items() if name in {uid, task.metadata.name}), "")
    if not uid:
        own = [row for row in rows if name in {row.event.task, row.event.task_uid}]
        uid = own[-1].event.task_uid if own else ""
    if not uid:
        return None
    return _node(uid, by_task, tasks, decided or {})


def _node(
    uid: str, rows: Mapping[str, Sequence[AuditRow]], tasks: Mapping[str, Task], decided: Mapping[str, str]
) -> Node:
    task, own = tasks.get(uid), rows.get(uid, ())
    name = task.metadata.name if task else next((row.event.task for row in own), uid)
    node = Node(name, uid, task, _calls(own))
    named = {request for call in node.calls for request in call.event.approvals}
    node.released_by = {request: decided[request] for request in named if request in decided}
    handed = [
        other for other, item in tasks.items() if item.parent is not None and item.parent.task_uid == uid
    ]
    node.children = [_node(other, rows, tasks, decided) for other in handed]
    return node


def _calls(rows: Iterable[AuditRow]) -> list[Call]:
    calls: dict[str, Call] = {}
    for row in sorted(rows, key=lambda item: (item.event.time, item.sequence)):
        known = calls.get(row.event.call)
        if known is None:
            calls[row.event.call] = Call(row, row)
        else:
            known.last = row
    return list(calls.values())


def tree(node: Node) -> Tree:
    """Return the story for people."""
    root = Tree(_text(_title(node), style="bold"))
    _fill(root, node)
    return root


def _text(said: str, style: str = "") -> Text:
    """Return a line of the tree: what agents and people said in it drives no terminal."""
    return Text(visible(said), style=style)


def _fill(branch: Tree, node: Node) -> None:
    task = node.task
    if task is not None:
        branch.add(_text(f"input: {_short(_json(task.spec.input))}"))
    revision = next((call.event.revision for call in node.calls), "")
    policy = next((call.event.policy_digest for call in node.calls), "")
    if revision:
        branch.add(_text(f"ran as revision {revision} under policy {short_digest(policy)}"))
    handed = {child.name: child for child in node.children}
    for call in node.calls:
        _add_call(branch, call, node.released_by)
    for child in handed.values():
        _fill(branch.add(_text(_title(child), style="bold")), child)
    if task is not None and task.status.result is not None:
        result = task.status.result
        said = (
            _short(_json(result.output))
            if result.output is not None
            else f"{result.reason}: {result.message}"
        )
        branch.add(_text(f"{result.outcome}: {said}"))


def _add_call(branch: Tree, call: Call, decided: Mapping[str, str]) -> None:
    event = call.event
    words = [event.time[11:19], event.subject, called(call.last), event.effect, event.reason]
    words.append(event.outcome if event.phase is not Phase.INTENT else "no outcome is on record")
    is_open = event.phase is Phase.INTENT or event.effect == Effect.HOLD
    style = "red" if event.effect == Effect.DENY else "yellow" if is_open else ""
    made = branch.add(_text("  ".join(word for word in words if word), style=style))
    for said in _details(event, decided):
        made.add(_text(said, style="dim"))
    made.add(_text(f"row {call.last.chain}/{call.last.sequence}", style="dim"))


def _details(event: AuditEvent, decided: Mapping[str, str]) -> list[str]:
    used = f"{event.prompt_tokens} + {event.completion_tokens} tokens" if event.prompt_tokens else ""
    money = f"{event.cost_micro_usd / _MICRO:.6f} USD" if event.cost_micro_usd else ""
    spent = ", ".join(part for part in (used, money, f"{event.duration_ms} ms") if part)
    found = {
        "record": event.record,
        "decided by": "; ".join(event.rules),
        "approval": "; ".join(
            f"{name} ({decided[name]})" if name in decided else name for name in event.approvals
        ),
        "people said": "; ".join(event.approvers),
        "data found": ", ".join(event.data_classes),
        "used": spent,
    }
    return [f"{name} {said}" for name, said in found.items() if said]


def _title(node: Node) -> str:
    event = node.calls[0].event if node.calls else None
    agent = node.task.spec.agent_ref.name if node.task else event.agent if event else ""
    person = node.task.spec.requested_by if node.task else event.requested_by if event else ""
    tokens = node.total("prompt_tokens") + node.total("completion_tokens")
    money = sum(call.event.cost_micro_usd for call in node.calls) / _MICRO
    asked = f", asked for by {person}" if person else ""
    gone = "" if node.task else " (the Task is gone, or you may not read it)"
    # Counted as in the Task's status: what was denied, or put to people, is no call that was made.
    denied = sum(call.event.effect == Effect.DENY for call in node.calls)
    held = sum(call.event.effect == Effect.HOLD for call in node.calls)
    waited = f", {held} held" if held else ""
    made = len(node.calls) - denied - held
    counts = f"{made} calls, {denied} denied{waited}, {tokens} tokens, {money:.6f} USD"
    return f"Task {node.name}: agent {agent}{asked}; {counts}{gone}"


def data(node: Node) -> JsonObject:
    """Return the story for programs."""
    return {
        "task": node.name,
        "uid": node.uid,
        "calls": [
            [row_data(row) for row in ((call.first,) if call.first is call.last else (call.first, call.last))]
            for call in node.calls
        ],
        "approvals": dict(node.released_by),
        "handedOver": [data(child) for child in node.children],
    }


def _family(name: str, tasks: Mapping[str, Task]) -> list[str]:
    """Return the uids of the Task and of all that it led to; nothing if it is not there."""
    root = next((uid for uid, task in tasks.items() if name in {uid, task.metadata.name}), "")
    return [
        uid
        for uid, task in tasks.items()
        if root and (uid == root or any(item.task_uid == root for item in task.spec.lineage))
    ]


async def _decided(client: ApiClient, namespace: str) -> dict[str, str]:
    """Return who decided each request that is there; nothing if the caller may not read them."""
    try:
        found = await read_requests(client, Selection(namespace=namespace), [])
    except Forbidden:
        return {}
    return {item.metadata.name: said for item in found if (said := decisions_text(item))}


async def _tasks(client: ApiClient, namespace: str) -> dict[str, Task]:
    """Return the namespace's Tasks by uid; none if the caller may not read them."""
    found: dict[str, Task] = {}
    try:
        async for raw in client.list(TASKS, Selection(namespace=namespace)):
            try:
                task = Task.parse(raw)
            except ValidationError:
                print(f"Task {key_of(raw)} can't be read and is left out", file=sys.stderr)
                continue
            found[task.metadata.uid] = task
    except Forbidden as error:
        print(f"{one_line(error.message)}: only the audit rows are shown", file=sys.stderr)
    return found


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(said: str) -> str:
    line = one_line(said)
    return line if len(line) <= _TEXT_LENGTH else line[: _TEXT_LENGTH - 1] + "…"
