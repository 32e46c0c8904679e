"""Addresses of kinds and objects."""

import pytest

from aos.kube.resources import AGENTS, NAMESPACES, PODS, ROLES, TOKEN_REVIEWS, Resource


@pytest.mark.parametrize(
    ("resource", "where", "path"),
    [
        (PODS, (), "/api/v1/pods"),
        (PODS, ("sales",), "/api/v1/namespaces/sales/pods"),
        (PODS, ("sales", "one"), "/api/v1/namespaces/sales/pods/one"),
        (PODS, ("sales", "one", "status"), "/api/v1/namespaces/sales/pods/one/status"),
        (AGENTS, ("sales", "one"), "/apis/aos.dev/v1alpha1/namespaces/sales/agents/one"),
        (NAMESPACES, ("", "sales"), "/api/v1/namespaces/sales"),
        (TOKEN_REVIEWS, (), "/apis/authentication.k8s.io/v1/tokenreviews"),
        (
            ROLES,
            ("sales", "a:b c?"),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/sales/roles/a%3Ab%20c%3F",
        ),
    ],
)
def test_a_resource_knows_its_address(resource: Resource, where: tuple[str, ...], path: str) -> None:
    assert resource.path(*where) == path


@pytest.mark.parametrize(
    ("resource", "where"),
    [
        (NAMESPACES, ("sales", "one")),
        (PODS, ("", "one")),
        (PODS, ("sales", "", "status")),
        (PODS, ("sales", "..")),
        (PODS, ("sales", ".")),
        (PODS, ("sales", "a/b")),
        (PODS, ("../kube-system", "a")),
        (PODS, ("sales", "%2e%2e")),
    ],
)
def test_a_name_that_would_lead_elsewhere_is_refused(resource: Resource, where: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"namespace|name|subresource"):
        resource.path(*where)


def test_the_core_group_has_a_bare_version() -> None:
    assert (PODS.api_version, AGENTS.api_version) == ("v1", "aos.dev/v1alpha1")
