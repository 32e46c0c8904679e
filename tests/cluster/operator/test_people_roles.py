"""The chart's roles for people: what each may do, and that none of Kubernetes' own roles may approve."""

import pytest
from pydantic import JsonValue

from aos.kube.errors import ApiError, Forbidden
from aos.kube.objects import child
from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CLUSTER_POLICIES,
    MODELS,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    TASKS,
    TOOLS,
    WORKFLOW_RUNS,
    WORKFLOWS,
)
from aos.kube.reviews import AccessRequest, UserInfo
from aos.model.base import JsonObject
from aos.model.names import GROUP
from tests.cluster.operator.approvals import LEADS, RBAC, STAFF, Desk, approve, chart_roles

WORK = {kind.plural for kind in (AGENTS, TASKS, WORKFLOWS, WORKFLOW_RUNS)}
KINDS = WORK | {kind.plural for kind in (TOOLS, MODELS, POLICIES, CLUSTER_POLICIES, APPROVAL_REQUESTS)}
READ = {"get", "list", "watch"}
WRITTEN = WORK | {"tools", "models", "policies"}
ALLOWED = {
    "aos-viewer": {(verb, kind) for verb in READ for kind in KINDS},
    "aos-approver": {(verb, kind) for verb in READ for kind in WORK | {"approvalrequests"}}
    | {(verb, "approvalrequests") for verb in ("patch", "update", "approve")},
    "aos-author": {(verb, kind) for verb in READ for kind in KINDS}
    | {(verb, kind) for verb in ("create", "update", "patch", "delete") for kind in WRITTEN},
    "view": set[tuple[str, str]](),
    "edit": set[tuple[str, str]](),
    "admin": set[tuple[str, str]](),
}
VERBS = (*READ, "create", "update", "patch", "delete", "deletecollection", "approve", "escalate", "*")


@pytest.mark.parametrize("role", ALLOWED)
async def test_attack_32_a_role_allows_what_it_is_for_and_no_more(desk: Desk, role: str) -> None:
    rig = desk.rig
    await desk.bind(role, "Group", "bound")
    user = UserInfo("somebody", "", ("bound",))

    async def may(verb: str, plural: str, namespace: str = rig.namespace) -> bool:
        return await rig.admin.may(user, AccessRequest(verb, GROUP, plural, namespace))

    async def known() -> bool:
        access = AccessRequest("list", "", "pods", rig.namespace)
        return await rig.admin.may(user, access) if not ALLOWED[role] else await may("get", "agents")

    await rig.eventually(known)
    found = {(verb, kind) for verb in VERBS for kind in KINDS if await may(verb, kind)}
    assert found == ALLOWED[role]
    assert not [kind for kind in KINDS if await may("get", kind, "another-tenant")]


@pytest.mark.parametrize("role", ["aos-viewer", "aos-author"])
async def test_a_role_lets_people_see_what_the_command_line_shows(desk: Desk, role: str) -> None:
    rig = desk.rig
    await desk.bind(role, "Group", "bound")
    user = UserInfo("somebody", "", ("bound",))

    async def known() -> bool:
        return await rig.admin.may(user, AccessRequest("get", "", "namespaces", rig.namespace, rig.namespace))

    await rig.eventually(known)
    for verb in READ:
        assert await rig.admin.may(user, AccessRequest(verb, "events.k8s.io", "events", rig.namespace))
    for hidden in ("secrets", "configmaps", "pods"):
        assert not await rig.admin.may(user, AccessRequest("get", "", hidden, rig.namespace))


def test_no_role_for_people_is_aggregated_to_one_of_kubernetes_own() -> None:
    for role in chart_roles():
        labels = child(child(role, "metadata"), "labels")
        assert not [name for name in labels if name.startswith(RBAC)]
        assert "aggregationRule" not in role


@pytest.mark.parametrize("role", ["edit", "admin"])
async def test_attack_21_who_may_edit_or_administer_a_namespace_does_not_approve(
    desk: Desk, role: str
) -> None:
    await desk.ask()
    await desk.bind(role, "Group", "bound")
    rules: list[JsonValue] = [
        {
            "apiGroups": [GROUP],
            "resources": ["approvalrequests"],
            "verbs": ["get", "patch", "update", "create"],
        }
    ]
    bare = await desk.person("mallory", LEADS, "bound")
    with pytest.raises(Forbidden, match="cannot patch resource"):
        await desk.decide(bare, approve("mallory", LEADS))
    await desk.grant("writers", rules, "bound")
    with pytest.raises(Forbidden, match="ask for the verb approve"):
        await desk.decide(bare, approve("mallory", LEADS))


async def test_attack_21_a_namespaces_administrator_can_not_give_away_the_verb_approve(desk: Desk) -> None:
    rig = desk.rig
    await desk.bind("admin", "Group", "bound")
    rules: list[JsonValue] = [{"apiGroups": [GROUP], "resources": ["approvalrequests"], "verbs": ["approve"]}]
    mallory = await desk.person("mallory", LEADS, "bound")

    async def known() -> bool:
        access = AccessRequest("create", RBAC, "roles", rig.namespace)
        return await rig.admin.may(UserInfo("mallory", "", ("bound",)), access)

    await rig.eventually(known)
    with pytest.raises(ApiError, match="not currently held"):
        await mallory.create(ROLES, rig.manifest(ROLES, "mine") | {"rules": rules})
    for role in ("aos-approver", "cluster-admin"):
        reference: JsonObject = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        subject: JsonObject = {"apiGroup": RBAC, "kind": "User", "name": "mallory"}
        binding = rig.manifest(ROLE_BINDINGS, "mine") | {"roleRef": reference, "subjects": [subject]}
        with pytest.raises(ApiError, match="not currently held"):
            await mallory.create(ROLE_BINDINGS, binding)


async def test_an_author_writes_agents_and_decides_nothing(desk: Desk) -> None:
    await desk.ask()
    await desk.bind("aos-author", "Group", "authors")
    author = await desk.person("grace", LEADS, "authors")

    async def known() -> bool:
        return await author.may_i(AccessRequest("create", GROUP, "agents", desk.rig.namespace))

    await desk.rig.eventually(known)
    await author.create(
        MODELS, desk.rig.manifest(MODELS, "default", {"url": "http://model/v1", "model": "m"})
    )
    with pytest.raises(Forbidden, match="cannot patch resource"):
        await desk.decide(author, approve("grace", LEADS))
    with pytest.raises(Forbidden, match="cannot delete resource"):
        await author.delete(APPROVAL_REQUESTS, "apr-1", namespace=desk.rig.namespace)


async def test_an_approver_changes_nothing_but_decisions(desk: Desk) -> None:
    await desk.ask()
    await desk.rig.sales()
    grace = await desk.person("grace", LEADS, STAFF)
    await grace.get(AGENTS, "enricher", desk.rig.namespace)
    with pytest.raises(Forbidden, match="cannot patch resource"):
        await grace.merge_patch(AGENTS, "enricher", {"spec": {}}, namespace=desk.rig.namespace)
    with pytest.raises(Forbidden, match="cannot delete resource"):
        await grace.delete(APPROVAL_REQUESTS, "apr-1", namespace=desk.rig.namespace)
    await desk.decide(grace, approve("grace", LEADS))
