import pytest

from aos.cli.story import Story, TaskEvent, ending, succeeded
from tests.unit.cli.make import (
    LEADS,
    NOW,
    Object,
    approval_request,
    condition,
    counted,
    decision,
    result,
    task,
)

PENDING = condition("Succeeded", "Unknown", "Pending")
FULL = condition("Started", "False", "QuotaExceeded", "requests.cpu is used up")
RUNNING = condition("Started", "True", "Running")
POD: Object = {"name": "pod-1", "uid": "u"}


def event(uid: str, reason: str, note: str, count: int = 1) -> TaskEvent:
    return TaskEvent(uid=uid, reason=reason, note=note, count=count)


def test_each_thing_is_told_once_and_in_order() -> None:
    story = Story()
    assert story.task(task(PENDING)) == []
    assert story.task(task(PENDING, FULL)) == ["QuotaExceeded: requests.cpu is used up"]
    assert story.task(task(PENDING, FULL)) == []
    assert story.task(task(PENDING, pod=POD, revision="enricher-1")) == ["pod pod-1, revision enricher-1"]
    assert story.task(task(PENDING, RUNNING, pod=POD, imageID="agent@sha256:12")) == [
        "image agent@sha256:12",
        "Running",
    ]
    assert story.task(task(PENDING, RUNNING, pod=POD, result=result())) == ["the agent handed in its output"]
    assert story.task(task(condition("Succeeded", "True", "Completed"), pod=POD, result=result())) == []


def test_a_reason_whose_message_is_dropped_is_not_told_again() -> None:
    story = Story()
    assert story.task(task(condition("Started", "True", "Starting", "the pod is there"))) == [
        "Starting: the pod is there"
    ]
    assert story.task(task(condition("Started", "True", "Starting"))) == []
    assert story.task(task(RUNNING)) == ["Running"]
    assert story.task(task(condition("Started", "True", "Starting"))) == []


def test_a_failure_that_the_agent_reports_is_told() -> None:
    assert Story().task(task(RUNNING, result=result("Failed"))) == ["Running", "the agent reported a failure"]


def test_what_is_waited_for_follows_the_task() -> None:
    story = Story()
    assert story.waiting_for == "the operator has not looked at it yet"
    story.task(task())
    assert story.waiting_for == "the operator has not looked at it yet"
    story.task(task(condition("Succeeded", "Unknown", "Pending", "the agent is not ready")))
    assert story.waiting_for == "Pending: the agent is not ready"
    story.task(task(PENDING, FULL))
    assert story.waiting_for == "QuotaExceeded: requests.cpu is used up"
    story.task(task(RUNNING, result=result()))
    assert story.waiting_for == "the result is in; the pod is being ended"
    story.task(task(condition("Succeeded", "True", "Completed")))
    assert story.waiting_for == ""


def test_an_event_is_told_once_however_often_it_is_repeated() -> None:
    story = Story()
    assert story.event(event("1", "PodRemoved", "a pod is removed")) == ["PodRemoved: a pod is removed"]
    assert story.event(event("1", "PodRemoved", "a pod is removed", count=5)) == []


def test_an_event_that_repeats_a_condition_is_not_told_again() -> None:
    story = Story()
    story.task(task(FULL))
    assert story.event(event("1", "QuotaExceeded", "requests.cpu is used up")) == []


@pytest.mark.parametrize(
    ("reason", "note"),
    [
        ("PodCreated", "pod pod-1 runs revision enricher-1"),
        ("Waiting", "QuotaExceeded: requests.cpu is used up"),
        ("Started", "the agent runs"),
        ("Completed", "the agent handed in its output"),
        ("Failed", "PodFailed: exit code 1"),
    ],
)
def test_what_the_tasks_own_status_tells_is_not_told_by_an_event_too(reason: str, note: str) -> None:
    assert Story().event(event("1", reason, note)) == []


def test_an_event_is_read_from_what_the_api_server_sends() -> None:
    raw: Object = {"metadata": {"uid": "1"}, "reason": "R", "note": "n", "series": {"count": 3}}
    assert TaskEvent.parse(raw) == event("1", "R", "n", 3)
    assert TaskEvent.parse({}) == event("", "", "")


def test_the_end_is_one_line_with_what_was_used() -> None:
    usage: Object = {"calls": 3, "denied": 1, "promptTokens": 10, "completionTokens": 5}
    ended = task(condition("Succeeded", "False", "AgentFailed", "it gave up"), usage=usage)
    assert not succeeded(ended)
    assert ending(ended) == "failed: AgentFailed: it gave up (3 calls, 1 denied, 15 tokens)"
    done = task(condition("Succeeded", "True", "Completed"))
    assert succeeded(done)
    assert ending(done) == "succeeded: Completed"
    assert not succeeded(task())


def test_a_call_that_waits_for_people_is_told_with_the_commands_and_what_becomes_of_it() -> None:
    story = Story()
    story.task(task(RUNNING))
    assert story.request(approval_request(), NOW) == [
        "waits for people (Medium): enricher would call crm.update_contact on contact/emea-1",
        (
            "`aos show apr-0123456789abcdef -n sales` tells more;"
            " somebody else decides, by `aos approve apr-0123456789abcdef -n sales`"
        ),
    ]
    assert story.waiting_for == "people: `aos approve apr-0123456789abcdef -n sales`"
    story.task(task(RUNNING, pod=POD))
    assert story.waiting_for.startswith("people: ")
    approved = approval_request(
        decisions=[decision("dan", "Approve", "", "sales-leads")],
        status={"state": "Approved", "counted": [counted("dan", str(LEADS["rule"]))]},
    )
    assert story.request(approved, NOW) == [
        "apr-0123456789abcdef: dan approved it, 1 of 1",
        "apr-0123456789abcdef: Approved",
    ]
    assert story.waiting_for == "Running"


def test_of_several_calls_that_wait_the_last_is_named() -> None:
    story = Story()
    story.request(approval_request(name="apr-1"), NOW)
    story.request(approval_request(name="apr-2"), NOW)
    assert story.waiting_for == "people: `aos approve apr-2 -n sales` and 1 more"
    story.task(task(condition("Succeeded", "True", "Completed")))
    assert story.waiting_for == ""


def test_a_request_that_has_ended_before_the_watch_is_not_told() -> None:
    assert Story().request(approval_request(status={"state": "Used"}), NOW) == []


def test_a_review_holds_nothing() -> None:
    story = Story()
    story.task(task(RUNNING))
    story.request(approval_request(type="Review"), NOW)
    assert story.waiting_for == "Running"


def test_an_event_about_a_request_that_is_shown_is_not_told_again() -> None:
    story = Story()
    note = "ApprovalRequest apr-1, to approve crm.update_contact of enricher, risk Medium"
    assert story.event(event("1", "ApprovalAsked", note)) == [f"ApprovalAsked: {note}"]
    story.request(approval_request(name="apr-1"), NOW)
    assert story.event(event("2", "ApprovalAsked", note)) == []
    assert story.event(event("3", "PodRemoved", "a pod is removed")) == ["PodRemoved: a pod is removed"]
