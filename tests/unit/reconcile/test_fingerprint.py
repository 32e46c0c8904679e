import copy

import pytest

from aos.model.base import JsonObject
from aos.reconcile.children import (
    controller_revision,
    credential_access,
    network_policy,
    service_account,
)
from aos.reconcile.deployment import deployment
from aos.reconcile.fingerprint import CHILD_KINDS, fingerprint
from aos.reconcile.pod import PodMaker
from aos.reconcile.revision import revision_of
from tests.unit.reconcile.make import PLATFORM, SETTINGS, agent, tool

ONE = agent()
ROLE, BINDING = credential_access("Tool", tool("s").metadata, "s", SETTINGS)
CHILDREN: list[JsonObject] = [
    service_account(ONE.metadata),
    network_policy(ONE.metadata, SETTINGS),
    controller_revision(ONE.metadata, revision_of(ONE, "x", SETTINGS), 1),
    ROLE,
    BINDING,
    deployment(PodMaker(agent({"runtime": {"mode": "Service"}}), "r", SETTINGS, PLATFORM)),
]


def changed(child: JsonObject, path: str, value: object) -> JsonObject:
    """Return a copy in which the field at ``path`` is another."""
    found = copy.deepcopy(child)
    item: object = found
    *parents, last = path.split(".")
    for name in parents:
        item = item[int(name)] if isinstance(item, list) else item.setdefault(name, {})  # type: ignore[attr-defined]
    item[last] = value  # type: ignore[index]
    return found


def test_every_kind_of_child_has_a_fingerprint() -> None:
    assert sorted(str(child["kind"]) for child in CHILDREN) == sorted(CHILD_KINDS)


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child["kind"])
def test_what_the_server_and_others_add_makes_no_difference(child: JsonObject) -> None:
    stored = changed(child, "metadata.resourceVersion", "7")
    stored = changed(stored, "metadata.labels.argocd", "x")
    stored = changed(stored, "metadata.annotations.note", "x")
    stored = changed(stored, "status", {})
    assert fingerprint(stored) == fingerprint(child)


@pytest.mark.parametrize(
    ("index", "path", "value"),
    [
        (0, "automountServiceAccountToken", True),
        (0, "metadata.ownerReferences", []),
        (0, "metadata.labels", {}),
        (1, "spec.podSelector.matchExpressions", [{"key": "x", "operator": "Exists"}]),
        (1, "spec.ingress", [{}]),
        (1, "spec.egress", [{}]),
        (1, "spec.policyTypes", ["Ingress"]),
        (2, "data.instructions", "other"),
        (2, "revision", 2),
        (3, "rules.0.resourceNames", []),
        (3, "rules.0.verbs", ["*"]),
        (4, "subjects.0.name", "default"),
        (4, "roleRef.name", "other"),
        (5, "spec.replicas", 0),
        (5, "metadata.annotations", {}),
    ],
)
def test_what_would_undo_a_child_makes_one(index: int, path: str, value: object) -> None:
    assert fingerprint(changed(CHILDREN[index], path, value)) != fingerprint(CHILDREN[index])


@pytest.mark.parametrize(
    ("sent", "stored"), [(0.0, 0), (2.0, 2), (1e20, 10**20), (2.0**60, 2**60), (0.7, 0.7)]
)
def test_numbers_that_the_server_writes_in_another_way_make_none(sent: float, stored: float) -> None:
    desired = changed(CHILDREN[2], "data.spec.model.temperature", sent)
    assert fingerprint(changed(desired, "data.spec.model.temperature", stored)) == fingerprint(desired)


def test_empty_lists_that_the_server_leaves_out_make_none() -> None:
    desired = CHILDREN[1]
    stored = copy.deepcopy(desired)
    spec = stored["spec"]
    assert isinstance(spec, dict)
    del spec["ingress"]
    assert fingerprint(stored) == fingerprint(desired)
