"""A streamed output: measured, looked through as it comes, and given on piece by piece."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.models.answer import (
    DONE,
    TokenUsage,
    event_of,
    known_fields,
    read_value,
    usage_of,
    written,
)
from aos.gateway.models.estimate import SeenOutput
from aos.gateway.models.inspecting import blocked
from aos.gateway.models.spending import Reservation
from aos.gateway.models.withholding import CredentialGuard
from aos.gateway.off_loop import OFF_LOOP
from aos.gateway.refusal import RefusalCode, Refused
from aos.inspection.inspector import Inspector
from aos.inspection.sizes import DataTooLargeError
from aos.inspection.stream import StreamInspector
from aos.model.base import JsonObject
from aos.policy.decision import Effect
from aos.policy.obligations import Obligations

_WHAT: Final = "the model's output"
_SMALL_EVENT_BYTES: Final = 2_048


class OutputCutError(Exception):
    """The output must not go on; its refusal says why."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason.value)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class OutputBounds:
    """How much an output may say.

    Attributes:
        tokens: that were reserved; None where no budget counts them.
        text_bytes: that policy allows; None where it does not say.
    """

    tokens: int | None = None
    text_bytes: int | None = None


def bounds_of(obligations: Obligations, reservation: Reservation) -> OutputBounds:
    """Return what an output is held to."""
    return OutputBounds(
        tokens=reservation.output_tokens if reservation.is_counted else None,
        text_bytes=obligations.data.max_response_bytes,
    )


@dataclass(slots=True)
class _Call:
    """A call of a function, as far as it was told."""

    head: JsonObject = field(default_factory=dict)
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Choice:
    """What of one choice is held back."""

    texts: dict[str, StreamInspector] = field(default_factory=dict)
    calls: dict[int, _Call] = field(default_factory=dict)
    function: _Call | None = None


