import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aos.controllers.notifications_post import Outgoing, Postman, signature
from aos.controllers.notifications_settings import Webhook, WebhookSettings
from aos.kube.errors import Unavailable
from tests.unit.controllers.hooks import Hooks, serving
from tests.unit.gateway.certificates import Authority

KEY = b"0123456789abcdef"
OUTGOING = Outgoing("uid.chat.Asked", {"text": "Zoë is asked"})


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with serving() as found:
        yield found


@pytest.fixture
async def postman() -> AsyncIterator[Postman]:
    made = Postman(timeout_seconds=5, clock=lambda: 1_700_000_000.9)
    yield made
    await made.close()


def webhook(url: str, key_file: Path | None = None) -> Webhook:
    return Webhook(
        WebhookSettings.model_validate({"name": "chat", "format": "Slack", "url": url, "keyFile": key_file})
    )


async def test_a_notice_is_signed_over_its_time_and_its_body(
    hooks: Hooks, postman: Postman, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    await postman.send(webhook(f"{hooks.url}/hook?a=%2Fb", tmp_path / "key"), OUTGOING)
    (received,) = hooks.received
    expected = hmac.new(KEY, b"1700000000." + received.body, hashlib.sha256).hexdigest()
    assert received.headers["AOS-Webhook-Signature"] == f"v1={expected}"
    assert received.headers["AOS-Webhook-Timestamp"] == "1700000000"
    assert received.headers["AOS-Webhook-Id"] == "uid.chat.Asked"
    assert received.headers["Content-Type"] == "application/json"
    assert received.data == {"text": "Zoë is asked"}
    assert signature(KEY, 1, b"{}") != signature(KEY, 2, b"{}")


async def test_without_a_key_nothing_is_signed(hooks: Hooks, postman: Postman) -> None:
    await postman.send(webhook(hooks.url), OUTGOING)
    assert "AOS-Webhook-Signature" not in hooks.received[0].headers


@pytest.mark.parametrize("status", [300, 400, 404, 410, 500, 503])
async def test_what_is_not_taken_is_told_without_the_address(
    hooks: Hooks, postman: Postman, status: int
) -> None:
    hooks.answers.append(status)
    with pytest.raises(Unavailable) as caught:
        await postman.send(webhook(f"{hooks.url}/a-secret-path"), OUTGOING)
    assert caught.value.status == status
    assert "chat" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_redirects_are_not_followed(hooks: Hooks, postman: Postman) -> None:
    hooks.answers.append(307)
    hooks.headers["Location"] = f"{hooks.url}/elsewhere"
    with pytest.raises(Unavailable, match="redirects are not followed"):
        await postman.send(webhook(f"{hooks.url}/here"), OUTGOING)
    assert [item.path for item in hooks.received] == ["/here"]


async def test_a_webhook_that_asks_for_time_gets_it_within_bounds(hooks: Hooks, postman: Postman) -> None:
    for asked, given in (("7", 7), ("999999", 3600), ("9" * 5000, 3600), ("soon", 0)):
        hooks.answers.append(429)
        hooks.headers["Retry-After"] = asked
        with pytest.raises(Unavailable) as caught:
            await postman.send(webhook(hooks.url), OUTGOING)
        assert caught.value.retry_after_seconds == given


async def test_a_webhook_that_hangs_is_given_up(hooks: Hooks) -> None:
    hooks.hangs = True
    postman = Postman(timeout_seconds=0.2)
    with pytest.raises(Unavailable, match="did not answer in order"):
        await postman.send(webhook(hooks.url), OUTGOING)
    await postman.close()


async def test_nobody_at_the_address_is_told_without_it(postman: Postman) -> None:
    with pytest.raises(Unavailable) as caught:
        await postman.send(webhook("http://127.0.0.1:1/a-secret-path"), OUTGOING)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_key_that_is_gone_is_told_before_anything_is_sent(
    hooks: Hooks, postman: Postman, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="webhook chat: can't read"):
        await postman.send(webhook(hooks.url, tmp_path / "none"), OUTGOING)
    assert hooks.received == []


async def test_a_certificate_that_nobody_trusted_signed_is_refused(postman: Postman, tmp_path: Path) -> None:
    pair = Authority().issue("localhost")
    (tmp_path / "pair").write_bytes(pair.certificate + pair.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "pair")
    async with serving(tls) as hooks:
        with pytest.raises(Unavailable, match="Certificate"):
            await postman.send(webhook(hooks.url), OUTGOING)
    assert hooks.received == []
