"""``aos audit``: rows of the audit trail, filtered; and exported for other systems."""

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from pydantic import JsonValue

from aos.audit.codec import encode_event
from aos.audit.event import AuditRow, Phase
from aos.audit.export import cloud_event, ocsf
from aos.audit.lines import encode_row
from aos.cli.audit_source import AuditPlace, AuditSource, Damaged, End
from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import DataFormat, ExportFormat
from aos.cli.output import Table, as_data
from aos.cli.progress import Progress, progress
from aos.model.base import JsonObject
from aos.model.duration import duration_seconds
from aos.policy.decision import Effect

PAGE_ROWS: Final = 20_000
"""Rows of one answer where all of a chain are read."""
_TOLD_EACH: Final = 1000


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """Which rows are asked for; what is empty matches every row.

    Attributes:
        agent: name of the Agent.
        task: name or uid of the Task.
        tool: the Tool, Model or Agent that was called, or ``TOOL.ACTION``.
        record: exactly this record.
        person: who asked for the Task, or approved or rejected the call.
        effect: ``Allow`` or ``Deny``.
        since: RFC 3339, or a duration back from now.
        until: the same; rows before it.
        limit: most rows.
    """

    agent: str = ""
    task: str = ""
    tool: str = ""
    record: str = ""
    person: str = ""
    effect: str = ""
    since: str = ""
    until: str = ""
    limit: int = 1000

    def query(self, namespace: str, now: datetime) -> dict[str, str]:
        """Return it as parameters of the gateway.

        Raises:
            CommandError: a time can't be read, or the effect is none.
        """
        name, _, action = self.tool.partition(".")
        return {
            "namespace": namespace,
            "agent": self.agent,
            "task": self.task,
            "name": name,
            "action": action,
            "record": self.record,
            "person": self.person,
            "effect": _effect(self.effect),
            "since": _moment("--since", self.since, now),
            "until": _moment("--until", self.until, now),
            "limit": str(self.limit),
        }


async def list_rows(
    connection: Connection, place: AuditPlace, request: AuditRequest, style: DataFormat | None
) -> ExitCode:
    """Print the rows that match.

    Raises:
        ApiError: the API server refused to be asked.
        CommandError: the rows can't be read.
    """
    query = request.query(place.namespace, datetime.now(UTC))
    async with connection.client() as client:
        with progress("reading the audit trail") as said:
            rows, end = await read(AuditSource(client, place), query, said)
    if style is not None:
        shown: list[JsonValue] = [row_data(row) for row in rows]
        print(as_data({"rows": shown, "more": end.more}, style))
    elif rows:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(table(rows).render(width)))
    else:
        print(f"no row {place.where} matches{place.wider}", file=sys.stderr)
    if end.more:
        print(
            f"the first {end.rows} rows; narrow it with --since, or ask for more with --limit",
            file=sys.stderr,
        )
    return ExitCode.SUCCESS


async def read(source: AuditSource, query: Mapping[str, str], said: Progress) -> tuple[list[AuditRow], End]:
    """Return the rows of one answer.

    Raises:
        CommandError: a row was damaged, or the answer is not whole.
    """
    rows: list[AuditRow] = []
    last: Damaged | End | None = None
    async with aclosing(source.lines(query)) as lines:
        async for line in lines:
            if not isinstance(line, AuditRow):
                last = line
                continue
            rows.append(line)
            if len(rows) % _TOLD_EACH == 0:
                said.wait_for(f"read {len(rows)} rows")
    if not isinstance(last, End):
        why = last.message if last else "the answer has no end"
        raise CommandError(ExitCode.FAILURE, f"{why}; `aos audit verify` tells what else is wrong")
    return rows, last


async def export(
    connection: Connection, place: AuditPlace, request: AuditRequest, style: ExportFormat
) -> ExitCode:
    """Print every row that matches, one JSON document a line.

    Raises:
        ApiError: the API server refused to be asked.
        CommandError: the rows can't be read, or there are more than one answer holds.
    """
    form = FORMATS[style]
    query = request.query(place.namespace, datetime.now(UTC))
    count = 0
    async with connection.client() as client, aclosing(AuditSource(client, place).lines(query)) as lines:
        async for line in lines:
            match line:
                case AuditRow():
                    sys.stdout.write(form(line) + "\n")
                    count += 1
                case Damaged():
                    raise CommandError(ExitCode.FAILURE, line.message)
                case End(more=True):
                    raise CommandError(
                        ExitCode.FAILURE,
                        f"only the first {count} rows were exported; narrow it with --since and --until, or raise --limit",
                    )
    return ExitCode.SUCCESS


def table(rows: list[AuditRow]) -> Table:
    """Return the rows for people."""
    headings = ("TIME", "PHASE", "AGENT", "TASK", "CALL", "EFFECT", "REASON", "OUTCOME", "RECORD", "ROW")
    return Table(headings, tuple(_cells(row) for row in rows))


def called(row: AuditRow) -> str:
    """Return what was called, as people write it."""
    event = row.event
    return f"{event.name}.{event.action}" if event.action else event.name


def row_data(row: AuditRow) -> JsonObject:
    """Return a row as JSON."""
    event: JsonValue = orjson.loads(encode_event(row.event))
    return {
        "chain": row.chain,
        "sequence": row.sequence,
        "previous": row.previous,
        "hash": row.hash,
        "event": event,
    }


def _cells(row: AuditRow) -> tuple[str, ...]:
    event = row.event
    reason = event.reason if event.phase is not Phase.CHANGE else f"by {event.requested_by}"
    return (
        event.time[:19].replace("T", " "),
        event.phase,
        event.agent,
        event.task,
        called(row),
        event.effect,
        reason,
        event.outcome,
        event.record,
        f"{row.chain}/{row.sequence}",
    )


def _effect(said: str) -> str:
    effect = said.capitalize()
    if effect not in {"", *Effect}:
        raise usage_error(f"--effect {said!r} is no effect: write allow, deny or hold")
    return effect


def _moment(option: str, said: str, now: datetime) -> str:
    if not said:
        return ""
    try:
        moment = (
            now - timedelta(seconds=duration_seconds(said))
            if said[-1] in "hms"
            else datetime.fromisoformat(said)
        )
    except (ValueError, OverflowError):
        raise usage_error(
            f"{option} {said!r} is no time: write 2026-01-02T03:04:05Z, or how long ago, as in 90m or 24h"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _line(make: Callable[[AuditRow], JsonObject]) -> Callable[[AuditRow], str]:
    return lambda row: orjson.dumps(make(row)).decode()


FORMATS: Final[Mapping[ExportFormat, Callable[[AuditRow], str]]] = {
    ExportFormat.JSONL: lambda row: encode_row(row).decode(),
    ExportFormat.OCSF: _line(ocsf),
    ExportFormat.CLOUDEVENTS: _line(cloud_event),
}
