"""Verdicts on tokens."""

import pytest
from pydantic import JsonValue

from aos.kube.reviews import AccessRequest, TokenReview, UserInfo, is_allowed

USER: dict[str, JsonValue] = {
    "username": "system:serviceaccount:sales:one",
    "uid": "u1",
    "groups": ["system:serviceaccounts"],
    "extra": {"authentication.kubernetes.io/pod-name": ["pod-1"]},
}


def test_an_accepted_token_tells_whose_it_is() -> None:
    review = TokenReview.parse(
        {"status": {"authenticated": True, "user": USER, "audiences": ["aos-gateway"]}}
    )
    assert review == TokenReview(
        authenticated=True,
        user=UserInfo(
            "system:serviceaccount:sales:one",
            "u1",
            ("system:serviceaccounts",),
            {"authentication.kubernetes.io/pod-name": ("pod-1",)},
        ),
        audiences=("aos-gateway",),
        error="",
    )


@pytest.mark.parametrize("verdict", [False, None, "true", 1, [], {}])
def test_anything_but_true_is_not_authenticated_and_names_nobody(verdict: JsonValue) -> None:
    review = TokenReview.parse(
        {"status": {"authenticated": verdict, "user": USER, "audiences": ["x"], "error": "expired"}}
    )
    assert review == TokenReview(authenticated=False, user=UserInfo(), audiences=(), error="expired")


def test_an_empty_answer_is_not_authenticated() -> None:
    assert not TokenReview.parse({}).authenticated


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({"allowed": True, "denied": False, "reason": "RBAC"}, True),
        ({"allowed": True, "denied": True}, False),
        ({"allowed": False}, False),
        ({"allowed": "true"}, False),
        ({}, False),
    ],
)
def test_only_a_clear_yes_allows(status: dict[str, JsonValue], *, allowed: bool) -> None:
    assert is_allowed({"status": status}) is allowed


def test_access_is_spelled_as_a_review_spells_it() -> None:
    assert AccessRequest("get", "aos.dev", "audit", "sales").attributes() == {
        "verb": "get",
        "group": "aos.dev",
        "resource": "audit",
        "namespace": "sales",
    }


def test_access_to_one_object_names_it() -> None:
    assert (
        AccessRequest("approve", "aos.dev", "approvalrequests", "sales", "apr-1").attributes()["name"]
        == "apr-1"
    )
