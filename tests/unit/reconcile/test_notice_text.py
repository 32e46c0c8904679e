import json
from datetime import timedelta

import pytest
from pydantic import JsonValue

from aos.inspection.visible import visible
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from aos.reconcile.notice_text import MAX_TEXT_LENGTH, NoticeFormat, body_of, plain, text_of
from aos.reconcile.notices import NoticeEvent
from tests.unit.reconcile.asked import LEADS, TWO, gate, moment, request, said
from tests.unit.reconcile.make import NOW, condition

EVIL = "<!channel> [x](https://evil.example) *b*\n\x1b[2J\u202e & www.evil.example"
ARGUMENT = "a-secret-argument"


def text(item: ApprovalRequest, event: NoticeEvent = NoticeEvent.ASKED) -> list[str]:
    return text_of(item, event, NOW).split("\n")


def test_what_people_are_asked_is_told_in_a_few_lines_with_the_commands() -> None:
    escalated: JsonObject = {
        **LEADS,
        "escalation": {"at": moment(NOW), "approvers": {"users": ["carl"], "groups": ["directors"]}},
    }
    until = f"{NOW + timedelta(hours=4):%Y-%m-%d %H:%M} UTC"
    people = "1 of group leads or group directors or user carl, and 2 of anybody who may approve"
    assert text(request(quorums=(escalated, TWO), record="contact/7")) == [
        "Approval needed: Update contact 7.",
        "Medium risk, Write by agent enricher in sales, for rita, record contact/7",
        f"Needs {people}, until {until}",
        "Look at it: aos show apr-1 -n sales",
        "Decide: aos approve apr-1 -n sales",
        "    or: aos reject apr-1 -n sales -m WHY",
    ]


def test_a_gate_is_told_with_its_step_and_its_run() -> None:
    assert text(gate())[:2] == [
        "Approval needed: Workflow outreach, step review of run r1 asks to go on",
        "step review of run r1 in sales, for rita",
    ]
    body = body_of(gate(), NoticeEvent.ASKED, "n1", NoticeFormat.GENERIC, NOW)
    fields = body["request"]
    assert isinstance(fields, dict)
    assert (fields["type"], fields["workflow"], fields["run"], fields["step"], fields["agent"]) == (
        "Gate",
        "outreach",
        "r1",
        "review",
        "",
    )


@pytest.mark.parametrize(
    ("event", "headline"),
    [
        (NoticeEvent.REMINDED, "Review still needed: "),
        (NoticeEvent.ESCALATED, "Review still needed, others may decide now: "),
    ],
)
def test_a_review_is_called_so(event: NoticeEvent, headline: str) -> None:
    assert text(request(type="Review", call="c1"), event)[0].startswith(headline)


def test_a_decision_is_told_with_who_made_it_and_why_and_without_commands() -> None:
    decision: JsonObject = {**said("bea", "Reject"), "comment": "not agreed"}
    item = request(decision, status={"state": "Rejected"})
    assert text(item, NoticeEvent.DECIDED) == [
        "Rejected: Update contact 7.",
        "Medium risk, Write by agent enricher in sales, for rita",
        "Rejected by bea: not agreed",
    ]
    approved = request(said("bea"), status={"state": "Approved"})
    assert text(approved, NoticeEvent.DECIDED)[0] == "Approved: Update contact 7."


def test_why_it_is_not_needed_any_more_is_told() -> None:
    told = condition("Stale", "True", "PolicyChanged", message="it is another one")
    item = request(requestedBy="", status={"state": "Stale", "conditions": [told]})
    assert text(item, NoticeEvent.WITHDRAWN) == [
        "Approval not needed any more: Update contact 7.",
        "Medium risk, Write by agent enricher in sales",
        "PolicyChanged: it is another one",
    ]


def test_what_was_approved_and_not_used_is_not_called_undecided() -> None:
    told = condition("Expired", "True", "Expired", message="approved, and not used in time")
    item = request(said("bea"), status={"state": "Expired", "conditions": [told]})
    assert text(item, NoticeEvent.EXPIRED) == [
        "Its time is over: Update contact 7.",
        "Medium risk, Write by agent enricher in sales, for rita",
        "Approved by bea",
        "Expired: approved, and not used in time",
    ]


def evil() -> ApprovalRequest:
    return request(
        {**said("bea", "Reject"), "comment": EVIL},
        summary=EVIL,
        record=EVIL,
        requestedBy=EVIL,
        arguments=json.dumps({"note": ARGUMENT}),
        preview={"before": ARGUMENT, "after": ARGUMENT},
        status={"state": "Rejected"},
    )


@pytest.mark.parametrize("style", NoticeFormat)
def test_no_format_lets_text_of_others_lead_anywhere_and_none_holds_arguments(style: NoticeFormat) -> None:
    body = body_of(evil(), NoticeEvent.DECIDED, "id", style, NOW)
    shown = str(body["text"])
    assert ARGUMENT not in json.dumps(body)
    assert visible(shown, keep="\n") == shown
    assert "://" not in shown
    assert "www." not in shown
    assert len(shown.split("\n")) == 3


def test_slack_reads_no_markup() -> None:
    body = body_of(evil(), NoticeEvent.DECIDED, "id", NoticeFormat.SLACK, NOW)
    assert "<" not in str(body["text"])
    assert "&lt;!channel&gt;" in str(body["text"])
    blocks = body["blocks"]
    assert isinstance(blocks, list)
    assert [block["text"]["type"] for block in blocks] == ["plain_text"]  # type: ignore[call-overload, index]


def test_teams_gets_a_card_of_runs_that_know_no_markup() -> None:
    body = body_of(request(), NoticeEvent.ASKED, "id", NoticeFormat.TEAMS, NOW)
    assert body["type"] == "message"
    attachments = body["attachments"]
    assert isinstance(attachments, list)
    attachment = attachments[0]
    assert isinstance(attachment, dict)
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert '"TextBlock"' not in json.dumps(attachment)
    assert "aos approve apr-1 -n sales" in json.dumps(attachment)


def test_programs_get_fields_and_the_notices_id() -> None:
    body = body_of(request(said("bea")), NoticeEvent.ASKED, "u.chat.Asked", NoticeFormat.GENERIC, NOW)
    assert (body["id"], body["event"]) == ("u.chat.Asked", "Asked")
    fields = body["request"]
    assert isinstance(fields, dict)
    quorum: JsonValue = {
        "rule": LEADS["rule"],
        "required": 1,
        "approved": 0,
        "groups": ["leads"],
        "users": [],
    }
    assert fields["quorums"] == [quorum]
    assert (fields["need"], fields["have"], fields["state"]) == (1, 0, "Pending")
    assert "arguments" not in fields


def test_a_text_is_never_longer_than_a_chat_takes() -> None:
    long = request(
        *(said(f"p{index}" * 60) for index in range(60)), summary="x" * 512, status={"state": "Approved"}
    )
    assert len(text_of(long, NoticeEvent.DECIDED, NOW)) == MAX_TEXT_LENGTH
    assert len(plain("y" * 1000)) == 300


def test_what_agents_and_people_say_makes_no_link_of_any_chats() -> None:
    assert (
        plain("see https://evil.example and www.evil.example")
        == "see https[:]//evil.example and www[.]evil.example"
    )
    assert plain("[Approve](evil.example)") == "[Approve] (evil.example)"
