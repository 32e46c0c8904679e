"""Requests as they come, judged by their form alone. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.gateway.a2a.protocol import (
    CONTENT_TYPE_NOT_SUPPORTED,
    HEADER_VERSION,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    METHODS,
    PUSH_NOT_SUPPORTED,
    UNSUPPORTED_OPERATION,
    VERSION_NOT_SUPPORTED,
    A2aError,
    Dialect,
    Operation,
    RequestId,
)
from aos.model.base import JsonObject

MAX_ID_LENGTH: Final = 256
MAX_METHOD_LENGTH: Final = 128
MAX_PAGE_SIZE: Final = 100
DEFAULT_PAGE_SIZE: Final = 50

_ROLES: Final = ("user", "ROLE_USER", "ROLE_UNSPECIFIED")
_CONTENTS: Final = ("data", "text", "raw", "url", "file")
_PUSH: Final = ("taskPushNotificationConfig", "pushNotificationConfig")
_VERSIONS: Final = tuple(dialect.value for dialect in Dialect)


@dataclass(frozen=True, slots=True)
class A2aRequest:
    """A request whose method exists."""

    dialect: Dialect
    id: RequestId
    operation: Operation
    params: JsonObject


@dataclass(frozen=True, slots=True)
class HandoffMessage:
    """Work to hand over.

    Attributes:
        id: the client's own; the same message sent again has the same.
        input: of the Task that is to be made.
        context: the conversation that the client takes it for; empty if it says none.
        waits: whether the client waits for the end.
    """

    id: str
    input: JsonObject
    context: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Which of the handed-over Tasks a client wants to see."""

    context: str
    state: str
    page_size: int
    after: str


def id_of(body: JsonValue) -> RequestId | None:
    """Return the id to answer an unsound message with; None where it has none that could be used."""
    identifier = body.get("id") if isinstance(body, dict) else None
    if isinstance(identifier, str) and len(identifier) <= MAX_ID_LENGTH:
        return identifier
    return identifier if isinstance(identifier, int) and not isinstance(identifier, bool) else None


def read_request(headers: Mapping[bytes, bytes], body: JsonValue) -> A2aRequest:
    """Return the request that ``body`` is.

    Raises:
        A2aError: it is none, or asks for what the gateway does not know.
    """
    if not isinstance(body, dict):
        raise A2aError(INVALID_REQUEST, "the body must be one JSON-RPC object; batches are not accepted")
    if body.get("jsonrpc") != "2.0":
        raise A2aError(INVALID_REQUEST, 'jsonrpc must be "2.0"')
    identifier = id_of(body)
    if identifier is None:
        raise A2aError(
            INVALID_REQUEST, f"id must be an integer or a string of at most {MAX_ID_LENGTH} characters"
        )
    method, params = body.get("method"), body.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD_LENGTH:
        raise A2aError(INVALID_REQUEST, f"method must be a string of at most {MAX_METHOD_LENGTH} characters")
    if not isinstance(params, dict):
        raise A2aError(INVALID_PARAMS, "params must be an object")
    _check_version(headers)
    found = METHODS.get(method)
    if found is None:
        raise A2aError(METHOD_NOT_FOUND, f"there is no method {method}")
    return A2aRequest(found[0], identifier, found[1], params)


def read_message(params: JsonObject) -> HandoffMessage:
    """Return the work that the parameters of a send hand over.

    Raises:
        A2aError: they ask for something else, or hand over something else than one JSON object or one text.
    """
    configuration = _object(params, "configuration")
    if any(configuration.get(name) for name in _PUSH):
        raise push_refused()
    message = _object(params, "message")
    if not message:
        raise A2aError(INVALID_PARAMS, "params.message must be an object")
    identifier = message.get("messageId")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID_LENGTH:
        raise A2aError(
            INVALID_PARAMS, f"message.messageId must be a string of 1 to {MAX_ID_LENGTH} characters"
        )
    if message.get("role", _ROLES[0]) not in _ROLES:
        raise A2aError(INVALID_PARAMS, "message.role must be the user's: who hands work over is the client")
    if message.get("taskId"):
        raise A2aError(
            UNSUPPORTED_OPERATION,
            "a Task takes one message: leave message.taskId out, and hand over what else there is as another Task",
        )
    at_once = configuration.get("returnImmediately") is True or configuration.get("blocking") is False
    return HandoffMessage(identifier, _input(message), _text(message, "contextId"), waits=not at_once)


def read_task_id(params: JsonObject) -> str:
    """Return the Task that the parameters of a get, cancel or subscription name.

    Raises:
        A2aError: they name none.
    """
    identifier = params.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID_LENGTH:
        raise A2aError(INVALID_PARAMS, "params.id must be the id of a Task")
    return identifier


def read_listing(params: JsonObject) -> Listing:
    """Return what the parameters of a list ask for.

    Raises:
        A2aError: they are out of bounds.
    """
    size = params.get("pageSize") or DEFAULT_PAGE_SIZE
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_PAGE_SIZE:
        raise A2aError(INVALID_PARAMS, f"params.pageSize must be between 1 and {MAX_PAGE_SIZE}")
    state = _text(params, "status")
    return Listing(
        context=_text(params, "contextId"),
        state="" if state == "TASK_STATE_UNSPECIFIED" else state.removeprefix("TASK_STATE_").lower(),
        page_size=size,
        after=_text(params, "pageToken"),
    )


def push_refused() -> A2aError:
    """Return the answer to whoever wants to be called back."""
    return A2aError(
        PUSH_NOT_SUPPORTED,
        "the gateway calls nobody back: wait for the answer, or ask for the Task again later",
    )


def _check_version(headers: Mapping[bytes, bytes]) -> None:
    said = headers.get(HEADER_VERSION, b"").decode("latin-1").strip()
    if said and ".".join(said.split(".")[:2]) not in _VERSIONS:
        raise A2aError(
            VERSION_NOT_SUPPORTED, f"the gateway speaks A2A {' and '.join(_VERSIONS)}, not {said[:32]}"
        )


def _input(message: JsonObject) -> JsonObject:
    parts = message.get("parts")
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
        raise A2aError(INVALID_PARAMS, "message.parts must hold exactly one part: the input of the Task")
    part = parts[0]
    given = [name for name in _CONTENTS if name in part]
    if len(given) != 1:
        raise A2aError(INVALID_PARAMS, "a part holds exactly one of data and text")
    content = part[given[0]]
    if given[0] == "data" and isinstance(content, dict):
        return content
    if given[0] == "text" and isinstance(content, str):
        return {"text": content}
    raise A2aError(
        CONTENT_TYPE_NOT_SUPPORTED,
        "hand over a data part with a JSON object, or a text part; files and links are neither fetched nor kept",
    )


def _object(parent: JsonObject, name: str) -> JsonObject:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise A2aError(INVALID_PARAMS, f"{name} must be an object")
    return value


def _text(parent: JsonObject, name: str) -> str:
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_ID_LENGTH:
        raise A2aError(INVALID_PARAMS, f"{name} must be a string of at most {MAX_ID_LENGTH} characters")
    return value
