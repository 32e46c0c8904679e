"""Which audit rows are asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A filter over audit rows; what is left empty matches every row.

    Attributes:
        namespace: of the agent.
        agent: name of the agent.
        task: name or uid of the Task.
        name: the Tool, Model or Agent that was called.
        action: the action.
        record: exactly this record.
        person: who asked for the Task, or approved or rejected the call.
        effect: ``Allow`` or ``Deny``.
        since: RFC 3339; rows at or after it.
        until: RFC 3339; rows before it.
        chain: only this chain.
        after_sequence: only later rows of ``chain``.
        limit: most rows.
    """

    namespace: str = ""
    agent: str = ""
    task: str = ""
    name: str = ""
    action: str = ""
    record: str = ""
    person: str = ""
    effect: str = ""
    since: str = ""
    until: str = ""
    chain: str = ""
    after_sequence: int = 0
    limit: int = 10_000
