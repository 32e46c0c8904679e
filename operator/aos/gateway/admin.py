"""The other two ports: the operator's report and readers of the audit trail (TLS), and probes and metrics (plain HTTP)."""

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST

from aos.gateway.app import not_found
from aos.gateway.audit.api import AuditApi
from aos.gateway.enforcement import EnforcementReport
from aos.gateway.http import (
    ClientDisconnected,
    HttpRequest,
    Receive,
    Scope,
    Send,
    send_bytes,
    send_refusal,
    send_stream,
)
from aos.gateway.identity import bearer_token
from aos.gateway.metrics import GatewayMetrics
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.gateway.tokens import Claims

REPORT_PATH: Final = "/v1/enforced"
_MAX_BODY_BYTES: Final = 1024
_BODY_TIMEOUT_SECONDS: Final = 5.0
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_METRICS: Final = (b"content-type", CONTENT_TYPE_LATEST.encode())
_LINES: Final = (b"content-type", b"application/x-ndjson")
_CLOSE: Final = ((b"connection", b"close"),)


class Verifier(Protocol):
    """What is asked of `aos.gateway.tokens.TokenVerifier`."""

    async def verify(self, token: bytes) -> Claims:
        """Return what the token says."""


class AdminApp:
    """The ASGI application of the operator's port, which people reach through the API server's proxy."""

    def __init__(
        self,
        verifier: Verifier,
        report: EnforcementReport,
        settings: GatewaySettings,
        audit: AuditApi,
    ) -> None:
        """Make it.

        Args:
            verifier: judges the operator's token.
            report: what the operator reads.
            settings: who the operator is.
            audit: answers readers of the audit trail.
        """
        self._verifier = verifier
        self._report = report
        self._audit = audit
        self._operator = settings.operator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            request = _request(scope, receive)
            if AuditApi.serves(request.path):
                await self._audit.answer(request, _query(scope), send)
                return
            if request.path != REPORT_PATH or request.method != "GET":
                raise not_found(request.path)
            await self._check_operator(request)
            await self._stream(request, send)
        except ClientDisconnected:
            return
        except Refusal as refusal:
            await send_refusal(send, refusal, _CLOSE)

    async def _check_operator(self, request: HttpRequest) -> None:
        claims = await self._verifier.verify(bearer_token(request))
        if claims.username != self._operator:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                RefusalCode.FORBIDDEN,
                f"the report is for {self._operator} (AOS_OPERATOR_USERNAME), not for {claims.username}",
            )

    async def _stream(self, request: HttpRequest, send: Send) -> None:
        """Send the report until the reader goes away; sending alone would not tell."""
        await request.body()
        async with contextlib.aclosing(self._report.stream()) as lines:
            sending = asyncio.create_task(send_stream(send, lines, headers=(_LINES,)), name="report")
            leaving = asyncio.create_task(request.disconnected(), name="report reader")
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                leaving.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)


class HealthApp:
    """The ASGI application of probes and metrics."""

    def __init__(self, problem: Callable[[], str], metrics: GatewayMetrics) -> None:
        """Make it.

        Args:
            problem: says why the gateway is not ready; empty if it is.
            metrics: shown at ``/metrics``.
        """
        self._problem = problem
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            request = _request(scope, receive)
            if request.method != "GET":
                raise not_found(request.path)
            match request.path:
                case "/healthz":
                    await send_bytes(send, b"ok\n", HTTPStatus.OK, (_TEXT,))
                case "/readyz":
                    problem = self._problem()
                    status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
                    await send_bytes(send, f"{problem or 'ok'}\n".encode(), status, (_TEXT,))
                case "/metrics":
                    await send_bytes(send, self._metrics.exposition(), HTTPStatus.OK, (_METRICS,))
                case _:
                    raise not_found(request.path)
        except Refusal as refusal:
            await send_refusal(send, refusal, _CLOSE)


def _request(scope: Scope, receive: Receive) -> HttpRequest:
    return HttpRequest(scope, receive, max_body_bytes=_MAX_BODY_BYTES, timeout_seconds=_BODY_TIMEOUT_SECONDS)


def _query(scope: Scope) -> bytes:
    query = scope.get("query_string")
    return query if isinstance(query, bytes) else b""
