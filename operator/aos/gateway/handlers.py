"""What the app asks of the endpoints that it sends requests on to."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Send
from aos.gateway.identity import Unassigned


class McpHandler(Protocol):
    """Answers requests at ``/mcp`` (every tool) and ``/mcp/{tool}``."""

    async def handle(self, request: HttpRequest, caller: Caller, send: Send, tool: str | None) -> None:
        """Answer one request of any method; ``tool`` is None at ``/mcp``.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """


class ModelHandler(Protocol):
    """Answers requests at ``/v1/chat/completions``, ``/v1/models`` and below ``/v1/models/``."""

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request of any method.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """


class MemoryHandler(Protocol):
    """Answers requests at ``/v1/memory/{tool}``."""

    async def handle(self, request: HttpRequest, caller: Caller, send: Send, tool: str) -> None:
        """Answer one request of any method.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """


class TaskHandler(Protocol):
    """Answers requests at ``/v1/task`` and ``/v1/task/result``."""

    async def until_assigned(
        self, request: HttpRequest, unassigned: Unassigned, authenticate: Callable[[], Awaitable[Caller]]
    ) -> Caller | None:
        """Return the caller once a Task names its pod; None if none did in time.

        Raises:
            Refusal: it may not wait, or not call any more.
            ClientDisconnected: the client went away.
        """

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request of any method.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """


class AgentHandler(Protocol):
    """Answers requests below ``/a2a/``: agent cards, and work that is handed to other agents."""

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request of any method.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """
