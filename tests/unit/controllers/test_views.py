from aos.controllers.views import (
    Endpoint,
    address_view,
    child_view,
    config_map_view,
    endpoints_view,
    handler_view,
    labels_view,
)
from aos.model.base import JsonObject
from aos.reconcile.children import controller_revision
from aos.reconcile.revision import revision_of
from tests.unit.reconcile.make import SETTINGS, agent


def test_a_child_tells_whose_it_is_and_its_number() -> None:
    one = agent()
    made = controller_revision(one.metadata, revision_of(one, "x", SETTINGS), 7)
    view = child_view(made)
    assert (view.owner_kind, view.owner_name, view.owner_uid) == ("Agent", "enricher", "enricher-uid")
    assert view.number == 7
    assert child_view({"kind": "ServiceAccount"}).owner_kind == ""


def test_replicas_count_as_ready_unless_they_say_otherwise_and_ending_ones_not_at_all() -> None:
    raw: JsonObject = {
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": {"name": "gateway-0"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
            {"addresses": ["10.0.0.3"]},
            {"addresses": ["10.0.0.4"], "conditions": {"ready": False, "terminating": True}},
            {"addresses": []},
        ]
    }
    assert endpoints_view(raw).replicas == (
        Endpoint("gateway-0", "10.0.0.1"),
        Endpoint("10.0.0.2", "10.0.0.2", is_ready=False),
        Endpoint("10.0.0.3", "10.0.0.3"),
    )
    assert endpoints_view({}).replicas == ()


def test_a_headless_service_has_no_address() -> None:
    assert address_view({"spec": {"clusterIP": "10.96.0.7"}}) == "10.96.0.7"
    assert address_view({"spec": {"clusterIP": "None"}}) == ""
    assert address_view({}) == ""


def test_a_runtime_class_stands_for_a_handler() -> None:
    assert handler_view({"metadata": {"name": "sandboxed"}, "handler": "runsc"}) == "runsc"


def test_texts_and_labels_are_read() -> None:
    assert config_map_view({"data": {"a": "x", "b": 1}}) == {"a": "x"}
    assert labels_view({"metadata": {"labels": {"a": "b"}}}) == {"a": "b"}
