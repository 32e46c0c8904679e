"""Values that agents share, changed in SQLite in a transaction each."""

import sqlite3
import time

from aos.store.interface import MemoryConflict, MemoryPut, MemoryValue
from aos.store.memory import MEMORY, SELECT_MEMORY, cell_of, conflict_of, value_of
from aos.store.sqlite_operations import Operation
from aos.store.sqlite_writer import SqliteWriter


def put_memory(put: MemoryPut) -> Operation:
    """Keep a value; returns it, or the `MemoryConflict`."""

    def operation(_writer: SqliteWriter, connection: sqlite3.Connection) -> MemoryValue | MemoryConflict:
        now_ms = time.time_ns() // 1_000_000
        there = _there(connection, put.key, now_ms)
        conflict = conflict_of(there, put.if_version)
        if conflict is not None:
            return conflict
        cell, kept = cell_of(put, there, now_ms)
        connection.execute(
            "INSERT INTO cells (key, owner, namespace, expires, value, result) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, namespace = excluded.namespace,"
            " expires = excluded.expires, value = excluded.value, result = excluded.result",
            (cell.key, cell.owner, cell.namespace, cell.expires_ms, cell.value, cell.result),
        )
        return kept

    return operation


def delete_memory(key: str, if_version: int | None) -> Operation:
    """Delete a value; returns the `MemoryConflict`, or None."""

    def operation(_writer: SqliteWriter, connection: sqlite3.Connection) -> MemoryConflict | None:
        conflict = conflict_of(_there(connection, key, time.time_ns() // 1_000_000), if_version)
        if conflict is None:
            connection.execute("DELETE FROM cells WHERE key = ?", (MEMORY + key,))
        return conflict

    return operation


def _there(connection: sqlite3.Connection, key: str, now_ms: int) -> MemoryValue | None:
    rows = connection.execute(SELECT_MEMORY.replace("$1", "?"), (MEMORY + key,)).fetchall()
    return value_of(rows, now_ms)
