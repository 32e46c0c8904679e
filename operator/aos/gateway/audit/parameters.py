"""The parameters of a request for audit rows or records, checked. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from aos.audit.query import AuditQuery
from aos.gateway.refusal import Refusal, RefusalCode

MAX_ROWS: Final = 50_000
"""Rows of one answer; a reader goes on with ``chain`` and ``after``."""
DEFAULT_ROWS: Final = 1000
MAX_QUERY_BYTES: Final = 8192
_TEXTS: Final = (
    "namespace",
    "agent",
    "task",
    "name",
    "action",
    "record",
    "person",
    "effect",
    "since",
    "until",
    "chain",
)
ROWS: Final = frozenset({*_TEXTS, "after", "limit"})


def parameters(raw: bytes, known: Collection[str]) -> Mapping[str, str]:
    """Return the parameters of a query string.

    Raises:
        Refusal: one is unknown or is given twice (400).
    """
    if len(raw) > MAX_QUERY_BYTES:
        raise bad(f"the query has more than {MAX_QUERY_BYTES} bytes")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True) if raw else []
    except ValueError:
        raise bad("the query can't be read") from None
    given = dict(pairs)
    if any("\0" in value for value in given.values()):
        raise bad("a parameter holds the character U+0000, which nothing on record does")
    if len(given) != len(pairs):
        raise bad("a parameter is given twice")
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise bad(f"unknown parameter {unknown[0]!r}: use {', '.join(sorted(known))}")
    return given


def audit_query(given: Mapping[str, str]) -> AuditQuery:
    """Return the filter that the parameters mean.

    Raises:
        Refusal: a value is out of bounds (400).
    """
    for name in ("since", "until"):
        _check_time(name, given.get(name, ""))
    if "after" in given and not given.get("chain"):
        raise bad("after counts rows of one chain: give chain as well")
    return AuditQuery(
        **{name: given.get(name, "") for name in _TEXTS},
        after_sequence=number(given, "after", 0, 0, 2**40),
        limit=number(given, "limit", DEFAULT_ROWS, 1, MAX_ROWS),
    )


def number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number within bounds.

    Raises:
        Refusal: it is none (400).
    """
    said = given.get(name, str(default))
    if not (
        said.isascii() and said.isdecimal() and len(said) <= len(str(most)) and least <= int(said) <= most
    ):
        raise bad(f"{name} must be a whole number from {least} to {most}")
    return int(said)


def bad(message: str) -> Refusal:
    """Return the refusal of a request that can't be understood."""
    return Refusal(HTTPStatus.BAD_REQUEST, RefusalCode.BAD_REQUEST, message)


def _check_time(name: str, said: str) -> None:
    try:
        zone = datetime.fromisoformat(said).tzinfo if said else True
    except ValueError:
        zone = None
    if not zone:
        raise bad(f"{name} must be an RFC 3339 time with a zone, such as 2026-01-02T03:04:05Z")
