"""What prompts and whole outputs carry, held to the data rules."""

from collections.abc import Iterator
from functools import partial

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.models.estimate import media_places
from aos.gateway.models.failure import ModelFailure
from aos.gateway.off_loop import OFF_LOOP, size_of
from aos.gateway.refusal import RefusalCode, Refused
from aos.inspection.inspector import Inspected, Inspector
from aos.inspection.sizes import DataTooLargeError, check_size
from aos.model.base import JsonObject
from aos.policy.decision import Effect
from aos.policy.obligations import DataRules


async def request_checked(
    caller: Caller, rules: DataRules, inspector: Inspector, body: JsonObject
) -> Inspected | Refused:
    """Return what ``checked_request`` does; long requests are looked through beside the event loop."""
    if inspector.idle:
        return Inspected(body)
    work = partial(checked_request, rules, inspector, body)
    try:
        return await OFF_LOOP.do(caller.task.metadata.uid, size_of(body), work)
    except DataTooLargeError as error:
        return _too_large("the request", error)


async def choices_checked(
    caller: Caller, inspector: Inspector, choices: list[JsonValue]
) -> Inspected | Refused:
    """Return what ``checked_choices`` does; long answers are looked through beside the event loop."""
    size = 0 if inspector.idle else size_of(choices)
    try:
        return await OFF_LOOP.do(caller.task.metadata.uid, size, partial(checked_choices, inspector, choices))
    except DataTooLargeError as error:
        return _too_large("the model's answer", error)


def checked_request(rules: DataRules, inspector: Inspector, body: JsonObject) -> Inspected | Refused:
    """Return the request as it may be sent, or why it may not be at all.

    Images and sound are measured and not looked into: what looks like text in them is chance.
    """
    if inspector.idle:
        return Inspected(body)
    places = list(media_places(body))
    kept = [place.data for place in places]
    try:
        check_size(body, rules.max_request_bytes)
        for place in places:
            place.put(body, "")
        inspected = inspector.request(body)
    except DataTooLargeError as error:
        return _too_large("the request", error)
    finally:
        for place, data in zip(places, kept, strict=True):
            place.put(body, data)
    if inspected.blocked:
        return blocked("the request", inspected.blocked)
    for place, data in zip(places, kept, strict=True):
        if not place.put(inspected.value, data):
            # A policy's own pattern took out the very names that say where the media stand.
            return blocked("the request", inspected.found)
    return inspected


def checked_choices(inspector: Inspector, choices: list[JsonValue]) -> Inspected | Refused:
    """Return the choices of a whole answer as they may be given on, or why they may not be at all.

    ``choices`` are changed in place. Log probabilities spell the text out token by token, so they are dropped; identifiers
    of calls are the provider's own, and stay.
    """
    if inspector.looks_into_responses:
        for choice in choices:
            if isinstance(choice, dict):
                choice.pop("logprobs", None)
    calls = list(_calls(choices))
    ids = [call["id"] for call in calls]
    for call in calls:
        call["id"] = ""
    try:
        inspected = inspector.response(choices)
    except DataTooLargeError as error:
        return _too_large("the model's answer", error)
    if inspected.blocked:
        return blocked("the model's answer", inspected.blocked)
    for call, identifier in zip(_calls(inspected.value), ids, strict=True):
        call["id"] = identifier
    return inspected


def checked_failure(
    inspector: Inspector, failure: ModelFailure
) -> tuple[ModelFailure | Refused, frozenset[str]]:
    """Return an error of the model as it may be told, or why it may not be; and the data classes found in it."""
    if not inspector.looks_into_responses:
        return failure, frozenset()
    inspected = inspector.response({"message": failure.message, "code": failure.code})
    if inspected.blocked:
        return blocked("the model's error", inspected.blocked), inspected.found
    said = inspected.value
    if said is None or not isinstance(said, dict):
        raise TypeError("what was an object is one after inspection")
    return failure.saying(str(said["message"]), str(said["code"])), inspected.found


def blocked(what: str, classes: frozenset[str]) -> Refused:
    """Return the refusal of what holds data that policy blocks."""
    message = f"{what} holds data that policy blocks: {', '.join(sorted(classes))}"
    return Refused(Effect.DENY, RefusalCode.DATA_BLOCKED, message, note=message)


def _too_large(what: str, error: DataTooLargeError) -> Refused:
    message = f"{what} is too large: {error}"
    return Refused(Effect.DENY, RefusalCode.DATA_TOO_LARGE, message, note=message)


def _calls(choices: JsonValue) -> Iterator[JsonObject]:
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                yield call
