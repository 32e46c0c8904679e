"""Makes bytes as clients and tools might send them: sound messages, the same with something wrong in them, and noise."""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.a2a.protocol import METHODS
from aos.gateway.mcp.protocol import (
    HEADER_METHOD,
    HEADER_NAME,
    HEADER_VERSION,
    META_CAPABILITIES,
    META_VERSION,
    MODERN_VERSION,
    SESSION_VERSIONS,
    Method,
)
from aos.model.base import JsonObject

Headers = dict[bytes, bytes]
"""Of a request, by name in lower case."""

MAX_DEPTH: Final = 3
MAX_NOISE_BYTES: Final = 60
VERSIONS: Final = (MODERN_VERSION, *SESSION_VERSIONS, "", "2030-01-01", "1.0", "\u00e9")
MCP_METHODS: Final = (*(method.value for method in Method), "tools/Call", "", "\u00e9", "m" * 129)
A2A_METHODS: Final = (*METHODS, "message/Send", "")
NAMES: Final = (
    "get_customer",
    "get customer",
    "",
    " a",
    "\u00e9",
    "\u65e5\u672c",
    "=?base64?YQ==?=",
    "a\nb",
    "a\0",
    "\U0001f600",
)
SCALARS: Final[tuple[JsonValue, ...]] = (
    None, True, False, 0, 1, -1, 1.0, -0.0, 1.5, 1e20, 1e300, 5e-324, 2**53 - 1, -(2**53) + 1, 2**53, 2**63, "", "a", "1", "2.0",
    "\u00e9", "\u200b", "\ufeff", "\0", '"', "\\", "\U0001f600", "x" * 300,
)  # fmt: skip
TEXTS: Final = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"-0", b"01", b"1.", b".5", b"1e400",
    b"1E-400", b"9007199254740991", b"9007199254740992", b"-9007199254740992", b"18446744073709551616", b"9" * 400, b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b"\\u0061", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xc0\x80", b"\0", b"\x01",
    b" ", b"\n", b"\r", b"\t", b"\x0b", b"\xc2\xa0", b"//", b"'", b"[" * 70, b'{"a":' * 70, b"]" * 70, b"[[" * 2000, b'{"id":1,"id":2}',
)  # fmt: skip
_ALLOWED: Final[dict[str, tuple[JsonValue, ...]]] = {
    "string": NAMES,
    "integer": (0, 1, -1, 2**53 - 1, -(2**53) + 1, 1.0, -3.0, 1e15, 1e16, 1e20, 1e30),
    "boolean": (True, False),
    "object": (),
}
EVENT_TEXTS: Final = (
    b"data:", b"data: ", b"data", b"event: message", b"event:", b"event: ping", b"id: 1", b"retry: 1", b":", b": comment", b"\n", b"\n",
    b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\r\r", b"\xef\xbb\xbf", b"{}", b" ", b"x" * 40, b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\0", b"\xff",
)  # fmt: skip


