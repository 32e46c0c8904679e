"""The record of every decision: one line of JSON, one span, and metrics. Never arguments, results or messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.refusal import RefusalCode
from aos.model.canonical import json_digest
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import RuleReference


class Subject(StrEnum):
    """What was decided on."""

    TOOL = "tool"
    MODEL = "model"


class CallOutcome(StrEnum):
    """What became of a call in the end."""

    ANSWERED = "Answered"
    ERROR_ANSWERED = "ErrorAnswered"
    REFUSED = "Refused"
    FAILED = "Failed"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided call.

    Attributes:
        caller: who called.
        subject: what kind of thing was called.
        name: the Tool or Model.
        action: the Tool's action; for a Model its endpoint.
        effect: whether the call was allowed.
        reason: why, as a code. Messages quote arguments and are never recorded.
        outcome: what became of it.
        duration_seconds: from the request to the end of the answer.
        rules: rules that decided.
        arguments_digest: `arguments_digest` of the arguments; empty where there were none.
        upstream_seconds: part of the duration that was spent waiting for the tool or model.
        prompt_tokens: tokens that the model counted in the request.
        completion_tokens: tokens that the model counted in its answer.
    """

    caller: Caller
    subject: Subject
    name: str
    action: str
    effect: Effect
    reason: DecisionReason | RefusalCode
    outcome: CallOutcome
    duration_seconds: float
    rules: tuple[RuleReference, ...] = ()
    arguments_digest: str = ""
    upstream_seconds: float = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Journal:
    """Writes entries, and counts them for the caller's Task."""

    def record(self, entry: Entry) -> None:
        """Record one decision, once it is known what became of the call. It never raises and never waits."""


def arguments_digest(arguments: Mapping[str, JsonValue]) -> str:
    """Return the digest by which a call's arguments are recorded."""
    return json_digest(arguments)
