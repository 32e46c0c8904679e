"""What A2A calls things, in the two spellings that clients use: protocol 1.0, and 0.3 before it. Data only."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

HEADER_VERSION: Final = b"a2a-version"
CARD_SUFFIX: Final = "/.well-known/agent-card.json"
SCHEMAS_EXTENSION: Final = "https://aos.dev/a2a/schemas/v1"
"""Extension of the agent card whose parameters are the agent's input and output schemas."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
TASK_NOT_FOUND: Final = -32001
TASK_NOT_CANCELABLE: Final = -32002
PUSH_NOT_SUPPORTED: Final = -32003
UNSUPPORTED_OPERATION: Final = -32004
CONTENT_TYPE_NOT_SUPPORTED: Final = -32005
EXTENDED_CARD_NOT_CONFIGURED: Final = -32007
VERSION_NOT_SUPPORTED: Final = -32009
REFUSED: Final = -32020
"""The gateway's own: policy, a bound or the receiver's state does not let the handoff through."""

RequestId = int | str


class Dialect(StrEnum):
    """A spelling of the protocol, by its version."""

    CURRENT = "1.0"
    LEGACY = "0.3"


class Operation(StrEnum):
    """What a client can ask for."""

    SEND = "SendMessage"
    STREAM = "SendStreamingMessage"
    GET = "GetTask"
    LIST = "ListTasks"
    CANCEL = "CancelTask"
    SUBSCRIBE = "SubscribeToTask"
    PUSH = "PushNotificationConfig"
    EXTENDED_CARD = "GetExtendedAgentCard"


METHODS: Final[Mapping[str, tuple[Dialect, Operation]]] = {
    "SendMessage": (Dialect.CURRENT, Operation.SEND),
    "SendStreamingMessage": (Dialect.CURRENT, Operation.STREAM),
    "GetTask": (Dialect.CURRENT, Operation.GET),
    "ListTasks": (Dialect.CURRENT, Operation.LIST),
    "CancelTask": (Dialect.CURRENT, Operation.CANCEL),
    "SubscribeToTask": (Dialect.CURRENT, Operation.SUBSCRIBE),
    "CreateTaskPushNotificationConfig": (Dialect.CURRENT, Operation.PUSH),
    "GetTaskPushNotificationConfig": (Dialect.CURRENT, Operation.PUSH),
    "ListTaskPushNotificationConfigs": (Dialect.CURRENT, Operation.PUSH),
    "DeleteTaskPushNotificationConfig": (Dialect.CURRENT, Operation.PUSH),
    "GetExtendedAgentCard": (Dialect.CURRENT, Operation.EXTENDED_CARD),
    "message/send": (Dialect.LEGACY, Operation.SEND),
    "message/stream": (Dialect.LEGACY, Operation.STREAM),
    "tasks/get": (Dialect.LEGACY, Operation.GET),
    "tasks/list": (Dialect.LEGACY, Operation.LIST),
    "tasks/cancel": (Dialect.LEGACY, Operation.CANCEL),
    "tasks/resubscribe": (Dialect.LEGACY, Operation.SUBSCRIBE),
    "tasks/pushNotificationConfig/set": (Dialect.LEGACY, Operation.PUSH),
    "tasks/pushNotificationConfig/get": (Dialect.LEGACY, Operation.PUSH),
    "tasks/pushNotificationConfig/list": (Dialect.LEGACY, Operation.PUSH),
    "tasks/pushNotificationConfig/delete": (Dialect.LEGACY, Operation.PUSH),
    "agent/getAuthenticatedExtendedCard": (Dialect.LEGACY, Operation.EXTENDED_CARD),
}


class State(StrEnum):
    """Where a handed-over Task is; the values are those of 0.3."""

    SUBMITTED = "submitted"
    WORKING = "working"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes."""
        return self not in (State.SUBMITTED, State.WORKING)

    def spelled(self, dialect: Dialect) -> str:
        """Return the state's name in ``dialect``."""
        return self.value if dialect is Dialect.LEGACY else f"TASK_STATE_{self.name}"


class A2aError(Exception):
    """A JSON-RPC error to answer with.

    Attributes:
        code: of JSON-RPC, of A2A, or `REFUSED`.
        message: for people and models, with the way out.
        reason: stable, for programs; empty where the code says it all.
        facts: more, for programs.
    """

    def __init__(
        self, code: int, message: str, reason: str = "", facts: Mapping[str, JsonValue] | None = None
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.message = message
        self.reason = reason
        self.facts = dict(facts or {})
