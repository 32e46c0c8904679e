"""Reads JSON that has one meaning only: no duplicate keys, no number or text that others would read differently.

Nearly every client writes compact JSON, and for that there is a quick and exact way: what is equal to its own
re-encoding has no duplicate key and no number that changed while it was read. Only the rest is scanned with hooks.
"""

import json
import math
from typing import Final, NoReturn

import orjson
from pydantic import JsonValue

MAX_INTEGER: Final = 2**53 - 1
"""Integers beyond it are refused: RFC 8785 digests and JavaScript can't carry them exactly (RFC 7493, section 2.2)."""


class StrictJsonError(ValueError):
    """The bytes are not JSON with one meaning; the message says why, without quoting them."""


def read_json(content: bytes, max_depth: int) -> JsonValue:
    """Return what ``content`` says.

    Args:
        content: UTF-8; its length is the caller's to bound.
        max_depth: how deep objects and arrays may be nested; at most 200.

    Raises:
        StrictJsonError: it is not JSON, is nested too deeply, or could be read in two ways.
    """
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON: {error.msg} at byte {error.pos}") from None
    if content.count(b"{") + content.count(b"[") > max_depth and _is_deeper(value, max_depth):
        raise StrictJsonError(f"nested more than {max_depth} deep")
    try:
        if orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) == content:
            return value
    except TypeError:
        raise StrictJsonError(f"an integer is beyond {MAX_INTEGER}; send it as a string") from None
    return _scan(content)


def _is_deeper(value: JsonValue, max_depth: int) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(max_depth):
        level = [
            item
            for parent in level
            for item in (
                parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ()
            )
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _scan(content: bytes) -> JsonValue:
    try:
        value: JsonValue = _DECODER.decode(content.decode())
    except StrictJsonError:
        raise
    except (ValueError, RecursionError):
        raise StrictJsonError("not JSON") from None
    return value


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise StrictJsonError("an object has the same key twice")
    return keys


def _integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)) or abs(int(digits)) > MAX_INTEGER:
        raise StrictJsonError(f"an integer is beyond {MAX_INTEGER}; send it as a string")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise StrictJsonError("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJsonError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=_refuse_constant,
)
