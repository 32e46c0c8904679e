"""Who decides on an ApprovalRequest, held by a real API server against people who try otherwise."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child, text
from aos.kube.resources import APPROVAL_REQUESTS, SERVICE_ACCOUNTS
from aos.model.approval_request import ApprovalDecision, ApprovalRequest
from aos.model.base import JsonObject
from aos.policy.quorums import counts_for
from tests.cluster.operator.approvals import FINANCE, LEADS, STAFF, Desk, approve
from tests.cluster.operator.rig import GATEWAY, OPERATOR


async def test_people_who_are_asked_decide_one_after_the_other(desk: Desk) -> None:
    await desk.ask()
    await desk.decide(await desk.lead("grace"), approve("grace", LEADS))
    await desk.decide(await desk.lead("linus"), approve("linus", LEADS, verdict="Reject"))
    assert [item["approver"] for item in await desk.decisions()] == ["grace", "linus"]


async def test_attack_21_nobody_decides_as_another_user(desk: Desk) -> None:
    await desk.ask()
    grace = await desk.lead("grace")
    for other in ("linus", "Grace", "grace ", GATEWAY):
        with pytest.raises(Forbidden, match="approver must be your own user name, grace"):
            await desk.decide(grace, approve(other, LEADS))
    assert await desk.decisions() == []


async def test_attack_21_nobody_decides_twice_whatever_the_case_of_their_name(desk: Desk) -> None:
    await desk.ask()
    grace = await desk.lead("grace")
    await desk.decide(grace, approve("grace", LEADS))
    for verdict in ("Approve", "Reject"):
        with pytest.raises(Forbidden, match="you have decided already"):
            await desk.decide(grace, approve("grace", LEADS, verdict=verdict))
    with pytest.raises(Forbidden, match="you have decided already"):
        await desk.decide(await desk.lead("Grace"), approve("Grace", LEADS))


async def test_attack_21_nobody_decides_on_what_they_asked_for(desk: Desk) -> None:
    await desk.ask()
    for name in ("ada", "Ada"):
        with pytest.raises(Forbidden, match="you asked for this work yourself"):
            await desk.decide(await desk.lead(name), approve(name, LEADS))


async def test_attack_21_nobody_claims_a_group_that_they_are_not_in(desk: Desk) -> None:
    quorums: list[JsonValue] = [
        {"rule": "outbound", "required": 1, "approvers": {"groups": [LEADS]}},
        {"rule": "pricing", "required": 1, "approvers": {"groups": [FINANCE]}},
    ]
    await desk.ask(quorums=quorums)
    grace = await desk.lead("grace")
    with pytest.raises(Forbidden, match="you are not in finance"):
        await desk.decide(grace, approve("grace", LEADS, FINANCE))
    outsider = await desk.person("mallory", STAFF)
    with pytest.raises(Forbidden, match="not among those whom this request asks"):
        await desk.decide(outsider, approve("mallory", LEADS))


async def test_a_decision_lists_each_group_that_is_asked_and_that_its_maker_is_in(desk: Desk) -> None:
    quorums: list[JsonValue] = [
        {"rule": "outbound", "required": 1, "approvers": {"groups": [LEADS]}},
        {
            "rule": "pricing",
            "required": 1,
            "approvers": {"users": ["linus"]},
            "escalation": {"at": "2098-01-01T00:00:00Z", "approvers": {"groups": [FINANCE]}},
        },
    ]
    await desk.ask(quorums=quorums)
    both = await desk.person("grace", LEADS, FINANCE, STAFF)
    for listed in ((), (LEADS,), (FINANCE,)):
        with pytest.raises(Forbidden, match=r"that this request asks: \[sales-leads, finance\]"):
            await desk.decide(both, approve("grace", *listed))
    await desk.decide(both, approve("grace", FINANCE, LEADS, STAFF))


WHO_IS_ASKED: list[tuple[JsonObject, bool]] = [
    ({}, True),
    ({"groups": [LEADS]}, True),
    ({"groups": [FINANCE]}, False),
    ({"users": ["grace"]}, True),
    ({"users": ["linus"]}, False),
    ({"groups": [FINANCE], "users": ["grace"]}, True),
    ({"serviceAccounts": ["ci:bot"]}, True),
    ({"serviceAccounts": ["ci:bot"], "users": ["linus"]}, False),
]


@pytest.mark.parametrize(("approvers", "asked"), WHO_IS_ASKED, ids=json.dumps)
async def test_attack_21_only_those_decide_whom_a_quorum_or_an_escalation_asks(
    desk: Desk, approvers: JsonObject, *, asked: bool
) -> None:
    """Admission and counting agree on them: whoever may decide counts, and nobody else."""
    nobody: JsonObject = {"users": ["nobody"]}
    quorum: JsonObject = {"rule": "outbound", "required": 1, "approvers": approvers}
    later: JsonObject = {"at": "2098-01-01T00:00:00Z", "approvers": approvers}
    await desk.ask("apr-1", quorums=[quorum])
    await desk.ask("apr-2", quorums=[{**quorum, "approvers": nobody, "escalation": later}])
    grace = await desk.lead("grace")
    groups = (LEADS,) if approvers.get("groups") == [LEADS] else ()
    found = ApprovalRequest.parse(await desk.rig.get(APPROVAL_REQUESTS, "apr-1"))
    decision = ApprovalDecision.model_validate(approve("grace", *groups))
    assert counts_for(found.spec, decision, datetime.now(UTC)) == (("outbound",) if asked else ())
    for name in ("apr-1", "apr-2"):
        if asked:
            await desk.decide(grace, approve("grace", *groups), name)
        else:
            with pytest.raises(Forbidden, match="not among those whom this request asks"):
                await desk.decide(grace, approve("grace"), name)


async def test_attack_21_decisions_that_stand_are_never_touched(desk: Desk) -> None:
    await desk.ask()
    await desk.decide(await desk.lead("grace"), approve("grace", LEADS))
    await desk.decide(await desk.lead("linus"), approve("linus", LEADS))
    margaret = await desk.lead("margaret")
    grace, linus = await desk.decisions()
    own = approve("margaret", LEADS)
    attempts: dict[str, list[JsonObject]] = {
        "removed": [],
        "one removed": [grace, own],
        "turned": [grace, {**linus, "verdict": "Reject"}, own],
        "commented": [{**grace, "comment": "by margaret"}, linus],
        "moved": [linus, grace, own],
        "put before": [own, grace, linus],
        "put between": [grace, own, linus],
        "replaced": [grace, own],
    }
    for client in (margaret, desk.rig.admin, desk.rig.gateway, desk.rig.operator):
        for tried in attempts.values():
            with pytest.raises(ApiError, match=r"never changed, removed or moved|cannot (update|patch)"):
                await desk.put(client, tried)
    assert await desk.decisions() == [grace, linus]


async def test_attack_21_nobody_decides_for_several_at_once(desk: Desk) -> None:
    await desk.ask()
    grace = await desk.lead("grace")
    own = approve("grace", LEADS)
    for several in ([own, own], [own, approve("linus", LEADS)], [approve("linus", LEADS), own]):
        with pytest.raises(Forbidden, match="add one, not several"):
            await desk.put(grace, several)


async def test_an_empty_list_of_decisions_decides_nothing(desk: Desk) -> None:
    await desk.ask()
    await desk.put(await desk.person("mallory", STAFF), [])
    assert await desk.decisions() == []


@pytest.mark.parametrize(
    ("states", "says"),
    [
        (("Approved",), "Approved"),
        (("Rejected",), "Rejected"),
        (("Expired",), "Expired"),
        (("Stale",), "Stale"),
        (("Approved", "Used"), "Used"),
    ],
)
async def test_attack_21_nothing_is_decided_once_a_request_is_not_pending(
    desk: Desk, states: tuple[str, ...], says: str
) -> None:
    await desk.ask()
    await desk.set_state(*states)
    grace = await desk.lead("grace")
    with pytest.raises(Forbidden, match=f"this request is {says}: only one that is Pending can be decided"):
        await desk.decide(grace, approve("grace", LEADS))
    await grace.merge_patch(
        APPROVAL_REQUESTS,
        "apr-1",
        {"metadata": {"annotations": {"seen": "yes"}}},
        namespace=desk.rig.namespace,
    )


async def by_merge_patch(desk: Desk, client: ApiClient, decision: JsonObject) -> None:
    await desk.decide(client, decision)


async def by_replace(desk: Desk, client: ApiClient, decision: JsonObject) -> None:
    await desk.put(client, [*await desk.decisions(), decision])


async def by_server_side_apply(desk: Desk, client: ApiClient, decision: JsonObject) -> None:
    spec: JsonObject = {"decisions": [*await desk.decisions(), decision]}
    await client.apply(
        APPROVAL_REQUESTS, desk.rig.manifest(APPROVAL_REQUESTS, "apr-1", spec), field_manager="mine"
    )


async def by_status(desk: Desk, client: ApiClient, decision: JsonObject) -> None:
    patch: JsonObject = {"spec": {"decisions": [decision]}}
    await client.merge_patch(
        APPROVAL_REQUESTS, "apr-1", patch, namespace=desk.rig.namespace, subresource="status"
    )


WAYS = [by_merge_patch, by_replace, by_server_side_apply]
Way = Callable[[Desk, ApiClient, JsonObject], Awaitable[None]]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_attack_21_every_way_to_write_is_held_to_the_same(desk: Desk, way: Way) -> None:
    await desk.ask()
    grace = await desk.lead("grace")
    with pytest.raises(Forbidden, match="approver must be your own user name"):
        await way(desk, grace, approve("linus", LEADS))
    await way(desk, grace, approve("grace", LEADS))
    with pytest.raises(Forbidden, match="you have decided already"):
        await way(desk, grace, approve("grace", LEADS))
    await way(desk, await desk.lead("linus"), approve("linus", LEADS))
    assert [item["approver"] for item in await desk.decisions()] == ["grace", "linus"]


async def test_attack_21_the_status_subresource_takes_no_decision_and_no_state(desk: Desk) -> None:
    await desk.ask()
    before = await desk.rig.get(APPROVAL_REQUESTS, "apr-1")
    with pytest.raises(Forbidden, match="cannot patch resource"):
        await by_status(desk, await desk.lead("grace"), approve("grace", LEADS))
    admin = desk.rig.admin
    with pytest.raises(Forbidden, match="written by AOS itself"):
        await by_status(desk, admin, approve("admin", LEADS))
    # Those who may write a status bring no decision in with it, and a status sent to the object itself is not heeded.
    await by_status(desk, desk.rig.gateway, approve(GATEWAY, LEADS))
    forged: JsonObject = {"status": {"state": "Approved"}}
    await admin.merge_patch(APPROVAL_REQUESTS, "apr-1", forged, namespace=desk.rig.namespace)
    after = await desk.rig.get(APPROVAL_REQUESTS, "apr-1")
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])


ODD_NAME = 'O\'Brien "the lead" <ö@example.com> \\ $(x)'
"""A name with all that shells, JSON and YAML have to quote."""


async def test_attack_21_a_json_patch_is_held_to_the_same_whatever_ones_name_is(desk: Desk) -> None:
    await desk.ask()
    asked = ("-n", desk.rig.namespace, f"--as={ODD_NAME}", f"--as-group={LEADS}", f"--as-group={STAFF}")

    def patched(approver: str) -> tuple[bool, str]:
        operations = [{"op": "add", "path": "/spec/decisions", "value": [approve(approver, LEADS)]}]
        done = desk.rig.cluster.kubectl(
            *("patch", "apr", "apr-1", "--type=json", "-p", json.dumps(operations), *asked)
        )
        return done.ok, done.stderr

    ok, words = await asyncio.to_thread(patched, "grace")
    assert not ok
    assert f"approver must be your own user name, {ODD_NAME}" in words
    ok, words = await asyncio.to_thread(patched, ODD_NAME)
    assert ok, words
    assert [item["approver"] for item in await desk.decisions()] == [ODD_NAME]


async def test_attack_21_kubectl_edit_is_held_to_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.ask()
    asked = ("-n", desk.rig.namespace, "--as=grace", f"--as-group={LEADS}", f"--as-group={STAFF}")

    def edited(approver: str) -> tuple[bool, str]:
        # An edit that is refused opens the editor once more, which then leaves the text as it is.
        added = (
            f"s/^spec:/&\\n  decisions:\\n  - {{approver: {approver}, verdict: Approve, groups: [{LEADS}]}}/"
        )
        editor = desk.folder / "editor"
        editor.write_text(f"#!/bin/sh\ngrep -q '^  decisions:' \"$1\" || sed -i '{added}' \"$1\"\n")
        editor.chmod(0o700)
        monkeypatch.setenv("KUBE_EDITOR", str(editor))
        monkeypatch.setenv("TMPDIR", str(desk.folder))
        done = desk.rig.cluster.kubectl("edit", "apr", "apr-1", *asked)
        return done.ok, done.stdout + done.stderr

    ok, words = await asyncio.to_thread(edited, "linus")
    assert not ok
    assert "approver must be your own user name, grace" in words
    ok, words = await asyncio.to_thread(edited, "grace")
    assert ok, words
    assert [item["approver"] for item in await desk.decisions()] == ["grace"]


async def account(desk: Desk, name: str) -> ApiClient:
    """Return a client with the token of a service account that may do everything with requests."""
    rig = desk.rig
    await rig.make(SERVICE_ACCOUNTS, name)
    await desk.bind("aos-approver", "User", f"system:serviceaccount:{rig.namespace}:{name}")
    path = f"/api/v1/namespaces/{rig.namespace}/serviceaccounts/{name}/token"
    review: JsonObject = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = text(child(await rig.admin.request("POST", path, body=review), "status"), "token")
    config = json.loads(rig.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token}
    target = desk.folder / f"account-{name}"
    target.write_text(json.dumps(config))
    return await desk.stack.enter_async_context(await ApiClient.connect(target))


async def test_attack_21_a_service_account_decides_only_where_a_quorum_names_it(desk: Desk) -> None:
    me = f"system:serviceaccount:{desk.rig.namespace}:bot"
    bot = await account(desk, "bot")
    quorum: JsonObject = {"rule": "outbound", "required": 1}
    everybody: list[JsonObject] = [
        {},
        {"users": [me]},
        {"groups": ["system:serviceaccounts"]},
        {"serviceAccounts": ["other:bot", f"{desk.rig.namespace}:bots"]},
    ]
    for number, approvers in enumerate(everybody):
        name = f"apr-{number}"
        await desk.ask(name, quorums=[{**quorum, "approvers": approvers}])
        with pytest.raises(Forbidden, match="a service account decides only where a quorum names it"):
            await desk.decide(bot, approve(me), name)
    named: JsonObject = {"groups": [LEADS], "serviceAccounts": [f"{desk.rig.namespace}:bot"]}
    await desk.ask("apr-named", quorums=[{**quorum, "approvers": named}])
    with pytest.raises(Forbidden, match="approver must be your own user name"):
        await desk.decide(bot, approve("grace", LEADS), "apr-named")
    await desk.decide(bot, approve(me), "apr-named")


async def test_attack_21_no_agent_and_no_part_of_aos_decides_whatever_a_quorum_names(desk: Desk) -> None:
    rig = desk.rig
    agent = f"system:serviceaccount:{rig.namespace}:aos-agent-enricher"
    never = [agent, GATEWAY, OPERATOR, "system:kube-scheduler", "system:anonymous"]
    accounts: list[JsonValue] = [
        one.removeprefix("system:serviceaccount:") for one in (agent, GATEWAY, OPERATOR)
    ]
    quorum: JsonObject = {
        "rule": "outbound",
        "required": 1,
        "approvers": {"serviceAccounts": accounts, "users": [*never]},
    }
    await desk.ask(quorums=[quorum])
    for name in never:
        with pytest.raises(Forbidden, match="never decide, whatever a policy names"):
            await desk.decide(await desk.person(name, STAFF), approve(name))


async def test_attack_21_an_agents_own_token_is_none_for_the_api_server(desk: Desk) -> None:
    """It is made for the gateway alone; any other one for its account is refused when it is asked for."""
    await desk.ask()
    bot = await account(desk, "bot")
    await desk.rig.make(SERVICE_ACCOUNTS, "aos-agent-enricher")
    path = f"/api/v1/namespaces/{desk.rig.namespace}/serviceaccounts/{{}}/token"
    review: JsonObject = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["aos-gateway"]},
    }
    with pytest.raises(Forbidden, match="by the kubelet alone"):
        await desk.rig.admin.request("POST", path.format("aos-agent-enricher"), body=review)
    given = await desk.rig.admin.request("POST", path.format("bot"), body=review)
    target = desk.folder / "for-the-gateway"
    config = json.loads((desk.folder / "account-bot").read_text())
    config["users"][0]["user"] = {"token": text(child(given, "status"), "token")}
    target.write_text(json.dumps(config))
    async with await ApiClient.connect(target) as agent:
        with pytest.raises(ApiError, match="Unauthorized"):
            await desk.decide(agent, approve("bot"))
    assert (await bot.self_subject_review()).username.endswith(":bot")


async def test_attack_21_whoever_may_change_requests_decides_nothing_without_the_verb_approve(
    desk: Desk,
) -> None:
    await desk.ask()
    writes: JsonObject = {
        "apiGroups": ["aos.dev"],
        "resources": ["approvalrequests"],
        "verbs": ["get", "patch", "update"],
    }
    elsewhere: JsonObject = {**writes, "verbs": ["approve"], "resourceNames": ["apr-other"]}
    await desk.grant("writers", [writes, elsewhere], "writers")
    writer = await desk.person("grace", LEADS, "writers")
    with pytest.raises(Forbidden, match="ask for the verb approve on approvalrequests in namespace"):
        await desk.decide(writer, approve("grace", LEADS))
    await desk.ask("apr-other")
    await desk.decide(writer, approve("grace", LEADS), "apr-other")


async def test_attack_21_a_cluster_administrator_decides_as_themselves_or_not_at_all(desk: Desk) -> None:
    await desk.ask(quorums=[{"rule": "outbound", "required": 2}], requestedBy="root")
    for who, decision, says in (
        ("admin", approve("grace"), "approver must be your own user name, admin"),
        ("root", approve("root"), "you asked for this work yourself"),
    ):
        with pytest.raises(Forbidden, match=says):
            await desk.decide(await desk.person(who, "system:masters"), decision)
    await desk.decide(desk.rig.admin, approve("admin"))
    # Some distributions give their administrator this name; every other of system:* is a machine's.
    await desk.decide(await desk.person("system:admin", "system:masters"), approve("system:admin"))
    with pytest.raises(Forbidden, match="you have decided already"):
        await desk.decide(desk.rig.admin, approve("admin"))
    await desk.ask("apr-leads")
    with pytest.raises(Forbidden, match="It asks groups: sales-leads; users: "):
        await desk.decide(desk.rig.admin, approve("admin"), "apr-leads")


async def test_a_person_in_very_many_groups_decides_on_a_request_with_the_most_quorums(desk: Desk) -> None:
    """The API server bounds what a policy may cost: the largest request that the schema takes is within it."""

    def named(first: int) -> JsonObject:
        return {"groups": [f"{'g' * 200}-{first + number}" for number in range(16)], "users": [f"u{first}"]}

    quorums: list[JsonValue] = [
        {
            "rule": f"rule-{number}",
            "required": 11,
            "approvers": named(100 * number),
            "escalation": {"at": "2098-01-01T00:00:00Z", "approvers": named(100 * number + 50)},
        }
        for number in range(15)
    ]
    last: JsonObject = {"rule": "last", "required": 11, "approvers": {"groups": [LEADS]}}
    await desk.ask(quorums=[*quorums, last], arguments="x" * 16_384)
    crowd = [f"team-{number}" for number in range(200)]
    for number in range(3):
        person = await desk.person(f"p{number}", *crowd, LEADS, STAFF)
        decision = {**approve(f"p{number}", LEADS), "comment": "c" * 1024}
        await desk.decide(person, decision)
    assert len(await desk.decisions()) == 3
