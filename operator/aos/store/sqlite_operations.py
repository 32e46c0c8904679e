"""What is done in SQLite in a transaction of its own: a Task's end, sweeping, retention, documents, holds."""

import sqlite3
import time
from collections.abc import Callable
from typing import Final

from aos.audit.marks import gap_mark
from aos.store.blocks import ROWS_PER_BLOCK
from aos.store.cells import LEASE, decode_lease, lease_of_ended_task
from aos.store.gaps import deleted_row, runs
from aos.store.interface import Lease, LegalHold
from aos.store.queries import PURGEABLE, SEQUENCES_PER_CHAIN
from aos.store.sqlite_writer import SqliteWriter
from aos.store.trail import prepared, rfc3339

Operation = Callable[[SqliteWriter, sqlite3.Connection], object]

SWEPT_AT_ONCE: Final = 5_000


def ping(writer: SqliteWriter, connection: sqlite3.Connection) -> None:
    """Write, and read what was written."""
    writer.check_file()
    now = time.time_ns()
    connection.execute(
        "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at", (now,)
    )
    if connection.execute("SELECT at FROM probe").fetchall() != [(now,)]:
        raise sqlite3.DatabaseError("what was written is not what is read")


def end_task(task_uid: str) -> Operation:
    """Give back a Task's leases, those of calls under way once these are done, and delete its counters."""

    def operation(writer: SqliteWriter, connection: sqlite3.Connection) -> None:
        gone = connection.execute(
            "DELETE FROM cells WHERE owner = ? AND owner <> '' RETURNING key, value", (task_uid,)
        ).fetchall()
        writer.cells.drop(key for key, _ in gone)
        leases = (value for key, value in gone if key.startswith(LEASE))
        left = [cell for value in leases if (cell := lease_of_ended_task(value, _now_ms())) is not None]
        connection.executemany(
            "INSERT INTO cells (key, owner, namespace, expires, value) VALUES (?, ?, ?, ?, ?)",
            [(cell.key, cell.owner, cell.namespace, cell.expires_ms, cell.value) for cell in left],
        )

    return operation


def free_lease(record: str, namespace: str) -> Operation:
    """Take a record from its holder; returns the lease, or None."""

    def operation(writer: SqliteWriter, connection: sqlite3.Connection) -> Lease | None:
        gone = connection.execute(
            "DELETE FROM cells WHERE key = ? AND namespace = ? RETURNING value, expires",
            (LEASE + record, namespace),
        ).fetchall()
        writer.cells.drop([LEASE + record])
        if not gone or gone[0][1] <= _now_ms():
            return None
        return decode_lease(gone[0][0]).lease()

    return operation


def sweep(writer: SqliteWriter, connection: sqlite3.Connection, keep_seconds: int) -> tuple[int, int]:
    """Close calls that took too long, and delete what nothing needs; return how many of each."""
    now = _now_ms()
    closed = connection.execute(
        "UPDATE calls SET closed = 1 WHERE closed = 0 AND expires <= ?", (now,)
    ).rowcount
    old = connection.execute(
        "DELETE FROM calls WHERE closed = 1 AND expires <= ? RETURNING call", (now - keep_seconds * 1000,)
    ).fetchall()
    for (call,) in old:
        writer.cells.calls.pop(call, None)
    gone = connection.execute(
        "DELETE FROM cells WHERE key IN (SELECT key FROM cells WHERE expires <= ? LIMIT ?) RETURNING key",
        (now, SWEPT_AT_ONCE),
    ).fetchall()
    writer.cells.drop(key for (key,) in gone)
    return closed, len(gone)


def put_document(digest: str, content: bytes) -> Operation:
    """Keep a document."""

    def operation(_writer: SqliteWriter, connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO documents (digest, content) VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, content)
        )

    return operation


def put_hold(hold: LegalHold) -> Operation:
    """Keep rows from retention."""

    def operation(_writer: SqliteWriter, connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO holds (name, namespace, reason, created_by, created_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET namespace = excluded.namespace, reason = excluded.reason,"
            " created_by = excluded.created_by, created_at = excluded.created_at",
            (hold.name, hold.namespace, hold.reason, hold.created_by, hold.created_at),
        )

    return operation


def release_hold(name: str) -> Operation:
    """Let retention have the rows; returns whether there was such a hold."""

    def operation(_writer: SqliteWriter, connection: sqlite3.Connection) -> bool:
        return connection.execute("DELETE FROM holds WHERE name = ?", (name,)).rowcount > 0

    return operation


def purge(before_us: int, rows: int) -> Operation:
    """Delete the oldest rows, at most so many, and write what is missing then; returns how many."""

    def operation(writer: SqliteWriter, connection: sqlite3.Connection) -> int:
        found = connection.execute(PURGEABLE.replace("$", "?"), (before_us, rows)).fetchall()
        if not found:
            return 0
        chains = dict(connection.execute("SELECT id, name FROM chains").fetchall())
        for gap in runs(deleted_row(row, chains, SEQUENCES_PER_CHAIN) for row in found):
            event = gap_mark(gap, rfc3339(time.time_ns() // 1000))
            writer.trail.add(event, *prepared(event))
        # Where the newest row of a chain goes, the chain's head must stay known.
        connection.executemany(
            "UPDATE chains SET sequence = ?, hash = ?, time = ? WHERE id = ? AND sequence < ?",
            [
                (
                    number % SEQUENCES_PER_CHAIN,
                    digest.hex(),
                    rfc3339(at),
                    number // SEQUENCES_PER_CHAIN,
                    number % SEQUENCES_PER_CHAIN,
                )
                for number, _, digest, at in found
            ],
        )
        connection.executemany("DELETE FROM audit WHERE id = ?", [(row[0],) for row in found])
        connection.executemany(
            "DELETE FROM blocks WHERE block = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM audit WHERE id >= ?1 * ?2 AND id < (?1 + 1) * ?2)",
            [(block, ROWS_PER_BLOCK) for block in {row[0] // ROWS_PER_BLOCK for row in found}],
        )
        return len(found)

    return operation


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
