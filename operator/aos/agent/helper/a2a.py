"""What is said to the image's A2A server and what it answers, in both versions of the protocol. No I/O."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]

VERSION_HEADER: Final = b"A2A-Version"
METHOD_NOT_FOUND: Final = -32601
VERSION_NOT_SUPPORTED: Final = -32009
MAX_MESSAGE_LENGTH: Final = 2000


class Dialect(StrEnum):
    """A version of A2A."""

    CURRENT = "1.0"
    LEGACY = "0.3"

    @property
    def other(self) -> "Dialect":
        """The other one."""
        return Dialect.LEGACY if self is Dialect.CURRENT else Dialect.CURRENT


class Operation(StrEnum):
    """What is asked of the server."""

    SEND = "send"
    GET = "get"
    CANCEL = "cancel"


class State(StrEnum):
    """How far a server is with its work, in the words of 0.3."""

    SUBMITTED = "submitted"
    WORKING = "working"
    COMPLETED = "completed"


_METHODS: Final = {
    (Dialect.CURRENT, Operation.SEND): "SendMessage",
    (Dialect.CURRENT, Operation.GET): "GetTask",
    (Dialect.CURRENT, Operation.CANCEL): "CancelTask",
    (Dialect.LEGACY, Operation.SEND): "message/send",
    (Dialect.LEGACY, Operation.GET): "tasks/get",
    (Dialect.LEGACY, Operation.CANCEL): "tasks/cancel",
}
_OPEN: Final = frozenset({State.SUBMITTED, State.WORKING, "unspecified", ""})


class AnswerError(ValueError):
    """The server's answer is no A2A; the message says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class RpcError(Exception):
    """The server refuses."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class View:
    """How far the server is.

    Attributes:
        id: its own for the work; empty where it answered at once with a message.
        state: in the words of 0.3.
        output: what it came to; None without one.
        message: what it says to people.
    """

    id: str
    state: str
    output: JsonObject | None
    message: str

    @property
    def is_open(self) -> bool:
        """Whether the server still works."""
        return self.state in _OPEN


def dialect_of(card: bytes) -> Dialect:
    """Return the version that a server's card says it speaks; the newest where it speaks several.

    The card's addresses are not looked at: the server is where the Agent says it is.

    Raises:
        AnswerError: it is no card.
    """
    document = _object(_parsed(card))
    interfaces = document.get("supportedInterfaces")
    if isinstance(interfaces, list):
        versions = {
            str(item.get("protocolVersion", ""))
            for item in interfaces
            if isinstance(item, dict) and item.get("protocolBinding", "JSONRPC") == "JSONRPC"
        }
        return Dialect.CURRENT if any(item.startswith("1") for item in versions) else Dialect.LEGACY
    if "name" not in document:
        raise AnswerError("the agent card has no name")
    return Dialect.LEGACY


def request(dialect: Dialect, operation: Operation, params: JsonObject) -> bytes:
    """Return the JSON-RPC message."""
    method = _METHODS[dialect, operation]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def work(dialect: Dialect, uid: str, given: JsonObject) -> JsonObject:
    """Return the parameters that hand ``given`` over as the message ``uid``, and wait for nothing."""
    if dialect is Dialect.CURRENT:
        message: JsonObject = {"messageId": uid, "role": "ROLE_USER", "parts": [{"data": given}]}
        return {"message": message, "configuration": {"returnImmediately": True}}
    message = {
        "kind": "message",
        "messageId": uid,
        "role": "user",
        "parts": [{"kind": "data", "data": given}],
    }
    return {"message": message, "configuration": {"blocking": False}}


def read_answer(content: bytes) -> View:
    """Return what the server says.

    Raises:
        RpcError: it refuses.
        AnswerError: it is no A2A.
    """
    document = _object(_parsed(content))
    error = document.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        raise RpcError(code if isinstance(code, int) else 0, _shortened(str(error.get("message", ""))))
    result = _object(document.get("result"))
    message = result.get("message") if "message" in result and "status" not in result else None
    if isinstance(message, dict):
        return _of_message(message)
    if result.get("kind") == "message":
        return _of_message(result)
    inner = result.get("task", result)
    return _of_task(_object(inner))


def _of_message(message: JsonObject) -> View:
    parts = _parts(message)
    return View("", State.COMPLETED, _output(parts), _text(parts))


def _of_task(task: JsonObject) -> View:
    status = _object(task.get("status"))
    state = str(status.get("state", "")).removeprefix("TASK_STATE_").lower().replace("_", "-")
    said = status.get("message")
    told = _parts(said) if isinstance(said, dict) else []
    artifacts = task.get("artifacts")
    parts = [
        part
        for artifact in (artifacts if isinstance(artifacts, list) else [])
        if isinstance(artifact, dict)
        for part in _parts(artifact)
    ]
    return View(str(task.get("id", "")), state, _output(parts) or _output(told), _text(told))


def _parts(parent: JsonObject) -> list[JsonObject]:
    parts = parent.get("parts")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _output(parts: list[JsonObject]) -> JsonObject | None:
    """Return the last object among the parts; without one their text, as the object that it is or under ``text``."""
    for part in reversed(parts):
        data = part.get("data")
        if isinstance(data, dict):
            return data
    text = _text(parts)
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"text": text}
    return value if isinstance(value, dict) else {"text": text}


def _text(parts: list[JsonObject]) -> str:
    return "".join(text for part in parts if isinstance(text := part.get("text"), str)).strip()


def _parsed(content: bytes) -> Json:
    try:
        parsed: Json = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AnswerError("the answer is no JSON") from error
    return parsed


def _object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise AnswerError("the answer is no A2A: an object is missing in it")
    return value


def _shortened(text: str) -> str:
    return text[:MAX_MESSAGE_LENGTH]
