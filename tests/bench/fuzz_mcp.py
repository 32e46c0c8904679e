"""Feeds what reads the bytes of clients, tools and models messages at random: strict JSON, MCP, its headers and streams, A2A.

For each input: nothing but the documented errors, and those short; strict JSON takes what a plain reading of its rules takes, and
reads what others read; what is taken says the same when it is written and read again, and however a stream is split.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final, NoReturn, TypeVar

import orjson
from pydantic import JsonValue

from aos.agent.strict_json import NotAnObjectError, read_object
from aos.gateway.a2a import message as a2a
from aos.gateway.a2a.protocol import A2aError, Operation
from aos.gateway.mcp import rpc
from aos.gateway.mcp.header_values import (
    ParamHeader,
    ParamHeaderError,
    check_param_headers,
    decode_value,
    encode_value,
    headers_for,
    param_headers,
)
from aos.gateway.mcp.message import RpcError, RpcNotification, RpcRequest, era_of, read_message
from aos.gateway.mcp.protocol import HEADER_METHOD, HEADER_NAME, Era, Method
from aos.gateway.strict_json import MAX_INTEGER, StrictJsonError, read_json
from aos.gateway.upstream.sse import EventParser, EventTooLargeError
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.base import JsonObject
from tests.bench.fuzz_messages import Headers, Messages

MAX_DEPTH: Final = 64
MAX_EVENT_BYTES: Final = 64
MAX_ERROR_LENGTH: Final = 400
REFUSED: Final = "JSON refused"

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_T = TypeVar("_T")


def outcomes(seed: int) -> Iterator[str]:
    """Give what became of one input after the other, without end; what breaks a rule raises, with the input in a note."""
    messages = Messages(Random(seed))  # noqa: S311 - to be repeated, not to be secret
    while True:
        yield _checked(check_json, messages.body(messages.object()))
        yield _checked(check_model_json, messages.body(messages.object()))
        for _ in range(2):
            headers, body = messages.mcp()
            yield _checked(check_mcp, (messages.headers(headers), messages.body(body)))
        yield _checked(check_a2a, (messages.headers({}), messages.body(messages.a2a())))
        yield _checked(check_answer, (messages.status(), messages.body(messages.answer())))
        yield _checked(check_posted, (messages.random.choice(tuple(Method)), messages.object()))
        yield _checked(check_header, (messages.text(), messages.noise()))
        yield _checked(check_mirrored, messages.mirrored())
        yield _checked(
            check_any_schema,
            (messages.changed(messages.mirrored()[0]), messages.object(), messages.headers({})),
        )
        stream = messages.events()
        yield _checked(check_events, (stream, messages.pieces(stream)))


def _checked(check: Callable[[_T], str], given: _T) -> str:
    try:
        return check(given)
    except Exception as error:
        error.add_note(f"{check.__name__}({given!r})")
        raise


def check_json(content: bytes) -> str:
    """Check that strict JSON reads ``content`` as others do, or refuses what its rules refuse."""
    try:
        _read(content)
    except StrictJsonError:
        return REFUSED
    return "JSON read"


def check_model_json(content: bytes) -> str:
    """Check what the agent makes of JSON that a model wrote: what it reads, whoever gets it can read."""
    try:
        value = read_object(content.decode(errors="replace"))
    except NotAnObjectError as error:
        _check_length(str(error))
        return "model's JSON refused"
    assert _are_same(value, json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()))
    return "model's JSON read"


def check_mcp(given: tuple[Headers, bytes]) -> str:
    """Check a request of a client: headers and body."""
    headers, content = given
    try:
        message = read_message(headers, _read(content))
    except StrictJsonError:
        return REFUSED
    except RpcError as error:
        _check_error(error.code, error.message, error.data)
        _check_status(error.status(era_of(headers)))
        return f"MCP error {error.code}"
    if isinstance(message, RpcNotification):
        return f"MCP notification, {message.era}"
    _check_request(headers, message)
    return f"MCP request, {message.era}"


def check_a2a(given: tuple[Headers, bytes]) -> str:
    """Check a request of A2A: headers and body."""
    headers, content = given
    try:
        value = _read(content)
        request = a2a.read_request(headers, value)
        _read_params(request)
    except StrictJsonError:
        return REFUSED
    except A2aError as error:
        _check_error(error.code, error.message, error.facts)
        return f"A2A error {error.code}"
    assert a2a.read_request(headers, _read(orjson.dumps(value))) == request
    return f"A2A {request.operation}"


def check_answer(given: tuple[int, bytes]) -> str:
    """Check what is made of a tool's answer: its status, and its body."""
    status, content = given
    _check_failure(rpc.error_of(content, status))
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "answer that is not JSON"
    try:
        result = rpc.result_of(value, 1, status)
        if result is None:
            return "another message than the answer"
        rpc.offers_modern(result)
        session = rpc.session_of(result, content[:9].decode("latin-1"))
    except UpstreamError as error:
        _check_failure(error)
        return f"answer refused, {error.code}"
    assert orjson.dumps(rpc.session_headers(session))
    return "answer that opens a session"


