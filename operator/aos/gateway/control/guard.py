"""Keeps calls from Tools that fail: one circuit for each Tool, and one for each agent at each Tool. No I/O."""

import time
from collections.abc import Callable
from typing import Final

from aos.gateway.caller import Caller
from aos.gateway.control.circuit import Circuits
from aos.gateway.control.retries import is_passing
from aos.gateway.refusal import RefusalCode, Refused
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.tool import Tool
from aos.policy.decision import Effect

_FAILURES: Final = frozenset(
    {RefusalCode.UPSTREAM_UNREACHABLE, RefusalCode.UPSTREAM_TIMEOUT, RefusalCode.UPSTREAM_INVALID}
)

_Pair = tuple[str, str, str]
_Keys = tuple[str, _Pair]


class ToolGuard:
    """The circuits of all Tools.

    A Tool's own circuit counts calls that did not reach it; of those that may have, or were not answered in time, in a row by
    one agent, it counts one.
    An agent's circuit at that Tool counts whatever failed, errors that the Tool answered included: arguments that break a
    Tool stop the agent that sends them, and nobody else.
    """

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._tools = Circuits(settings, clock)
        self._pairs = Circuits(settings, clock)
        self._last_failed: dict[str, _Pair] = {}

    @property
    def open(self) -> int:
        """How many circuits are open now."""
        return self._tools.open + self._pairs.open

    def barred(self, caller: Caller, tool: Tool) -> Refused | None:
        """Return the refusal of a call that must stay away; None for one that may go.

        Of one that may go, `answered`, `failed` or `left` must be told.
        """
        tool_key, pair_key = _keys(caller, tool)
        wait = self._tools.wait_seconds(tool_key)
        if wait:
            return _open(f"Tool {tool.metadata.name} fails", wait)
        wait = self._pairs.wait_seconds(pair_key)
        if wait:
            self._tools.left(tool_key)
            return _open(f"calls of agent {caller.agent} to Tool {tool.metadata.name} fail", wait)
        return None

    def answered(self, caller: Caller, tool: Tool, took_seconds: float, *, with_error: bool) -> None:
        """Note that the Tool answered, after so long."""
        tool_key, pair_key = _keys(caller, tool)
        self._tools.worked(tool_key)
        self._last_failed.pop(tool_key, None)
        if with_error:
            self._pairs.failed(pair_key, took_seconds)
        else:
            self._pairs.worked(pair_key)

    def failed(self, caller: Caller, tool: Tool, error: UpstreamError, took_seconds: float) -> None:
        """Note that there was no usable answer, and that this took so long."""
        tool_key, pair_key = _keys(caller, tool)
        if error.code not in _FAILURES:
            self.left(caller, tool)
            return
        self._pairs.failed(pair_key, took_seconds)
        if self._counts(tool_key, pair_key, error):
            self._tools.failed(tool_key, took_seconds)
        else:
            self._tools.failed_again(tool_key, took_seconds)

    def _counts(self, tool_key: str, pair_key: _Pair, error: UpstreamError) -> bool:
        """Whether the failure is the Tool's: a worker that one agent's arguments kill, or keep busy, looks like one that is not there."""
        if error.status == 0 and not error.maybe_done:
            return True
        if not is_passing(error) and error.code is not RefusalCode.UPSTREAM_TIMEOUT:
            return False
        last, self._last_failed[tool_key] = self._last_failed.get(tool_key), pair_key
        return last != pair_key

    def left(self, caller: Caller, tool: Tool) -> None:
        """Note that the call was not made, or that nobody waited for what became of it."""
        tool_key, pair_key = _keys(caller, tool)
        self._tools.left(tool_key)
        self._pairs.left(pair_key)

    def sweep(self) -> None:
        """Forget what is too long ago to count."""
        self._tools.sweep()
        self._last_failed = {key: pair for key, pair in self._last_failed.items() if self._tools.knows(key)}
        self._pairs.sweep()


def _keys(caller: Caller, tool: Tool) -> _Keys:
    uid = tool.metadata.uid
    return uid, (caller.namespace, caller.agent, uid)


def _open(what: str, wait_seconds: float) -> Refused:
    return Refused(
        Effect.DENY,
        RefusalCode.CIRCUIT_OPEN,
        f"{what} again and again, so no call is made for a while; work without it, or try later",
        retry_after_seconds=wait_seconds,
        note=f"{what} again and again; no call is made for a while",
    )
