"""A call on its way through the store: as it is asked for, as it was let through, and as it ended. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.journal import CallOutcome, Subject
from aos.gateway.refusal import RefusalCode
from aos.model.tool import ToolAction
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference
from aos.policy.obligations import Obligations
from aos.store.interface import Charge

NO_OBLIGATIONS: Final = Obligations()


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A tool call, a model request or a handoff that is about to be made or refused.

    Attributes:
        caller: who calls.
        subject: what kind of thing is called.
        name: the Tool, the Model, or the Agent that work is handed to.
        action: the Tool's action; for a Model or an Agent its endpoint.
        obligations: what the effective policy holds the call to; nothing for a call that is refused anyway.
        rules: the rules that decided.
        arguments: of a Tool's action, as they are sent on: without what policy redacts.
        arguments_digest: `aos.gateway.journal.arguments_digest` of what the agent sent.
        likeness: `aos.gateway.control.likeness.likeness` of what the agent sent; calls of one Task with equal subject,
            name, action and likeness count as identical. Empty: not counted so.
        declared: the Tool's action; None for Models and Agents.
        system: the Tool's URL, or what stands for it: two Tools of one tenant with the same are one system.
        account: the credential that the Tool is reached with, as ``NAMESPACE/SECRET/KEY``; empty where it has none.
        tokens: most tokens that the call may use.
        cost_micro_usd: the most that those tokens may cost; what a Tool's action costs is in the obligations.
        data_classes: classes of data that were found on the way in.
        approvals: names of the ApprovalRequests that released the call, that it waits for, or by which it is reviewed.
        approvers: who approved it, as `aos.audit.event.AuditEvent` has them; of one that was rejected, who decided.
        quorums: rules that people are asked by about the call.
        approval_uid: uid of the one that released it, which lets one call through; empty where none was needed.
        identity: `aos.gateway.approvals.held.identity_of` the call; empty where no policy may have people asked.
        call: the identifier that it is to have in the audit trail, unique; empty for any.
    """

    caller: Caller
    subject: Subject
    name: str
    action: str
    obligations: Obligations = NO_OBLIGATIONS
    rules: tuple[RuleReference, ...] = ()
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    arguments_digest: str = ""
    likeness: str = ""
    declared: ToolAction | None = None
    system: str = ""
    account: str = ""
    tokens: int = 0
    cost_micro_usd: int = 0
    data_classes: frozenset[str] = frozenset()
    approvals: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    quorums: tuple[str, ...] = ()
    approval_uid: str = ""
    identity: str = ""
    call: str = ""

    @property
    def is_idempotent(self) -> bool:
        """Whether it may be sent again where no answer came: the Tool declares that this does no harm."""
        return self.declared is not None and self.declared.idempotent is True


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call that was let through; it must be given to `CallControl.finish` exactly once, whatever becomes of it.

    Attributes:
        call: unique identifier of the call.
        asked: the call.
        charges: what was reserved for it.
        record: the record that it writes; empty where it writes none.
        sent_as: the call that it is the same write as, of an earlier attempt of whose answer nobody knows; empty of others.
    """

    call: str
    asked: AskedCall
    charges: tuple[Charge, ...] = ()
    record: str = ""
    sent_as: str = ""

    @property
    def idempotency_key(self) -> str:
        """By what a system can tell that it was sent the call before; empty where two calls are to be two."""
        return (self.sent_as or self.call) if self.asked.is_idempotent else ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A write that another Task, or an earlier attempt, made already: its answer is this one's, and nothing is sent.

    Attributes:
        call: unique identifier that this call has on record.
        result: what the first one gave to `Finished.result`.
        task: name of the Task that made it.
        agent: its agent.
    """

    call: str
    result: bytes
    task: str
    agent: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the model counted them."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a call that was let through.

    Attributes:
        outcome: in one word.
        reason: why, as a code.
        duration_seconds: from the request to the end of the answer.
        released: whether the call certainly was not made: all that it reserved is given back, except what bounds loops.
        undone: whether it was made, and certainly changed nothing: an identical write is sent.
        tokens: really used; None where nobody said, so that what was reserved stays spent.
        cost_micro_usd: what the tokens really cost; None where that is not known, as above.
        result: what answers an identical write of another Task; None where what came of this one is not known.
        data_classes: classes of data that were found on the way out.
        effect: Deny where the call was let through, and refused all the same before it was made.
    """

    outcome: CallOutcome
    reason: DecisionReason | RefusalCode
    duration_seconds: float
    released: bool = False
    undone: bool = False
    tokens: Tokens | None = None
    cost_micro_usd: int | None = None
    result: bytes | None = None
    data_classes: frozenset[str] = frozenset()
    effect: Effect = Effect.ALLOW