def check_posted(given: tuple[Method, JsonObject]) -> str:
    """Check that the gateway would take what it posts itself, in both eras: method and arguments."""
    method, arguments = given
    try:
        _read(orjson.dumps(arguments))
    except StrictJsonError:
        return REFUSED
    params: JsonObject = (
        {"name": "get_customer", "arguments": arguments} if method is Method.CALL_TOOL else {}
    )
    session = rpc.Session(version="2025-11-25", id="s")
    for era, post in (
        (Era.MODERN, rpc.modern_request(1, method, params)),
        (Era.SESSION, rpc.session_request(1, method, params, session)),
    ):
        headers = {name.lower().encode(): value.encode() for name, value in post.headers.items()}
        message = read_message(headers, read_json(post.body, MAX_DEPTH))
        assert isinstance(message, RpcRequest)
        assert (message.era, message.id, message.method) == (era, 1, method)
        assert {name: message.params[name] for name in message.params if name != "_meta"} == params
    return "posted"


def check_header(given: tuple[str, bytes]) -> str:
    """Check that text comes out of a header as it went in, and what comes out of any bytes."""
    text, sent = given
    encoded = encode_value(text)
    assert encoded.isascii()
    assert not encoded or (encoded.isprintable() and encoded == encoded.strip())
    assert decode_value(encoded.encode()) == text
    decoded = decode_value(sent)
    if decoded is None:
        return "header refused"
    assert decode_value(encode_value(decoded).encode()) == decoded
    return "header read"


def check_mirrored(given: tuple[JsonObject, JsonObject]) -> str:
    """Check that headers made from arguments agree with these: schema and arguments."""
    schema, arguments = given
    try:
        marked = param_headers(schema)
    except ParamHeaderError as error:
        _check_length(str(error))
        return "marks refused"
    sent = {name.lower().encode(): value.encode() for name, value in headers_for(marked, arguments).items()}
    check_param_headers(marked, arguments, sent, required=True)
    for name, value in sent.items():
        _check_differs(marked, arguments, {**sent, name: value + b"1"})
    return f"{'some' if sent else 'no'} arguments mirrored"


def check_any_schema(given: tuple[JsonValue, JsonObject, Headers]) -> str:
    """Check the marks of anything that claims to be a schema, and headers for it."""
    schema, arguments, headers = given
    if not isinstance(schema, dict):
        return "no schema"
    try:
        marked = param_headers(schema)
        check_param_headers(marked, arguments, headers, required=False)
        headers_for(marked, arguments)
    except ParamHeaderError as error:
        _check_length(str(error))
        return "schema refused"
    return "schema read"


def check_events(given: tuple[bytes, list[bytes]]) -> str:
    """Check a stream of events, whole and in pieces, against a plain reading of it."""
    stream, pieces = given
    expected = _events(stream)
    read = [_fed(split) for split in ([stream], pieces, [bytes([byte]) for byte in stream])]
    assert all(events in (None, expected) for events in read)
    if None in read:
        assert len(stream) > MAX_EVENT_BYTES
        return "events too large"
    return "events read"


