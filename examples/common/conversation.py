"""A conversation as a script sees it, and the turns that scripts are made of. Nothing here is of one example."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic.alias_generators import to_camel

MAX_SLEEP_SECONDS: Final = 600.0
MAX_NOTE_CHARS: Final = 300

JsonObject = dict[str, JsonValue]


class Part(BaseModel):
    """Base of what is read of a request; null is as good as absent, and whatever else it holds is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        return (
            {name: item for name, item in value.items() if item is not None}
            if isinstance(value, dict)
            else value
        )


class FunctionCall(Part):
    """A function and its arguments as text."""

    name: str
    arguments: str


class ToolCall(Part):
    """One call that the model makes."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(Part):
    """One message of the conversation."""

    role: str
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @field_validator("content", mode="before")
    @classmethod
    def _in_one_piece(cls, value: object) -> object:
        """Join the text of a content that comes in parts, as some clients send it."""
        if not isinstance(value, list):
            return value
        return "".join(str(part.get("text", "")) for part in value if isinstance(part, dict))


class PlannedCall(BaseModel):
    """A call in a script: the tool's own name (``crm.get_contact``) and its arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: str
    args: JsonObject = {}


class Turn(BaseModel):
    """One turn of a script. It makes ``calls``, or ends with ``output`` or ``text``, or fails with ``status``.

    Attributes:
        sleep_seconds: How long the model takes over it.
        status: An HTTP status to answer with.
        calls: Tools to call, all at once.
        output: The final answer, as JSON.
        text: The final answer word by word, for one that fits no schema.
        repeat: Play this turn for ever.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    sleep_seconds: float = Field(default=0.0, ge=0, le=MAX_SLEEP_SECONDS)
    status: int | None = None
    calls: tuple[PlannedCall, ...] = ()
    output: JsonObject | None = None
    text: str | None = None
    repeat: bool = False


class Scripted(Part):
    """The part of a task's input that every script can come in."""

    script: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What one call of the conversation came to."""

    tool: str
    text: str

    @property
    def went_wrong(self) -> bool:
        """Whether the call was denied or failed."""
        return self.text.startswith(("denied:", "failed:"))

    @property
    def content(self) -> JsonObject:
        """What the tool returned, as JSON; empty if it returned something else."""
        try:
            value: JsonValue = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation as a script sees it.

    Attributes:
        instructions: What the model is told first.
        task: What it is given.
        script: The turns that the task's input brings along.
        turn: Turns that the model already had.
        results: What its calls came to, in order.
    """

    instructions: str
    task: JsonObject
    script: tuple[Turn, ...]
    turn: int
    results: tuple[Result, ...]

    def text(self, name: str) -> str:
        """Return a text of the task's input; empty where there is none."""
        value = self.task.get(name)
        return value if isinstance(value, str) else ""

    def returned(self, tool: str) -> JsonObject:
        """Return what the last call of ``tool`` that went well returned; empty if none did."""
        good = [result.content for result in self.results if result.tool == tool and not result.went_wrong]
        return good[-1] if good else {}

    def problems(self) -> list[JsonValue]:
        """Return a note on each call that did not go through."""
        return [
            f"{result.tool} {result.text}"[:MAX_NOTE_CHARS] for result in self.results if result.went_wrong
        ]


def read_conversation(messages: tuple[ChatMessage, ...]) -> Conversation:
    """Return what scripts go by.

    Raises:
        ValueError: the input's script is no script.
    """
    task = _read_input(next((message.content or "" for message in messages if message.role == "user"), ""))
    return Conversation(
        instructions=next((message.content or "" for message in messages if message.role == "system"), ""),
        task=task,
        script=Scripted.model_validate(task).script,
        turn=sum(message.role == "assistant" for message in messages),
        results=tuple(_results(messages)),
    )


def _read_input(text: str) -> JsonObject:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _results(messages: tuple[ChatMessage, ...]) -> Iterator[Result]:
    called: dict[str, str] = {}
    for message in messages:
        called |= {call.id: call.function.name.replace("__", ".", 1) for call in message.tool_calls}
        if message.role == "tool":
            yield Result(tool=called.get(message.tool_call_id, "unknown"), text=message.content or "")


def call(tool: str, args: JsonObject) -> Turn:
    """Return the turn that makes one call."""
    return Turn(calls=(PlannedCall(tool=tool, args=args),))


def give_up(conversation: Conversation) -> Turn:
    """Return the answer of an agent that could not do its work: words, which fit no schema, so that its step fails."""
    said = "; ".join(str(problem) for problem in conversation.problems())
    return Turn(text=f"I could not do this: {said or 'a tool gave no answer that I can use'}.")
