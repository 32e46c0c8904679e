"""SQLite's errors as what a person can do about them."""

import sqlite3
from pathlib import Path
from typing import Final

from aos.store.interface import StoreUnavailableError

_WAYS_OUT: Final = (
    ("SQLITE_FULL", "the disk is full: free space or enlarge the volume"),
    ("SQLITE_READONLY", "it can't be written: check the volume's mount and the file's owner"),
    ("SQLITE_BUSY", "another process has it locked: only one gateway may use the volume"),
    ("SQLITE_LOCKED", "another process has it locked: only one gateway may use the volume"),
    ("SQLITE_CANTOPEN", "it can't be opened: check that the folder exists and may be written"),
    ("SQLITE_IOERR", "the disk fails or is full: see the node's log"),
    (
        "SQLITE_CORRUPT",
        "the file is damaged: restore a backup, or move it away and start anew (its audit trail is lost then)",
    ),
    (
        "SQLITE_NOTADB",
        "the file is no SQLite database: give the store a path of its own, or restore a backup",
    ),
    ("SQLITE_TOOBIG", "what was to be written is longer than SQLite takes"),
)


def unavailable(path: Path, error: BaseException) -> StoreUnavailableError:
    """Return the error that callers get."""
    name = getattr(error, "sqlite_errorname", "")
    way_out = next((text for prefix, text in _WAYS_OUT if name.startswith(prefix)), "")
    said = f"the store {path} failed: {error}"
    return StoreUnavailableError(f"{said}; {way_out}" if way_out else said)


def is_busy(error: Exception) -> bool:
    """Whether another process has the file locked for now."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_of_request(error: Exception) -> bool:
    """Whether what was asked for is at fault, and not the file: another request may well succeed."""
    if not isinstance(error, sqlite3.Error):
        return True
    if isinstance(error, (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)):
        return True
    return getattr(error, "sqlite_errorname", "") == "SQLITE_TOOBIG"
