"""A request for a chat completion, checked field by field and rewritten to what the Agent and the Model say. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue

from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import RefusalCode
from aos.model.agent import AgentModel
from aos.model.base import JsonObject
from aos.model.model import Model

MAX_FUNCTIONS: Final = 256

_TOKEN_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_PASSED_ON: Final = frozenset(
    {
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "seed",
        "stop",
        "temperature",
        "top_logprobs",
        "top_p",
        "verbosity",
    }
)
"""Fields that shape the answer and do nothing else. A field that is not known might do what nobody has checked."""
_STREAM_OPTIONS: Final = frozenset({"include_usage", "include_obfuscation"})
_INLINE_FILE: Final = frozenset({"file_data", "filename"})
_INLINE_AUDIO: Final = frozenset({"data", "format"})
# Tuples, not sets: what is looked for in them may be unhashable.
_FORMATS: Final = ("text", "json_object", "json_schema")
_CHOICES: Final = ("none", "auto", "required")
_NAMED_CHOICES: Final = ("function", "allowed_tools")


@dataclass(frozen=True, slots=True)
class Completion:
    """A request as it is sent on.

    Attributes:
        body: its fields.
        max_output_tokens: the bound on the answer; None where nobody put one.
        streams: whether the answer is to be a stream.
        shows_usage: whether the agent asked for the stream's last chunk, which counts tokens.
    """

    body: JsonObject
    max_output_tokens: int | None
    streams: bool
    shows_usage: bool


def prepare(
    body: JsonValue, model: Model, bounds: AgentModel, default_max_output_tokens: int | None = None
) -> Completion:
    """Return the request to send to ``model``.

    Args:
        body: strict JSON of the agent.
        model: the one that the agent may use.
        bounds: what the agent's spec says of its requests.
        default_max_output_tokens: put on a request whose output neither of them bounds; None for no bound.

    Raises:
        ModelFailure: a field is unknown, out of bounds, or asks for another model.
    """
    if not isinstance(body, dict):
        raise _invalid("the body must be a JSON object")
    _check_model(body.get("model"), model)
    for name, value in body.items():
        check = _CHECKS.get(name)
        if check is not None:
            if value is not None:
                check(value)
        elif name not in _PASSED_ON:
            raise ModelFailure(
                HTTPStatus.BAD_REQUEST,
                RefusalCode.BAD_REQUEST,
                f"the field {name[:64]} is not allowed by the gateway",
                code="unsupported_parameter",
            )
    if "messages" not in body:
        raise _invalid("messages must be a list of at least one message")
    return _rewritten(body, model, bounds, default_max_output_tokens)


def _rewritten(
    body: JsonObject, model: Model, bounds: AgentModel, default_max_output_tokens: int | None
) -> Completion:
    sent: JsonObject = {**body, "model": model.spec.model}
    if bounds.temperature is not None:
        sent["temperature"] = bounds.temperature
    max_output_tokens = _limit_tokens(sent, bounds.max_output_tokens, default_max_output_tokens)
    streams = body.get("stream") is True
    options = body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    if streams:
        sent["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    elif options is not None:
        raise _invalid("stream_options needs stream to be true")
    return Completion(body=sent, max_output_tokens=max_output_tokens, streams=streams, shows_usage=asked)


def _limit_tokens(sent: JsonObject, most: int | None, default: int | None) -> int | None:
    """Bound the answer in ``sent``; return the bound."""
    bounds = []
    for name in _TOKEN_LIMITS:
        asked = sent.get(name)
        if isinstance(asked, int):
            sent[name] = bound = asked if most is None else min(asked, most)
            bounds.append(bound)
    if bounds:
        return max(bounds)
    bound_by_us = default if most is None else most
    if bound_by_us is not None:
        sent[_TOKEN_LIMITS[0]] = bound_by_us
    return bound_by_us


def _check_model(asked: JsonValue, model: Model) -> None:
    if asked not in (model.metadata.name, model.spec.model):
        raise ModelFailure(
            HTTPStatus.NOT_FOUND,
            RefusalCode.MODEL_UNKNOWN,
            f"the model does not exist or is not this agent's; its model is {model.metadata.name}",
            code="model_not_found",
        )


def _check_messages(value: JsonValue) -> None:
    if not isinstance(value, list) or not value:
        raise _invalid("messages must be a list of at least one message")
    for message in value:
        if not isinstance(message, dict):
            raise _invalid("each of messages must be an object")
        if message.get("audio") is not None:
            raise _invalid("messages may not refer to audio that the model's provider keeps")
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                _check_part(part)
        elif content is not None and not isinstance(content, str):
            raise _invalid("the content of a message must be a string or a list of parts")


def _check_part(part: JsonValue) -> None:
    """Check that a part holds its own content: what the provider would fetch or keeps may be anyone's."""
    kind = part.get("type") if isinstance(part, dict) else None
    detail = part.get(kind) if isinstance(part, dict) and isinstance(kind, str) else None
    match kind:
        case "text" | "refusal":
            return
        case "input_audio":
            if (
                isinstance(detail, dict)
                and _INLINE_AUDIO.issuperset(detail)
                and _is_inline(detail.get("data"))
            ):
                return
            raise _invalid("audio must be given as data and format, and data as base64")
        case "image_url":
            url = detail.get("url") if isinstance(detail, dict) else None
            if isinstance(url, str) and url.startswith("data:"):
                return
            raise _invalid("images must be given as data: URLs")
        case "file":
            if (
                isinstance(detail, dict)
                and _INLINE_FILE.issuperset(detail)
                and _is_inline(detail.get("file_data"))
            ):
                return
            raise _invalid(
                "files must be given as file_data and filename, and file_data as base64 or a data: URL"
            )
        case _:
            raise _invalid("a part of a message has a type that the gateway does not allow")


