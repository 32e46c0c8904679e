"""Applying children and statuses on a real API server, and not applying them."""

from datetime import UTC, datetime

import pytest

from aos.kube.apply import Applied, apply_child, apply_status
from aos.kube.client import ApiClient
from aos.kube.errors import Conflict, NotFound
from aos.kube.objects import child, resource_version_of
from aos.kube.resources import NETWORK_POLICIES, ROLES, SERVICES, Resource
from aos.model.base import JsonObject
from tests.cluster.kube.conftest import Place

US = "aos-operator"
CHILDREN: list[tuple[Resource, dict[str, JsonObject]]] = [
    (
        NETWORK_POLICIES,
        {
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 8443}]}],
            }
        },
    ),
    (SERVICES, {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
]


@pytest.mark.parametrize(("resource", "parts"), CHILDREN, ids=lambda value: getattr(value, "plural", ""))
async def test_a_child_is_written_once(
    place: Place, resource: Resource, parts: dict[str, JsonObject]
) -> None:
    manifest = place.manifest(resource, "one", **parts)
    assert await apply_child(place.client, resource, manifest, None, field_manager=US) is Applied.CREATED
    known = await place.client.get(resource, "one", place.namespace)
    assert await apply_child(place.client, resource, manifest, known, field_manager=US) is Applied.UNCHANGED
    await apply_child(place.client, resource, manifest, None, field_manager=US)
    again = await place.client.get(resource, "one", place.namespace)
    assert resource_version_of(again) == resource_version_of(known)


async def test_a_child_with_empty_parts_that_the_api_server_leaves_out_is_written_once(place: Place) -> None:
    spec: JsonObject = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    manifest = place.manifest(NETWORK_POLICIES, "one", spec=spec)
    await apply_child(place.client, NETWORK_POLICIES, manifest, None, field_manager=US)
    known = await place.client.get(NETWORK_POLICIES, "one", place.namespace)
    result = await apply_child(place.client, NETWORK_POLICIES, manifest, known, field_manager=US)
    assert result is Applied.UNCHANGED


async def test_a_rule_that_is_no_longer_desired_is_taken_away(place: Place) -> None:
    rules: list[JsonObject] = [
        {"apiGroups": [""], "resources": [name], "verbs": ["get"]} for name in ("secrets", "pods")
    ]
    wide = place.manifest(ROLES, "one") | {"rules": [*rules]}
    narrow = place.manifest(ROLES, "one") | {"rules": [rules[1]]}
    await apply_child(place.client, ROLES, wide, None, field_manager=US)
    known = await place.client.get(ROLES, "one", place.namespace)
    assert await apply_child(place.client, ROLES, narrow, known, field_manager=US) is Applied.CONFIGURED
    assert (await place.client.get(ROLES, "one", place.namespace))["rules"] == [rules[1]]


async def test_what_somebody_loosened_by_hand_is_put_right(place: Place) -> None:
    resource, parts = CHILDREN[0]
    manifest = place.manifest(resource, "one", **parts)
    await apply_child(place.client, resource, manifest, None, field_manager=US)
    known = await place.client.merge_patch(
        resource, "one", {"spec": {"egress": [{}]}}, namespace=place.namespace
    )
    assert await apply_child(place.client, resource, manifest, known, field_manager=US) is Applied.CONFIGURED
    mended = await place.client.get(resource, "one", place.namespace)
    assert await apply_child(place.client, resource, manifest, mended, field_manager=US) is Applied.UNCHANGED


def status(phase: str, *conditions: str) -> JsonObject:
    moment = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    made: list[JsonObject] = [
        {"type": name, "status": "True", "reason": "Because", "lastTransitionTime": moment}
        for name in conditions
    ]
    return {"phase": phase, "conditions": [*made]}


class Widget:
    def __init__(self, client: ApiClient, place: Place, resource: Resource) -> None:
        self.client = client
        self.place = place
        self.resource = resource

    async def read(self) -> JsonObject:
        return await self.client.get(self.resource, "one", self.place.namespace)

    async def create(self) -> JsonObject:
        return await self.client.create(self.resource, self.place.manifest(self.resource, "one"))

    async def say(self, said: JsonObject, by: str = US) -> Applied:
        return await apply_status(self.client, self.resource, await self.read(), said, field_manager=by)


@pytest.fixture
async def widget(place: Place, widgets: Resource) -> Widget:
    widget = Widget(place.client, place, widgets)
    await widget.create()
    return widget


async def test_a_status_is_written_once(widget: Widget) -> None:
    assert await widget.say(status("A", "Ready")) is Applied.CONFIGURED
    assert await widget.say(status("A", "Ready")) is Applied.UNCHANGED
    assert await widget.say(status("B", "Ready")) is Applied.CONFIGURED
    assert child(await widget.read(), "status")["phase"] == "B"


async def test_two_managers_keep_their_own_conditions_and_neither_undoes_the_other(widget: Widget) -> None:
    theirs: JsonObject = {"conditions": status("", "Enforced")["conditions"]}
    await widget.say(status("A", "Ready", "Old"))
    await widget.say(theirs, by="aos-gateway")
    assert await widget.say(status("A", "Ready")) is Applied.CONFIGURED
    found = child(await widget.read(), "status")["conditions"]
    assert isinstance(found, list)
    assert {item["type"] for item in found if isinstance(item, dict)} == {"Ready", "Enforced"}
    assert await widget.say(theirs, by="aos-gateway") is Applied.UNCHANGED
    assert await widget.say(status("A", "Ready")) is Applied.UNCHANGED


async def test_a_field_that_is_not_said_any_more_goes_away(widget: Widget) -> None:
    await widget.say(status("A"))
    assert await widget.say({}) is Applied.CONFIGURED
    assert child(await widget.read(), "status") == {}
    assert await widget.say({}) is Applied.UNCHANGED


async def test_a_status_from_an_old_look_at_the_object_is_refused(widget: Widget) -> None:
    former = await widget.read()
    await widget.say(status("A"))
    with pytest.raises(Conflict):
        await apply_status(widget.client, widget.resource, former, status("B"), field_manager=US)


async def test_a_status_never_reaches_another_object_of_the_name(widget: Widget) -> None:
    former = await widget.read()
    await widget.client.delete(widget.resource, "one", namespace=widget.place.namespace)
    with pytest.raises((NotFound, Conflict)):
        await apply_status(widget.client, widget.resource, former, status("A"), field_manager=US)
    await widget.create()
    with pytest.raises(Conflict):
        await apply_status(widget.client, widget.resource, former, status("A"), field_manager=US)
    assert "status" not in await widget.read()
