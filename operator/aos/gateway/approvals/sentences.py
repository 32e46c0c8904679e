"""Calls in one short sentence, for people: nothing hidden in it, nothing secret, cut where it is long. Pure."""

from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.approvals.held import HeldCall
from aos.inspection.showing import visible
from aos.model.approval_request import Preview
from aos.model.base import JsonObject

MAX_SENTENCE_LENGTH: Final = 512
MAX_VALUE_LENGTH: Final = 48
MAX_NAME_LENGTH: Final = 48
MAX_VALUES: Final = 6

_CUT: Final = "\u2026"
_UNSEEN: Final = "; what it would change could not be read"


def wish(held: HeldCall, record: str, arguments: JsonObject, preview: Preview | None) -> str:
    """Return what an agent would do: ``lead-enricher wants to update_contact contact/emea-0001 in crm: stage=won``.

    Args:
        held: the call.
        record: what it changes, as people may see it; empty where it changes none.
        arguments: as people may see them.
        preview: what it would change. Where the Tool's action has one and it could not be had, the sentence says so.
    """
    unseen = _UNSEEN if held.declared.preview is not None and preview is None else ""
    return _sentence(held, "wants to", record, arguments, unseen)


def deed(held: HeldCall, record: str, arguments: JsonObject) -> str:
    """Return what an agent was let through to do: ``lead-enricher was let through to update_contact ... in crm: stage=won``."""
    return _sentence(held, "was let through to", record, arguments, "")


def _sentence(held: HeldCall, verb: str, record: str, arguments: JsonObject, end: str) -> str:
    asked = held.asked
    what = f"{asked.action} {record}" if record else asked.action
    said = f"{asked.caller.agent} {verb} {what} in {asked.name}"
    values = _values(arguments, record)
    sentence = _one_line(f"{said}: {values}" if values else said)
    return _cut(sentence, MAX_SENTENCE_LENGTH - len(end)) + end


def _values(arguments: JsonObject, record: str) -> str:
    """Return the arguments but for those that the record names."""
    told = [(name, _value(value)) for name, value in arguments.items()]
    told = [(name, value) for name, value in told if not value or value not in record.split("/")]
    shown = [f"{_cut(_one_line(name), MAX_NAME_LENGTH)}={value}" for name, value in told[:MAX_VALUES]]
    more = len(told) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _value(value: JsonValue) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return _cut(_one_line(text[: MAX_VALUE_LENGTH * 2]), MAX_VALUE_LENGTH)


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + _CUT
