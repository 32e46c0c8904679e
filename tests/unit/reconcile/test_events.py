import re
from pathlib import Path

import pytest

from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition
from aos.reconcile.events import EVENTS, EventReason, EventType, Happening, restored
from aos.reconcile.plan import ChildKey
from aos.reconcile.transitions import AGENT, transitions
from tests.unit.reconcile.make import condition

ROOT = Path(__file__).resolve().parents[3]


def test_every_reason_of_an_event_is_documented_in_the_table_and_on_the_page() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    assert set(EVENTS) == set(EventReason)
    for reason, doc in EVENTS.items():
        row = f"| `{reason}` | {doc.type} | {', '.join(doc.kinds)} | {doc.when} |"
        assert row in page


def test_every_reason_is_used() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("reconcile", "controllers")
        for path in (ROOT / "operator/aos" / folder).glob("*.py")
    ]
    used = set(re.findall(r"EventReason\.([A-Z_]+)\b(?!: EventDoc)", "\n".join(sources)))
    assert used == {reason.name for reason in EventReason}


@pytest.mark.parametrize("reason", EventReason)
def test_actions_and_reasons_are_words_that_the_api_takes(reason: EventReason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)
    assert re.fullmatch(r"[A-Z][A-Za-z]+", EVENTS[reason].action)
    assert Happening(reason, "x").doc.type in EventType


def test_each_child_that_was_put_right_is_named() -> None:
    found = restored([ChildKey("Role", "a"), ChildKey("Role", "b")])
    assert [item.note.split(" was ")[0] for item in found] == ["Role a", "Role b"]


def made(status: str, reason: str, type_: str = "Ready") -> Condition:
    return Condition.model_validate(condition(type_, status, reason))


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (None, made("False", "NotAccepted"), []),
        (made("False", "Provisioning"), made("True", "Ready"), ["Ready"]),
        (made("True", "Ready"), made("True", "Ready"), []),
        (made("True", "Ready"), made("False", "NotAccepted"), ["NotReady"]),
        (made("True", "Ready"), made("False", "NotEnforced"), []),
        (None, made("False", "Invalid", "Accepted"), ["NotAccepted"]),
        (made("False", "Invalid", "Accepted"), made("False", "ToolNotFound", "Accepted"), ["NotAccepted"]),
        (made("False", "Invalid", "Accepted"), made("False", "Invalid", "Accepted"), []),
        (None, made("True", "Accepted", "Accepted"), []),
        (made("False", "PolicyMissing", "AdmissionGuarded"), made("True", "Guarded", "AdmissionGuarded"), []),
        (made("False", "NotSuspended", "Suspended"), made("True", "Suspended", "Suspended"), ["Suspended"]),
        (made("True", "Suspended", "Suspended"), made("False", "NotSuspended", "Suspended"), ["Resumed"]),
        (made("True", "Enforced", "PolicyEnforced"), made("False", "GatewayBehind", "PolicyEnforced"), []),
    ],
)
def test_only_steps_that_matter_are_told(
    before: Condition | None, after: Condition, events: list[str]
) -> None:
    found = transitions([before] if before else [], [after], AGENT)
    assert [item.reason for item in found] == events


def test_transitions_name_known_conditions_and_reasons() -> None:
    assert set(AGENT) <= set(ConditionType)
    assert all(reason in Reason for told in AGENT.values() for reason in told.quiet)
