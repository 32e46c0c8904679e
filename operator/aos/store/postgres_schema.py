"""Brings a PostgreSQL database to the schema that this program knows, or refuses it."""

from typing import TYPE_CHECKING, Final

import asyncpg

from aos.store.interface import StoreRefusedError
from aos.store.migrations import check_version, migrations

_LOCK: Final = 0x414F5331
"""Advisory lock of those who migrate: of replicas that start together, one does."""

if TYPE_CHECKING:
    # Generic in its stubs alone.
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection, Pool = asyncpg.Connection, asyncpg.Pool


async def migrate(connection: Connection) -> None:
    """Bring the tables up to date, in one transaction.

    Raises:
        StoreRefusedError: the tables are another program's, or a newer version of this program made them.
        asyncpg.PostgresError: the database can't be used.
    """
    scripts = migrations("postgres")
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            version = await _version(connection)
            check_version(version, len(scripts))
            for number, script in enumerate(scripts[version:], version + 1):
                await connection.execute(script)
                await connection.execute(
                    "INSERT INTO schema_version (version, applied_at) VALUES ($1, now())", number
                )
    except (
        asyncpg.DuplicateTableError,
        asyncpg.DuplicateFunctionError,
        asyncpg.UndefinedColumnError,
    ) as error:
        raise StoreRefusedError(
            f"the database holds tables that AOS did not make ({error}); give the store a database or a schema of its own"
        ) from error


async def _version(connection: Connection) -> int:
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        await connection.execute(
            "CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)"
        )
        return 0
    newest = await connection.fetchval("SELECT max(version) FROM schema_version WHERE applied_at IS NOT NULL")
    return int(newest or 0)
