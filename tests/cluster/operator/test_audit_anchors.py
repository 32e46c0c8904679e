"""The anchors of the audit trail on a real API server: made by the operator from what a gateway signed, and guarded."""

from dataclasses import replace

import pytest

from aos.audit.anchors import Anchors
from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner
from aos.controllers.anchors import manifest
from aos.kube.client import Selection
from aos.kube.errors import Forbidden, NotFound
from aos.kube.objects import child, children, text
from aos.kube.resources import CONFIG_MAPS, EVENTS
from aos.model.base import JsonObject
from aos.model.names import AUDIT_ANCHORS
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import HOME, Rig

HEAD = ChainHead("gateway-1", 7, "a" * 64, "2026-01-02T03:04:05.000000Z")
ANCHORS = Anchors().with_heads([HeadSigner().sign(HEAD)])


async def test_the_operator_keeps_anchors_with_exactly_its_rights(rig: Rig) -> None:
    await rig.operator.apply(CONFIG_MAPS, manifest(HOME, ANCHORS, ""), field_manager="aos-operator")
    data = child(await rig.operator.get(CONFIG_MAPS, AUDIT_ANCHORS, HOME), "data")
    assert Anchors.parse(text(data, "heads"), text(data, "earlier")) == ANCHORS


async def test_attack_27_not_even_an_administrator_changes_or_removes_an_anchor(rig: Rig) -> None:
    await rig.operator.apply(CONFIG_MAPS, manifest(HOME, ANCHORS, ""), field_manager="aos-operator")
    patch: JsonObject = {"data": {"heads": ""}}
    with pytest.raises(Forbidden, match="written by the operator alone"):
        await rig.admin.merge_patch(CONFIG_MAPS, AUDIT_ANCHORS, patch, namespace=HOME)
    with pytest.raises(Forbidden, match="written by the operator alone"):
        await rig.admin.delete(CONFIG_MAPS, AUDIT_ANCHORS, namespace=HOME)
    # All at once: the API server then names no object in the request.
    with pytest.raises(Forbidden, match="written by the operator alone"):
        await rig.admin.request(
            "DELETE",
            f"/api/v1/namespaces/{HOME}/configmaps",
            query={"fieldSelector": f"metadata.name={AUDIT_ANCHORS}"},
        )
    assert await rig.admin.get(CONFIG_MAPS, AUDIT_ANCHORS, HOME)


async def test_other_config_maps_beside_the_anchors_can_be_made_without_a_name_and_deleted_together(
    rig: Rig,
) -> None:
    labels: JsonObject = {"of": rig.namespace}
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap"}
    metadata: JsonObject = {"generateName": "other-", "namespace": HOME, "labels": labels}
    configmaps = f"/api/v1/namespaces/{HOME}/configmaps"
    await rig.admin.request("POST", configmaps, body={**body, "metadata": metadata})
    selected = {"labelSelector": f"of={rig.namespace}"}
    await rig.admin.request("DELETE", configmaps, query=selected)
    assert children(await rig.admin.request("GET", configmaps, query=selected), "items") == ()


async def test_other_config_maps_are_anybodys(rig: Rig) -> None:
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
    for namespace, name in ((HOME, "other"), (rig.namespace, AUDIT_ANCHORS)):
        await rig.admin.create(CONFIG_MAPS, {**body, "metadata": {"name": name, "namespace": namespace}})
        await rig.admin.delete(CONFIG_MAPS, name, namespace=namespace)


async def test_what_a_gateway_signs_is_anchored_and_a_collector_that_is_not_there_is_told_of_on_it(
    rig: Rig, gateway: FakeGateway
) -> None:
    signed = HeadSigner().sign(replace(HEAD, chain=f"chain-of-{rig.namespace}"))
    gateway.head = signed

    async def is_anchored() -> bool:
        try:
            raw = await rig.admin.get(CONFIG_MAPS, AUDIT_ANCHORS, HOME)
        except NotFound:
            return False
        return signed in Anchors.parse(text(child(raw, "data"), "heads"), "").newest

    async def is_told() -> bool:
        found = [event async for event in rig.admin.list(EVENTS, Selection(HOME))]
        told = {(text(event, "reason"), text(child(event, "regarding"), "name")) for event in found}
        return ("AnchorsNotCopied", AUDIT_ANCHORS) in told

    nobody = "http://127.0.0.1:1/v1/logs"
    async with operating(rig.settings.model_copy(update={"audit_anchor_otlp_url": nobody})):
        await rig.eventually(is_anchored)
        await rig.eventually(is_told)
