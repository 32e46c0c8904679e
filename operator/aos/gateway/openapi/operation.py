"""One operation of a REST system: where each argument goes in a request, and what never gets there. No I/O."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import orjson
from pydantic import JsonValue

from aos.model.base import JsonObject

BODY: Final = "body"
"""The argument that is sent as the body."""
MAX_PATH_LENGTH: Final = 8192
MAX_HEADER_VALUE_LENGTH: Final = 4096
METHODS: Final = ("get", "put", "post", "patch", "delete")

_ACCEPT: Final = "application/json, text/plain;q=0.8, */*;q=0.1"
_DECODINGS: Final = 3
"""How often a value of a path is decoded to see what a careless system might make of it."""
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/{}-]*")
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_BARRED: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "api-key",
        "apikey",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "remote-user",
        "te",
        "trailer",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "user-agent",
        "via",
        "x-access-token",
        "x-api-key",
        "x-auth-token",
        "x-client-ip",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-real-ip",
        "x-rewrite-url",
    }
)
"""Headers that are the gateway's own, show a credential, or by which a request would become another one or anybody else's."""
_BARRED_BEGINNINGS: Final = (
    "impersonate-",
    "mcp-",
    "proxy-",
    "sec-",
    "x-auth-request-",
    "x-envoy-",
    "x-forwarded-",
    "x-original-",
    "x-remote-",
)
"""What a proxy says in whose name a request comes, and systems behind it believe."""


class OperationError(ValueError):
    """A request that is not made; the message says why, and quotes no value."""


class Where(StrEnum):
    """Where an argument goes."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one argument goes.

    Attributes:
        argument: its name among the arguments.
        name: of the parameter.
        where: its place.
        explode: whether each item of a list is a parameter of its own, in a query.
    """

    argument: str
    name: str
    where: Where
    explode: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a credential.

    Attributes:
        method: in capitals.
        path: with the query, encoded; what the Tool's URL says comes before it.
        headers: of the operation.
        body: whole.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Operation:
    """One operation, as `aos.gateway.mcp.definitions.Binding`.

    Attributes:
        method: in lower case.
        path: as the document has it, with ``{name}`` for each path parameter.
        placed: where arguments go; all but `BODY`.
        body_type: media type of the body; empty where it has none.
    """

    method: str
    path: str
    placed: tuple[Placed, ...]
    body_type: str = ""

    @property
    def content(self) -> JsonObject:
        """Return all of it as JSON."""
        return {
            "method": self.method,
            "path": self.path,
            "bodyType": self.body_type,
            "parameters": [
                {"argument": p.argument, "name": p.name, "in": p.where.value, "explode": p.explode}
                for p in self.placed
            ],
        }

    @classmethod
    def of(cls, content: JsonObject) -> "Operation":
        """Return the operation with this `content`."""
        parameters = content["parameters"]
        placed = [
            Placed(str(p["argument"]), str(p["name"]), Where(str(p["in"])), p["explode"] is True)
            for p in (parameters if isinstance(parameters, list) else [])
            if isinstance(p, dict)
        ]
        return cls(str(content["method"]), str(content["path"]), tuple(placed), str(content["bodyType"]))

    def problem(self, arguments: JsonObject) -> str:
        """Return why no request can be made with these arguments; empty if one can."""
        try:
            self.request(arguments)
        except OperationError as error:
            return str(error)
        return ""

    def request(self, arguments: JsonObject) -> Request:
        """Return the request that a call is.

        Raises:
            OperationError: an argument can't be sent where it goes.
        """
        query: list[str] = []
        headers = {"Accept": _ACCEPT}
        for placed in self.placed:
            value = arguments.get(placed.argument)
            if value is None or placed.where is Where.PATH:
                continue
            if placed.where is Where.QUERY:
                query += _in_query(placed, value)
            else:
                headers[placed.name] = _in_header(placed, value)
        path = self._filled(arguments) + ("?" + "&".join(query) if query else "")
        if len(path) > MAX_PATH_LENGTH:
            raise OperationError(f"its path and query would have more than {MAX_PATH_LENGTH} characters")
        body = b""
        if self.body_type and BODY in arguments:
            headers["Content-Type"] = self.body_type
            body = orjson.dumps(arguments[BODY])
        return Request(self.method.upper(), path, headers, body)

    @cached_property
    def _pieces(self) -> list[str]:
        """The path's fixed parts, with the names of its parameters between them."""
        return _PARAMETER.split(self.path)

    @cached_property
    def _of_path(self) -> Mapping[str, Placed]:
        return {placed.name: placed for placed in self.placed if placed.where is Where.PATH}

    def _filled(self, arguments: JsonObject) -> str:
        made = [
            piece if number % 2 == 0 else _in_path(self._of_path[piece], arguments)
            for number, piece in enumerate(self._pieces)
        ]
        path = "".join(made)
        if any(segment in (".", "..") for segment in path.split("/")):
            raise OperationError("its path would lead elsewhere: a part of it would be . or ..")
        return path


