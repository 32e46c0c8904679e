"""An OpenAPI document: bounded before anything is looked for in it, and referred to only from within. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import unquote

from pydantic import JsonValue

from aos.gateway.openapi.yaml_reading import YamlError, read_yaml
from aos.model.base import JsonObject

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
MAX_YAML_BYTES: Final = 1024 * 1024
"""Reading YAML costs about ten times what reading JSON does."""
MAX_DEPTH: Final = 64
MAX_PARTS: Final = 500_000
"""Objects, lists and values, those that YAML repeats by alias counted as often as they stand there."""
MAX_HOPS: Final = 16
"""References to references that are followed."""
VERSIONS: Final = ("3.0.", "3.1.")


class DocumentError(ValueError):
    """A document that can't be used, or a part of it; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    Attributes:
        root: all of it.
        is_older: whether it is of OpenAPI 3.0, whose schemas are not quite JSON Schema.
    """

    root: JsonObject
    is_older: bool

    def follow(self, value: JsonValue) -> JsonValue:
        """Return ``value``, or what it refers to.

        Raises:
            DocumentError: it refers to nothing, to another document, or in a circle.
        """
        for _ in range(MAX_HOPS):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not isinstance(reference, str):
                return value
            value = self.at(reference)
        raise DocumentError(f"references lead to references more than {MAX_HOPS} times")

    def at(self, reference: str) -> JsonValue:
        """Return what stands at a reference.

        Raises:
            DocumentError: nothing does, or it leads out of the document.
        """
        if not reference.startswith("#/"):
            raise DocumentError(f"$ref {reference[:80]!r} leads out of the document; only #/... is followed")
        found: JsonValue = self.root
        for part in reference[2:].split("/"):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and len(name) < 8 and int(name) < len(found):  # noqa: PLR2004
                found = found[int(name)]
            else:
                raise DocumentError(f"$ref {reference[:80]!r} leads nowhere")
        return found


def read_document(content: bytes) -> Document:
    """Return the document that ``content`` is, in JSON or YAML.

    Raises:
        DocumentError: it is none, is of another version, or beyond a bound.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"the document has more than {MAX_DOCUMENT_BYTES} bytes")
    root = _read(content)
    if not isinstance(root, dict):
        raise DocumentError("the document is not an object")
    _check_size(root)
    version = root.get("openapi")
    if not isinstance(version, str) or not version.startswith(VERSIONS):
        said = f"openapi: {version!r}" if "openapi" in root else "no field openapi"
        raise DocumentError(f"the document has {said[:80]}; known here are 3.0 and 3.1")
    return Document(root, is_older=version.startswith("3.0."))


def _read(content: bytes) -> JsonValue:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentError("the document is not UTF-8") from None
    try:
        if text.lstrip()[:1] == "{":
            value: JsonValue = _DECODER.decode(text)
            return value
        if len(content) > MAX_YAML_BYTES:
            raise DocumentError(f"the document has more than {MAX_YAML_BYTES} bytes of YAML; give it as JSON")
        return read_yaml(text, MAX_DEPTH)
    except YamlError as error:
        raise DocumentError(
            f"the document is {error}" if str(error).startswith("not") else str(error)
        ) from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"the document is not JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError("the document is not JSON") from None


def _check_size(root: Mapping[str, JsonValue]) -> None:
    parts = 0
    level: list[JsonValue] = [dict(root)]
    for _ in range(MAX_DEPTH):
        parts += len(level)
        if parts > MAX_PARTS:
            raise DocumentError(f"the document has more than {MAX_PARTS} parts")
        inner: list[JsonValue] = []
        for item in level:
            inner += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            if parts + len(inner) > MAX_PARTS:
                raise DocumentError(f"the document has more than {MAX_PARTS} parts")
        if not inner:
            return
        level = inner
    raise DocumentError(f"the document is nested more than {MAX_DEPTH} deep")


def _unique_names(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise DocumentError("an object of the document has the same name twice")
    return names


def _refuse_constant(name: str) -> NoReturn:
    raise DocumentError(f"the document holds {name}, which is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
