import pytest

from aos.gateway.control.retries import RetryBudget, may_repeat
from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.upstream_error import UpstreamError, invalid
from aos.model.tool import ToolAction
from tests.unit.gateway_mcp.make import SETTINGS

READ = ToolAction.model_validate({"name": "get", "access": "Read", "risk": "Low"})
WRITE = ToolAction.model_validate({"name": "put", "access": "Write", "risk": "Low"})
REPEATABLE = ToolAction.model_validate({"name": "set", "access": "Write", "risk": "Low", "idempotent": True})
LOST = UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "lost", maybe_done=True)
NOT_SENT = UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "no connection", maybe_done=False)
BUSY = UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "503", maybe_done=True, status=503)
BROKEN = UpstreamError(RefusalCode.UPSTREAM_UNREACHABLE, "500", maybe_done=True, status=500)
SLOW = UpstreamError(RefusalCode.UPSTREAM_TIMEOUT, "slow", maybe_done=True)


@pytest.mark.parametrize(
    ("action", "error", "repeated"),
    [
        (READ, LOST, True),
        (READ, BUSY, True),
        (READ, NOT_SENT, True),
        (READ, BROKEN, False),  # it would break again
        (READ, SLOW, False),  # the caller has waited long enough
        (READ, invalid("not JSON"), False),
        (REPEATABLE, LOST, True),
        (WRITE, LOST, False),  # it may have been made
        (WRITE, BUSY, False),
        (WRITE, NOT_SENT, True),  # it certainly was not made
    ],
)
def test_only_what_can_do_no_harm_is_sent_again(
    action: ToolAction, error: UpstreamError, *, repeated: bool
) -> None:
    assert may_repeat(action, error) is repeated


def test_retries_are_a_part_of_calls() -> None:
    budget = RetryBudget(SETTINGS)
    taken = 0
    for _ in range(1000):
        budget.called("crm")
        taken += budget.take("crm")
    assert 90 <= taken <= 100
    assert not budget.take("erp")


def test_quiet_times_do_not_save_up_a_storm() -> None:
    budget = RetryBudget(SETTINGS)
    for _ in range(10_000):
        budget.called("crm")
    assert sum(budget.take("crm") for _ in range(1000)) == 10


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.gateway.control.retries.MAX_TOOLS", 3)
    budget = RetryBudget(SETTINGS)
    for number in range(7):
        budget.called(number)
    assert len(budget._saved) <= 3
