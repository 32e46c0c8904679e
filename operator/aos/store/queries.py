"""Questions that both backends answer with the same SQL; parameters are written ``$1``, as PostgreSQL does. Pure."""

from dataclasses import dataclass
from typing import Final

from aos.audit.event import AuditEvent, decider
from aos.audit.query import AuditQuery
from aos.store.blocks import RECORD, ROWS_PER_BLOCK, TASK
from aos.store.trail import microseconds

SEQUENCES_PER_CHAIN: Final = 2**40
"""A row's id is its chain's id times this, plus its sequence: ids of one chain are neighbours, in order."""

LEASES: Final = (
    "SELECT value FROM cells WHERE key >= 'lease:' AND key < 'lease;' AND expires > $1"
    " AND ($2 = '' OR namespace = $2) ORDER BY key"
)
HEADS: Final = "SELECT name, sequence, hash, time FROM chains ORDER BY id"
"""In PostgreSQL, where `chains` always has the newest row."""
HOLDS: Final = "SELECT name, namespace, reason, created_by, created_at FROM holds ORDER BY name"
GAPS: Final = "SELECT event FROM audit WHERE mark <> 0 ORDER BY id"
DOCUMENT: Final = "SELECT content FROM documents WHERE digest = $1"
PURGEABLE: Final = (
    "SELECT id, previous, hash, at FROM audit WHERE at < $1 AND mark = 0"
    " AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.namespace = '' OR holds.namespace = audit.namespace)"
    " ORDER BY at, id LIMIT $2"
)
"""Oldest first, so that what is kept is looked at seldom; the index on ``at`` gives the order."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an audit query.

    Attributes:
        sql: selects ``at, id, chain's name, previous, hash, event`` in order, from after a place.
        parameters: for ``$1`` and so on.
    """

    sql: str
    parameters: tuple[int | str, ...]


def page(query: AuditQuery, after: tuple[int, int] | None, rows: int, *, blocks: bool) -> Page:
    """Return the page of at most ``rows`` rows after the row of time and id ``after``.

    Args:
        query: what is asked for.
        after: where the page before ended.
        rows: most rows of the page.
        blocks: whether Tasks and records are found by `aos.store.blocks`; else by indexes.

    Raises:
        EventError: ``since`` or ``until`` is no time.
    """
    given = _Parameters()
    conditions = _conditions(query, given)
    source = "audit"
    key = TASK + query.task if query.task else RECORD + query.record
    if blocks and (query.task or query.record):
        # CROSS: in this order, and no other that the planner might think of.
        source = "blocks CROSS JOIN audit"
        conditions.insert(
            0,
            f"blocks.key = {given(key)} AND audit.id >= blocks.block * {ROWS_PER_BLOCK}"
            f" AND audit.id < (blocks.block + 1) * {ROWS_PER_BLOCK}",
        )
    order = "audit.at, audit.id"
    if query.chain:
        order = "audit.id"
        name = given(query.chain)
        chain = f"(SELECT id FROM chains WHERE name = {name}) * {SEQUENCES_PER_CHAIN}"  # noqa: S608  - a parameter's number
        conditions.append(f"audit.id > {chain} + {given(query.after_sequence)}")
        conditions.append(f"audit.id < {chain} + {SEQUENCES_PER_CHAIN}")
        if after is not None:
            conditions.append(f"audit.id > {given(after[1])}")
    elif after is not None:
        conditions.append(f"(audit.at, audit.id) > ({given(after[0])}, {given(after[1])})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = (
        f"SELECT audit.at, audit.id, chains.name, audit.previous, audit.hash, audit.event FROM {source}"  # noqa: S608  - as above
        f" JOIN chains ON chains.id = audit.id / {SEQUENCES_PER_CHAIN}{where} ORDER BY {order} LIMIT {given(rows)}"
    )
    return Page(sql, tuple(given.values))


class _Parameters:
    """Values in the order in which the statement's ``$1``, ``$2`` name them."""

    def __init__(self) -> None:
        self.values: list[int | str] = []

    def __call__(self, value: int | str) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def _conditions(query: AuditQuery, given: _Parameters) -> list[str]:
    conditions = [
        f"audit.{column} = {given(value)}"
        for column, value in (
            ("namespace", query.namespace),
            ("agent", query.agent),
            ("name", query.name),
            ("record", query.record),
        )
        if value
    ]
    if query.record:
        # Said again, so that the index on what is not empty may be used.
        conditions.append("audit.record <> ''")
    if query.since:
        conditions.append(f"audit.at >= {given(microseconds(query.since))}")
    if query.until:
        conditions.append(f"audit.at < {given(microseconds(query.until))}")
    if query.task:
        task = given(query.task)
        # Each has its index in PostgreSQL, which needs to be told that neither is empty.
        conditions.append(
            f"(audit.task = {task} AND audit.task <> '' OR audit.task_uid = {task} AND audit.task_uid <> '')"
        )
    return conditions


def matches(query: AuditQuery, event: AuditEvent) -> bool:
    """Whether an event also matches what no column holds."""
    return (
        (not query.action or event.action == query.action)
        and (not query.effect or event.effect == query.effect)
        and (
            not query.person
            or query.person == event.requested_by
            or any(query.person == decider(entry) for entry in event.approvers)
        )
    )
