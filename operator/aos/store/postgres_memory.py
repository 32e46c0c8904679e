"""Values that agents share, changed in PostgreSQL in a transaction each, one at a time for each value."""

import asyncpg

from aos.store.interface import MemoryConflict, MemoryPut, MemoryValue
from aos.store.memory import MEMORY, SELECT_MEMORY, cell_of, conflict_of, value_of
from aos.store.postgres_schema import Connection

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
"""A row that is not there yet can't be locked; two values of one hash only wait for each other."""


async def put_memory(connection: Connection, put: MemoryPut) -> MemoryValue | MemoryConflict:
    """Keep a value; return it, or why not.

    Raises:
        asyncpg.PostgresError: the database can't be used.
    """
    async with connection.transaction():
        there, now_ms = await _there(connection, put.key)
        conflict = conflict_of(there, put.if_version)
        if conflict is not None:
            return conflict
        cell, kept = cell_of(put, there, now_ms)
        await connection.execute(
            "INSERT INTO cells (key, version, owner, namespace, expires, value, result) VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (key) DO UPDATE SET version = excluded.version, owner = excluded.owner,"
            " namespace = excluded.namespace, expires = excluded.expires, value = excluded.value, result = excluded.result",
            cell.key,
            kept.version,
            cell.owner,
            cell.namespace,
            cell.expires_ms,
            cell.value,
            cell.result,
        )
        return kept


async def delete_memory(connection: Connection, key: str, if_version: int | None) -> MemoryConflict | None:
    """Delete a value; return why not, or None.

    Raises:
        asyncpg.PostgresError: the database can't be used.
    """
    async with connection.transaction():
        there, _ = await _there(connection, key)
        conflict = conflict_of(there, if_version)
        if conflict is None:
            await connection.execute("DELETE FROM cells WHERE key = $1", MEMORY + key)
        return conflict


async def _there(connection: Connection, key: str) -> tuple[MemoryValue | None, int]:
    """Let nobody else change a value until the transaction ends; return it, and the time."""
    await connection.execute(_LOCK, MEMORY + key)
    now_ms: int = await connection.fetchval("SELECT aos_clock()")
    rows: list[asyncpg.Record] = await connection.fetch(SELECT_MEMORY, MEMORY + key)
    return value_of([tuple(row) for row in rows], now_ms), now_ms
