"""What people are shown of what they decide on: without personal data and secrets, short enough, and still JSON. Pure."""

from collections.abc import Iterable
from typing import Final

import orjson
from pydantic import JsonValue

from aos.inspection.finder import BUILT_IN
from aos.inspection.inspector import inspector_for
from aos.inspection.sizes import DataTooLargeError
from aos.inspection.visible import is_hidden
from aos.model.approval_request import MAX_ARGUMENTS_LENGTH
from aos.model.base import JsonObject
from aos.policy.obligations import DataRules

_STEPS: Final = ((4_096, 256), (1_024, 64), (256, 16), (64, 8), (32, 4))
"""Most characters of a text, and most items of a list or object; the next where the whole is still too long."""
_NO_RULES: Final = DataRules()
_CUT: Final = "(cut here: {} more)"
_SEEN_IN_JSON: Final = frozenset("\t\n\r")
"""Controls that JSON writes so that they can be seen."""
_UNREADABLE: Final[JsonObject] = {
    "(cut here)": "it is too large to be looked through, so nothing of it is shown"
}


def rules_for_people(rules: DataRules) -> DataRules:
    """Return rules that take out all that any policy would keep from an agent or a tool, and every built-in class."""
    classes = rules.redact_request | rules.redact_response | rules.block_request | rules.block_response
    return DataRules(redact_request=BUILT_IN | classes, patterns=rules.patterns)


def redacted(arguments: JsonObject, rules: DataRules = _NO_RULES) -> JsonObject:
    """Return the arguments without data of the built-in classes, and of those that ``rules`` name.

    Where they can't be looked through, nothing of them is left but a note that says so.
    """
    try:
        inspected = inspector_for(rules_for_people(rules)).request(arguments).value
    except DataTooLargeError:
        return _UNREADABLE
    return inspected if isinstance(inspected, dict) else _UNREADABLE


def redacted_value(value: JsonValue) -> JsonValue:
    """Return any JSON without data of the built-in classes; where it can't be looked through, a note that says so."""
    found = redacted({"value": value})
    return found.get("value", found)


def redacted_text(text: str, rules: DataRules = _NO_RULES) -> str:
    """Return ``text`` without such data, and with nothing in it that is not seen."""
    shown = redacted({"text": text}, rules).get("text")
    return visible(shown) if isinstance(shown, str) else ""


def shown(value: JsonValue, max_length: int = MAX_ARGUMENTS_LENGTH) -> str:
    """Return ``value`` as JSON of at most so many characters; where something is left out, it says so there."""
    written = _written(value)
    for text_length, items in _STEPS:
        if len(written) <= max_length:
            return written
        written = _written(_cut(value, text_length, items))
    return written if len(written) <= max_length else _written(_UNREADABLE)


def visible(text: str) -> str:
    """Return ``text`` with what people would not see, or what turns other text around, spelled out as ``<U+202E>``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"<U+{ord(each):04X}>" if _is_hidden(each) else each for each in text)


def _is_hidden(character: str) -> bool:
    return character not in _SEEN_IN_JSON and is_hidden(character)


def _written(value: JsonValue) -> str:
    return orjson.dumps(_visible(value)).decode()


def _visible(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return visible(value)
        case list():
            return [_visible(item) for item in value]
        case dict():
            return _kept_apart((visible(name), _visible(item)) for name, item in value.items())
        case _:
            return value


def _kept_apart(named: Iterable[tuple[str, JsonValue]]) -> JsonObject:
    """Return an object of all fields: names that came to look the same are numbered, so that none hides another."""
    found: JsonObject = {}
    alike: dict[str, int] = {}
    for name, value in named:
        free = name
        while free in found:
            alike[name] = alike.get(name, 1) + 1
            free = f"{name}#{alike[name]}"
        found[free] = value
    return found


def _cut(value: JsonValue, text_length: int, items: int) -> JsonValue:
    match value:
        case str() if len(value) > text_length:
            return f"{value[:text_length]} {_CUT.format(f'{len(value) - text_length} characters')}"
        case list():
            kept: list[JsonValue] = [_cut(item, text_length, items) for item in value[:items]]
            return [*kept, _CUT.format(f"{len(value) - items} items")] if len(value) > items else kept
        case dict():
            named = [
                (str(_cut(name, text_length, items)), _cut(item, text_length, items))
                for name, item in list(value.items())[:items]
            ]
            if len(value) > items:
                named.append(("(cut here)", f"{len(value) - items} more fields"))
            return _kept_apart(named)
        case _:
            return value