class OutputStream:
    """One streamed output.

    Attributes:
        usage: what the model counted; None while it has not.
        found: data classes seen so far.
    """

    def __init__(
        self,
        inspector: Inspector,
        bounds: OutputBounds,
        gives_away: Callable[[bytes], bool],
        *,
        shows_usage: bool,
        credential: str | None = None,
    ) -> None:
        """Start before the first event.

        Args:
            inspector: of the data rules.
            bounds: on the output.
            gives_away: whether JSON holds the credential.
            shows_usage: whether the agent asked for the chunk that only counts tokens.
            credential: the gateway's own, which may come in pieces; None where it shows none.
        """
        self._inspector = inspector
        self._bounds = bounds
        self._gives_away = gives_away
        self._shows_usage = shows_usage
        self._guard = CredentialGuard(credential) if credential else None
        self._text_bytes = 0
        self._envelope: JsonObject = {}
        self._choices: dict[int, _Choice] = {}
        self.usage: TokenUsage | None = None
        self.found: frozenset[str] = frozenset()

    @property
    def held(self) -> int:
        """Characters that are held back, and those that are looked at with them."""
        return sum(
            sum(stream.held for stream in choice.texts.values())
            + sum(len(call.arguments) for call in choice.calls.values())
            + (len(choice.function.arguments) if choice.function is not None else 0)
            for choice in self._choices.values()
        )

    def event(self, data: bytes) -> tuple[bytes, bool]:
        """Take one event; return what may go out now, and whether it was the last one.

        Raises:
            UpstreamError: it can't be given on.
            OutputCutError: a bound is reached, or policy blocks what it holds.
        """
        if data == DONE:
            return self.end() + event_of(DONE), True
        value, choices = read_value(data)
        usage = usage_of(value)
        self.usage = usage or self.usage
        self._measure(choices)
        counts = isinstance(value.get("usage"), dict)
        # Clients that did not ask for it take a chunk without choices for a fault.
        if counts and not choices and not self._shows_usage:
            return b"", False
        if self._inspector.looks_into_responses:
            value = known_fields(value)
        if choices:
            self._envelope = {name: item for name, item in value.items() if name not in ("choices", "usage")}
        if self._inspector.looks_into_responses and choices:
            kept: list[JsonValue] = [each for each in map(self._looked_through, choices) if each is not None]
            if not kept and not counts:
                return b"", False
            value["choices"] = kept
        return self._written(value), False

    def seen(self) -> SeenOutput:
        """Return what came so far."""
        return SeenOutput(self._text_bytes, self.usage.completion if self.usage is not None else 0)

    def _written(self, value: JsonObject) -> bytes:
        choices = value.get("choices")
        if self._guard is None or not isinstance(choices, list):
            return event_of(written(value, self._gives_away))
        passed, before = self._guard.passed(choices)
        first = self._chunk(value, before) if before else b""
        return first + event_of(written({**value, "choices": passed}, self._gives_away))

    def _chunk(self, value: JsonObject, choices: list[JsonValue]) -> bytes:
        envelope = {name: item for name, item in value.items() if name != "usage"}
        return event_of(written({**envelope, "choices": choices}, self._gives_away))

    def end(self) -> bytes:
        """Return what was held back of choices that nobody finished.

        Raises:
            UpstreamError: it can't be given on.
            OutputCutError: policy blocks what it holds.
        """
        rest: list[JsonValue] = []
        for index in sorted(self._choices):
            delta = self._flushed(index, {})
            if delta:
                rest.append({"index": index, "delta": delta, "finish_reason": None})
        out = self._written({**self._envelope, "choices": rest}) if rest else b""
        held = self._guard.rest() if self._guard is not None else []
        return out + (self._chunk(self._envelope, held) if held else b"")

    def _measure(self, choices: list[JsonValue]) -> None:
        self._text_bytes += _bytes_said(choices, "delta")
        most = self._bounds.text_bytes
        if most is not None and self._text_bytes > most:
            message = f"{_WHAT} is too large: it has more than {most} bytes, which policy allows"
            raise OutputCutError(Refused(Effect.DENY, RefusalCode.DATA_TOO_LARGE, message, note=message))
        seen = self.seen()
        if self._bounds.tokens is not None and (
            max(seen.counted_tokens, seen.fewest_tokens) > self._bounds.tokens
        ):
            raise OutputCutError(
                Refused(
                    Effect.DENY,
                    RefusalCode.BUDGET_EXCEEDED,
                    f"{_WHAT} is longer than the {self._bounds.tokens} tokens that were reserved of its budget, and was cut",
                    note="a model's output was cut: it was longer than what was reserved of the budget",
                )
            )

    def _looked_through(self, choice: JsonValue) -> JsonObject | None:
        """Return what of a choice may go out; None if nothing may yet."""
        if not isinstance(choice, dict):
            return None
        index = _index(choice, 0)
        held = self._choices.setdefault(index, _Choice())
        given = choice.get("delta")
        delta = self._taken(held, given) if isinstance(given, dict) else {}
        ends = choice.get("finish_reason") is not None
        if ends:
            delta = self._flushed(index, delta)
        if not ends and not any(delta.values()):
            return None
        # Log probabilities spell the text out token by token.
        reason = choice.get("finish_reason")
        return {"index": index, "delta": delta, "finish_reason": self._checked(reason) if reason else reason}

    def _taken(self, held: _Choice, given: JsonObject) -> JsonObject:
        """Return what of a delta may go out. What is neither text nor a call is not looked through, and dropped."""
        delta: JsonObject = {}
        for name, item in given.items():
            if name == "role":
                delta[name] = self._checked(item)
            elif name == "tool_calls" and isinstance(item, list):
                _hold_calls(held, item)
            elif name == "function_call" and isinstance(item, dict):
                held.function = held.function or _Call()
                _hold(held.function, item)
            elif isinstance(item, str):
                stream = held.texts.setdefault(name, self._inspector.stream())
                delta[name] = self._passed(stream, partial(stream.feed, item))
        return delta

    def _flushed(self, index: int, delta: JsonObject) -> JsonObject:
        """Return ``delta`` with all that was held back of a choice."""
        held = self._choices.pop(index)
        for name, stream in held.texts.items():
            rest = self._passed(stream, stream.close)
            if rest:
                delta[name] = f"{delta.get(name) or ''}{rest}"
        if held.calls:
            delta["tool_calls"] = [
                {**call.head, "index": place, "function": self._looked_through_call(call)}
                for place, call in sorted(held.calls.items())
            ]
        if held.function is not None:
            delta["function_call"] = self._looked_through_call(held.function)
        return delta

    def _looked_through_call(self, call: _Call) -> JsonValue:
        return self._checked({"name": call.name, "arguments": call.arguments})

    def _checked(self, value: JsonValue) -> JsonValue:
        try:
            inspected = self._inspector.response(value)
        except DataTooLargeError as error:
            raise _too_large(error) from None
        self.found |= inspected.found
        if inspected.blocked:
            raise OutputCutError(blocked(_WHAT, inspected.blocked))
        return inspected.value

    def _passed(self, stream: StreamInspector, look: Callable[[], str]) -> str:
        try:
            text = look()
        except DataTooLargeError as error:
            raise _too_large(error) from None
        self.found |= stream.found
        if stream.blocked:
            raise OutputCutError(blocked(_WHAT, stream.blocked))
        return text