def _read(content: bytes) -> JsonValue:
    """Read strict JSON, having checked it against a plain reading of its rules."""
    try:
        value = read_json(content, MAX_DEPTH)
    except StrictJsonError as error:
        _check_length(str(error))
        assert not _is_strict(content), "refused without a reason"
        raise
    assert _is_strict(content), "taken although it has two meanings"
    assert _are_same(value, orjson.loads(content))
    assert _are_same(value, json.loads(content))
    assert _are_same(value, read_json(orjson.dumps(value), MAX_DEPTH))
    return value


def _is_strict(content: bytes) -> bool:
    try:
        text = content.decode()
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_refuse
        )
        # Surrogates without their other half are in the value alone: as escapes they are sound text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return _depth(value) <= MAX_DEPTH


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def _integer(digits: str) -> int:
    if abs(int(digits)) > MAX_INTEGER:
        raise ValueError("too large")
    return int(digits)


def _finite(digits: str) -> float:
    if math.isinf(float(digits)):
        raise ValueError("too large")
    return float(digits)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _depth(value: JsonValue) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _are_same(one: JsonValue, other: JsonValue) -> bool:
    """Compare values as JSON does: true is not 1, but 1.0 is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_are_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _check_request(headers: Mapping[bytes, bytes], request: RpcRequest) -> None:
    sent_method = headers.get(HEADER_METHOD.lower().encode())
    sent_name = headers.get(HEADER_NAME.lower().encode())
    assert sent_method == request.method.encode() or (sent_method is None and request.era is Era.SESSION)
    if sent_name is not None or (request.era is Era.MODERN and request.method == Method.CALL_TOOL):
        assert sent_name is not None
        assert decode_value(sent_name) == request.params["name"]
    again = {"jsonrpc": "2.0", "id": request.id, "method": request.method, "params": request.params}
    assert read_message(headers, _read(orjson.dumps(again))) == request


def _read_params(request: a2a.A2aRequest) -> None:
    match request.operation:
        case Operation.SEND | Operation.STREAM:
            message = a2a.read_message(request.params)
            assert 0 < len(message.id) <= a2a.MAX_ID_LENGTH
            assert len(message.context) <= a2a.MAX_ID_LENGTH
            orjson.dumps(message.input)
        case Operation.LIST:
            assert 0 < a2a.read_listing(request.params).page_size <= a2a.MAX_PAGE_SIZE
        case Operation.GET | Operation.CANCEL | Operation.SUBSCRIBE:
            assert 0 < len(a2a.read_task_id(request.params)) <= a2a.MAX_ID_LENGTH


def _check_error(code: int, message: str, data: Mapping[str, JsonValue] | None) -> None:
    assert code < 0
    _check_length(message)
    assert len(orjson.dumps(data)) <= MAX_ERROR_LENGTH


def _check_status(status: int) -> None:
    assert status in (200, 400, 404)


def _check_failure(error: UpstreamError) -> None:
    _check_length(error.message)
    if isinstance(error, rpc.RpcAnswerError):
        assert not isinstance(error.rpc_code, bool)


def _check_length(message: str) -> None:
    assert 0 < len(message) <= MAX_ERROR_LENGTH
    message.encode()


def _check_differs(marked: tuple[ParamHeader, ...], arguments: JsonObject, headers: Headers) -> None:
    try:
        check_param_headers(marked, arguments, headers, required=True)
    except ParamHeaderError:
        return
    raise AssertionError("a header that differs is taken")


def _fed(pieces: list[bytes]) -> list[bytes] | None:
    """Return the events of a stream that comes in ``pieces``; None if one is too large."""
    parser = EventParser(MAX_EVENT_BYTES)
    events: list[bytes] = []
    try:
        for piece in pieces:
            events += parser.feed(piece)
    except EventTooLargeError as error:
        _check_length(str(error))
        return None
    assert all(len(event) <= MAX_EVENT_BYTES for event in events)
    return events


def _events(stream: bytes) -> list[bytes]:
    """Read a stream as the standard describes it, all at once."""
    *lines, _ = _LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf"))
    events: list[bytes] = []
    data: list[bytes] = []
    kind = b""
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if any(data) or len(data) > 1:
                events += [b"\n".join(data)] if kind in (b"", b"message") else []
            data, kind = [], b""
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    return events
