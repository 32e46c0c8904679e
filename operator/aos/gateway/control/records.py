"""Which record a call writes, and when two writes are the same: leases and duplicates. Pure."""

from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from aos.gateway.control.asked import AskedCall
from aos.gateway.control.charges import tenant_of
from aos.gateway.journal import arguments_digest
from aos.model.canonical import json_digest
from aos.model.tool import Access
from aos.policy.expression import ExpressionError
from aos.store.interface import DuplicateCheck, LeaseRequest

MAX_RECORD_LENGTH: Final = 512

_CLUSTER_DOMAIN: Final = ".cluster.local"
_LONG_SERVICE: Final = f".svc{_CLUSTER_DOMAIN}"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class RecordUnknownError(Exception):
    """The record that a call would write can't be told; the message says why."""


def lease_request(asked: AskedCall) -> LeaseRequest | None:
    """Return the lease that the call needs; None if it writes no record.

    Raises:
        RecordUnknownError: its arguments do not name a record.
    """
    record = record_name(asked)
    if not record:
        return None
    caller = asked.caller
    return LeaseRequest(
        record=f"{_system_key(asked)}/{record}",
        task_uid=caller.task.metadata.uid,
        task=caller.task.metadata.name,
        agent=caller.agent,
        namespace=caller.namespace,
        seconds=asked.obligations.conflicts.lease_seconds,
    )


def record_name(asked: AskedCall) -> str:
    """Return the record that the call writes, as its Tool's action names it; empty if it writes none.

    Raises:
        RecordUnknownError: its arguments do not name a record.
    """
    template = asked.obligations.record
    if template is None or not writes(asked):
        return ""
    try:
        record = template.render(asked.arguments)
    except ExpressionError as error:
        raise RecordUnknownError(str(error)) from None
    if not 0 < len(record) <= MAX_RECORD_LENGTH:
        raise RecordUnknownError(
            f"its name has {len(record)} characters; a record's has 1 to {MAX_RECORD_LENGTH}"
        )
    return record


def duplicate_check(asked: AskedCall) -> DuplicateCheck | None:
    """Return the check for an identical write of another Task; None for reads and where no policy asks for it."""
    seconds = asked.obligations.conflicts.duplicate_window_seconds
    if not seconds or not writes(asked):
        return None
    # By what is sent: what one agent's policies redact and another's do not are two writes. By whom it is sent as, too:
    # the same words under another account of the system may do another thing there.
    key: list[JsonValue] = [
        _system_key(asked),
        asked.account,
        asked.action,
        arguments_digest(asked.arguments),
    ]
    return DuplicateCheck(
        key=json_digest(key),
        task_uid=asked.caller.task.metadata.uid,
        seconds=seconds,
    )


def writes(asked: AskedCall) -> bool:
    """Whether the call is one of an action that is declared to write."""
    return asked.declared is not None and asked.declared.access is Access.WRITE


def _system_key(asked: AskedCall) -> str:
    return f"{tenant_of(asked.caller.policy)}/{system_of(asked.system)}"


@lru_cache(maxsize=4096)
def system_of(url: str) -> str:
    """Return one spelling of a Tool's URL: two Tools that reach one place are one system."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:
        return url
    host = (parts.hostname or "").rstrip(".")
    if host.endswith(_LONG_SERVICE):
        host = host.removesuffix(_CLUSTER_DOMAIN)
    path = PurePosixPath("/", *(step for step in unquote(parts.path).split("/") if step not in ("", ".")))
    where = f"{host}:{port or _DEFAULT_PORTS.get(scheme, 0)}"
    return f"{where}{str(path).rstrip('/')}"
