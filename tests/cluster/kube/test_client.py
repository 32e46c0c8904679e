"""The client against a real API server."""

import secrets
from contextlib import aclosing

import pytest

from aos.kube.client import ApiClient, Selection
from aos.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
)
from aos.kube.objects import child, key_of, resource_version_of, text, uid_of
from aos.kube.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS, Resource
from aos.kube.reviews import AccessRequest
from aos.kube.watching import WatchType
from aos.model.base import JsonObject
from aos.model.names import AUDIENCE_GATEWAY
from hack.cluster.handle import Handle
from tests.cluster.kube.conftest import Place
from tests.cluster.kube.waiting import eventually

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")


async def test_an_object_is_created_read_patched_and_deleted(place: Place) -> None:
    created = await place.config_map("one", a="1")
    assert (await place.client.get(CONFIG_MAPS, "one", place.namespace)) == created
    patched = await place.client.merge_patch(
        CONFIG_MAPS, "one", {"data": {"a": None, "b": "2"}}, namespace=place.namespace
    )
    assert patched["data"] == {"b": "2"}
    await place.client.delete(CONFIG_MAPS, "one", namespace=place.namespace)
    with pytest.raises(NotFound, match=f'get configmaps {place.namespace}/one: configmaps "one" not found'):
        await place.client.get(CONFIG_MAPS, "one", place.namespace)


async def test_a_list_in_pages_is_the_list_in_one(place: Place) -> None:
    names = {f"cm-{number}" for number in range(7)}
    for name in names:
        await place.config_map(name, of="us")
    selection = Selection(place.namespace, field_selector="metadata.name!=kube-root-ca.crt")
    found = [item async for item in place.client.list(CONFIG_MAPS, selection, page_size=3)]
    assert {key_of(item).name for item in found} == names
    assert {(text(item, "kind"), text(item, "apiVersion")) for item in found} == {("ConfigMap", "v1")}
    pages = [page async for page in place.client.list_pages(CONFIG_MAPS, selection, page_size=3)]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({page.resource_version for page in pages}) == 1


async def test_labels_select(place: Place) -> None:
    for name, team in (("a", "red"), ("b", "blue"), ("c", "green")):
        manifest = place.manifest(CONFIG_MAPS, name, metadata={"labels": {"team": team}})
        await place.client.create(CONFIG_MAPS, manifest)
    selection = Selection(place.namespace, label_selector="team in (red, blue),team!=blue")
    assert [key_of(item).name async for item in place.client.list(CONFIG_MAPS, selection)] == ["a"]


async def test_a_second_object_of_a_name_already_exists(place: Place) -> None:
    await place.config_map("one")
    with pytest.raises(AlreadyExists, match=f"create configmaps {place.namespace}/one"):
        await place.config_map("one")


async def test_a_manifest_against_the_schema_is_invalid(place: Place, widgets: Resource) -> None:
    with pytest.raises(Invalid, match=r"spec\.size.*less than or equal to 9"):
        await place.client.create(widgets, place.manifest(widgets, "big", spec={"size": 10}))


async def test_a_patch_from_an_old_version_conflicts(place: Place) -> None:
    version = resource_version_of(await place.config_map("one"))
    await place.client.merge_patch(CONFIG_MAPS, "one", {"data": {"a": "1"}}, namespace=place.namespace)
    patch: JsonObject = {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}
    with pytest.raises(Conflict):
        await place.client.merge_patch(CONFIG_MAPS, "one", patch, namespace=place.namespace)


async def test_only_the_object_with_the_uid_is_deleted(place: Place) -> None:
    uid = uid_of(await place.config_map("one"))
    with pytest.raises(Conflict):
        await place.client.delete(CONFIG_MAPS, "one", namespace=place.namespace, uid="another")
    await place.client.delete(CONFIG_MAPS, "one", namespace=place.namespace, uid=uid)
    with pytest.raises(NotFound):
        await place.client.delete(CONFIG_MAPS, "one", namespace=place.namespace)


async def test_a_pod_is_ended_without_grace_when_asked(place: Place) -> None:
    await place.client.create(SERVICE_ACCOUNTS, place.manifest(SERVICE_ACCOUNTS, "one"))
    spec: JsonObject = {"serviceAccountName": "one", "containers": [{"name": "c", "image": "none"}]}
    await place.client.create(PODS, place.manifest(PODS, "one", spec=spec))
    await place.client.delete(PODS, "one", namespace=place.namespace, grace_period_seconds=0)
    with pytest.raises(NotFound):
        await place.client.get(PODS, "one", place.namespace)


