"""A call that waits for people, by what identifies it; and the approval that lets it through. Pure data."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from aos.gateway.control.asked import AskedCall
from aos.model.canonical import json_digest
from aos.model.names import approval_request
from aos.model.tool import Access, ToolAction
from aos.policy.approvals import BoundQuorum


def identity_of(asked: AskedCall, definition_digest: str, after: tuple[str, ...] = ()) -> str:
    """Return what people approve when they approve a call: ``sha256:`` and hex.

    The identical call of the same Task has the same identity; under another policy, agent revision, definition of the
    action, with other arguments, or ``after`` calls that changed its record since people were asked, it has another one.
    """
    caller = asked.caller
    return json_digest(
        [
            caller.namespace,
            caller.task.metadata.uid,
            asked.name,
            asked.action,
            asked.arguments_digest,
            caller.policy.digest,
            caller.revision,
            definition_digest,
            *after,
        ]
    )


@dataclass(frozen=True)
class HeldCall:
    """A tool call that was judged and inspected, and waits for people before anything is reserved for it.

    Attributes:
        asked: the call, with arguments as they would be sent.
        declared: the Tool's action.
        definition_digest: of the action as the tool offers it.
        quorums: those that it waits for: all that always hold it, and those that were drawn.
        record: key of the record that it writes, as leases and audit rows have it; empty where it writes none.
        record_name: the same for people, as the Tool's action names it.
        after: calls that changed the record while people were asked before, first one first.
    """

    asked: AskedCall
    declared: ToolAction
    definition_digest: str
    quorums: tuple[BoundQuorum, ...]
    record: str = ""
    record_name: str = ""
    after: tuple[str, ...] = ()

    @cached_property
    def identity(self) -> str:
        """What people approve; see `identity_of`."""
        return identity_of(self.asked, self.definition_digest, self.after)

    @property
    def name(self) -> str:
        """Name of its ApprovalRequest."""
        return approval_request(self.identity)

    @property
    def writes(self) -> bool:
        """Whether the call changes something."""
        return self.declared.access is Access.WRITE

    @property
    def namespace(self) -> str:
        """Namespace of its ApprovalRequest."""
        return self.asked.caller.namespace


@dataclass(frozen=True, slots=True)
class Released:
    """A call that people approved; the store lets it through once.

    Attributes:
        name: of the ApprovalRequest.
        uid: of the ApprovalRequest.
        asked_at: when people were asked, as the audit trail has it (RFC 3339).
        decided_at: when the last of them decided; None where nobody said.
        approvers: who approved it, as `aos.audit.event.AuditEvent` has them.
    """

    name: str
    uid: str
    asked_at: str
    decided_at: datetime | None = None
    approvers: tuple[str, ...] = ()

    def call(self, asked: AskedCall) -> AskedCall:
        """Return the call as the store is asked for it: let through by this approval, once."""
        return replace(asked, approvals=(self.name,), approvers=self.approvers, approval_uid=self.uid)
