"""``aos diff-policy``: which recorded calls a candidate policy would decide otherwise, before it is applied."""

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import JsonValue, ValidationError

from aos.audit.event import AuditEvent, AuditRow, Phase
from aos.cli.audit import read
from aos.cli.audit_source import AuditPlace, AuditSource
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode, usage_error
from aos.cli.formats import DataFormat
from aos.cli.output import Table, as_data
from aos.cli.progress import progress
from aos.gateway.refusal import RefusalCode
from aos.kube.client import ApiClient, Selection
from aos.kube.objects import child, key_of
from aos.kube.resources import AGENTS, CLUSTER_POLICIES, NAMESPACES, POLICIES, TOOLS, Resource
from aos.model.agent import Agent
from aos.model.approval import ReviewTime
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.names import review_request
from aos.model.policy import Policy
from aos.model.tool import Tool
from aos.policy.decision import Call, Effect
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from aos.policy.replay import Outcome, RecordedCall, Replayed, replay, with_candidates

T = TypeVar("T")

MAX_ROWS: Final = 50_000
MAX_FILE_BYTES: Final = 1_048_576
TOOL: Final = "tool"
_JUDGED: Final = frozenset({"agents", "namespaces", "rules", "approvals", "autonomy"})
"""Fields of a policy that decide by themselves; what the others would do depends on what is not on record."""
_AFTER_ASKING: Final = frozenset(
    {
        RefusalCode.APPROVAL_PENDING,
        RefusalCode.APPROVAL_REJECTED,
        RefusalCode.APPROVAL_EXPIRED,
        RefusalCode.APPROVAL_STALE,
        RefusalCode.APPROVAL_USED,
        RefusalCode.TOO_MANY_APPROVALS,
    }
)
"""Refusals of calls that policy holds."""


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """What is asked.

    Attributes:
        files: manifests of Policies and ClusterPolicies; ``-`` for standard input.
        hours: how far back recorded calls are judged anew.
        style: None for people.
    """

    files: Sequence[Path]
    hours: float
    style: DataFormat | None


@dataclass(frozen=True, slots=True)
class NotJudged:
    """What a verdict says nothing about.

    Attributes:
        parts: of the candidates, each as ``Policy NAME, FIELD``.
        calls: recorded requests to models and handoffs.
    """

    parts: tuple[str, ...] = ()
    calls: int = 0

    def lines(self) -> list[str]:
        """Return it for people."""
        found = []
        if self.parts:
            found.append(
                f"not judged: {'; '.join(self.parts)}: what they would refuse or ask for depends on more than is on record"
            )
        if self.calls:
            found.append(f"not judged: {self.calls} requests to models and handoffs; only calls of tools are")
        return found


async def diff_policy(connection: Connection, place: AuditPlace, request: DiffRequest) -> ExitCode:
    """Print what would change; FAILURE if anything would.

    Raises:
        ApiError: something could not be read.
        CommandError: a file holds no policy.
    """
    candidates = [item for file in request.files for item in load(_text(file), str(file), place.namespace)]
    now = datetime.now(UTC)
    query = {
        "namespace": place.namespace,
        "since": (now - timedelta(hours=request.hours)).isoformat(),
        "limit": str(MAX_ROWS),
    }
    async with connection.client() as client:
        with progress("reading recorded calls") as said:
            rows, end = await read(AuditSource(client, place), query, said)
        policies = await _policies(client, place.namespace, candidates)
    replayed = replay(policies, recorded(rows))
    left_out = not_judged(candidates, rows)
    if request.style is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(report(replayed, left_out, width)))
    else:
        print(as_data(data(replayed, left_out), request.style))
    if end.more:
        print(f"only the first {end.rows} rows were judged; ask for fewer --hours", file=sys.stderr)
    changed = {Outcome.NOW_ALLOWED, Outcome.NOW_HELD, Outcome.NOW_DENIED}
    return ExitCode.FAILURE if any(item.outcome in changed for item in replayed) else ExitCode.SUCCESS


