"""The hash chain of audit rows: SHA-256 over RFC 8785 of ``{chain, event, previous, sequence}``."""

import hashlib
from typing import Final

import orjson

from aos.audit.codec import EventError, decode_event, encode_event
from aos.audit.event import AuditEvent, AuditRow

_ORIGIN: Final = "aos.dev/audit/v1/"
"""Written before a chain's name, so that no other hash of this system equals a chain's origin."""


class DamagedRowError(ValueError):
    """A stored row can't be read: something other than this program wrote it.

    Attributes:
        chain: the row's chain.
        sequence: its place.
    """

    def __init__(self, chain: str, sequence: int, why: str) -> None:
        super().__init__(f"row {sequence} of audit chain {chain} can't be read: {why}")
        self.chain = chain
        self.sequence = sequence


def origin(chain: str) -> str:
    """Return the hash, in hex, that the first row of ``chain`` follows."""
    return hashlib.sha256((_ORIGIN + chain).encode()).hexdigest()


def row_hash(chain: str, sequence: int, previous: str, event: AuditEvent) -> str:
    """Return the hash, in hex, of the row in this place.

    Raises:
        EventError: the event can't be written.
    """
    return content_hash(chain, sequence, previous, encode_event(event))


def content_hash(chain: str, sequence: int, previous: str, content: bytes) -> str:
    """Return the hash, in hex, of the row whose event is ``content``, as `encode_event` wrote it.

    Writing the four keys by hand, in order, gives RFC 8785 without encoding the event a second time.
    """
    return hashlib.sha256(
        b'{"chain":%b,"event":%b,"previous":%b,"sequence":%d}'
        % (orjson.dumps(chain), content, orjson.dumps(previous), sequence)
    ).hexdigest()


def link(chain: str, sequence: int, previous: str, event: AuditEvent) -> AuditRow:
    """Return the row that puts ``event`` in this place of the chain.

    Raises:
        EventError: the event can't be written.
    """
    return AuditRow(chain, sequence, previous, row_hash(chain, sequence, previous, event), event)


def read_row(chain: str, sequence: int, previous: str, digest: str, content: bytes) -> AuditRow:
    """Return a row as it was stored; whether it is genuine is for `aos.audit.verification` to say.

    Raises:
        DamagedRowError: its event can't be read.
    """
    try:
        return AuditRow(chain, sequence, previous, digest, decode_event(content))
    except EventError as error:
        raise DamagedRowError(chain, sequence, str(error)) from error
