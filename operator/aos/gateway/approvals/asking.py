"""The ApprovalRequest of a held call, as it is made. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import JsonValue

from aos.gateway.approvals.held import HeldCall
from aos.gateway.approvals.sentences import wish
from aos.inspection.showing import redacted, redacted_text, shown
from aos.kube.resources import APPROVAL_REQUESTS, TASKS
from aos.model.approval import Approvers
from aos.model.approval_request import Preview, Quorum, QuorumEscalation, RequestType
from aos.model.base import JsonObject
from aos.model.names import LABEL_AGENT, LABEL_MANAGED_BY, LABEL_TASK, MANAGED_BY
from aos.model.task import Task
from aos.policy.approvals import BoundQuorum

MAX_RECORD_LENGTH: Final = 512


def request_manifest(held: HeldCall, preview: Preview | None, now: datetime) -> JsonObject:
    """Return the request to make: everything that people decide on, frozen.

    Args:
        held: the call.
        preview: what it would change, if that is known.
        now: from when its time counts.
    """
    asked = held.asked
    caller = asked.caller
    rules = asked.obligations.data
    record = redacted_text(held.record_name, rules)[:MAX_RECORD_LENGTH]
    arguments = redacted(dict(asked.arguments), rules)
    moment = now.astimezone(UTC).replace(microsecond=0)
    spec: dict[str, JsonValue] = {
        "type": RequestType.CALL.value,
        "agent": {"name": caller.agent, "revision": caller.revision},
        "task": {"name": caller.task.metadata.name, "uid": caller.task.metadata.uid},
        "requestedBy": caller.task.spec.requested_by,
        "tool": asked.name,
        "action": asked.action,
        "access": held.declared.access.value,
        "risk": held.declared.risk.value,
        "record": record,
        "summary": wish(held, record, arguments, preview),
        "arguments": shown(arguments),
        "argumentsDigest": asked.arguments_digest,
        "definitionDigest": held.definition_digest,
        "policyDigest": caller.policy.digest,
        "quorums": quorums(held.quorums, moment),
        "expiresAt": _time(moment + timedelta(seconds=timeout_seconds(held.quorums))),
    }
    if preview is not None:
        spec["preview"] = preview.model_dump(mode="json", by_alias=True)
    return {
        "apiVersion": APPROVAL_REQUESTS.api_version,
        "kind": APPROVAL_REQUESTS.kind,
        "metadata": metadata(held.name, caller.agent, caller.task),
        "spec": spec,
    }


def metadata(name: str, agent: str, task: Task) -> JsonObject:
    """Return a request's metadata: it belongs to its Task and goes with it."""
    owner: JsonObject = {
        "apiVersion": TASKS.api_version,
        "kind": TASKS.kind,
        "name": task.metadata.name,
        "uid": task.metadata.uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": task.metadata.namespace,
        "labels": {
            LABEL_AGENT: agent,
            LABEL_TASK: task.metadata.name,
            LABEL_MANAGED_BY: MANAGED_BY,
        },
        "ownerReferences": [owner],
    }


def timeout_seconds(asked_for: Sequence[BoundQuorum]) -> int:
    """Return how long the call waits: the shortest time of its quorums."""
    return min(quorum.timeout_seconds for quorum in asked_for)


def quorums(asked_for: Sequence[BoundQuorum], now: datetime) -> list[JsonValue]:
    """Return the quorums as a request that is made at ``now`` has them."""
    return [
        Quorum(
            rule=quorum.rule,
            required=quorum.required,
            approvers=quorum.approvers,
            escalation=QuorumEscalation(
                at=now + timedelta(seconds=quorum.escalation.after_seconds),
                approvers=quorum.escalation.approvers,
            )
            if quorum.escalation
            else None,
            remind_at=now + timedelta(seconds=quorum.remind_after_seconds)
            if quorum.remind_after_seconds is not None
            else None,
        ).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for quorum in asked_for
    ]


def covers(made: Sequence[Quorum], asked_for: Sequence[BoundQuorum]) -> bool:
    """Whether a request's quorums hold all that a call is held to: as many people, and no others among them."""
    found = {quorum.rule: quorum for quorum in made}
    return all(
        quorum.rule in found
        and found[quorum.rule].required >= quorum.required
        and found[quorum.rule].approvers == quorum.approvers
        and _escalated(found[quorum.rule]) == (quorum.escalation.approvers if quorum.escalation else None)
        for quorum in asked_for
    )


def _escalated(quorum: Quorum) -> Approvers | None:
    return quorum.escalation.approvers if quorum.escalation else None


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
