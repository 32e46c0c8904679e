"""Operations of an OpenAPI document as definitions of MCP tools: what an agent is shown, and how its calls are made. No I/O.

Path, query and header parameters are arguments under their own names, and a JSON body is the argument ``body``.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from pydantic import JsonValue

from aos.gateway.openapi.document import Document, DocumentError
from aos.gateway.openapi.operation import (
    BODY,
    METHODS,
    Operation,
    OperationError,
    Placed,
    Where,
    check_path,
    header_is_barred,
)
from aos.gateway.openapi.schema import SchemaReader
from aos.model.base import JsonObject

OPERATION: Final = "operation"
PROBLEM: Final = "problem"
"""Members of a definition besides MCP's: how its calls are made, or why none can be."""

MAX_PARAMETERS: Final = 200
MAX_ARGUMENT_LENGTH: Final = 64

_ALL_METHODS: Final = (*METHODS, "options", "head", "trace")
_NO_BODY: Final = ("get",)
_STYLES: Final = {"path": "simple", "query": "form", "header": "simple"}
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_JSON_TYPE: Final = re.compile(r"application/([a-z0-9.-]+\+)?json")
_ORDER: Final = {where: number for number, where in enumerate(Where)}


def definitions(document: Document, names: Collection[str], auth_header: str = "") -> list[JsonValue]:
    """Return the definitions of the operations whose operationId is among ``names``, in the document's order.

    One that can't be offered has its name and `PROBLEM` alone.

    Args:
        document: that describes the system.
        names: of the operations.
        auth_header: header of the Tool's credential, if it has one of its own.

    Raises:
        DocumentError: the document has no paths.
    """
    found: list[JsonValue] = []
    for path, item, method, operation in _operations(document):
        name = operation.get("operationId")
        if not isinstance(name, str) or name not in names:
            continue
        try:
            made = _Reading(document, path, item, method, operation, auth_header).definition(name)
        except (DocumentError, OperationError) as error:
            made = {"name": name, PROBLEM: str(error)}
        found.append(made)
    return found


def _operations(document: Document) -> Iterator[tuple[str, JsonObject, str, JsonObject]]:
    paths = document.root.get("paths")
    if not isinstance(paths, dict):
        raise DocumentError("the document has no paths")
    for path, item in paths.items():
        try:
            there = document.follow(item)
        except DocumentError:
            # Its operations stand elsewhere, so that nothing is known of them, not even their names.
            continue
        if not isinstance(there, dict):
            continue
        for method in _ALL_METHODS:
            operation = there.get(method)
            if isinstance(operation, dict):
                yield path, there, method, operation


