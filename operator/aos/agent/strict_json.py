"""Reads JSON objects that a model wrote: no duplicate keys, no NaN, nothing that others would read differently."""

import json
import math
from typing import NoReturn

from pydantic import JsonValue

from aos.model.base import JsonObject


class NotAnObjectError(ValueError):
    """The text is no JSON object; the message says why, without quoting it."""


def read_object(text: str) -> JsonObject:
    """Return the JSON object that ``text`` is.

    Raises:
        NotAnObjectError: it is not one.
    """
    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_refuse_constant
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except NotAnObjectError:
        raise
    except json.JSONDecodeError as error:
        raise NotAnObjectError(f"not JSON: {error.msg} at character {error.pos}") from error
    except UnicodeEncodeError as error:
        raise NotAnObjectError("holds half of a surrogate pair, which is no character") from error
    except RecursionError as error:
        raise NotAnObjectError("nested too deeply") from error
    except ValueError as error:
        raise NotAnObjectError("holds a number with too many digits") from error
    if not isinstance(value, dict):
        raise NotAnObjectError("JSON, but not an object")
    return value


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise NotAnObjectError("a key appears twice")
    return keys


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotAnObjectError("holds a number that is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise NotAnObjectError(f"holds {name}, which JSON does not know")
