import itertools

import pytest

from aos.gateway.control.guard import ToolGuard
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError, invalid
from tests.unit.gateway_control.make import caller, effective, tool
from tests.unit.gateway_control.test_circuit import Clock
from tests.unit.gateway_mcp.make import SETTINGS

SAID = SETTINGS.model_copy(update={"circuit_failures": 2})
ONE, OTHER = caller(effective(agent="one")), caller(effective(agent="other"))
TOOL = tool()
AWAY = UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "no connection", maybe_done=False)
SLOW = UpstreamError(RefusalCode.UPSTREAM_TIMEOUT, "slow", maybe_done=True)


def test_a_tool_that_is_not_there_is_left_alone_by_everybody() -> None:
    guard = ToolGuard(SAID)
    for _ in range(2):
        guard.failed(ONE, TOOL, AWAY, 0)
    refused = guard.barred(OTHER, TOOL)
    assert refused is not None
    assert (refused.reason, refused.effect) == (RefusalCode.CIRCUIT_OPEN, "Deny")
    assert refused.retry_after_seconds == pytest.approx(15, abs=1)
    assert "Tool crm fails" in refused.note


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "500", maybe_done=True, status=500),
        invalid("it answered with a JSON-RPC error", maybe_done=False, status=200),
    ],
)
def test_arguments_that_break_a_tool_stop_only_who_sends_them(error: UpstreamError) -> None:
    guard = ToolGuard(SAID)
    for _ in range(2):
        guard.failed(ONE, TOOL, error, 0)
    refused = guard.barred(ONE, TOOL)
    assert refused is not None
    assert "agent one" in refused.message
    assert guard.barred(OTHER, TOOL) is None
    assert guard.open == 1


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "503", maybe_done=True, status=503),
        UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "connection lost", maybe_done=True),
        SLOW,
        UpstreamError(RefusalCode.UPSTREAM_TIMEOUT, "half an answer", maybe_done=True, status=200),
    ],
)
def test_one_agent_that_kills_a_tools_workers_or_keeps_them_busy_does_not_keep_others_from_it(
    error: UpstreamError,
) -> None:
    guard = ToolGuard(SAID)
    for _ in range(9):
        guard.failed(ONE, TOOL, error, 0)
    assert guard.barred(ONE, TOOL) is not None
    assert guard.barred(OTHER, TOOL) is None
    guard.failed(OTHER, TOOL, error, 0)
    assert guard.barred(caller(effective(agent="third")), TOOL) is not None
    guard.sweep()


@pytest.mark.parametrize(
    ("agents", "calls", "says"), [("1", 3, "agent one"), ("12", 3, "Tool crm"), ("112", 4, "Tool crm")]
)
def test_a_tool_that_hangs_is_left_alone_however_long_each_call_waited_for_it(
    agents: str, calls: int, says: str
) -> None:
    clock = Clock()
    guard = ToolGuard(SETTINGS.model_copy(update={"circuit_failures": 3}), clock)
    made = 0
    for agent in itertools.islice(itertools.cycle(agents), 100):
        by = {"1": ONE, "2": OTHER}[agent]
        if guard.barred(by, TOOL) is not None:
            break
        made += 1
        clock.now += 60
        guard.failed(by, TOOL, SLOW, 60)
        guard.sweep()
    assert made == calls
    refused = guard.barred(ONE, TOOL)
    assert refused is not None
    assert says in refused.message


def test_errors_that_the_tool_answers_stop_only_who_asks_for_them() -> None:
    guard = ToolGuard(SAID)
    for _ in range(2):
        guard.answered(ONE, TOOL, 0, with_error=True)
    assert guard.barred(ONE, TOOL) is not None
    assert guard.barred(OTHER, TOOL) is None
    guard.answered(OTHER, TOOL, 0, with_error=False)


def test_what_is_the_gateways_own_fault_counts_for_nothing() -> None:
    guard = ToolGuard(SAID)
    missing = UpstreamError(RefusalCode.CREDENTIALS_MISSING, "no credential", maybe_done=False)
    for _ in range(9):
        guard.failed(ONE, TOOL, missing, 0)
    assert guard.barred(ONE, TOOL) is None
    guard.sweep()
    assert guard.open == 0
