"""Bounds on what is looked into: what is too large to be judged is not let through."""

from typing import Final

import orjson
from pydantic import JsonValue

MAX_DEPTH: Final = 100
"""Of objects and lists in each other."""
MAX_NODES: Final = 200_000
"""Keys and values together."""
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""Of all that a value says, as JSON, where policies look into it."""
MAX_FINDINGS: Final = 5_000
"""Stretches of data in one value: a page of a thousand records with five such fields each."""
MAX_CANDIDATES: Final = 100_000
"""Stretches of one value that look like data at first and are judged one by one, in all its writings."""


class DataTooLargeError(Exception):
    """A value that is larger than what is allowed or can be judged; the message says by which measure."""


def check_size(value: JsonValue, max_bytes: int | None) -> None:
    """Check that ``value``, as JSON, has at most ``max_bytes``.

    Raises:
        DataTooLargeError: it has more, or is nested too deeply to be told.
    """
    if max_bytes is not None:
        check_bytes(len(as_json(value)), max_bytes)


def check_bytes(size: int, max_bytes: int | None) -> None:
    """Check a size in bytes.

    Raises:
        DataTooLargeError: it is above ``max_bytes``.
    """
    if max_bytes is not None and size > max_bytes:
        raise DataTooLargeError(f"it has {size} bytes as JSON, and policy allows {max_bytes}")


def as_json(value: JsonValue) -> bytes:
    """Return ``value`` as JSON.

    Raises:
        DataTooLargeError: it is nested too deeply, or holds a number or text that JSON can't carry.
    """
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise DataTooLargeError(f"it can't be written as JSON: {str(error)[:100]}") from None
