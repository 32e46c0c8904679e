import asyncio
import base64
import ssl
from pathlib import Path

import pytest

from aos.gateway.http import Receive, Scope, Send, send_json
from aos.gateway.server import Port
from aos.gateway.tls import Certificate, CertificateWatch
from aos.kube.resources import SECRETS
from tests.unit.gateway.certificates import Authority, Pair
from tests.unit.gateway.make import SETTINGS, FakeApiServer, raw

AUTHORITY = Authority()


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, {"scheme": str(scope["scheme"])})


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=AUTHORITY.certificate.decode())


async def shown(port: Port, server_hostname: str = "127.0.0.1") -> str:
    """The certificate that a new connection is shown."""
    async with asyncio.timeout(20):
        while not port.is_serving:  # noqa: ASYNC110 - a port sets no event of a test's
            await asyncio.sleep(0.01)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port.port, ssl=client_context(), server_hostname=server_hostname
    )
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(certificate)


async def test_new_connections_get_the_newest_certificate_and_none_before_there_is_one() -> None:
    certificate = Certificate()
    port = Port(answer, SETTINGS, 0, certificate.context)
    serving = asyncio.create_task(port.serve())
    try:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await shown(port)
        assert not certificate.loaded.is_set()
        for pair in (AUTHORITY.issue("aos-gateway.aos-system.svc"), AUTHORITY.issue()):
            certificate.load(pair.certificate, pair.key)
            assert await shown(port) == pair.certificate.decode()
        assert certificate.loaded.is_set()
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


def test_a_certificate_with_another_key_is_refused() -> None:
    one, other = AUTHORITY.issue(), AUTHORITY.issue()
    with pytest.raises(ssl.SSLError):
        Certificate().load(one.certificate, other.key)


def test_a_key_stands_on_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pair = AUTHORITY.issue()
    Certificate().load(pair.certificate, pair.key)
    assert list(tmp_path.iterdir()) == []
    assert len(set(Path("/proc/self/fd").iterdir())) == len(before)


def raw_secret(pair: Pair, **changes: str) -> dict[str, object]:
    data = {
        "tls.crt": base64.b64encode(pair.certificate).decode(),
        "tls.key": base64.b64encode(pair.key).decode(),
        **changes,
    }
    return raw("Secret", "aos-gateway-tls", "aos-system", data=dict(data))  # type: ignore[return-value] # JSON


async def test_the_secret_is_followed_and_a_broken_or_missing_one_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api, certificate = FakeApiServer(), Certificate()
    pair = AUTHORITY.issue()
    api.put(SECRETS, raw_secret(pair))  # type: ignore[arg-type] # as above
    watch = CertificateWatch(api, "aos-system", certificate)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(20):
        await certificate.loaded.wait()
    first = certificate._current
    api.put(SECRETS, raw_secret(pair, **{"tls.key": "bm9uZQ=="}))  # type: ignore[arg-type] # as above
    for _ in range(50):
        await asyncio.sleep(0)
    assert "holds no usable certificate" in caplog.text
    api.remove(SECRETS, "aos-gateway-tls", "aos-system")
    for _ in range(50):
        await asyncio.sleep(0)
    assert "its last certificate stays in use" in caplog.text
    assert certificate._current is first
    running.cancel()
    await asyncio.wait((running,))
    assert [selection.field_selector for _, selection in api.watched] == ["metadata.name=aos-gateway-tls"]
