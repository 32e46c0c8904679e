"""Text in HTTP headers as MCP writes it, and the arguments that a tool wants mirrored into headers.

A tool's input schema may mark properties with ``x-mcp-header``; their values then travel as ``Mcp-Param-*`` too
(2026-07-28, basic/transports, custom headers). No I/O.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from aos.gateway.mcp.protocol import HEADER_PARAM_PREFIX

_MARK: Final = "x-mcp-header"
_WRAPPED: Final = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,32}(\.0{1,16})?")
_TYPES: Final = frozenset({"string", "integer", "boolean"})

_ONE: Final = (
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("$defs", "definitions", "dependentSchemas", "patternProperties")


class ParamHeaderError(ValueError):
    """Marks in a schema are invalid, or headers and arguments do not agree; the message says where."""


@dataclass(frozen=True, slots=True)
class ParamHeader:
    """One property that is mirrored into a header.

    Attributes:
        path: keys from the arguments to the value.
        header: the header's whole name.
        is_integer: whether the property is declared an integer, for which 42 and 42.0 are equal.
    """

    path: tuple[str, ...]
    header: str
    is_integer: bool

    @property
    def key(self) -> bytes:
        """The header's name as a server sees it."""
        return self.header.lower().encode()


def encode_value(value: str) -> str:
    """Return ``value`` as a header can carry it: as it is, or wrapped in base64."""
    if _PLAIN.fullmatch(value) and not _WRAPPED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decode_value(value: bytes) -> str | None:
    """Return what `encode_value` made ``value`` from; None if nothing can have made it."""
    try:
        text = value.decode("ascii")
        wrapped = _WRAPPED.fullmatch(text)
        if wrapped is None:
            return text
        content = base64.b64decode(wrapped[1], validate=True)
        # Another spelling of the same content would let two readers see two values.
        return content.decode() if base64.b64encode(content).decode() == wrapped[1] else None
    except (UnicodeDecodeError, binascii.Error):
        return None


def param_headers(schema: Mapping[str, JsonValue]) -> tuple[ParamHeader, ...]:
    """Return the properties of ``schema`` that are marked.

    Raises:
        ParamHeaderError: a mark stands where the protocol allows none, or two are for one header.
    """
    found: dict[str, ParamHeader] = {}
    for path, node in _positions(schema):
        if _MARK not in node:
            continue
        marked = _marked(path, node)
        name = marked.header.lower()
        if name in found:
            raise ParamHeaderError(f"{_MARK} {marked.header.removeprefix(HEADER_PARAM_PREFIX)} is used twice")
        found[name] = marked
    return tuple(found[name] for name in sorted(found))


def headers_for(marked: tuple[ParamHeader, ...], arguments: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the headers in which a call with ``arguments`` mirrors them."""
    headers: dict[str, str] = {}
    for item in marked:
        text = _text(item, _value(arguments, item.path))
        if text is not None:
            headers[item.header] = encode_value(text)
    return headers


def check_param_headers(
    marked: tuple[ParamHeader, ...],
    arguments: Mapping[str, JsonValue],
    headers: Mapping[bytes, bytes],
    *,
    required: bool,
) -> None:
    """Check that mirrored headers say what the arguments say.

    Args:
        marked: the properties that are mirrored.
        arguments: of the call.
        headers: of the request, by name in lower case.
        required: whether a header may be left out although its argument is there.

    Raises:
        ParamHeaderError: a header has no such argument, differs from it, or is missing.
    """
    known: set[bytes] = set()
    for item in marked:
        known.add(item.key)
        sent = headers.get(item.key)
        value = _value(arguments, item.path)
        text = _text(item, value)
        if sent is None:
            if required and text is not None:
                raise ParamHeaderError(f"the header {item.header} is missing")
        elif text is None or not _agrees(item, value, text, decode_value(sent)):
            raise ParamHeaderError(f"the header {item.header} and the argument differ")
    prefix = HEADER_PARAM_PREFIX.lower().encode()
    for name in headers:
        if name.startswith(prefix) and name not in known:
            raise ParamHeaderError(f"the header {name.decode('latin-1')} mirrors no argument of this action")


def _marked(path: tuple[str, ...] | None, node: Mapping[str, JsonValue]) -> ParamHeader:
    if not path:
        raise ParamHeaderError(f"{_MARK} stands where it can't be read: only on properties of properties")
    where = "/".join(path)
    token = node[_MARK]
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ParamHeaderError(f"{where}: {_MARK} is no name of a header")
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ParamHeaderError(f"{where}: {_MARK} needs the type string, integer or boolean")
    return ParamHeader(path=path, header=HEADER_PARAM_PREFIX + token, is_integer=kind == "integer")


def _positions(
    schema: Mapping[str, JsonValue],
) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, JsonValue]]]:
    """Yield each schema within ``schema`` and its path of properties; None where more than properties leads there."""
    waiting: list[tuple[tuple[str, ...] | None, JsonValue]] = [((), dict(schema))]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        yield path, node
        properties = node.get("properties")
        if isinstance(properties, dict):
            for name, child in properties.items():
                waiting.append((None if path is None else (*path, name), child))
        waiting.extend((None, node[key]) for key in _ONE if key in node)
        for key in _LISTS:
            children = node.get(key)
            if isinstance(children, list):
                waiting.extend((None, child) for child in children)
        for key in _MAPS:
            named = node.get(key)
            if isinstance(named, dict):
                waiting.extend((None, child) for child in named.values())


def _value(arguments: Mapping[str, JsonValue], path: tuple[str, ...]) -> JsonValue:
    node: JsonValue = dict(arguments) if len(path) > 1 else arguments.get(path[0])
    if len(path) == 1:
        return node
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _text(item: ParamHeader, value: JsonValue) -> str | None:
    match value:
        case float() if item.is_integer and value.is_integer():
            # Python writes large ones as 1e+16, which is no integer to who reads the header.
            return str(int(value))
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            return None


def _agrees(item: ParamHeader, value: JsonValue, text: str, sent: str | None) -> bool:
    if sent is None:
        return False
    if item.is_integer and isinstance(value, int | float) and not isinstance(value, bool):
        return bool(_DECIMAL.fullmatch(sent)) and value == int(sent.partition(".")[0])
    return sent == text
