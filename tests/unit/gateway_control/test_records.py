from dataclasses import replace

import pytest
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.control.records import (
    RecordUnknownError,
    duplicate_checks,
    in_full,
    is_kept,
    lease_request,
    system_of,
)
from tests.unit.gateway_control.make import asked, caller, effective, policy, task, tool

TENANT = {"aos.dev/tenant": "acme"}


def test_a_write_leases_its_record_for_its_task() -> None:
    lease = lease_request(asked(caller(effective(labels=TENANT)), "update_contact", {"id": "7"}))
    assert lease is not None
    assert lease.record == "acme/crm.sales-tools:8080/mcp/contact/7"
    assert (lease.task_uid, lease.task, lease.agent, lease.namespace, lease.seconds) == (
        "uid-t1",
        "t1",
        "enricher",
        "sales",
        600,
    )


def test_a_read_leases_nothing() -> None:
    assert lease_request(asked(caller(effective()))) is None


def test_arguments_that_name_no_record_are_refused() -> None:
    with pytest.raises(RecordUnknownError):
        lease_request(asked(caller(effective()), "update_contact", {"name": "Ana"}))


def test_two_tools_that_reach_one_system_share_its_records() -> None:
    one, other = (
        lease_request(asked(caller(effective(of=tool(url))), "update_contact"))
        for url in ("http://CRM.svc/mcp", "http://crm.svc:80/mcp/")
    )
    assert one is not None
    assert one == other


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.desk.svc.cluster.local/mcp",
        "http://crm.desk.svc.cluster.local./mcp",
        "http://crm.desk/mcp",
        "http://CRM.desk:80/mcp/",
        "http://crm.desk.svc./mcp",
        "http://crm.desk.svc//mcp",
        "http://crm.desk.svc/./mcp",
        "http://crm.desk.svc/%6dcp",
    ],
)
def test_other_spellings_of_a_url_are_the_same_system(url: str) -> None:
    assert system_of(url) == system_of("http://crm.desk.svc/mcp") == "crm.desk:80/mcp"


def test_a_namespace_that_is_called_svc_is_no_other_one() -> None:
    spellings = ("http://crm.svc/", "http://crm.svc.svc/", "http://crm.svc.svc.cluster.local/")
    assert {system_of(url) for url in spellings} == {"crm.svc:80"}
    assert system_of("http://crm/") == "crm:80"


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("http://crm:8080/mcp", "http://crm.aos-system:8080/mcp"),
        ("http://crm/mcp", "http://crm.aos-system/mcp"),
        *(
            (url, url)
            for url in (
                "http://crm.desk/mcp",
                "http://localhost:80/mcp",
                "http://[::1]:80/mcp",
                "http://[[:/mcp",
                "",
            )
        ),
    ],
)
def test_a_service_that_is_named_alone_is_one_of_the_gateways_own_namespace(url: str, full: str) -> None:
    assert in_full(url, "aos-system") == full


def test_a_write_of_which_policy_redacts_a_part_is_not_identical_to_the_whole_one() -> None:
    by = caller(effective(policy(conflicts={"duplicateWindowSeconds": 60})))
    whole = asked(by, "update_contact", {"id": "7", "name": "Ana"})
    redacted = replace(whole, arguments={"id": "7", "name": "[redacted:pii]"})
    (one,), (other,) = duplicate_checks(whole), duplicate_checks(redacted)
    assert one.key != other.key


def test_the_same_words_under_another_account_are_another_write() -> None:
    by = caller(effective(policy(conflicts={"duplicateWindowSeconds": 60})))
    mine = replace(asked(by, "update_contact"), account="sales/crm-emea/token")
    (one,), (other,) = duplicate_checks(mine), duplicate_checks(replace(mine, account="sales/crm-apac/token"))
    assert one.key != other.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://crm.svc/mcp", "http://crm.svc:8080/mcp"),
        ("http://crm.svc/mcp", "https://crm.svc/mcp"),
        ("http://crm.svc/a", "http://crm.svc/b"),
        ("http://crm.svc/mcp", "http://crm.other/mcp"),
    ],
)
def test_what_is_reached_otherwise_is_another_system(one: str, other: str) -> None:
    assert system_of(one) != system_of(other)