async def test_what_rbac_does_not_allow_is_forbidden(control_plane: Handle, place: Place) -> None:
    async with await ApiClient.connect(control_plane.user("nobody-special")) as theirs:
        assert (await theirs.self_subject_review()).username == "nobody-special"
        with pytest.raises(Forbidden) as caught:
            await theirs.get(SECRETS, "one", place.namespace)
        assert not isinstance(caught.value, QuotaExceeded)
        read = AccessRequest("get", "", "secrets", place.namespace)
        assert not await theirs.may_i(read)
        assert await place.client.may_i(read)


async def test_a_used_up_quota_is_told_from_other_refusals(place: Place) -> None:
    quota = place.manifest(QUOTAS, "none", spec={"hard": {"count/secrets": "0"}})
    await place.client.create(QUOTAS, quota)

    async def is_in_force() -> bool:
        found = await place.client.get(QUOTAS, "none", place.namespace)
        return "hard" in child(found, "status")

    await eventually(is_in_force)
    with pytest.raises(QuotaExceeded, match=r"exceeded quota: none.*count/secrets=1"):
        await place.client.create(SECRETS, place.manifest(SECRETS, "one"))


async def test_an_apply_against_another_manager_conflicts_unless_it_is_forced(place: Place) -> None:
    theirs = place.manifest(CONFIG_MAPS, "one", data={"a": "theirs"})
    ours = place.manifest(CONFIG_MAPS, "one", data={"a": "ours"})
    await place.client.apply(CONFIG_MAPS, theirs, field_manager="them")
    with pytest.raises(Conflict, match='conflict with "them"'):
        await place.client.apply(CONFIG_MAPS, ours, field_manager="us", force=False)
    applied = await place.client.apply(CONFIG_MAPS, ours, field_manager="us")
    assert applied["data"] == {"a": "ours"}


async def test_a_watch_tells_what_happens_after_its_version(place: Place) -> None:
    version = resource_version_of(await place.config_map("before"))
    await place.config_map("after", a="1")
    await place.client.delete(CONFIG_MAPS, "after", namespace=place.namespace)
    selection = Selection(place.namespace, field_selector="metadata.name=after")
    watch = place.client.watch(CONFIG_MAPS, selection, resource_version=version)
    async with aclosing(watch):
        events = [await anext(watch), await anext(watch)]
    assert [event.type for event in events] == [WatchType.ADDED, WatchType.DELETED]
    assert events[0].object["data"] == {"a": "1"}


async def test_a_watch_ends_in_order_after_its_time(place: Place) -> None:
    version = resource_version_of(await place.config_map("before"))
    await place.config_map("after")
    watch = place.client.watch(
        CONFIG_MAPS, Selection(place.namespace), resource_version=version, timeout_seconds=2
    )
    assert [key_of(event.object).name async for event in watch] == ["after"]


async def test_a_token_is_reviewed_for_its_audience(place: Place) -> None:
    await place.client.create(SERVICE_ACCOUNTS, place.manifest(SERVICE_ACCOUNTS, "one"))
    answer = await place.client.request(
        "POST",
        SERVICE_ACCOUNTS.object_path(place.namespace, "one", "token"),
        body={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [AUDIENCE_GATEWAY], "expirationSeconds": 600},
        },
    )
    token = text(child(answer, "status"), "token")
    review = await place.client.token_review(token, (AUDIENCE_GATEWAY,))
    assert review.authenticated
    assert review.user.username == f"system:serviceaccount:{place.namespace}:one"
    assert review.audiences == (AUDIENCE_GATEWAY,)
    for wrong, audiences in ((token, ("another",)), (token, ()), (token + "x", (AUDIENCE_GATEWAY,))):
        refused = await place.client.token_review(wrong, audiences)
        assert not refused.authenticated
        assert refused.user.username == ""


async def test_raw_requests_reach_what_has_no_method(client: ApiClient) -> None:
    assert "keys" in await client.request("GET", "/openid/v1/jwks")
    answer = await client.request("GET", PODS.path(), query={"limit": "1"})
    assert answer["kind"] == "PodList"
    with pytest.raises(NotFound, match="get /nothing"):
        await client.request("GET", f"/nothing/{secrets.token_hex(2)}")
