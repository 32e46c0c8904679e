"""Why a task can fail in the runtime, and the two ways in which an error ends a run."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_MESSAGE_CHARS: Final = 1024
"""Longest message that is posted or written: enough for a person, too little for a leaked document."""


class FailureReason(StrEnum):
    """Reasons that the runtime posts; they become the Task's reason."""

    CONVERSATION_TOO_LARGE = "ConversationTooLarge"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    GATEWAY_UNAVAILABLE = "GatewayUnavailable"
    INSTRUCTIONS_MISSING = "InstructionsMissing"
    INTERNAL_ERROR = "InternalError"
    MODEL_ANSWER_INVALID = "ModelAnswerInvalid"
    MODEL_DENIED = "ModelDenied"
    MODEL_MISSING = "ModelMissing"
    MODEL_REFUSED = "ModelRefused"
    MODEL_UNAVAILABLE = "ModelUnavailable"
    OUTPUT_INVALID = "OutputInvalid"
    RESTARTED = "Restarted"
    STEP_LIMIT_REACHED = "StepLimitReached"
    TOOLS_UNAVAILABLE = "ToolsUnavailable"
    TOO_MANY_TOOLS = "TooManyTools"


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason for machines and a message for people."""

    reason: FailureReason
    message: str


class RuntimeStop(Exception):  # noqa: N818 - the base says what happens: the run stops
    """Base of the errors that end a run."""


class TaskFailedError(RuntimeStop):
    """The task can't be done; the failure is to be posted."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.failure = failure


class CannotReportError(RuntimeStop):
    """Nothing can be posted; the message goes where the kubelet reads it, and the exit code says so."""


def shortened(text: str, max_chars: int = MAX_MESSAGE_CHARS) -> str:
    """Return ``text`` on one line and no longer than ``max_chars`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"
