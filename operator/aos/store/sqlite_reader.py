"""Reading SQLite beside the writer: connections of their own, in threads of their own, that can't write."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aos.audit.head import ChainHead
from aos.store.sqlite_writer import newest

_CACHE_KIB: Final = 2_048
"""Pages of the file that each connection keeps."""


class SqliteReader:
    """Runs queries; one connection for each thread that asks."""

    def __init__(self, path: Path, lock_wait_seconds: float) -> None:
        """Nothing is opened before the first query."""
        self._uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        self._lock_wait_seconds = lock_wait_seconds
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: list[sqlite3.Connection] = []

    def rows(self, sql: str, parameters: Sequence[int | float | str]) -> list[tuple[object, ...]]:
        """Return what a query selects.

        Raises:
            sqlite3.Error: the file can't be read.
        """
        try:
            return self._connection().execute(sql.replace("$", "?"), parameters).fetchall()
        except sqlite3.Error:
            self._drop()
            raise

    def heads(self) -> list[ChainHead]:
        """Return the newest row of every chain, at one moment.

        Raises:
            sqlite3.Error: the file can't be read.
        """
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                chains = connection.execute("SELECT id, name FROM chains ORDER BY id").fetchall()
                return [ChainHead(name, *newest(connection, number)) for number, name in chains]
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()
            raise

    def close(self) -> None:
        """Close every connection; no query may be under way."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            return known
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=self._lock_wait_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        with self._lock:
            self._all.append(connection)
        self._local.connection = connection
        return connection

    def _drop(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            del self._local.connection
            with self._lock:
                self._all.remove(connection)
            connection.close()