class Messages:
    """Makes inputs from one seed."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def value(self, depth: int = 0) -> JsonValue:
        """Return a value of JSON."""
        kind = self.random.randrange(8 if depth < MAX_DEPTH else 6)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        if kind == 7:
            return self.object(depth + 1)
        return self.random.choice(SCALARS)

    def object(self, depth: int = 0) -> JsonObject:
        """Return an object of JSON."""
        return {self._key(): self.value(depth) for _ in range(self.random.randrange(4))}

    def mcp(self) -> tuple[Headers, JsonObject]:
        """Return the headers and the body of a sound request, or of a notification."""
        method = self.random.choice(tuple(Method)).value
        version = self.random.choice((MODERN_VERSION, self.random.choice(SESSION_VERSIONS)))
        params: JsonObject = {}
        if method == Method.CALL_TOOL:
            params = {"name": "get_customer", "arguments": self.object()}
        headers = {HEADER_VERSION.lower().encode(): version.encode()}
        if version == MODERN_VERSION:
            params["_meta"] = {META_VERSION: version, META_CAPABILITIES: {}}
            headers[HEADER_METHOD.lower().encode()] = method.encode()
            if method == Method.CALL_TOOL:
                headers[HEADER_NAME.lower().encode()] = b"get_customer"
        body: JsonObject = {"jsonrpc": "2.0", "method": method, "params": params}
        if method != Method.INITIALIZED:
            body["id"] = self.random.choice((1, "one", -5))
        return headers, body

    def headers(self, headers: Headers) -> Headers:
        """Return ``headers``, or one of them changed, added or left out."""
        if self.random.randrange(2):
            return headers
        name = (
            self.random.choice((HEADER_VERSION, HEADER_METHOD, HEADER_NAME, "A2A-Version")).lower().encode()
        )
        choices: tuple[Callable[[], bytes], ...] = (
            lambda: self.random.choice(VERSIONS).encode(),
            lambda: self.random.choice(MCP_METHODS).encode(),
            lambda: self.random.choice(NAMES).encode("utf-8"),
            self.noise,
        )
        if self.random.randrange(4) == 0:
            return {key: value for key, value in headers.items() if key != name}
        return {**headers, name: self.random.choice(choices)()}

    def a2a(self) -> JsonObject:
        """Return the body of a sound request of A2A."""
        parts: tuple[JsonObject, ...] = (
            {"kind": "text", "text": "a"},
            {"kind": "data", "data": self.object()},
        )
        part = self.random.choice(parts)
        message: JsonObject = {"messageId": "m1", "role": "user", "parts": [part], "contextId": "c"}
        params: tuple[JsonObject, ...] = (
            {"message": message, "configuration": {"blocking": False}},
            {"id": "t1"},
            {"pageSize": 10, "status": "TASK_STATE_WORKING", "pageToken": "t"},
        )
        method = self.random.choice(tuple(METHODS))
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": self.random.choice(params)}

    def answer(self) -> JsonObject:
        """Return what a tool might answer the request 1 with."""
        said: tuple[JsonObject, ...] = (
            {"result": self.object()},
            {"error": {"code": self.random.choice((-32600, -32000, 0)), "message": "m"}},
            {"method": "notifications/message", "params": {}},
            {"result": {"protocolVersion": self.random.choice(VERSIONS), "capabilities": {}}},
        )
        return {"jsonrpc": "2.0", "id": 1, **self.random.choice(said)}

    def mirrored(self) -> tuple[JsonObject, JsonObject]:
        """Return an input schema of which some properties are mirrored into headers, and arguments that it allows."""
        properties: JsonObject = {}
        arguments: JsonObject = {}
        for name in self.random.sample(("a", "b", "c", "d"), self.random.randrange(5)):
            kind = self.random.choice(tuple(_ALLOWED))
            if kind == "object":
                properties[name], arguments[name] = self.mirrored()
            else:
                mark: JsonObject = {"x-mcp-header": f"H{self.random.randrange(40)}"}
                properties[name] = {"type": kind, **(mark if self.random.randrange(4) else {})}
                if self.random.randrange(4):
                    arguments[name] = self.random.choice(_ALLOWED[kind])
        return {"type": "object", "properties": properties}, arguments

    def changed(self, value: JsonValue) -> JsonValue:
        """Return ``value`` with one part of it replaced, left out, or joined by another."""
        if self.random.randrange(4) == 0 or not isinstance(value, dict | list) or not value:
            return self.value()
        if isinstance(value, list):
            place = self.random.randrange(len(value))
            return [*value[:place], self.changed(value[place]), *value[place + 1 :]]
        key = self.random.choice(tuple(value))
        match self.random.randrange(6):
            case 0:
                return {name: value[name] for name in value if name != key}
            case 1:
                return {**value, self._key(): self.value()}
            case 2:
                return [value, value]
            case _:
                return {**value, key: self.changed(value[key])}

    def body(self, value: JsonObject) -> bytes:
        """Return ``value`` as JSON, mostly with something wrong about it."""
        match self.random.randrange(8):
            case 0 | 1:
                return self.written(value)
            case 2 | 3 | 4:
                return self.written(self.changed(value))
            case 5:
                return self.broken(self.written(value))
            case 6:
                return self.doubled(value)
            case _:
                return self.noise()

    def written(self, value: JsonValue) -> bytes:
        """Return ``value`` as JSON, compact or not."""
        return orjson.dumps(value, option=self.random.choice((0, 0, orjson.OPT_INDENT_2)))

    def broken(self, content: bytes) -> bytes:
        """Return ``content`` with a few bytes of it changed, repeated or left out."""
        for _ in range(self.random.randint(1, 3)):
            start = self.random.randint(0, len(content))
            end = min(len(content), start + self.random.choice((0, 0, 1, 2, 8, 40)))
            piece = self.random.choice((b"", content[start:end] * 2, self.random.choice(TEXTS), self.noise()))
            content = content[:start] + piece + content[end:]
        return content

    def doubled(self, value: JsonObject) -> bytes:
        """Return ``value`` as JSON in which one of its keys stands twice, the second time perhaps in another spelling."""
        if not value:
            return b'{"a":1,"\\u0061":1}'
        key = self.random.choice(tuple(value))
        spelled = orjson.dumps(key)
        if key and key[0].isascii() and self.random.randrange(2):
            spelled = b'"\\u%04x' % ord(key[0]) + orjson.dumps(key[1:])[1:]
        return orjson.dumps(value)[:-1] + b"," + spelled + b":" + orjson.dumps(self.value()) + b"}"

    def noise(self) -> bytes:
        """Return bytes without a meaning."""
        if self.random.randrange(2):
            return self.random.randbytes(self.random.randrange(MAX_NOISE_BYTES))
        return b"".join(self.random.choices(TEXTS, k=self.random.randrange(6)))

    def events(self) -> bytes:
        """Return a stream of server-sent events, more or less."""
        return b"".join(self.random.choices(EVENT_TEXTS, k=self.random.randrange(24)))

    def pieces(self, content: bytes) -> list[bytes]:
        """Return ``content`` split at random."""
        cuts = sorted({0, len(content), *(self.random.randint(0, len(content)) for _ in range(4))})
        return [content[start:end] for start, end in pairwise(cuts)]

    def status(self) -> int:
        """Return the status of an answer."""
        return self.random.choice((200, 202, 302, 400, 401, 404, 500))

    def text(self) -> str:
        """Return text for a header."""
        return "".join(
            self.random.choices(
                (*NAMES, "a", " ", "=", "?", "=?base64?", "?=", "~", "\x7f"), k=self.random.randrange(4)
            )
        )

    def _key(self) -> str:
        return self.random.choice(
            (
                "a",
                "id",
                "method",
                "params",
                "_meta",
                "name",
                "result",
                "error",
                "jsonrpc",
                "\u00e9",
                "",
                "a\0",
            )
        )
