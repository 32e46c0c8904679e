from dataclasses import replace

import pytest

from aos.audit.head import ChainHead
from aos.audit.signing import HeadError, HeadSigner, SignedHead

HEAD = ChainHead("gateway-1", 7, "a" * 64, "2026-01-02T03:04:05.000000Z")


def test_a_signed_head_is_genuine_and_survives_its_text() -> None:
    signed = HeadSigner().sign(HEAD)
    assert signed.is_genuine
    assert SignedHead.parse(signed.encode()) == signed


@pytest.mark.parametrize(
    "changed",
    [
        replace(HEAD, sequence=6),
        replace(HEAD, hash="b" * 64),
        replace(HEAD, chain="gateway-2"),
        replace(HEAD, time="2026-01-02T03:04:06.000000Z"),
    ],
)
def test_a_head_that_was_changed_is_not_genuine(changed: ChainHead) -> None:
    assert not replace(HeadSigner().sign(HEAD), head=changed).is_genuine


@pytest.mark.parametrize(
    "key", ["", "!!", "AAAA", HeadSigner().sign(HEAD).key], ids=["none", "no base64", "short", "another"]
)
def test_a_head_under_another_key_is_not_genuine(key: str) -> None:
    assert not replace(HeadSigner().sign(HEAD), key=key).is_genuine


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "not JSON"),
        (b" " * 5000, "an object of"),
        (b"[]", "an object of"),
        (b"{}", "an object of"),
        (HeadSigner().sign(HEAD).encode().replace(b":7,", b":0,"), "wrong type"),
        (HeadSigner().sign(HEAD).encode().replace(b":7,", b":true,"), "wrong type"),
        (HeadSigner().sign(HEAD).encode().replace(b'"gateway-1"', b"1"), "wrong type"),
        (HeadSigner().sign(HEAD).encode().replace(b'"gateway-1"', b'""'), "lacks its chain"),
        (HeadSigner().sign(replace(HEAD, hash="aa")).encode(), "a hash that is none"),
    ],
    ids=[
        "no JSON",
        "too long",
        "a list",
        "empty",
        "no sequence",
        "a boolean",
        "a number",
        "no chain",
        "a short hash",
    ],
)
def test_what_is_no_signed_head_is_an_error(content: bytes, problem: str) -> None:
    with pytest.raises(HeadError, match=problem):
        SignedHead.parse(content)