async def event_checked(caller: Caller, output: OutputStream, data: bytes) -> tuple[bytes, bool]:
    """Return what ``output.event(data)`` does; beside the event loop where there is much to look through.

    Raises:
        UpstreamError: it can't be given on.
        OutputCutError: a bound is reached, or policy blocks what it holds.
    """
    if not output.held and len(data) <= _SMALL_EVENT_BYTES:
        return output.event(data)
    # A piece is looked at in steps, each with what is held back.
    size = len(data) * (1 + len(data) // _SMALL_EVENT_BYTES) + output.held
    try:
        return await OFF_LOOP.do(caller.task.metadata.uid, size, partial(output.event, data))
    except DataTooLargeError as error:
        raise _too_large(error) from None


async def rest_checked(caller: Caller, output: OutputStream) -> bytes:
    """Return what ``output.end()`` does; beside the event loop where there is much to look through.

    Raises:
        UpstreamError: it can't be given on.
        OutputCutError: policy blocks what it holds.
    """
    try:
        return await OFF_LOOP.do(caller.task.metadata.uid, output.held, output.end)
    except DataTooLargeError as error:
        raise _too_large(error) from None


def seen_in(choices: list[JsonValue]) -> SeenOutput:
    """Return what came of a whole answer."""
    return SeenOutput(_bytes_said(choices, "message"))


def _bytes_said(choices: list[JsonValue], of: str) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in _said(choices, of))


def _too_large(error: DataTooLargeError) -> OutputCutError:
    message = f"{_WHAT} is too large: {error}"
    return OutputCutError(Refused(Effect.DENY, RefusalCode.DATA_TOO_LARGE, message, note=message))


def _hold_calls(held: _Choice, given: list[JsonValue]) -> None:
    for place, item in enumerate(given):
        if not isinstance(item, dict):
            continue
        call = held.calls.setdefault(_index(item, place), _Call())
        for name in ("id", "type"):
            if item.get(name):
                call.head[name] = item[name]
        function = item.get("function")
        if isinstance(function, dict):
            _hold(call, function)


def _hold(call: _Call, function: JsonObject) -> None:
    name, arguments = function.get("name"), function.get("arguments")
    call.name += name if isinstance(name, str) else ""
    call.arguments += arguments if isinstance(arguments, str) else ""


def _index(item: JsonObject, otherwise: int) -> int:
    index = item.get("index")
    return index if isinstance(index, int) else otherwise


def _said(choices: list[JsonValue], of: str) -> Iterator[str]:
    """Yield what the model says in a chunk: texts, names and arguments of calls."""
    for choice in choices:
        delta = choice.get(of) if isinstance(choice, dict) else None
        waiting: list[JsonValue] = [delta]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                waiting += [item for name, item in node.items() if name not in ("role", "id", "type")]
            elif isinstance(node, list):
                waiting += node
            elif isinstance(node, str):
                yield node
