"""Brings a SQLite file to the schema that this program knows, or refuses it."""

import sqlite3
import time
from typing import Final

from aos.store.interface import StoreRefusedError
from aos.store.migrations import check_version, migrations

APPLICATION_ID: Final = 0x414F5331
"""Marks the file as AOS's (SQLite's header field of that name), so that no other program's file is ever written."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, in one transaction.

    Raises:
        StoreRefusedError: the file is another program's, or a newer version of this program wrote it.
        sqlite3.Error: the file can't be read or written.
    """
    scripts = migrations("sqlite")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        check_version(version, len(scripts))
        for number, script in enumerate(scripts[version:], version + 1):
            for statement in script.split(";\n"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_version (version, applied_at) VALUES (?, ?)", (number, time.time())
            )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables and mark == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL)"
        )
        return 0
    if mark != APPLICATION_ID or "schema_version" not in tables:
        raise StoreRefusedError(
            "the file is a SQLite database that AOS did not make; give the store a path of its own"
        )
    newest = connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]
    return int(newest or 0)
