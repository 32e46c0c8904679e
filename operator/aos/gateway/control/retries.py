"""When a call may be sent once more: seldom, and never one that might do something twice. No I/O."""

from collections.abc import Hashable
from http import HTTPStatus
from typing import Final

from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.kube.backoff import Backoff
from aos.model.tool import Access, ToolAction

MAX_SAVED: Final = 10.0
"""Retries of one Tool that quiet times save up at most."""
MAX_TOOLS: Final = 10_000

BACKOFF: Final = Backoff(initial_seconds=0.05, cap_seconds=1, jitter=1)
"""Waits before retries; chance takes off any part of them, so that what failed together does not return together."""

_PASSING: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


def may_repeat(action: ToolAction, error: UpstreamError) -> bool:
    """Whether sending the call again can help, and can do no harm.

    A timeout is not tried again: the caller has waited for long, and a tool that is too slow is not helped by more work.
    """
    harmless = action.access is Access.READ or action.idempotent is True or not error.maybe_done
    return harmless and is_passing(error)


def is_passing(error: UpstreamError) -> bool:
    """Whether the tool was not there, which may pass, and not one that can't do what it is asked for."""
    if error.status:
        return error.status in _PASSING
    return error.code is RefusalCode.UPSTREAM_UNREACHABLE


class RetryBudget:
    """How many retries each Tool has: a part of its calls, so that retries never become the load."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._part = settings.max_retry_percent / 100
        self._saved: dict[Hashable, float] = {}

    def called(self, tool: Hashable) -> None:
        """Note one call: it earns its part of a retry."""
        if tool not in self._saved and len(self._saved) >= MAX_TOOLS:
            self._saved.clear()
        self._saved[tool] = min(self._saved.get(tool, 0.0) + self._part, MAX_SAVED)

    def take(self, tool: Hashable) -> bool:
        """Take one retry, if there is one."""
        left = self._saved.get(tool, 0.0)
        if left < 1:
            return False
        self._saved[tool] = left - 1
        return True
