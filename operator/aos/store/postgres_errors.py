"""PostgreSQL's errors as what a person can do about them."""

import asyncio
from typing import Final

import asyncpg

from aos.store.interface import StoreUnavailableError

CONFLICT: Final = frozenset({"AO001", "40001", "40P01"})
"""The transaction did not happen, and may at once be tried again: cells changed, or a deadlock was ended."""
CHAIN_TAKEN: Final = "AO002"

_WAYS_OUT: Final = (
    (asyncpg.DiskFullError, "its disk is full: free space or enlarge the volume"),
    (asyncpg.ReadOnlySQLTransactionError, "it is a standby, or read-only: give the primary's address"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the user or password is wrong"),
    (asyncpg.InsufficientPrivilegeError, "the user may not do that: it must own the store's tables"),
    (asyncpg.InvalidCatalogNameError, "there is no such database: create it"),
    (asyncpg.TooManyConnectionsError, "it takes no more connections: raise max_connections"),
    (asyncpg.LockNotAvailableError, "another replica held what is needed for too long"),
    (asyncpg.QueryCanceledError, "it was too slow"),
    (asyncpg.CannotConnectNowError, "it is starting or stopping"),
    (asyncpg.PostgresConnectionError, "the connection was lost"),
    (OSError, "it can't be reached"),
    (asyncio.TimeoutError, "it gave no answer in time"),
)


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Return the error that callers get; never with the URL, which may hold a password."""
    way_out = next((text for kind, text in _WAYS_OUT if isinstance(error, kind)), "")
    said = f"the store in PostgreSQL failed: {str(error) or type(error).__name__}"
    return StoreUnavailableError(f"{said}; {way_out}" if way_out else said)


def is_conflict(error: BaseException) -> bool:
    """Whether the transaction may at once be tried again."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in CONFLICT


def is_of_request(error: BaseException) -> bool:
    """Whether what was asked for is at fault: another request may well succeed."""
    if isinstance(error, (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)):
        return True
    return isinstance(error, (ValueError, OverflowError, TypeError)) and not isinstance(error, OSError)
