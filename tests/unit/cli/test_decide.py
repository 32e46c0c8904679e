from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from aos.cli.approvals import Caller
from aos.cli.connection import Connection
from aos.cli.decide import Ask, Decide, decide, is_counted, is_same_question, outcome, refusal, told_since
from aos.cli.exits import ExitCode
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Target
from aos.kube.resources import APPROVAL_REQUESTS, Resource
from aos.kube.reviews import AccessRequest, UserInfo
from aos.model.approval_request import ApprovalRequest, Verdict
from aos.model.base import JsonObject
from tests.unit.cli.make import LEADS, NOW, TWO_PEOPLE, approval_request, counted, decision, gate_request

BEA = Caller("bea", frozenset({"sales-leads"}))
TARGET = Target("patch", "approvalrequests", "sales/apr-1")
RULE = str(LEADS["rule"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (approval_request(), "apr-0123456789abcdef approved; the operator has not counted it yet"),
        (
            approval_request(
                LEADS,
                TWO_PEOPLE,
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"counted": [counted("bea", RULE, "risk High")]},
            ),
            "apr-0123456789abcdef approved: 2 of 3; still needs 1 more by anybody who may approve",
        ),
        (
            approval_request(
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"state": "Approved", "counted": [counted("bea", RULE)]},
            ),
            "apr-0123456789abcdef approved: 1 of 1; the call is let through once",
        ),
        (
            approval_request(
                type="Review",
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"state": "Approved", "counted": [counted("bea", RULE)]},
            ),
            "apr-0123456789abcdef approved: 1 of 1; that was the review",
        ),
        (
            gate_request(
                decisions=[decision("bea", "Approve", "", "sales-leads")],
                status={"state": "Approved", "counted": [counted("bea", "Workflow outreach, step review")]},
            ),
            "gate-0123456789abcdef approved: 1 of 1; the run goes on",
        ),
        (approval_request(status={"state": "Stale"}), "apr-0123456789abcdef approved: Stale"),
    ],
)
def test_what_became_of_a_decision_is_one_line(request_: ApprovalRequest, said: str) -> None:
    assert outcome(request_, Verdict.APPROVE, BEA, NOW) == said


def test_a_decision_is_counted_once_the_operator_says_so_or_the_request_has_ended() -> None:
    assert not is_counted(approval_request(decisions=[decision("bea")]), BEA)
    assert is_counted(approval_request(status={"counted": [counted("bea")]}), BEA)
    assert is_counted(approval_request(status={"state": "Stale"}), BEA)


def test_what_others_say_meanwhile_does_not_change_the_question_but_is_told() -> None:
    old, new = approval_request(), approval_request(decisions=[decision("dan"), decision("eve", "Reject")])
    assert is_same_question(old, new)
    assert told_since(old, new) == ["dan approved it", "eve rejected it"]
    assert not is_same_question(old, approval_request(arguments='{"id": "emea-2"}'))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            Forbidden(
                TARGET,
                403,
                "Forbidden",
                "approvalrequests.aos.dev \"apr-1\" is forbidden: ValidatingAdmissionPolicy 'aos-approvals' with binding"
                " 'aos-approvals' denied request: nobody decides twice",
            ),
            "nobody decides twice",
        ),
        (
            Invalid(TARGET, 422, "Invalid", "x: denied request: list group finance too"),
            "list group finance too",
        ),
    ],
)
def test_a_refusal_of_an_admission_policy_is_told_in_its_own_words(error: ApiError, message: str) -> None:
    assert refusal(error) == (ExitCode.REFUSED, message)


def test_a_missing_right_is_told_with_who_can_give_it() -> None:
    error = Forbidden(
        TARGET,
        403,
        "Forbidden",
        'approvalrequests.aos.dev is forbidden: User "bea" cannot patch resource "approvalrequests" in API group'
        ' "aos.dev" in the namespace "sales"',
    )
    code, message = refusal(error)
    assert code is ExitCode.REFUSED
    assert "kubectl auth can-i patch approvalrequests -n sales" in message


