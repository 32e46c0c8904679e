"""The gateway's certificate: read from its Secret through the API server, swapped without a restart, never on disk."""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Iterator
from typing import Final

from aos.gateway.facts import SecretData
from aos.gateway.table import Change, Table
from aos.kube.client import Selection
from aos.kube.informer import Informer, Source
from aos.kube.resources import SECRETS
from aos.model.names import GATEWAY_TLS_SECRET

_CERTIFICATE: Final = "tls.crt"
_KEY: Final = "tls.key"

_log = logging.getLogger(__name__)


class Certificate:
    """The certificate of all TLS ports. Handshakes fail until there is one, and use the newest that is sound."""

    def __init__(self) -> None:
        self._current: ssl.SSLContext | None = None
        self.loaded = asyncio.Event()
        self.context = _new_context()
        self.context.sni_callback = self._choose

    def load(self, certificate: bytes, key: bytes) -> None:
        """Use this certificate (PEM, with its chain) and key (PEM) from now on.

        Raises:
            ssl.SSLError: they can't be read or do not belong together; what was used before stays in use.
        """
        context = _new_context()
        with _in_memory(certificate.rstrip() + b"\n" + key) as path:
            context.load_cert_chain(path)
        self._current = context
        self.loaded.set()

    def _choose(
        self, connection: ssl.SSLObject, _server_name: str | None, _own: ssl.SSLContext
    ) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


class CertificateWatch:
    """Follows the Secret that the operator keeps the gateway's certificate in."""

    def __init__(self, client: Source, namespace: str, certificate: Certificate) -> None:
        self._certificate = certificate
        self._informer = Informer(
            client,
            SECRETS,
            SecretData.parse,
            selection=Selection(namespace=namespace, field_selector=f"metadata.name={GATEWAY_TLS_SECRET}"),
        )
        self._informer.add_handler(Table(self._changed))

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._informer.run()

    def _changed(self, change: Change[SecretData]) -> None:
        if change.new is None:
            _log.warning("Secret %s is gone; its last certificate stays in use", change.key)
            return
        values = change.new.values
        try:
            self._certificate.load(values[_CERTIFICATE], values[_KEY])
        except (KeyError, ssl.SSLError) as error:
            _log.error("Secret %s holds no usable certificate: %s", change.key, error)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give a path to ``content`` for functions that take files only; it stands in memory and on no disk."""
    descriptor = os.memfd_create("aos-gateway-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
