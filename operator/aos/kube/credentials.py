"""Who AOS is to the API server: address, TLS and headers, as Kubernetes' own client library reads them."""

import ast
import asyncio
import logging
import os
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aos.kube.kubeconfig import read_context
from aos.kube.library import Configuration, RESTClientObject, config

REFRESH_SECONDS: Final = 60
"""Tokens and certificates are read anew at least this often: a kubelet or a plugin may have rotated them."""
RELOAD_TIMEOUT_SECONDS: Final = 30
"""A plugin that takes longer is given up, and asked again a minute later."""

_LIBRARY_LOG: Final = "kubernetes.aio.config.kube_config"
_WROTE: Final = re.compile(
    r"process returned (?P<code>-?\d+)\. (?P<bytes>b(?P<quote>['\"]).+(?P=quote))$", re.DOTALL
)
_SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"
_log = logging.getLogger(__name__)

Reload = Callable[[Configuration], Awaitable[None]]


class CredentialsError(Exception):
    """No usable way to an API server is configured; the message says where it was looked for."""


class Credentials:
    """Address, TLS and authentication of one API server, kept fresh.

    Attributes:
        server: ``https://host:port``, with the path that a proxy may add.
        server_hostname: name to expect in the server's certificate; None for the one in the address.
        proxy: address of an HTTP proxy, or None.
        tls: context for connections; another one after certificates changed on disk.
    """

    def __init__(
        self, configuration: Configuration, reload: Reload, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.server: str = configuration.host.rstrip("/")
        self.server_hostname: str | None = configuration.tls_server_name
        self.proxy: str | None = configuration.proxy
        self._configuration = configuration
        self._reload = reload
        self._clock = clock
        self._loaded_at = clock()
        self._reloading = asyncio.Lock()
        self._reloads = 0
        self._files = _files_of(configuration)
        self.tls = _tls_of(configuration)

    @classmethod
    async def load(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Credentials":
        """Read the kubeconfig given, else the user's own, else the pod's service account.

        Args:
            kubeconfig: a file; None for ``$KUBECONFIG``, ``~/.kube/config`` or the pod's service account.
            context: a context of the kubeconfig; None for its current one.
            clock: monotonic seconds, for tests.

        Raises:
            CredentialsError: nothing usable was found.
        """
        files = str(kubeconfig) if kubeconfig else default_kubeconfig()
        try:
            if files:
                return await cls._from_kubeconfig(files, context, clock)
            if os.environ.get(_SERVICE_HOST):
                return await cls._in_cluster(clock)
        except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            source = f"kubeconfig {files}" if files else "the pod's service account"
            raise CredentialsError(f"{source} can't be used: {_told(error)}") from error
        raise CredentialsError(
            "no API server is configured: there is no ~/.kube/config, KUBECONFIG is not set, and this is no pod"
        )

    @classmethod
    async def _from_kubeconfig(
        cls, files: str, context: str | None, clock: Callable[[], float]
    ) -> "Credentials":
        read_context(files, context)
        configuration = Configuration()
        with _complaints() as heard:
            loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=files, context=context, client_configuration=configuration, persist_config=False
            )
        if heard:
            raise config.ConfigException(f"the plugin that gives credentials failed: {_complaint(heard[-1])}")
        return cls(configuration, loader.load_and_set, clock)

    @classmethod
    async def _in_cluster(cls, clock: Callable[[], float]) -> "Credentials":
        async def reload(configuration: Configuration) -> None:
            config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration, try_refresh_token=False
            )

        configuration = Configuration()
        await reload(configuration)
        return cls(configuration, reload, clock)

    async def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request; first read them anew if they are a minute old."""
        if self._clock() - self._loaded_at >= REFRESH_SECONDS and not self._reloading.locked():
            await self.refresh()
        bearer = (await self._configuration.auth_settings()).get("BearerToken")
        return {bearer["key"]: bearer["value"].strip()} if bearer and bearer["value"] else {}

    async def refresh(self) -> None:
        """Read tokens and certificates anew, once for all who ask meanwhile.

        What can't be read stays as it was, and is logged.
        """
        known = self._reloads
        async with self._reloading:
            if self._reloads != known:
                return
            try:
                async with asyncio.timeout(RELOAD_TIMEOUT_SECONDS):
                    await self._reload(self._configuration)
                files = _files_of(self._configuration)
                if files != self._files:
                    self.tls = _tls_of(self._configuration)
                    self._files = files
            except (config.ConfigException, OSError, ValueError) as error:
                _log.warning("credentials for %s can't be read anew: %s", self.server, error)
            self._reloads += 1
            self._loaded_at = self._clock()


class _Ear(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Keep what the library logs as an error for the time of a block: where a plugin fails it goes on as nobody."""
    logger, ear = logging.getLogger(_LIBRARY_LOG), _Ear()
    was_passed_on = logger.propagate
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield ear.heard
    finally:
        logger.removeHandler(ear)
        logger.propagate = was_passed_on


def _complaint(said: str) -> str:
    """Return what a plugin's failure comes to: the last line that it wrote, which the library gives as Python writes bytes."""
    said = said.removeprefix("exec: ")
    wrote = _WROTE.match(said)
    if wrote is None:
        return said
    lines = str(ast.literal_eval(wrote["bytes"]), "utf-8", "replace").splitlines()
    return f"it ended with {wrote['code']}: {lines[-1].strip()}"


def _told(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            return "a certificate or key that it gives can't be read, or they do not belong together"
        case OSError() if error.strerror and error.filename:
            return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split())


def default_kubeconfig() -> str:
    """Return the user's own kubeconfig files, as ``$KUBECONFIG`` lists them; empty if there are none."""
    if named := os.environ.get("KUBECONFIG"):
        return named
    usual: str = config.KUBE_CONFIG_DEFAULT_LOCATION
    return usual if Path(usual).expanduser().exists() else ""


def _tls_of(configuration: Configuration) -> ssl.SSLContext:
    context = RESTClientObject(configuration).ssl_context
    if not isinstance(context, ssl.SSLContext):
        raise CredentialsError("the Kubernetes library gave no TLS context")
    return context


def _files_of(configuration: Configuration) -> tuple[tuple[str, int], ...]:
    names = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return tuple((name, Path(name).stat().st_mtime_ns) for name in names if name)
