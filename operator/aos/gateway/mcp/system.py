"""What stands behind a Tool: where the definitions of its actions come from, and what a call is sent to.

All that a call meets before and after (policy, people, limits, inspection, the audit trail, retries) is the same for each.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from aos.gateway.mcp.definitions import Binding, OfferedAction
from aos.gateway.upstream.outbound import Target
from aos.model.base import JsonObject
from aos.model.task import Task
from aos.model.tool import Tool, ToolType


class ListingError(Exception):
    """A Tool's definitions were found, but can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A call that may be made.

    Attributes:
        tool: whose action it is.
        target: where the Tool is reached, with its credential.
        action: as it is offered.
        arguments: as they are sent: they fit the action's schema, and hold nothing that policy redacts.
        task: for which it is made.
        idempotency_key: by which the system can tell that it was sent before; empty where to send it twice is to do it twice.
    """

    tool: Tool
    target: Target
    action: OfferedAction
    arguments: JsonObject
    task: Task
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What came of a call.

    Attributes:
        result: as MCP's ``tools/call`` has it.
        undone: whether it certainly changed nothing, so that an identical one is to be sent and not answered with this.
        in_doubt: whether a try before this one may have been done: then an error here says nothing of that.
    """

    result: JsonObject
    undone: bool = False
    in_doubt: bool = False


class System(Protocol):
    """What stands behind Tools of one type."""

    def state(self, tool: Tool) -> Hashable:
        """Return what the definitions depend on besides the place where they are read; where it changes, they are read anew."""

    async def definitions(self, tool: Tool, target: Target) -> list[JsonValue]:
        """Return the definitions of the Tool's actions, each as an entry of MCP's ``tools/list``.

        Raises:
            UpstreamError: they could not be had.
            ListingError: they can't be used.
        """

    def bind(self, tool: Tool, definition: JsonValue) -> Binding | None:
        """Return how calls of a defined action are made; None where its definition says all of it.

        Raises:
            DefinitionError: they can't be made.
        """

    async def call(self, call: SystemCall) -> SystemResult:
        """Make a call.

        Raises:
            UpstreamError: there is none that is usable.
        """

    def forget(self, tool_uid: str) -> None:
        """Let go of what is kept of a Tool that changed or is gone."""


Systems = Mapping[ToolType, System]
"""What stands behind Tools of each type."""