def load(text: str, name: str, namespace: str) -> list[Policy | ClusterPolicy]:
    """Return the policies in a manifest; one without a namespace is of ``namespace``, as for kubectl.

    Raises:
        CommandError: it holds something else, a Policy of another namespace, or nothing.
    """
    try:
        documents = [item for item in yaml.safe_load_all(text) if item is not None]
    except yaml.YAMLError as error:
        raise usage_error(f"{name} is not YAML: {error}") from error
    found = [_policy(item, name, namespace) for item in documents]
    if not found:
        raise usage_error(f"{name} holds no Policy and no ClusterPolicy")
    return found


def recorded(rows: Sequence[AuditRow]) -> list[RecordedCall]:
    """Return the tool calls among the rows, each once: by its intent, or by its refusal."""
    return [_recorded(event) for event in _calls(rows) if event.subject == TOOL]


def not_judged(candidates: Sequence[Policy | ClusterPolicy], rows: Sequence[AuditRow]) -> NotJudged:
    """Return what of the candidates and of the record a replay says nothing about."""
    parts = [f"{item.kind} {item.metadata.name}, {part}" for item in candidates for part in _unjudged(item)]
    return NotJudged(tuple(parts), sum(event.subject != TOOL for event in _calls(rows)))


def report(replayed: Sequence[Replayed], left_out: NotJudged, width: int | None) -> list[str]:
    """Return what would change, and what is not judged, for people."""
    counts = Counter(item.outcome for item in replayed)
    summary = (
        f"{len(replayed)} recorded calls: {counts[Outcome.NOW_DENIED]} would be denied,"
        f" {counts[Outcome.NOW_HELD]} would be held, {counts[Outcome.NOW_ALLOWED]} would be allowed, {counts[Outcome.SAME]} stay as they are,"
        f" {counts[Outcome.UNKNOWN]} can't be told"
    )
    lines = [summary, *left_out.lines()]
    grouped = Counter(_row(item) for item in replayed if item.outcome is not Outcome.SAME)
    if grouped:
        rows = tuple((*row[:-1], str(count), row[-1]) for row, count in sorted(grouped.items()))
        lines += Table(("WOULD BE", "AGENT", "CALL", "TIMES", "WHY"), rows).render(width)
    return lines


def data(replayed: Sequence[Replayed], left_out: NotJudged) -> JsonObject:
    """Return what would change, and what is not judged, for programs."""
    counts = Counter(item.outcome.value for item in replayed)
    changes: list[JsonValue] = [
        {
            "outcome": item.outcome.value,
            "agent": item.recorded.agent,
            "call": f"{item.recorded.call.tool}.{item.recorded.call.action}",
            "task": item.recorded.call.task,
            "time": item.recorded.call.now.isoformat(),
            "message": item.message,
        }
        for item in replayed
        if item.outcome is not Outcome.SAME
    ]
    return {
        "calls": len(replayed),
        "counts": dict(counts),
        "changes": changes,
        "notJudged": {"parts": list(left_out.parts), "calls": left_out.calls},
    }


def _row(item: Replayed) -> tuple[str, str, str, str]:
    words = {Outcome.NOW_DENIED: "denied", Outcome.NOW_HELD: "held", Outcome.NOW_ALLOWED: "allowed"}
    call = item.recorded.call
    return words.get(item.outcome, "unknown"), item.recorded.agent, f"{call.tool}.{call.action}", item.message


def _calls(rows: Sequence[AuditRow]) -> list[AuditEvent]:
    """Return the one row of each call that tells how it was decided."""
    return [row.event for row in rows if row.event.phase in {Phase.INTENT, Phase.REFUSAL} and row.event.agent]


