"""Whoever decides reads first what comes of it."""

import pytest

from aos.cli.approvals import Caller
from aos.cli.consequences import of_approval, of_rejection
from aos.model.approval_request import ApprovalRequest
from tests.unit.cli.make import LEADS, NOW, TWO_PEOPLE, approval_request, gate_request

BEA = Caller("bea", frozenset({"sales-leads"}))
ONCE = "this call is let through once, exactly as shown, until 06:04 UTC"
REVIEW = approval_request(type="Review", call="c1")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (approval_request(), f"if you approve: {ONCE}"),
        (
            approval_request(LEADS, TWO_PEOPLE),
            f"if you approve: 1 more approval is needed; then {ONCE}",
        ),
        (
            approval_request({**TWO_PEOPLE, "required": 3}),
            f"if you approve: 2 more approvals are needed; then {ONCE}",
        ),
        (gate_request(), "if you approve: the run goes on from here"),
        (REVIEW, "if you approve: the review is done; it counts for how far the agent is trusted"),
    ],
)
def test_an_approval_says_what_it_lets_happen_and_who_is_missing_until_then(
    request_: ApprovalRequest, said: str
) -> None:
    assert of_approval(request_, BEA, NOW) == said


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (approval_request(), "the call is refused for good, whatever others say, and the agent is told why"),
        (gate_request(), "the step fails, whatever others say, and the run is told why"),
        (REVIEW, "nothing is taken back; it counts against how far the agent is trusted"),
    ],
)
def test_a_rejection_says_what_it_ends(request_: ApprovalRequest, said: str) -> None:
    assert of_rejection(request_) == f"if you reject: {said}"
