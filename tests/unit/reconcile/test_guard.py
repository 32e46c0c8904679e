from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from aos.reconcile.admission.policies import admission_policies
from aos.reconcile.guard import Guard, guard, observe_rule
from tests.unit.reconcile.golden_files import check
from tests.unit.reconcile.make import SETTINGS

EXPECTED = admission_policies(SETTINGS.operator_username, SETTINGS.gateway_username)
ME = SETTINGS.operator_username


def look(manifests: list[JsonObject], user: str = ME) -> Guard:
    return guard(EXPECTED, [observe_rule(item) for item in manifests], ME, user)


def test_the_admission_policies_are_as_on_file() -> None:
    check("admission", *EXPECTED)


def test_each_policy_is_followed_by_its_binding_and_fails_closed() -> None:
    kinds = [item["kind"] for item in EXPECTED]
    assert kinds == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] * (len(EXPECTED) // 2)
    assert [name_of(item) for item in EXPECTED[::2]] == [name_of(item) for item in EXPECTED[1::2]]
    specs = [item["spec"] for item in EXPECTED]
    assert all(isinstance(spec, dict) for spec in specs)
    assert {spec.get("failurePolicy") for spec in specs[::2] if isinstance(spec, dict)} == {"Fail"}
    assert [spec.get("validationActions") for spec in specs[1::2] if isinstance(spec, dict)] == [["Deny"]] * (
        len(EXPECTED) // 2
    )


def test_agents_are_guarded_when_every_policy_and_binding_is_as_it_should_be() -> None:
    assert not look(EXPECTED).problem


def test_labels_and_what_the_server_adds_do_not_matter() -> None:
    found: list[JsonObject] = [
        {
            **item,
            "metadata": {"name": name_of(item), "uid": "x", "generation": 1, "labels": {"a": "b"}},
            "status": {},
        }
        for item in EXPECTED
    ]
    assert not look(found).problem


def stored(number: int = 0, /, **metadata: JsonValue) -> list[JsonObject]:
    """Return the manifests as the API server has them, one of them with other metadata."""
    base: JsonObject = {
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [
            {"time": "2026-01-01T00:00:05Z"},
            {"time": "2026-02-01T00:00:00Z", "subresource": "status"},
        ],
    }
    return [
        {
            **item,
            "metadata": {
                "name": name_of(item),
                "uid": f"uid-{index}",
                **base,
                **(metadata if index == number else {}),
            },
        }
        for index, item in enumerate(EXPECTED)
    ]


@pytest.mark.parametrize("change", [{"generation": 3}, {"uid": "made anew"}], ids=["changed", "made anew"])
@pytest.mark.parametrize("number", [0, 1])
def test_policies_that_were_changed_and_restored_are_another_state_of_them(
    change: dict[str, JsonValue], number: int
) -> None:
    before, after = look(stored()), look(stored(number, **change))
    assert not after.problem
    assert before.fingerprint != after.fingerprint


def test_the_order_in_which_they_are_seen_and_statuses_do_not_matter() -> None:
    assert look(stored()[::-1]) == look(stored())
    labelled = look(stored(labels={"a": "b"}))
    assert labelled == look(stored())


def test_a_problem_has_no_state_to_trust() -> None:
    assert look(stored()[1:]).fingerprint == ""


def test_the_time_of_the_last_change_is_the_newest_of_all_without_statuses() -> None:
    assert look(stored()).changed_at == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    newer = look(stored(creationTimestamp="2026-01-03T00:00:00Z"))
    assert newer.changed_at == datetime(2026, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "unknown",
    [{"managedFields": []}, {"creationTimestamp": None}, {"managedFields": [{"manager": "x"}]}],
    ids=["nobody wrote it", "it was never made", "a write without a time"],
)
def test_a_time_that_can_not_be_told_is_none(unknown: dict[str, JsonValue]) -> None:
    assert look(stored(**unknown)).changed_at is None


def name_of(item: JsonObject) -> str:
    metadata = item["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


@pytest.mark.parametrize("index", range(len(EXPECTED)))
def test_a_missing_policy_or_binding_is_named(index: int) -> None:
    found = look([item for number, item in enumerate(EXPECTED) if number != index])
    assert (
        found.problem
        == f"missing: {EXPECTED[index]['kind']} {name_of(EXPECTED[index])}; install them with the chart"
    )


@pytest.mark.parametrize("index", range(len(EXPECTED)))
def test_an_altered_policy_or_binding_is_named(index: int) -> None:
    spec = EXPECTED[index]["spec"]
    assert isinstance(spec, dict)
    softer: JsonObject = {**EXPECTED[index], "spec": {**spec, "validationActions": ["Audit"]}}
    found = look([softer if number == index else item for number, item in enumerate(EXPECTED)])
    assert found.problem.startswith(f"altered: {EXPECTED[index]['kind']} {name_of(EXPECTED[index])}")


def test_an_operator_under_another_name_guards_nothing() -> None:
    found = look(EXPECTED, user="admin")
    assert "the operator runs as admin" in found.problem


@pytest.mark.parametrize("name", ["admin", "system:serviceaccount:x", "system:serviceaccount::y"])
def test_policies_are_made_for_service_accounts_alone(name: str) -> None:
    with pytest.raises(ValueError, match="is no service account"):
        admission_policies(name, SETTINGS.gateway_username)
