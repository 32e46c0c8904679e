"""Addresses of kinds and objects."""

import pytest

from aos.kube.resources import AGENTS, NAMESPACES, PODS, ROLES, TOKEN_REVIEWS, Resource


@pytest.mark.parametrize(
    ("resource", "where", "path"),
    [
        (PODS, ("sales", "one"), "/api/v1/namespaces/sales/pods/one"),
        (PODS, ("sales", "one", "status"), "/api/v1/namespaces/sales/pods/one/status"),
        (AGENTS, ("sales", "one"), "/apis/aos.dev/v1alpha1/namespaces/sales/agents/one"),
        (NAMESPACES, ("", "sales"), "/api/v1/namespaces/sales"),
        (
            ROLES,
            ("sales", "a:b c?"),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/sales/roles/a%3Ab%20c%3F",
        ),
    ],
)
def test_an_object_has_an_address(resource: Resource, where: tuple[str, str], path: str) -> None:
    assert resource.object_path(*where) == path


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        (PODS, "", "/api/v1/pods"),
        (PODS, "sales", "/api/v1/namespaces/sales/pods"),
        (TOKEN_REVIEWS, "", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ],
)
def test_a_collection_has_an_address(resource: Resource, namespace: str, path: str) -> None:
    assert resource.path(namespace) == path


@pytest.mark.parametrize(
    ("resource", "where"),
    [
        (NAMESPACES, ("sales", "one")),
        (PODS, ("", "one")),
        (PODS, ("sales", "")),
        (PODS, ("sales", "", "status")),
        (NAMESPACES, ("", "")),
        (PODS, ("sales", "..")),
        (PODS, ("sales", ".")),
        (PODS, ("sales", "a/b")),
        (PODS, ("../kube-system", "a")),
        (PODS, ("sales", "%2e%2e")),
    ],
)
def test_a_name_that_would_lead_elsewhere_is_refused(resource: Resource, where: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"namespace|name"):
        resource.object_path(*where)


def test_the_core_group_has_a_bare_version() -> None:
    assert (PODS.api_version, AGENTS.api_version) == ("v1", "aos.dev/v1alpha1")