def _unjudged(candidate: Policy | ClusterPolicy) -> list[str]:
    """Return the fields of a candidate that have no part in the verdict."""
    spec = candidate.spec
    fields = [
        field.alias or name
        for name, field in type(spec).model_fields.items()
        if name not in _JUDGED and getattr(spec, name) != field.default
    ]
    afterwards = [
        f"reviews by approval {rule.name}" for rule in spec.approvals if rule.review is ReviewTime.AFTER
    ]
    return [*fields, *afterwards]


def _recorded(event: AuditEvent) -> RecordedCall:
    call = Call(
        tool=event.name,
        action=event.action,
        arguments={},
        task=event.task,
        requested_by=event.requested_by,
        now=datetime.fromisoformat(event.time),
        lineage=event.lineage,
    )
    return RecordedCall(
        event.agent, call, has_arguments=False, effect=_recorded_effect(event), reason=event.reason
    )


def _recorded_effect(event: AuditEvent) -> Effect:
    # By a review people look at a call that was made: nobody was asked before.
    asked_before = set(event.approvals) - {review_request(event.call)}
    if asked_before or event.effect == Effect.HOLD or event.reason in _AFTER_ASKING:
        return Effect.HOLD
    return Effect.DENY if event.effect == Effect.DENY else Effect.ALLOW


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read(MAX_FILE_BYTES)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise usage_error(f"{file} can't be read: {why}") from error


def _policy(document: object, name: str, namespace: str) -> Policy | ClusterPolicy:
    if not isinstance(document, dict) or document.get("kind") not in {"Policy", "ClusterPolicy"}:
        raise usage_error(f"{name} holds something else than Policies and ClusterPolicies")
    metadata = document.get("metadata")
    own = dict(metadata) if isinstance(metadata, dict) else {}
    try:
        if document["kind"] == "ClusterPolicy":
            return ClusterPolicy.parse(document)
        policy = Policy.parse({**document, "metadata": {"namespace": namespace, **own}})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise usage_error(
            f"{document['kind']} {own.get('name')} in {name}: {where}: {first['msg']}"
        ) from error
    if policy.metadata.namespace != namespace:
        # Judged against the calls of this namespace it would seem to change nothing.
        raise usage_error(
            f"Policy {policy.metadata.name} in {name} is of namespace {policy.metadata.namespace}, and calls of namespace"
            f" {namespace} are asked about; name its namespace with -n {policy.metadata.namespace}"
        )
    return policy


async def _policies(
    client: ApiClient, namespace: str, candidates: Sequence[Policy | ClusterPolicy]
) -> Mapping[str, EffectivePolicy]:
    """Return the effective policy of each agent as if the candidates had been applied."""
    raw, agents, tools, policies, upper = await asyncio.gather(
        client.get(NAMESPACES, namespace),
        _all(client, AGENTS, namespace, Agent.parse),
        _all(client, TOOLS, namespace, Tool.parse),
        _all(client, POLICIES, namespace, Policy.parse),
        _all(client, CLUSTER_POLICIES, "", ClusterPolicy.parse),
    )
    labels = child(child(raw, "metadata"), "labels")
    made: dict[str, EffectivePolicy] = {}
    for agent in agents[0]:
        inputs = PolicyInputs(
            agent=agent,
            namespace_labels={key: value for key, value in labels.items() if isinstance(value, str)},
            tools={tool.metadata.name: tool for tool in tools[0]},
            policies=policies[0],
            unreadable=policies[1],
            cluster_policies=upper[0],
            unreadable_cluster=upper[1],
        )
        made[agent.metadata.name] = effective_policy(with_candidates(inputs, candidates))
    return made


async def _all(
    client: ApiClient, resource: Resource, namespace: str, parse: Callable[[JsonObject], T]
) -> tuple[list[T], list[str]]:
    """Return the objects, and the names of those that can't be parsed: as the gateway, which then denies."""
    good: list[T] = []
    bad: list[str] = []
    async for raw in client.list(resource, Selection(namespace=namespace)):
        try:
            good.append(parse(raw))
        except ValidationError:
            bad.append(key_of(raw).name)
    return good, bad
