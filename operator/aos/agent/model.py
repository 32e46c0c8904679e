"""Asks the model through the gateway, with the official ``openai`` client.

Between its types and those of the conversation stands nothing but translation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, Omit, OpenAIError, omit
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
)
from openai.types.chat.completion_create_params import ResponseFormat
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aos.agent.assignment import Assignment
from aos.agent.conversation import (
    AskModel,
    AssistantMessage,
    CallRequest,
    Message,
    ModelAnswered,
    SystemMessage,
    ToolMessage,
    ToolOffer,
    UserMessage,
)
from aos.agent.failure import Failure, FailureReason, TaskFailedError, shortened
from aos.agent.function_names import FunctionNames
from aos.agent.settings import AgentSettings
from aos.agent.transport import GATEWAY_UNREACHABLE

MAX_DESCRIPTION_CHARS: Final = 1024
"""Longest description of a function that the chat completions API takes."""

_DENIALS: Final = frozenset({401, 403})
_SET_BY_TRANSPORT: Final = "set-by-the-transport"


@dataclass(frozen=True, slots=True)
class ModelReply:
    """An answer and what it cost."""

    answer: ModelAnswered
    prompt_tokens: int
    completion_tokens: int


class _Part(BaseModel):
    """Base of what is read of a completion: the SDK does not check what a server sends, so this does."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Function(_Part):
    name: str
    arguments: str = ""


class _ToolCall(_Part):
    id: str = ""
    function: _Function


class _Said(_Part):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(_Part):
    message: _Said
    finish_reason: str | None = None


class _Usage(_Part):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(_Part):
    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage | None = None


class ModelClient:
    """The agent's one model."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        settings: AgentSettings,
        assignment: Assignment,
        tools: Sequence[ToolOffer],
    ) -> None:
        self._assignment = assignment
        self._functions = tuple(functions(tools))
        self._client = AsyncOpenAI(
            # The SDK wants a key; the transport puts the pod's current token in its place.
            api_key=_SET_BY_TRANSPORT,
            base_url=settings.model_url,
            http_client=http,
            timeout=settings.bounds.model_timeout_seconds,
            max_retries=settings.bounds.model_retries,
        )

    async def ask(self, command: AskModel) -> ModelReply:
        """Return the model's answer.

        Raises:
            TaskFailedError: it is denied, can't be reached, refuses, or answers nonsense.
        """
        try:
            return read_completion(await self._complete(command))
        except OpenAIError as error:
            raise TaskFailedError(failure_of(error)) from error

    async def _complete(self, command: AskModel) -> ChatCompletion:
        messages = [message_param(message) for message in command.messages]
        return await self._client.chat.completions.create(
            model=self._assignment.model,
            messages=messages,
            tools=self._functions or omit,
            # In a repair round the tools stay listed, because the conversation may hold calls of them.
            tool_choice="none" if command.answer_only and self._functions else omit,
            response_format=self._output_format() if command.answer_only else omit,
        )

    def _output_format(self) -> ResponseFormat | Omit:
        """Hold the model to the schema; only in a repair round, as servers that do both call no tools meanwhile."""
        schema = self._assignment.output_schema
        if schema is None:
            return omit
        return {"type": "json_schema", "json_schema": {"name": "output", "schema": dict(schema)}}


def functions(tools: Sequence[ToolOffer]) -> Iterator[ChatCompletionFunctionToolParam]:
    """Yield ``tools`` as functions, under names that the API accepts."""
    names = FunctionNames.of(tool.name for tool in tools)
    for tool in tools:
        yield {
            "type": "function",
            "function": {
                "name": names.function(tool.name),
                "description": shortened(tool.description, MAX_DESCRIPTION_CHARS),
                "parameters": dict(tool.input_schema),
            },
        }


def message_param(message: Message) -> ChatCompletionMessageParam:
    """Return ``message`` as the API wants it; a tool's words have the role ``tool`` and no other."""
    match message:
        case SystemMessage(text=text):
            return {"role": "system", "content": text}
        case UserMessage(text=text):
            return {"role": "user", "content": text}
        case ToolMessage(call_id=call_id, text=text):
            return {"role": "tool", "tool_call_id": call_id, "content": text}
        case AssistantMessage(text=text, calls=()):
            return {"role": "assistant", "content": text}
        case AssistantMessage(text=text, calls=calls):
            return {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [_call_param(call) for call in calls],
            }


def _call_param(call: CallRequest) -> ChatCompletionMessageFunctionToolCallParam:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function, "arguments": call.arguments},
    }


def read_completion(completion: ChatCompletion) -> ModelReply:
    """Return what the model said.

    Raises:
        TaskFailedError: it refuses to answer, or the completion is none.
    """
    try:
        parsed = _Completion.model_validate(completion.to_dict(mode="json", warnings=False))
    except ValidationError as error:
        raise _invalid(f"the model's answer can't be read: {_fields(error)}") from error
    choice, usage = parsed.choices[0], parsed.usage or _Usage()
    if choice.message.refusal:
        raise TaskFailedError(
            Failure(FailureReason.MODEL_REFUSED, f"the model refuses: {choice.message.refusal}")
        )
    if choice.finish_reason == "content_filter":
        raise TaskFailedError(
            Failure(FailureReason.MODEL_REFUSED, "the model's provider filtered the answer")
        )
    return ModelReply(_answer(choice.message), usage.prompt_tokens, usage.completion_tokens)


def _answer(said: _Said) -> ModelAnswered:
    return ModelAnswered(
        text=_encodable(said.content or ""),
        calls=tuple(
            CallRequest(
                # Some servers leave the id out; results are told apart by it.
                id=call.id or f"call_{index}",
                function=call.function.name,
                arguments=_encodable(call.function.arguments),
            )
            for index, call in enumerate(said.tool_calls or ())
        ),
    )


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can spell and UTF-8 can't."""
    return text.encode("utf-8", errors="replace").decode()


def failure_of(error: OpenAIError) -> Failure:
    """Return the failure that ``error`` of the client means for the task."""
    match error:
        case APIStatusError(status_code=status) if status in _DENIALS:
            return Failure(FailureReason.MODEL_DENIED, f"the gateway denies the model: {_said(error)}")
        case APIStatusError(code=code) if code == str(GATEWAY_UNREACHABLE):
            return Failure(FailureReason.GATEWAY_UNAVAILABLE, f"no answer to a model request: {_said(error)}")
        case APIStatusError():
            return Failure(FailureReason.MODEL_UNAVAILABLE, f"the model gave no answer: {_said(error)}")
        case APIConnectionError():
            return Failure(FailureReason.GATEWAY_UNAVAILABLE, "no answer to a model request in time")
        case _:
            return Failure(
                FailureReason.MODEL_ANSWER_INVALID,
                f"the model's answer can't be read: {type(error).__name__}",
            )


def _said(error: APIStatusError) -> str:
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return f"HTTP {error.status_code}: {message}" if isinstance(message, str) else f"HTTP {error.status_code}"


def _invalid(message: str) -> TaskFailedError:
    return TaskFailedError(Failure(FailureReason.MODEL_ANSWER_INVALID, message))


def _fields(error: ValidationError) -> str:
    return ", ".join(
        ".".join(str(part) for part in item["loc"]) for item in error.errors(include_input=False)
    )
