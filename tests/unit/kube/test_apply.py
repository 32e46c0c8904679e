"""When a child is as desired; the requests themselves meet a real API server in tests/cluster."""

from aos.kube.apply import is_applied, with_digest
from aos.kube.objects import annotation_of
from aos.model.base import JsonObject
from aos.model.canonical import json_digest
from aos.model.names import ANNOTATION_CHILD_DIGEST

CHILD: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "one", "namespace": "sales", "annotations": {"team": "revops"}},
    "data": {"a": "1"},
}


def test_the_digest_stands_beside_the_other_annotations_and_the_manifest_stays_as_it_was() -> None:
    stamped = with_digest(CHILD)
    assert annotation_of(stamped, ANNOTATION_CHILD_DIGEST) == json_digest(CHILD)
    assert annotation_of(stamped, "team") == "revops"
    assert annotation_of(CHILD, ANNOTATION_CHILD_DIGEST) == ""


def test_a_child_with_defaults_and_server_fields_is_applied() -> None:
    known = with_digest(CHILD) | {"immutable": False}
    assert is_applied(with_digest(CHILD), known)


def test_a_child_from_another_manifest_is_not_applied() -> None:
    former: JsonObject = {**CHILD, "data": {"a": "1", "b": "2"}}
    assert not is_applied(with_digest(CHILD), with_digest(former))


def test_a_child_that_somebody_edited_is_not_applied_although_its_digest_is() -> None:
    assert not is_applied(with_digest(CHILD), with_digest(CHILD) | {"data": {"a": "2"}})


def test_a_child_without_digest_is_not_applied() -> None:
    assert not is_applied(with_digest(CHILD), CHILD)
