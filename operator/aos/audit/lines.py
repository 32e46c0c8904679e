"""Audit rows as lines of JSON: what the gateway streams, and what an export in JSON Lines holds."""

import orjson

from aos.audit.chain import DamagedRowError
from aos.audit.codec import EventError, encode_event, event_from
from aos.audit.event import AuditRow


def encode_row(row: AuditRow) -> bytes:
    """Return the row as RFC 8785 JSON, without a line feed.

    Raises:
        EventError: its event can't be written.
    """
    return b'{"chain":%b,"event":%b,"hash":%b,"previous":%b,"sequence":%d}' % (
        orjson.dumps(row.chain),
        encode_event(row.event),
        orjson.dumps(row.hash),
        orjson.dumps(row.previous),
        row.sequence,
    )


def decode_row(line: bytes) -> AuditRow:
    """Return the row that `encode_row` wrote; whether it is genuine is another question.

    Raises:
        EventError: the line is no row.
        DamagedRowError: the row's event can't be read.
    """
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise EventError(f"an audit row is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise EventError("an audit row is not a JSON object")
    chain, sequence, previous, digest, event = (
        said.get(name) for name in ("chain", "sequence", "previous", "hash", "event")
    )
    if not (isinstance(chain, str) and type(sequence) is int and sequence > 0):
        raise EventError("an audit row does not say its chain and sequence")
    if not (isinstance(previous, str) and isinstance(digest, str) and isinstance(event, dict)):
        raise DamagedRowError(chain, sequence, "it lacks its hashes or its event")
    try:
        return AuditRow(chain, sequence, previous, digest, event_from(event))
    except EventError as error:
        raise DamagedRowError(chain, sequence, str(error)) from error