class _Reading:
    """Reads one operation."""

    def __init__(
        self,
        document: Document,
        path: str,
        item: JsonObject,
        method: str,
        operation: JsonObject,
        auth_header: str,
    ) -> None:
        self._document = document
        self._path = path
        self._item = item
        self._method = method
        self._operation = operation
        self._auth_header = auth_header
        self._schemas = SchemaReader(document)
        self._credentials = _credentials(document)
        self._placed: list[Placed] = []
        self._properties: JsonObject = {}
        self._required: list[JsonValue] = []
        self._left_out: list[str] = []

    def definition(self, name: str) -> JsonObject:
        if self._method not in METHODS:
            raise OperationError(f"requests with {self._method.upper()} are not made")
        body_type = self._read_body()
        for parameter in self._parameters():
            self._read_parameter(parameter)
        check_path(self._path, frozenset(p.name for p in self._placed if p.where is Where.PATH))
        schema: JsonObject = {
            "type": "object",
            "properties": self._properties,
            "required": self._required,
            "additionalProperties": False,
        }
        referred = self._schemas.definitions()
        if referred:
            schema["$defs"] = referred
        operation = Operation(self._method, self._path, tuple(self._placed), body_type)
        return {
            "name": name,
            "description": self._description(),
            "inputSchema": schema,
            OPERATION: operation.content,
        }

    def _description(self) -> str:
        said = [self._operation.get("summary"), self._operation.get("description")]
        parts = [text.strip() for text in said if isinstance(text, str) and text.strip()]
        parts.append(f"{self._method.upper()} {self._path}")
        if self._left_out:
            parts.append("Not available here: " + "; ".join(self._left_out))
        return "\n\n".join(parts)

    def _parameters(self) -> list[JsonObject]:
        """Return the operation's parameters, those of its path among them, in the order in which they get their names."""
        known: dict[tuple[str, str], JsonObject] = {}
        for owner in (self._item, self._operation):
            listed = owner.get("parameters")
            for item in listed if isinstance(listed, list) else []:
                parameter = self._document.follow(item)
                name = parameter.get("name") if isinstance(parameter, dict) else None
                where = parameter.get("in") if isinstance(parameter, dict) else None
                if not isinstance(parameter, dict) or not isinstance(name, str) or not isinstance(where, str):
                    raise DocumentError("a parameter has no name or no place")
                known[name, where] = parameter
        if len(known) > MAX_PARAMETERS:
            raise DocumentError(f"it has more than {MAX_PARAMETERS} parameters")
        return sorted(
            known.values(), key=lambda item: _ORDER.get(Where(item["in"]), 9) if item["in"] in _STYLES else 9
        )

    def _read_parameter(self, parameter: JsonObject) -> None:
        name, place = str(parameter["name"]), str(parameter["in"])
        required = parameter.get("required") is True or place == Where.PATH
        schema = parameter.get("schema", True)
        why = self._why_not(name, place, parameter, schema)
        if why:
            if required:
                raise OperationError(f"its {place} parameter {name[:80]!r} is required, and {why}")
            self._left_out.append(f"{place} parameter {name} ({why})")
            return
        where = Where(place)
        argument = self._argument(name, where)
        explode = parameter.get("explode", place == Where.QUERY) is True
        self._placed.append(Placed(argument, name, where, explode=explode and where is Where.QUERY))
        said = [parameter.get("description")]
        if argument != name:
            said.append(f"Sent as {name} in the {place}.")
        self._properties[argument] = _described(self._schemas.read(schema), said)
        if required:
            self._required.append(argument)

    def _why_not(self, name: str, place: str, parameter: JsonObject, schema: JsonValue) -> str:
        """Return why a parameter can't be sent; empty if it can."""
        if place not in _STYLES:
            return "only path, query and header parameters are sent"
        if "content" in parameter:
            return "parameters with content of their own are not sent"
        if parameter.get("style", _STYLES[place]) != _STYLES[place]:
            return f"only the style {_STYLES[place]} is known there"
        not_an_agents = self._why_not_an_agents(name, place)
        if not_an_agents:
            return not_an_agents
        found = self._document.follow(schema)
        if isinstance(found, dict) and (found.get("type") == "object" or "properties" in found):
            return "objects are not sent as parameters"
        return ""

    def _why_not_an_agents(self, name: str, place: str) -> str:
        if (place, name.lower()) in self._credentials:
            return "it is a credential, which is not an agent's to give"
        is_barred = place == Where.HEADER and header_is_barred(name, self._auth_header)
        return "that header is not an agent's to set" if is_barred else ""

    def _argument(self, name: str, where: Where) -> str:
        """Return the argument's name: the parameter's own, fit for a model's client, and told from others by its place."""
        plain = _NOT_IN_A_NAME.sub("_", name).strip("_")[:MAX_ARGUMENT_LENGTH] or where.value
        for candidate in (plain, f"{where.value}_{plain}"[:MAX_ARGUMENT_LENGTH]):
            if candidate not in self._properties:
                return candidate
        raise OperationError(f"two of its parameters would both be called {plain!r}")

    def _read_body(self) -> str:
        """Take up the body as an argument; return its media type, empty where there is none."""
        stated = self._operation.get("requestBody")
        if stated is None:
            return ""
        body = self._document.follow(stated)
        content = body.get("content") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(content, dict) or not content:
            raise DocumentError("its requestBody has no content")
        if self._method in _NO_BODY:
            raise OperationError(f"it asks for a body, which no {self._method.upper()} is sent with")
        kinds = {kind.partition(";")[0].strip().lower(): item for kind, item in content.items()}
        fitting = sorted(
            (k for k in kinds if _JSON_TYPE.fullmatch(k)), key=lambda k: (k != "application/json", k)
        )
        if not fitting:
            raise OperationError(f"its body is {', '.join(sorted(kinds))[:200]}; only JSON bodies are sent")
        media = kinds[fitting[0]]
        schema = media.get("schema", True) if isinstance(media, dict) else True
        self._properties[BODY] = _described(self._schemas.read(schema), [body.get("description")])
        if body.get("required") is True:
            self._required.append(BODY)
        return fitting[0]


def _credentials(document: Document) -> frozenset[tuple[str, str]]:
    """Return place and name, in lower case, of what the document itself calls a key."""
    components = document.root.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else None
    found = set()
    for scheme in schemes.values() if isinstance(schemes, dict) else ():
        there = document.follow(scheme)
        if isinstance(there, dict) and there.get("type") == "apiKey":
            found.add((str(there.get("in")), str(there.get("name")).lower()))
    return frozenset(found)


def _described(schema: JsonValue, said: list[JsonValue]) -> JsonValue:
    """Return ``schema`` with what is said of the argument before what it says of itself."""
    if schema is False:
        return schema
    made: JsonObject = dict(schema) if isinstance(schema, dict) else {}
    texts = [
        text.strip() for text in (*said, made.get("description")) if isinstance(text, str) and text.strip()
    ]
    if texts:
        made["description"] = " ".join(dict.fromkeys(texts))
    return made
