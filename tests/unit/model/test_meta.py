import pytest
from pydantic import ValidationError

from aos.model.canonical import json_digest
from aos.model.duration import duration_seconds
from aos.model.meta import LabelSelector, ObjectKey, SelectorRequirement
from aos.model.names import handoff_task, task_pod
from aos.model.task import Task


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ("a", "b"), {"k": "a"}, True),
        ("In", ("a",), {}, False),
        ("NotIn", ("a",), {"k": "b"}, True),
        ("NotIn", ("a",), {"k": "a"}, False),
        ("NotIn", ("a",), {}, True),
        ("Exists", (), {"k": ""}, True),
        ("Exists", (), {}, False),
        ("DoesNotExist", (), {}, True),
        ("DoesNotExist", (), {"k": "a"}, False),
    ],
)
def test_requirements_read_labels_as_kubernetes_does(
    operator: str, values: tuple[str, ...], labels: dict[str, str], *, expected: bool
) -> None:
    requirement = SelectorRequirement.model_validate({"key": "k", "operator": operator, "values": values})
    assert requirement.matches(labels) is expected


def test_an_empty_selector_matches_everything() -> None:
    assert LabelSelector().matches({})


def test_every_part_of_a_selector_must_match() -> None:
    selector = LabelSelector.model_validate(
        {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}
    )
    assert selector.matches({"a": "1", "b": ""})
    assert not selector.matches({"a": "1"})
    assert not selector.matches({"a": "2", "b": ""})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("1.5m", 90)])
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "1d", "5m x", "-1s"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_seconds(text)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert json_digest({"a": 1, "b": [True, None]}) == json_digest({"b": [True, None], "a": 1})


def test_two_tasks_of_one_name_have_pods_of_different_names() -> None:
    assert task_pod("t", "uid-1") != task_pod("t", "uid-2")


def test_a_key_reads_as_namespace_and_name() -> None:
    assert str(ObjectKey(namespace="a", name="b")) == "a/b"
    assert str(ObjectKey(namespace="", name="b")) == "b"


def task(**status: object) -> Task:
    return Task.parse(
        {"metadata": {"name": "t", "namespace": "n"}, "spec": {"agentRef": {"name": "a"}}, "status": status}
    )


def ended(status: str) -> list[dict[str, object]]:
    return [
        {
            "type": "Succeeded",
            "status": status,
            "reason": "Completed",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]


def test_a_task_is_open_until_it_ends_or_has_a_result() -> None:
    assert task().open
    assert task(conditions=ended("Unknown")).open
    assert not task(conditions=ended("True")).open
    assert not task(conditions=ended("False")).open
    assert not task(result={"outcome": "Succeeded", "time": "2026-01-01T00:00:00Z"}).open


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="autonomy"):
        Task.parse({"metadata": {"name": "t"}, "spec": {"agentRef": {"name": "a"}, "autonomy": "x"}})


def test_a_handoff_that_is_sent_again_has_the_same_name_and_any_other_has_another() -> None:
    name = handoff_task("writer", "uid", "m1")
    assert name == handoff_task("writer", "uid", "m1")
    others = {
        handoff_task("writer", "uid", "m2"),
        handoff_task("writer", "other", "m1"),
        handoff_task("a", "uid", "m1"),
    }
    assert name not in others
    assert len(others) == 3


def test_the_name_of_a_handoff_fits_whatever_the_agent_is_called() -> None:
    assert len(handoff_task("a" * 52, "uid", "m" * 500)) == 52