def base_path(url: str) -> str:
    """Return the path of a Tool's URL, which comes before that of each operation."""
    return urlsplit(url).path.rstrip("/")


def check_path(path: str, parameters: frozenset[str]) -> None:
    """Check a path of the document.

    Raises:
        OperationError: no request can have it, or it has a part that no path parameter fills.
    """
    if not _PATH.fullmatch(path):
        raise OperationError(f"its path {path[:80]!r} can't stand in a request")
    names = set(_PARAMETER.findall(path))
    if "{" in _PARAMETER.sub("", path) or "}" in _PARAMETER.sub("", path) or not names <= parameters:
        raise OperationError(f"its path {path[:80]!r} has a part in braces that no path parameter fills")
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise OperationError(f"its path {path[:80]!r} leads elsewhere")


def header_is_barred(name: str, auth_header: str) -> bool:
    """Whether a parameter may not be the header ``name``; ``auth_header`` is the Tool's own for its credential."""
    lower = name.lower()
    return (
        not _HEADER_NAME.fullmatch(name)
        or lower in _BARRED
        or lower == auth_header.lower()
        or lower.startswith(_BARRED_BEGINNINGS)
    )


def _in_path(placed: Placed, arguments: JsonObject) -> str:
    text = ",".join(_texts(placed, arguments.get(placed.argument)))
    if not text:
        raise OperationError(f"/{placed.argument}: a part of the path can't be empty")
    seen = text
    for _ in range(_DECODINGS):
        plain = unicodedata.normalize("NFKC", seen)
        if any(c in "/\\" or unicodedata.category(c) == "Cc" for c in plain) or plain in (".", ".."):
            raise OperationError(
                f"/{placed.argument}: a part of the path can't hold /, \\, line ends, or be . or .."
            )
        seen = unquote(seen)
    return quote(text, safe="")


def _in_query(placed: Placed, value: JsonValue) -> list[str]:
    name = quote(placed.name, safe="")
    texts = [quote(text, safe="") for text in _texts(placed, value)]
    if placed.explode:
        return [f"{name}={text}" for text in texts]
    return [f"{name}={','.join(texts)}"] if texts else []


def _in_header(placed: Placed, value: JsonValue) -> str:
    text = ",".join(_texts(placed, value))
    if not _HEADER_VALUE.fullmatch(text) or text != text.strip() or len(text) > MAX_HEADER_VALUE_LENGTH:
        raise OperationError(
            f"/{placed.argument}: a header holds plain ASCII without line ends, at most {MAX_HEADER_VALUE_LENGTH}"
            " characters"
        )
    return text


def _texts(placed: Placed, value: JsonValue) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [_text(placed, item) for item in items]


def _text(placed: Placed, value: JsonValue) -> str:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise OperationError(f"/{placed.argument}: it holds half a character") from None
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return orjson.dumps(value).decode()
        case _:
            raise OperationError(
                f"/{placed.argument}: a parameter is a text, a number, true or false, or a list of those"
            )