@pytest.mark.parametrize("url", ["http://crm:99999/mcp", "http://[[:/mcp"])
def test_a_url_that_can_not_be_taken_apart_stands_for_itself(url: str) -> None:
    assert system_of(url) == url


def test_identical_writes_are_looked_for_where_policy_says_how_far_back() -> None:
    window = policy(conflicts={"duplicateWindowSeconds": 60})
    by = caller(effective(window))
    (found,) = duplicate_checks(asked(by, "update_contact", {"id": "7", "name": "Ana"}))
    (again,) = duplicate_checks(
        asked(caller(effective(window), task("t2")), "update_contact", {"name": "Ana", "id": "7"})
    )
    (other,) = duplicate_checks(asked(by, "update_contact", {"id": "7", "name": "Bob"}))
    assert (found.key, found.seconds, found.maker) == (again.key, 60, "uid-t1")
    assert found.key != other.key
    assert duplicate_checks(asked(by)) == ()
    assert duplicate_checks(asked(caller(effective()), "update_contact")) == ()


def of_step(task_name: str = "a1", **run: JsonValue) -> Caller:
    return caller(effective(), task(task_name, run={"item": 3, **run}))


def test_attack_20_identical_writes_of_attempts_of_one_step_are_looked_for_whatever_policies_say() -> None:
    (first,) = duplicate_checks(asked(of_step(attempt=1), "update_contact"))
    (second,) = duplicate_checks(asked(of_step("a2", attempt=2), "update_contact"))
    (below,) = duplicate_checks(asked(of_step("handed-over", attempt=2), "update_contact"))
    assert (first.key, first.seconds) == (second.key, 86_400)
    assert first.maker != second.maker
    assert (below.key, below.maker) == (second.key, second.maker)
    assert duplicate_checks(asked(of_step())) == ()


def test_only_a_write_that_does_no_harm_twice_is_made_again_by_a_later_attempt() -> None:
    for idempotent in (True, False, None):
        by = caller(effective(of=tool(idempotent=idempotent)), task("a1", run={}))
        (check,) = duplicate_checks(asked(by, "update_contact"))
        assert check.repeats is (idempotent is True)


def test_attack_20_attempts_of_a_step_that_runs_a_workflow_are_attempts_of_all_its_steps() -> None:
    place = f"sha256:{'a' * 64}"
    first, second = (
        duplicate_checks(asked(of_step(f"a-{uid}", uid=uid, place=place), "update_contact"))[0]
        for uid in ("uid-r2", "uid-r3")
    )
    (elsewhere,) = duplicate_checks(
        asked(of_step("a4", uid="uid-r4", place=f"sha256:{'b' * 64}"), "update_contact")
    )
    assert first.key == second.key
    assert first.maker != second.maker
    assert elsewhere.key != first.key


@pytest.mark.parametrize("other", [of_step(uid="uid-r2"), of_step(step="send"), of_step(item=4)])
def test_writes_of_other_steps_items_and_runs_are_others(other: Caller) -> None:
    (one,) = duplicate_checks(asked(of_step(), "update_contact"))
    (another,) = duplicate_checks(asked(other, "update_contact"))
    assert one.key != another.key


def test_what_policies_ask_for_holds_for_a_step_too() -> None:
    window = effective(policy(conflicts={"duplicateWindowSeconds": 60}))
    made = asked(caller(window, task("a1", run={})), "update_contact")
    of_attempt, of_task = duplicate_checks(made)
    assert (of_attempt.seconds, of_task.seconds, of_task.maker) == (86_400, 60, "uid-a1")
    assert is_kept(made)
    assert not is_kept(asked(caller(effective()), "update_contact"))
