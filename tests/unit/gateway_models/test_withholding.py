import pytest
from pydantic import JsonValue

from aos.gateway.models.withholding import CredentialGuard
from aos.gateway.upstream.upstream_error import UpstreamError

SECRET = "key-" + "key-1"


def choice(text: str, finish: str | None = None, index: int = 0, **more: JsonValue) -> JsonValue:
    return {"index": index, "delta": {"content": text}, "finish_reason": finish, **more}


def test_only_the_beginning_of_the_credential_is_held_back() -> None:
    guard = CredentialGuard(SECRET)
    assert guard.passed([choice("a key"), choice("a", index=1)]) == ([choice("a "), choice("a", index=1)], [])
    assert guard.passed([choice("s")]) == ([choice("keys")], [])
    assert guard.rest() == []


def test_log_probabilities_do_not_spell_out_what_is_held_back() -> None:
    passed, _ = CredentialGuard(SECRET).passed([choice("key-", logprobs={"content": ["key-"]})])
    assert passed == [choice("", logprobs=None)]


def test_texts_of_lists_are_held_by_their_place() -> None:
    guard = CredentialGuard(SECRET)
    details: JsonValue = {"index": 0, "delta": {"details": [{"text": "key"}, "k"]}}
    guard.passed([details, "odd", {"delta": None}])
    assert guard.rest() == [
        {"index": 0, "delta": {"details": [{"index": 0, "text": "key"}]}, "finish_reason": None},
        {"index": 0, "delta": {"details": ["k"]}, "finish_reason": None},
    ]
    guard.passed([details])
    with pytest.raises(UpstreamError, match="credential"):
        guard.passed([{"index": 0, "delta": {"details": [{"text": "-key-1"}]}}])
