import base64

import pytest

from aos.gateway.hooks.signature import SignatureError, Signed, UnusableKeyError, key_of, sign, verify

KEY = b"0123456789abcdef"
BODY = b'{"lead": "acme"}'
NOW = 1_767_323_045


def signed(webhook_id: str = "msg_1", timestamp: int = NOW, body: bytes = BODY, key: bytes = KEY) -> Signed:
    return Signed(webhook_id, str(timestamp), sign(webhook_id, timestamp, body, key))


def test_the_signature_is_that_of_the_published_example() -> None:
    # The example of the Standard Webhooks specification, which its libraries test with.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    said = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, key)
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_with_the_key_is_taken() -> None:
    verify(signed(), BODY, KEY, 300, NOW)


@pytest.mark.parametrize(
    ("said", "body", "key"),
    [
        (signed(), b'{"lead": "other"}', KEY),
        (signed(), BODY, b"another key of 16"),
        (Signed("msg_2", str(NOW), signed().signatures), BODY, KEY),
        (Signed("msg_1", str(NOW + 1), signed().signatures), BODY, KEY),
        (Signed("msg_1", str(NOW), ""), BODY, KEY),
        (Signed("msg_1", str(NOW), signed().signatures.replace("v1,", "v2,")), BODY, KEY),
        (Signed("msg_1", str(NOW), "v1,not base64!"), BODY, KEY),
        (Signed("msg_1", str(NOW), "v1,\N{LATIN SMALL LETTER E WITH ACUTE}"), BODY, KEY),
        (Signed("msg_1", str(NOW), "v1," + "A" * 44), BODY, KEY),
    ],
)
def test_anything_that_differs_from_what_was_signed_is_refused(said: Signed, body: bytes, key: bytes) -> None:
    with pytest.raises(SignatureError, match="no webhook-signature"):
        verify(said, body, key, 300, NOW)


def test_one_right_signature_among_several_is_enough() -> None:
    both = f"v1,{'A' * 44} {signed().signatures}"
    verify(Signed("msg_1", str(NOW), both), BODY, KEY, 300, NOW)


def test_only_so_many_signatures_are_looked_at() -> None:
    many = " ".join([f"v1,{'A' * 44}"] * 8 + [signed().signatures])
    with pytest.raises(SignatureError):
        verify(Signed("msg_1", str(NOW), many), BODY, KEY, 300, NOW)


@pytest.mark.parametrize("seconds", [300, -300])
def test_a_request_is_taken_to_the_end_of_the_window_on_both_sides(seconds: int) -> None:
    verify(signed(timestamp=NOW + seconds), BODY, KEY, 300, NOW)


@pytest.mark.parametrize("seconds", [301, -301])
def test_a_request_outside_of_the_window_is_refused_though_its_signature_is_right(seconds: int) -> None:
    with pytest.raises(SignatureError, match="more than 300 s away"):
        verify(signed(timestamp=NOW + seconds), BODY, KEY, 300, NOW)


@pytest.mark.parametrize("stamp", ["", "soon", "1.5", "-1", "9" * 13, "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureError, match="webhook-timestamp must be"):
        verify(Signed("msg_1", stamp, "v1,AAAA"), BODY, KEY, 300, NOW)


@pytest.mark.parametrize("webhook_id", ["", "a" * 257, "a\nb", "a.b", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_an_id_that_is_none_is_refused(webhook_id: str) -> None:
    with pytest.raises(SignatureError, match="webhook-id"):
        verify(Signed(webhook_id, str(NOW), "v1,AAAA"), BODY, KEY, 300, NOW)


def test_attack_20_what_was_signed_is_no_other_delivery_with_its_parts_moved() -> None:
    # The same bytes are signed: a body that begins with a time makes another id, time and body of them.
    said = Signed(f"msg_1.{NOW}", str(NOW), sign("msg_1", NOW, f"{NOW}.7".encode(), KEY))
    assert said.signatures == sign(said.id, NOW, b"7", KEY)
    with pytest.raises(SignatureError, match="without a full stop"):
        verify(said, b"7", KEY, 300, NOW)


def test_a_key_is_text_or_base64_behind_its_prefix() -> None:
    assert key_of("0123456789abcdef\n") == KEY
    assert key_of("whsec_" + base64.b64encode(KEY).decode()) == KEY


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_QUJD", "whsec_not base64"])
def test_what_is_no_key_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(UnusableKeyError) as caught:
        key_of(secret)
    assert not secret or secret not in str(caught.value)
