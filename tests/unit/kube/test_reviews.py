"""Verdicts on tokens."""

import pytest
from pydantic import JsonValue

from aos.kube.reviews import TokenReview, UserInfo

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
