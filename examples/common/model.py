"""A scripted, OpenAI-compatible model: the same answers to the same conversation, anywhere and for nothing.

It is no language model. It reads the conversation it is sent, keeps nothing between requests, and plays the next
turn of a script: the one that belongs to the agent's instructions, or the one that the task's input brings along as ``script``.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.common.conversation import (
    ChatMessage,
    Conversation,
    FunctionCall,
    JsonObject,
    Part,
    ToolCall,
    Turn,
    read_conversation,
)
from examples.common.service import Settings, run
from examples.finance import script as finance
from examples.marketing import script as marketing
from examples.own_image import script as own_image
from examples.sales import script as sales
from examples.support import script as support

MODEL_NAME: Final = "scripted-1"
CHARS_PER_TOKEN: Final = 4
PIECES: Final = 4

SCRIPTS: Final[Mapping[str, Callable[[Conversation], Turn]]] = {
    **sales.SCRIPTS,
    **support.SCRIPTS,
    **marketing.SCRIPTS,
    **finance.SCRIPTS,
    **own_image.SCRIPTS,
}
"""What is played, by the first line of the agent's instructions."""


class StreamOptions(Part):
    """What a stream is to hold besides the answer."""

    include_usage: bool = False


class ChatRequest(Part):
    """A request for the next turn."""

    model: str
    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()


def function_name(tool: str) -> str:
    """Return the function that stands for ``tool``: no dot is allowed in one, and ``__`` is read as one."""
    return tool.replace(".", "__", 1)


def next_turn(conversation: Conversation) -> Turn:
    """Return what the model does next."""
    script = conversation.script
    if not script:
        opening = conversation.instructions.partition("\n")[0].strip()
        return SCRIPTS.get(opening, sales.enrich)(conversation)
    if conversation.turn < len(script):
        return script[conversation.turn]
    return script[-1] if script[-1].repeat else Turn(output=sales.report(conversation))


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


class ScriptedModel:
    """The HTTP endpoints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def models(self, request: Request) -> Response:
        """Answer ``GET /v1/models``."""
        if not self._settings.admits(request.headers):
            return _refused()
        return JSONResponse(
            {
                "object": "list",
                "data": [{"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "examples"}],
            }
        )

    async def complete(self, request: Request) -> Response:
        """Answer ``POST /v1/chat/completions``."""
        if not self._settings.admits(request.headers):
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
    settings = Settings.from_environment(os.environ, "model")
    run(model_app(settings), settings)


if __name__ == "__main__":
    main()
