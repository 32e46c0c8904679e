"""Runs an ASGI application on a loopback port for the length of a test, over TLS if asked."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of a server's self-signed certificate, which is its own authority."""

    certificate: Path
    key: Path


def make_identity(folder: Path) -> Identity:
    """Write a certificate for 127.0.0.1 and its key into ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    identity = Identity(folder / "ca.crt", folder / "tls.key")
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    identity.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return identity


@asynccontextmanager
async def serve(app: ASGIApp, identity: Identity | None = None) -> AsyncGenerator[str]:
    """Serve ``app`` and yield its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        ssl_certfile=identity.certificate if identity else None,
        ssl_keyfile=identity.key if identity else None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"{'https' if identity else 'http'}://127.0.0.1:{port}"
    finally:
        server.enough.set()
        await serving


class _Server(uvicorn.Server):
    """Leaves the process's signals to the test, and ends when told instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.enough = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # switched off
        return nullcontext()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.enough.wait()
