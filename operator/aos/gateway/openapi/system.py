"""REST systems as what stands behind Tools: their document is read, and calls become requests at the Tool's own URL."""

import asyncio
import hashlib
from collections.abc import Hashable, Mapping
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import JsonValue

from aos.gateway.mcp.definitions import Binding, DefinitionError
from aos.gateway.mcp.system import ListingError, SystemCall, SystemResult
from aos.gateway.openapi import answer
from aos.gateway.openapi.defining import OPERATION, PROBLEM, definitions
from aos.gateway.openapi.document import MAX_DOCUMENT_BYTES, DocumentError, read_document
from aos.gateway.openapi.operation import Operation, OperationError, base_path
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream import outbound
from aos.gateway.upstream.http_client import HttpClient, Response, Waits
from aos.gateway.upstream.outbound import Target
from aos.gateway.upstream.statuses import is_undone
from aos.gateway.upstream.upstream_error import UpstreamError, invalid
from aos.model.names import LABEL_OPENAPI
from aos.model.tool import Access, OpenApiSource, Tool

_ACCEPT = {"Accept": "application/json, application/yaml;q=0.9, */*;q=0.1"}


class ConfigMaps(Protocol):
    """Where documents stand that are kept in the cluster."""

    def openapi_documents(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the texts of a ConfigMap that may hold OpenAPI documents; None if there is no such one."""


class OpenApiSystem:
    """`aos.gateway.mcp.system.System` of Tools of type OpenAPI."""

    def __init__(self, http: HttpClient, config_maps: ConfigMaps, settings: GatewaySettings) -> None:
        self._http = http
        self._config_maps = config_maps
        self._waits = Waits(settings.upstream_timeout_seconds)
        self._max_response_bytes = settings.max_response_bytes
        # By Tool: reading a large document takes longer than fetching it, and it is seldom another one.
        self._kept: dict[str, tuple[tuple[bytes, int], list[JsonValue]]] = {}

    def state(self, tool: Tool) -> Hashable:
        """Return the Tool's generation, since only declared actions are looked for, and its document in a ConfigMap."""
        return tool.metadata.generation, self._in_config_map(tool)

    async def definitions(self, tool: Tool, target: Target) -> list[JsonValue]:
        """Return the definitions of the operations that the Tool declares.

        Raises:
            UpstreamError: the system did not give its document.
            ListingError: there is no document, or it can't be used.
        """
        source = _source(tool)
        if source.path is not None:
            content = await self._fetched(target, source.path)
        else:
            text = self._in_config_map(tool)
            if text is None:
                raise ListingError(_missing(source))
            content = text.encode()
        made_from = (hashlib.sha256(content).digest(), tool.metadata.generation)
        kept = self._kept.get(tool.metadata.uid)
        if kept is not None and kept[0] == made_from:
            return kept[1]
        try:
            made = await asyncio.to_thread(_defined, content, tool)
        except DocumentError as error:
            raise ListingError(str(error)) from None
        self._kept[tool.metadata.uid] = made_from, made
        return made

    def bind(self, tool: Tool, definition: JsonValue) -> Binding | None:  # noqa: ARG002 - the definition says all
        """Return the operation of a definition.

        Raises:
            DefinitionError: no request can be made of it.
        """
        operation = definition.get(OPERATION) if isinstance(definition, dict) else None
        if not isinstance(operation, dict):
            problem = definition.get(PROBLEM) if isinstance(definition, dict) else None
            raise DefinitionError(str(problem or "the document does not say how it is called"))
        return Operation.of(operation)

    async def call(self, call: SystemCall) -> SystemResult:
        """Make a call.

        Raises:
            UpstreamError: it was not made, or has no usable answer.
        """
        operation, target = call.action.binding, call.target
        if not isinstance(operation, Operation):
            raise invalid("how it is called is not known", maybe_done=False)
        try:
            request = operation.request(call.arguments)
        except OperationError as error:
            # What policy redacts may leave something that can't be sent.
            raise UpstreamError(RefusalCode.ARGUMENTS_INVALID, str(error), maybe_done=False) from None
        response = await self._http.request(
            request.method,
            target.url,
            {**outbound.with_key(request.headers, call.idempotency_key), **target.authorization()},
            request.body,
            self._waits,
            base_path(target.url) + request.path,
        )
        try:
            return await self._result(response, writes=call.action.declared.access is Access.WRITE)
        finally:
            response.release()

    def forget(self, tool_uid: str) -> None:
        """Let go of its definitions."""
        self._kept.pop(tool_uid, None)

    async def _result(self, response: Response, *, writes: bool) -> SystemResult:
        status = response.status
        answer.check_status(status)
        outbound.check_encoding(response)
        most = answer.MAX_ERROR_BYTES if answer.is_error(status) else self._max_response_bytes
        content = await outbound.read_all(response, most)
        result = answer.result_of(status, outbound.media_type(response), content, writes=writes)
        return SystemResult(result, undone=is_undone(status))

    async def _fetched(self, target: Target, path: str) -> bytes:
        headers = {**_ACCEPT, **target.authorization()}
        response = await self._http.request("GET", target.url, headers, b"", self._waits, path)
        try:
            outbound.check_encoding(response)
            if response.status != HTTPStatus.OK:
                answer.check_status(response.status)
                raise invalid(
                    f"it answered with the HTTP status {response.status} where its document should be",
                    status=response.status,
                )
            return await outbound.read_all(response, MAX_DOCUMENT_BYTES)
        finally:
            response.release()

    def _in_config_map(self, tool: Tool) -> str | None:
        reference = _source(tool).config_map_key_ref
        if reference is None:
            return None
        texts = self._config_maps.openapi_documents(tool.metadata.namespace, reference.name)
        return None if texts is None else texts.get(reference.key)


def _source(tool: Tool) -> OpenApiSource:
    # The kind's own rules ask for it with this type.
    return tool.spec.openapi or OpenApiSource(path=urlsplit(tool.spec.url).path or "/")


def _missing(source: OpenApiSource) -> str:
    reference = source.config_map_key_ref
    where = f"ConfigMap {reference.name}, key {reference.key}" if reference is not None else "the document"
    return f'{where}: there is none with the label {LABEL_OPENAPI}: "true"'


def _defined(content: bytes, tool: Tool) -> list[JsonValue]:
    auth = tool.spec.auth
    names = frozenset(action.name for action in tool.spec.actions)
    return definitions(read_document(content), names, (auth.header or "") if auth is not None else "")