def _is_inline(content: JsonValue) -> bool:
    """Whether ``content`` is there itself: base64 has no colon, and some providers fetch what is a URL."""
    return isinstance(content, str) and (content.startswith("data:") or ":" not in content)


def _check_prediction(value: JsonValue) -> None:
    content = value.get("content") if isinstance(value, dict) else None
    parts = content if isinstance(content, list) else []
    if not isinstance(content, str | list) or not all(
        isinstance(part, dict) and part.get("type") == "text" for part in parts
    ):
        raise _invalid("prediction must hold text as its content")


def _check_tools(value: JsonValue) -> None:
    """Check that all tools are functions, which the agent carries out: others run at the provider, unseen."""
    if not isinstance(value, list) or len(value) > MAX_FUNCTIONS:
        raise _invalid(f"tools must be a list of at most {MAX_FUNCTIONS}")
    if not all(isinstance(item, dict) and item.get("type") == "function" for item in value):
        raise _invalid("tools must all be of type function: tools that run at the provider are not allowed")


def _check_tool_choice(value: JsonValue) -> None:
    named = isinstance(value, dict) and value.get("type") in _NAMED_CHOICES
    if not named and value not in _CHOICES:
        raise _invalid("tool_choice must be none, auto, required or a function")


def _check_response_format(value: JsonValue) -> None:
    if not isinstance(value, dict) or value.get("type") not in _FORMATS:
        raise _invalid("response_format must be of type text, json_object or json_schema")


def _check_stream(value: JsonValue) -> None:
    if not isinstance(value, bool):
        raise _invalid("stream must be a boolean")


def _check_stream_options(value: JsonValue) -> None:
    if not isinstance(value, dict) or not _STREAM_OPTIONS.issuperset(value):
        raise _invalid("stream_options may hold include_usage and include_obfuscation only")


def _check_token_limit(value: JsonValue) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _invalid("limits of tokens must be positive integers")


def _check_n(value: JsonValue) -> None:
    if isinstance(value, bool) or value != 1:
        raise _invalid("n must be 1: ask again for another answer")


def _check_modalities(value: JsonValue) -> None:
    if value != ["text"]:
        raise _invalid('modalities must be ["text"]')


def _check_store(value: JsonValue) -> None:
    if value is not False:
        raise _invalid("store must be false: nothing may be kept at the provider")


def _no_check(value: JsonValue) -> None:
    """Accept what was checked already."""
    del value


def _invalid(message: str) -> ModelFailure:
    return ModelFailure(HTTPStatus.BAD_REQUEST, RefusalCode.BAD_REQUEST, message, code="invalid_value")


_CHECKS: Final[Mapping[str, Callable[[JsonValue], None]]] = {
    "max_completion_tokens": _check_token_limit,
    "max_tokens": _check_token_limit,
    "messages": _check_messages,
    "modalities": _check_modalities,
    "model": _no_check,
    "n": _check_n,
    "prediction": _check_prediction,
    "response_format": _check_response_format,
    "store": _check_store,
    "stream": _check_stream,
    "stream_options": _check_stream_options,
    "tool_choice": _check_tool_choice,
    "tools": _check_tools,
}
