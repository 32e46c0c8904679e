import pytest
from pydantic import ValidationError

from aos.model.base import JsonObject
from aos.model.meta import ObjectMeta
from aos.model.tool import Tool
from aos.reconcile.plan import Plan
from aos.reconcile.unreadable import problem_of, reconcile_unreadable
from tests.unit.reconcile.make import NOW, conditions_of, message_of, metadata

META = ObjectMeta.model_validate(metadata("crm"))


def test_an_object_that_can_not_be_read_says_so_and_what_is_wrong() -> None:
    plan = reconcile_unreadable(META, {}, "spec.url: missing", NOW)
    assert conditions_of(plan) == {"Accepted": ("False", "Invalid"), "Ready": ("False", "NotAccepted")}
    assert message_of(plan, "Accepted") == "spec.url: missing"
    assert [event.reason for event in plan.events] == ["NotAccepted"]


def test_it_says_so_once() -> None:
    first = reconcile_unreadable(META, {}, "x", NOW)
    assert first.status is not None
    assert reconcile_unreadable(META, first.status, "x", NOW) == Plan()


def test_a_status_that_can_not_be_read_either_is_no_hindrance() -> None:
    odd: JsonObject = {"conditions": ["x", {"type": 1}], "observedGeneration": "y"}
    assert reconcile_unreadable(META, odd, "x", NOW).status is not None


def test_a_problem_names_fields_and_no_values() -> None:
    with pytest.raises(ValidationError) as caught:
        Tool.parse({"metadata": {"name": "crm"}, "spec": {"type": "MCP", "url": "s3cret", "actions": []}})
    said = problem_of(caught.value)
    assert "spec.url" in said
    assert "s3cret" not in said


def test_what_people_said_of_an_agent_is_kept() -> None:
    reliability: JsonObject = {"risks": [], "recent": ["u1"]}
    plan = reconcile_unreadable(META, {"reliability": reliability, "revision": "r"}, "x", NOW)
    assert plan.status is not None
    assert plan.status["reliability"] == reliability
    assert "revision" not in plan.status
