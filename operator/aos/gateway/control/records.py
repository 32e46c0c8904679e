"""Which record a call writes, and when two writes are the same: leases and duplicates. Pure."""

from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from aos.gateway.control.asked import AskedCall
from aos.gateway.control.charges import tenant_of
from aos.gateway.journal import arguments_digest
from aos.gateway.memory.places import SCHEME
from aos.model.canonical import json_digest
from aos.model.tool import Access
from aos.policy.expression import ExpressionError
from aos.store.interface import DuplicateCheck, LeaseRequest

MAX_RECORD_LENGTH: Final = 512
ATTEMPT_SECONDS: Final = 86_400
"""How long an identical write of an earlier attempt of a step is answered with its result, and not sent."""

_SERVICE: Final = ".svc"
_LONG_SERVICE: Final = f"{_SERVICE}.cluster.local"
_LOCAL: Final = "localhost"
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


def duplicate_checks(asked: AskedCall) -> tuple[DuplicateCheck, ...]:
    """Return the checks for identical writes; none for reads.

    Of an earlier attempt of the same step, or of a step that the run was started by, whatever policies say; of any other Task where a policy asks for it.
    """
    if not is_kept(asked):
        return ()
    task = asked.caller.task
    run, seconds = task.spec.run, asked.obligations.conflicts.duplicate_window_seconds
    # By what is sent: what one agent's policies redact and another's do not are two writes. By whom it is sent as, too:
    # the same words under another account of the system may do another thing there.
    key: list[JsonValue] = [
        _system_key(asked),
        asked.account,
        asked.action,
        arguments_digest(asked.arguments),
    ]
    checks = []
    if run is not None:
        # Of a run that a step started it is the same whichever attempt of that step it is.
        step: list[JsonValue] = [run.place or run.uid, run.step, run.item]
        checks.append(
            DuplicateCheck(
                key=json_digest([step, *key]),
                maker=f"{run.uid}/{run.step}/{'' if run.item is None else run.item}/{run.attempt}",
                seconds=ATTEMPT_SECONDS,
                repeats=asked.is_idempotent,
            )
        )
    if seconds:
        checks.append(DuplicateCheck(key=json_digest(key), maker=task.metadata.uid, seconds=seconds))
    return tuple(checks)


def is_kept(asked: AskedCall) -> bool:
    """Whether what comes of the call may answer an identical one.

    What agents share is put anew each time: another value may have been there between, and to put one twice is to put it once.
    """
    if asked.system.startswith(SCHEME):
        return False
    asks = asked.obligations.conflicts.duplicate_window_seconds or asked.caller.task.spec.run is not None
    return bool(asks) and writes(asked)


def writes(asked: AskedCall) -> bool:
    """Whether the call is one of an action that is declared to write."""
    return asked.declared is not None and asked.declared.access is Access.WRITE


def _system_key(asked: AskedCall) -> str:
    return f"{tenant_of(asked.caller.policy)}/{system_of(asked.system)}"


@lru_cache(maxsize=4096)
def in_full(url: str, namespace: str) -> str:
    """Return a Tool's URL with ``namespace``, the gateway's own, where it names a Service alone: there its name is looked up."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    host, colon, port = parts.netloc.partition(":")
    if not host or host.lower() == _LOCAL or "." in host or "[" in host:
        return url
    return parts._replace(netloc=f"{host}.{namespace}{colon}{port}").geturl()


@lru_cache(maxsize=4096)
def system_of(url: str) -> str:
    """Return one spelling of a Tool's URL: two Tools that reach one place are one system.

    The names by which pods reach a Service in any namespace (``NAME.NAMESPACE``, with ``.svc``, with ``.svc.cluster.local``)
    become the shortest.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    for suffix in (_LONG_SERVICE, _SERVICE):
        # A namespace may be called svc: what is left must still name a Service and its namespace.
        if host.endswith(suffix) and "." in host.removesuffix(suffix):
            host = host.removesuffix(suffix)
            break
    path = PurePosixPath("/", *(step for step in unquote(parts.path).split("/") if step not in ("", ".")))
    where = f"{host}:{port or _DEFAULT_PORTS.get(scheme, 0)}"
    return f"{where}{str(path).rstrip('/')}"
