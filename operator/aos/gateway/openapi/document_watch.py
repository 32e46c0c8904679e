"""OpenAPI documents that stand in labelled ConfigMaps, kept in step by a watch."""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from aos.gateway.table import Change, Table
from aos.kube.client import Selection
from aos.kube.informer import Informer, Source
from aos.kube.objects import child
from aos.kube.resources import CONFIG_MAPS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import LABEL_OPENAPI
from aos.model.tool import Tool

LABELLED: Final = Selection(label_selector=f"{LABEL_OPENAPI}=true")
"""No other ConfigMap is asked for: one becomes what a Tool is by its owner's will alone."""


class Tools(Protocol):
    """What is asked of the registry."""

    def tools(self) -> Collection[Tool]:
        """Return all Tools."""


class DocumentWatch:
    """The labelled ConfigMaps. Make it, and run it, within a running event loop."""

    def __init__(self, client: Source, tools: Tools) -> None:
        self._tools = tools
        self._listeners: list[Callable[[ObjectKey], None]] = []
        self._texts: Table[Mapping[str, str]] = Table(self._changed)
        self._informer = Informer(client, CONFIG_MAPS, texts_of, selection=LABELLED)
        self._informer.add_handler(self._texts)

    async def run(self) -> None:
        """Follow them until cancelled."""
        await self._informer.run()

    def openapi_documents(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the texts of a ConfigMap that may hold OpenAPI documents; None if there is no such one."""
        return self._texts.get(namespace, name)

    def on_change(self, listener: Callable[[ObjectKey], None]) -> None:
        """Call ``listener`` with the key of each Tool whose document may be another."""
        self._listeners.append(listener)

    def _changed(self, change: Change[Mapping[str, str]]) -> None:
        if change.old == change.new:
            return
        for tool in self._tools.tools():
            if tool.metadata.namespace == change.key.namespace and _refers_to(tool, change.key.name):
                for listener in self._listeners:
                    listener(tool.key)


def texts_of(raw: JsonObject) -> Mapping[str, str]:
    """Return the texts of a ConfigMap as the API server sends it."""
    return {name: text for name, text in child(raw, "data").items() if isinstance(text, str)}


def _refers_to(tool: Tool, config_map: str) -> bool:
    reference = tool.spec.openapi.config_map_key_ref if tool.spec.openapi is not None else None
    return reference is not None and reference.name == config_map