@dataclass
class Replaced:
    """An API server on which a request is replaced by another one of its name before the first decision comes."""

    kept: ApprovalRequest
    by: ApprovalRequest
    decided: list[JsonObject] = field(default_factory=list)

    async def self_subject_review(self) -> UserInfo:
        return UserInfo("bea", "", ("sales-leads",))

    async def may_i(self, access: AccessRequest) -> bool:
        return access.verb == "approve"

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        if resource is not APPROVAL_REQUESTS:
            raise NotFound(
                Target("get", resource.plural, f"{namespace}/{name}"), 404, "NotFound", "not there"
            )
        return self.kept.model_dump(mode="json", by_alias=True)

    async def merge_patch(
        self, resource: Resource, name: str, patch: JsonObject, *, namespace: str = ""
    ) -> JsonObject:
        if self.kept is not self.by:
            self.kept = self.by
            raise Conflict(
                Target("patch", resource.plural, f"{namespace}/{name}"), 409, "Conflict", "changed"
            )
        self.decided.append(patch)
        return self.kept.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class To(Connection):
    """A connection to it."""

    api: Replaced | None = None

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[ApiClient]:
        yield cast("ApiClient", self.api)


def waiting(uid: str, arguments: str = "{}") -> ApprovalRequest:
    made = approval_request(arguments=arguments, expiresAt="2999-01-01T00:00:00Z")
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"uid": uid})})


async def taken(api: Replaced, ask: Ask | None) -> ExitCode:
    asked = Decide(Verdict.APPROVE, (api.kept.metadata.name,), "", ask, wait_seconds=0)
    return await decide(To(namespace="sales", api=api), asked)


async def test_to_answer_no_is_no_error_and_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    request = waiting("uid")
    api = Replaced(request, request)
    assert await taken(api, lambda _: False) == ExitCode.FAILURE
    assert capsys.readouterr().err == "apr-0123456789abcdef: you said no, and nothing was decided\n"
    assert api.decided == []


async def test_a_rejection_without_a_reason_asks_for_one_after_it_was_shown_and_confirmed() -> None:
    request = waiting("uid")
    api = Replaced(request, request)
    order: list[str] = []

    def ask(question: str) -> bool:
        order.append(question)
        return True

    def ask_why() -> str:
        order.append("why")
        return "not agreed"

    asked = Decide(Verdict.REJECT, (request.metadata.name,), "", ask, 0, ask_why)
    assert await decide(To(namespace="sales", api=api), asked) == ExitCode.SUCCESS
    assert order == ["Reject apr-0123456789abcdef?", "why"]
    spec = api.decided[0]["spec"]
    assert isinstance(spec, dict)
    assert "not agreed" in str(spec["decisions"])


async def test_a_reason_that_is_too_long_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    request = waiting("uid")
    api = Replaced(request, request)
    asked = Decide(Verdict.REJECT, (request.metadata.name,), "", lambda _: True, 0, lambda: "x" * 1025)
    assert await decide(To(namespace="sales", api=api), asked) == ExitCode.USAGE
    assert "at most 1024 characters, not 1025" in capsys.readouterr().err
    assert api.decided == []


@pytest.mark.parametrize("by", [waiting("another"), waiting("uid", '{"id": "emea-2"}')])
async def test_a_request_that_was_replaced_while_its_approver_looked_is_not_approved_unseen(
    by: ApprovalRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    api = Replaced(waiting("uid"), by)
    assert await taken(api, None) == ExitCode.FAILURE
    said = "it is another request now; `aos show apr-0123456789abcdef -n sales` tells what of"
    assert said in capsys.readouterr().err
    assert api.decided == []

    api = Replaced(waiting("uid"), by)
    answers = [True, False]
    assert await taken(api, lambda _: answers.pop(0)) == ExitCode.FAILURE
    assert "is another request now:" in capsys.readouterr().out
    assert (api.decided, answers) == ([], [])

    api = Replaced(waiting("uid"), by)
    assert await taken(api, lambda _: True) == ExitCode.SUCCESS
    assert len(api.decided) == 1
