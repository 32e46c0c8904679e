"""The one connection that writes to SQLite. Blocking; used by one thread at a time, whichever that is."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from aos.audit.chain import origin
from aos.audit.codec import decode_event
from aos.audit.head import ChainHead
from aos.audit.marks import start_mark
from aos.store.batch import run
from aos.store.blocks import Blocks
from aos.store.cells import Cells, decode_call, encode_call
from aos.store.interface import Admission, Completion, StoreRefusedError
from aos.store.ledger import missing
from aos.store.queries import SEQUENCES_PER_CHAIN
from aos.store.requests import Job
from aos.store.settings import StoreSettings
from aos.store.sqlite_schema import migrate
from aos.store.trail import Place, Trail, chain_taken, prepared, rfc3339

_CHECKPOINT_JOBS: Final = 1000
_CACHE_KIB: Final = 4_096
"""Pages of the file that are kept: most are ends of tables that are written once and not read again, so more of them is no faster."""

Result = TypeVar("Result")


class SqliteWriter:
    """Transactions: begun, applied and committed apart, so that only the last, which waits for the disk, needs a thread."""

    def __init__(self, path: Path, chain: str, settings: StoreSettings) -> None:
        """Nothing is opened before `connect`."""
        self._path = path
        self._settings = settings
        self._connection: sqlite3.Connection | None = None
        self._chain_id = 0
        self._data_version = -1
        self._synchronous = True
        self._unsynchronised = False
        self._since_checkpoint = 0
        self._file: tuple[int, int] | None = None
        self._dropped: list[sqlite3.Connection] = []
        self._cells = Cells(settings.idle_task_counter_seconds)
        beginning = Place(0, origin(chain), "")
        self._trail = Trail(chain, beginning, beginning)
        self._blocks = Blocks()

    @property
    def connected(self) -> bool:
        """Whether transactions can be tried."""
        return self._connection is not None

    @property
    def synchronised(self) -> bool:
        """Whether everything that was committed is on disk."""
        return not self._unsynchronised

    def connect(self) -> None:
        """Open the file, migrate it, and take up the chain where it was left, or begin it.

        Raises:
            StoreRefusedError: this process must not write it.
            sqlite3.Error: the file can't be used.
            OSError: its folder can't.
        """
        self.close()
        if not self._path.exists():
            # What the trail says is for nobody else's eyes; the files beside it get the same mode.
            self._path.touch(mode=0o600)
        connection = sqlite3.connect(
            self._path,
            timeout=self._settings.lock_wait_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _configure(connection)
            migrate(connection)
            self._take_up_chain(connection)
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._file = _identity(self._path)
        self._synchronous = True
        self._data_version = -1
        self._cells.forget()

    def drop(self) -> None:
        """Give up the connection without waiting for the disk; `close` closes it. What is not committed did not happen."""
        if self._connection is not None:
            self._dropped.append(self._connection)
            self._connection = None
        self._cells.forget()
        self._trail.undo()
        self._blocks.undo()

    def close(self) -> None:
        """Close what was opened."""
        self.drop()
        while self._dropped:
            with contextlib.suppress(sqlite3.Error):
                self._dropped.pop().close()

    def check_file(self) -> None:
        """Check that the file written is the one that a restart would open.

        Raises:
            sqlite3.OperationalError: it was replaced or deleted.
        """
        if _identity(self._path) != self._file:
            raise sqlite3.OperationalError("the file was replaced or deleted while it was in use")

    def begin(self, *, wait: bool, synchronous: bool = True) -> None:
        """Begin a transaction that may write.

        Args:
            wait: for another process's transaction to end.
            synchronous: whether the transaction is on disk when it is committed; if not, it outlives this process all
                the same, but not the machine, until the next one that is.

        Raises:
            StoreRefusedError: another process wrote the chain.
            sqlite3.Error: another process has the file locked, or the file can't be used.
        """
        connection = self._open()
        if synchronous is not self._synchronous:
            connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous else 'NORMAL'}")
            self._synchronous = synchronous
        if wait:
            connection.execute(f"PRAGMA busy_timeout = {int(self._settings.lock_wait_seconds * 1000)}")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                connection.execute("PRAGMA busy_timeout = 0")
        else:
            connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            # Another process has written since: nothing that is remembered is certain.
            self._data_version = version
            self._cells.forget()
            self._blocks.forget()
            if newest(connection, self._chain_id) != self._trail.stored:
                raise chain_taken(self._trail.chain)

    def apply(self, jobs: Sequence[Job]) -> tuple[list[object], bool]:
        """Do the jobs in the transaction begun; return their results, and whether anything is to be committed."""
        connection = self._open()
        now_ms = time.time_ns() // 1_000_000
        cells = self._cells
        results: list[object] = []
        for job in jobs:
            if isinstance(job, Admission | Completion):
                self._load(connection, job)
            results += run((job,), cells, self._trail, now_ms, self._settings.max_result_bytes)
        changed = bool(self._trail.rows or cells.opened or cells.finished)
        if changed:
            self._store(connection, now_ms)
        return results, changed

    def commit(self) -> None:
        """End the transaction; what it changed is on disk then."""
        try:
            self._open().execute("COMMIT")
        except sqlite3.Error:
            self._trail.doubt()
            raise
        self._blocks.committed()
        self._unsynchronised = not self._synchronous
        self._since_checkpoint += 1 + len(self._trail.rows)
        self._trail.committed(on_disk=self._synchronous)
        self._cells.settled(self._settings.max_cached_cells)

    def commit_and_tidy(self) -> None:
        """Commit, and move what has gathered in the write-ahead log to its place if that is due."""
        self.commit()
        if self._since_checkpoint > _CHECKPOINT_JOBS:
            self._since_checkpoint = 0
            # What is committed is kept in the log as well; if the disk is full, the next commit says so.
            with contextlib.suppress(sqlite3.Error):
                self._open().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def roll_back(self) -> None:
        """End the transaction; nothing of it happened."""
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._trail.undo()
        self._blocks.undo()
        self._cells.forget()

    def operate(self, operation: Callable[["SqliteWriter", sqlite3.Connection], Result]) -> Result:
        """Do an operation in a transaction of its own, and commit it."""
        self.begin(wait=True)
        try:
            result = operation(self, self._open())
            if self._trail.rows:
                self._store_rows(self._open())
            self.commit_and_tidy()
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.roll_back()
            raise
        return result

    @property
    def cells(self) -> Cells:
        """What is known of the store; for operations that change it behind its back."""
        return self._cells

    @property
    def trail(self) -> Trail:
        """The chain; for operations that write rows."""
        return self._trail

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the file is not open")
        return self._connection

    def _load(self, connection: sqlite3.Connection, job: Admission | Completion) -> None:
        cells = self._cells
        if isinstance(job, Completion) and job.call not in cells.calls:
            row = connection.execute("SELECT value FROM calls WHERE call = ?", (job.call,)).fetchone()
            cells.calls[job.call] = None if row is None else decode_call(row[0])
        for key in missing(cells, job):
            row = connection.execute(
                "SELECT owner, value, result FROM cells WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                cells.put_absent((key,))
            else:
                cells.put(key, *row)

    def _store(self, connection: sqlite3.Connection, now_ms: int) -> None:
        cells = self._cells
        kept, deleted = [], []
        for cell in cells.changed(now_ms):
            if cell.value is None:
                deleted.append((cell.key,))
            else:
                kept.append((cell.key, cell.owner, cell.namespace, cell.expires_ms, cell.value, cell.result))
        if kept:
            connection.executemany(
                "INSERT INTO cells (key, owner, namespace, expires, value, result) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, namespace = excluded.namespace,"
                " expires = excluded.expires, value = excluded.value, result = excluded.result",
                kept,
            )
        if deleted:
            connection.executemany("DELETE FROM cells WHERE key = ?", deleted)
        if cells.opened:
            connection.executemany(
                "INSERT INTO calls (call, expires, closed, value) VALUES (?, ?, 0, ?)",
                [(call, opened.expires_ms, encode_call(opened)) for call, opened in cells.opened.items()],
            )
        if cells.finished:
            connection.executemany("DELETE FROM calls WHERE call = ?", [(call,) for call in cells.finished])
        if self._trail.rows:
            self._store_rows(connection)

    def _store_rows(self, connection: sqlite3.Connection) -> None:
        base = self._chain_id * SEQUENCES_PER_CHAIN
        connection.executemany(
            "INSERT INTO audit (id, at, mark, namespace, agent, task, task_uid, name, record, previous, hash, event)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(base + row[0], *row[1:]) for row in self._trail.rows],
        )
        blocks = self._blocks.add(base, self._trail.rows)
        if blocks:
            connection.executemany("INSERT OR IGNORE INTO blocks (key, block) VALUES (?, ?)", blocks)

    def _take_up_chain(self, connection: sqlite3.Connection) -> None:
        trail = self._trail
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute("SELECT id FROM chains WHERE name = ?", (trail.chain,)).fetchone()
            if row is None:
                self._begin_chain(connection)
            else:
                self._chain_id = row[0]
                trail.take_up(newest(connection, self._chain_id))
            connection.execute("COMMIT")
        except BaseException:
            trail.doubt()
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        # What was found was written to the log at least; this transaction has changed nothing, and waited for no disk.
        trail.committed(on_disk=row is None)

    def _begin_chain(self, connection: sqlite3.Connection) -> None:
        trail = self._trail
        if trail.stored.sequence:
            raise StoreRefusedError(
                f"the store {self._path} does not hold audit chain {trail.chain} any more: the file was replaced while"
                " it was in use; restart the gateway to begin a new chain"
            )
        heads = [
            ChainHead(name, *newest(connection, number))
            for number, name in connection.execute("SELECT id, name FROM chains").fetchall()
        ]
        place = trail.stored
        self._chain_id = (
            connection.execute(
                "INSERT INTO chains (name, sequence, hash, time) VALUES (?, ?, ?, ?)",
                (trail.chain, place.sequence, place.hash, place.time),
            ).lastrowid
            or 0
        )
        event = start_mark(trail.chain, rfc3339(time.time_ns() // 1000), heads)
        trail.add(event, *prepared(event))
        self._store_rows(connection)


def newest(connection: sqlite3.Connection, chain_id: int) -> Place:
    """Return where a chain stands: its newest row, or the newest that retention deleted."""
    base = chain_id * SEQUENCES_PER_CHAIN
    row = connection.execute(
        "SELECT id, hash, event FROM audit WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1",
        (base, base + SEQUENCES_PER_CHAIN),
    ).fetchone()
    deleted = Place(
        *connection.execute("SELECT sequence, hash, time FROM chains WHERE id = ?", (chain_id,)).fetchone()
    )
    if row is None or row[0] - base < deleted.sequence:
        return deleted
    return Place(row[0] - base, row[1].hex(), decode_event(row[2]).time)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _configure(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreRefusedError(f"SQLite can't keep a write-ahead log on this volume (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    # A checkpoint waits for the disk, which some of the commits must not (`SqliteWriter.commit_and_tidy`).
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    # The file's pages are written when the transaction ends, in the thread that waits for the disk; not before.
    connection.execute("PRAGMA cache_spill = OFF")
