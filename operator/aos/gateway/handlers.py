"""What the app asks of the endpoints that it sends requests on to."""

from typing import Protocol

from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Send


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


class TaskHandler(Protocol):
    """Answers requests at ``/v1/task`` and ``/v1/task/result``."""

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
