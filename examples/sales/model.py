"""A scripted, OpenAI-compatible model: the same answers to the same conversation, anywhere and for nothing.

It is no language model. It reads the conversation it is sent, keeps nothing between requests, and plays the next
turn of a script: the sales example's own, or the one that the task's input brings along as ``script``.
"""

import asyncio
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL_NAME: Final = "scripted-1"
DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 - a pod listens on its own address
DEFAULT_PORT: Final = 8080
MAX_SLEEP_SECONDS: Final = 600.0
MAX_NOTE_CHARS: Final = 300
CHARS_PER_TOKEN: Final = 4
PIECES: Final = 4

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


class StreamOptions(Part):
    """What a stream is to hold besides the answer."""

    include_usage: bool = False


class ChatRequest(Part):
    """A request for the next turn."""

    model: str
    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()


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


class Lead(Part):
    """The part of a lead that the sales script looks at."""

    company: str = ""
    territory: str = "emea"


class TaskInput(Part):
    """The part of a task's input that the model looks at."""

    lead: Lead = Lead()
    script: tuple[Turn, ...] = ()


class FoundContact(Part):
    """The part of a contact that the sales script looks at."""

    id: str
    name: str = ""
    title: str = ""
    company: str = ""
    industry: str = ""
    employees: int = 0


class Found(Part):
    """What the CRM's search returns."""

    contacts: tuple[FoundContact, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What one call of the conversation came to."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation as the script sees it.

    Attributes:
        turn: Turns that the model already had.
        results: What its calls came to, in order.
    """

    task: TaskInput
    turn: int
    results: tuple[Result, ...]


def read_conversation(messages: tuple[ChatMessage, ...]) -> Conversation:
    """Return what the script goes by.

    Raises:
        ValueError: the input's script is no script.
    """
    asked = next((message.content or "" for message in messages if message.role == "user"), "")
    return Conversation(
        task=_read_input(asked),
        turn=sum(message.role == "assistant" for message in messages),
        results=tuple(_results(messages)),
    )


def _read_input(text: str) -> TaskInput:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return TaskInput()
    return TaskInput.model_validate(value) if isinstance(value, dict) else TaskInput()


def _results(messages: tuple[ChatMessage, ...]) -> Iterator[Result]:
    called: dict[str, str] = {}
    for message in messages:
        called |= {call.id: call.function.name.replace("__", ".", 1) for call in message.tool_calls}
        if message.role == "tool":
            yield Result(tool=called.get(message.tool_call_id, "unknown"), text=message.content or "")


def function_name(tool: str) -> str:
    """Return the function that stands for ``tool``: no dot is allowed in one, and ``__`` is read as one."""
    return tool.replace(".", "__", 1)


def next_turn(conversation: Conversation) -> Turn:
    """Return what the model does next."""
    script = conversation.task.script
    if not script:
        return sales_turn(conversation)
    if conversation.turn < len(script):
        return script[conversation.turn]
    return script[-1] if script[-1].repeat else Turn(output=final_output(conversation))


def sales_turn(conversation: Conversation) -> Turn:
    """Look the lead up, read it, try to export everything (which policy denies), update it, report."""
    lead = conversation.task.lead
    contact = found_contact(conversation)
    if conversation.turn == 0:
        return _call("crm.search_contacts", {"territory": lead.territory, "query": lead.company})
    if contact is None:
        return Turn(output=final_output(conversation))
    match conversation.turn:
        case 1:
            return _call("crm.get_contact", {"id": contact.id})
        case 2:
            return _call("crm.export_contacts", {"territory": lead.territory})
        case 3:
            # A lead that is to be called already is written to, so that each run has something to change.
            called = any('"Call ' in result.text for result in conversation.results)
            step = f"{'Write to' if called else 'Call'} {contact.name} about {contact.company}'s plans"
            changes: JsonObject = {
                "id": contact.id,
                "stage": "qualified",
                "score": score(contact),
                "next_step": step,
            }
            return _call("crm.update_contact", changes)
        case _:
            return Turn(output=final_output(conversation))


def _call(tool: str, args: JsonObject) -> Turn:
    return Turn(calls=(PlannedCall(tool=tool, args=args),))


def found_contact(conversation: Conversation) -> FoundContact | None:
    """Return the first contact that a search found."""
    for result in conversation.results:
        if result.tool != "crm.search_contacts":
            continue
        try:
            return next(iter(Found.model_validate_json(result.text).contacts), None)
        except ValidationError:
            return None
    return None


def score(contact: FoundContact) -> float:
    """Return how good a lead is: the larger the company, the better."""
    return round(min(0.95, 0.35 + contact.employees / 2000), 2)


def final_output(conversation: Conversation) -> JsonObject:
    """Return the report, with a note on each call that did not go through."""
    contact = found_contact(conversation)
    notes: list[JsonValue] = [
        f"{result.tool} {result.text}"[:MAX_NOTE_CHARS]
        for result in conversation.results
        if result.text.startswith(("denied:", "failed:"))
    ]
    if contact is None:
        return {"summary": "No contact was found for this lead.", "score": 0.0, "notes": notes}
    summary = f"{contact.name}, {contact.title} at {contact.company} ({contact.industry}, {contact.employees} people)."
    return {"summary": summary, "score": score(contact), "contactId": contact.id, "notes": notes}


@dataclass(frozen=True, slots=True)
class Answer:
    """A turn in the words of the chat completions API."""

    id: str
    created: int
    text: str
    calls: tuple[ToolCall, ...]
    prompt_tokens: int

    @property
    def finish_reason(self) -> str:
        """Why the answer ends where it does."""
        return "tool_calls" if self.calls else "stop"

    @property
    def usage(self) -> JsonObject:
        """What the answer cost, by a rule of thumb."""
        spoken = self.text + "".join(call.function.arguments for call in self.calls)
        completion_tokens = _tokens(spoken)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }

    def envelope(self, kind: str) -> JsonObject:
        """Return what a completion and each of its chunks have in common."""
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL_NAME}


def answer_of(turn: Turn, request: ChatRequest, number: int) -> Answer:
    """Return ``turn``, the conversation's ``number``-th, as the answer to ``request``."""
    text = turn.text if turn.text is not None else json.dumps(turn.output) if turn.output is not None else ""
    conversation = "".join(message.model_dump_json() for message in request.messages)
    return Answer(
        id="chatcmpl-" + hashlib.sha256(conversation.encode()).hexdigest()[:24],
        created=int(time.time()),
        text=text,
        calls=tuple(
            ToolCall(
                id=f"call_{number}_{index}",
                function=FunctionCall(name=function_name(call.tool), arguments=json.dumps(call.args)),
            )
            for index, call in enumerate(turn.calls)
        ),
        prompt_tokens=_tokens(conversation),
    )


def _tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def completion(answer: Answer) -> JsonObject:
    """Return ``answer`` whole."""
    message: JsonObject = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [call.model_dump() for call in answer.calls]
    choice: JsonObject = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return {**answer.envelope("chat.completion"), "choices": [choice], "usage": answer.usage}


def chunks(answer: Answer, options: StreamOptions) -> Iterator[JsonObject]:
    """Yield ``answer`` piece by piece."""
    envelope = answer.envelope("chat.completion.chunk")
    for delta in _deltas(answer):
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]}
    if options.include_usage:
        yield {**envelope, "choices": [], "usage": answer.usage}


def _deltas(answer: Answer) -> Iterator[JsonObject]:
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(answer.text):
        yield {"content": piece}
    for index, call in enumerate(answer.calls):
        head: JsonObject = {"name": call.function.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": head}]}
        for piece in _pieces(call.function.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> Iterator[str]:
    length = max(1, -(-len(text) // PIECES))
    return (text[start : start + length] for start in range(0, len(text), length))


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the model listens and finds the token that callers must present.

    Attributes:
        token_file: File with the token; read for each request, so that it can change.
        fixed_token: The token itself, if there is no file.
    """

    token_file: Path | None = None
    fixed_token: str = ""
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read MODEL_TOKEN_FILE or MODEL_TOKEN (one of them is required), MODEL_HOST and MODEL_PORT.

        Raises:
            ValueError: there is no token to check callers against.
        """
        file, fixed = environment.get("MODEL_TOKEN_FILE"), environment.get("MODEL_TOKEN", "")
        if not file and not fixed:
            raise ValueError(
                "set MODEL_TOKEN_FILE (a file) or MODEL_TOKEN (the token that callers must present)"
            )
        return cls(
            token_file=Path(file) if file else None,
            fixed_token=fixed,
            host=environment.get("MODEL_HOST", DEFAULT_HOST),
            port=int(environment.get("MODEL_PORT", DEFAULT_PORT)),
        )

    def admits(self, request: Request) -> bool:
        """Whether ``request`` came with the token and no second credential."""
        token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else self.fixed_token
        credentials = request.headers.getlist("authorization")
        return len(credentials) == 1 and hmac.compare_digest(
            credentials[0].encode(), f"Bearer {token}".encode()
        )


class ScriptedModel:
    """The HTTP endpoints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def models(self, request: Request) -> Response:
        """Answer ``GET /v1/models``."""
        if not self._settings.admits(request):
            return _refused()
        return JSONResponse(
            {
                "object": "list",
                "data": [{"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "examples"}],
            }
        )

    async def complete(self, request: Request) -> Response:
        """Answer ``POST /v1/chat/completions``."""
        if not self._settings.admits(request):
            return _refused()
        try:
            asked = ChatRequest.model_validate_json(await request.body())
            conversation = read_conversation(asked.messages)
        except ValidationError as error:
            where = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False))
            return _error(400, "invalid_request", f"wrong: {where}")
        if asked.model != MODEL_NAME:
            return _error(404, "model_not_found", f"the only model is {MODEL_NAME}")
        turn = next_turn(conversation)
        await asyncio.sleep(turn.sleep_seconds)
        if turn.status is not None:
            return _error(turn.status, "scripted_failure", "the script says so")
        answer = answer_of(turn, asked, conversation.turn)
        if asked.stream:
            return StreamingResponse(_events(answer, asked.stream_options), media_type="text/event-stream")
        return JSONResponse(completion(answer))


async def _events(answer: Answer, options: StreamOptions) -> AsyncGenerator[str]:
    for chunk in chunks(answer, options):
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _refused() -> Response:
    return _error(401, "invalid_api_key", "the token is missing or wrong")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse(
        {"error": {"message": message, "type": "invalid_request_error", "code": code}}, status
    )


async def healthz(_: Request) -> Response:
    """Answer the probes."""
    return PlainTextResponse("ok\n")


def model_app(settings: Settings) -> Starlette:
    """Return the whole application."""
    model = ScriptedModel(settings)
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/models", model.models),
            Route("/v1/chat/completions", model.complete, methods=["POST"]),
        ]
    )


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.from_environment(os.environ)
    uvicorn.run(
        model_app(settings), host=settings.host, port=settings.port, access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
