"""Reads the gateway's audit trail and records through the API server's proxy, with a token made for that alone."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import orjson

from aos.audit.anchors import Anchors
from aos.audit.chain import DamagedRowError
from aos.audit.codec import EventError
from aos.audit.event import AuditRow
from aos.audit.head import ChainHead
from aos.audit.lines import decode_row
from aos.audit.signing import HeadError
from aos.cli.exits import CommandError, ExitCode
from aos.kube.client import ApiClient
from aos.kube.errors import ApiError, Forbidden, NotFound, Unavailable
from aos.kube.objects import child, children, number, text
from aos.kube.resources import CONFIG_MAPS
from aos.model.base import JsonObject
from aos.model.names import (
    AUDIENCE_AUDIT,
    AUDIT_ANCHORS,
    AUDIT_TOKEN_HEADER,
    AUDITOR_SERVICE_ACCOUNT,
    GATEWAY_SERVICE,
    TOKEN_EXPIRATION_SECONDS,
)

RENEW_SECONDS: Final = TOKEN_EXPIRATION_SECONDS * 0.8
"""A token that is older than this is replaced before it is sent."""
MAX_LINE_BYTES: Final = 1_048_576
MAX_ANSWER_BYTES: Final = 64 * 1_048_576
_PORT: Final = "admin"


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """Where to read, and as whom.

    Attributes:
        aos_namespace: that AOS runs in.
        namespace: that is asked about; empty for all of them.
        service_account: ``NAME`` or ``NAMESPACE/NAME``; empty for the chart's own, which reads all namespaces.
    """

    aos_namespace: str
    namespace: str
    service_account: str = ""

    @property
    def account(self) -> tuple[str, str]:
        """Namespace and name of the service account."""
        if not self.service_account:
            return self.aos_namespace, AUDITOR_SERVICE_ACCOUNT
        namespace, _, name = self.service_account.rpartition("/")
        return namespace or self.namespace or self.aos_namespace, name

    @property
    def where(self) -> str:
        """The namespaces that are asked about, in words."""
        return f"in namespace {self.namespace}" if self.namespace else "in any namespace"

    @property
    def wider(self) -> str:
        """How to ask about more, for the end of a message that nothing was found; empty if all were asked about."""
        return "; -n NAME asks about another namespace, -A about all" if self.namespace else ""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that the store has and nobody can read; the answer ends with it."""

    chain: str
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class End:
    """The end of a whole answer; ``more`` if the bound on rows was reached."""

    rows: int
    more: bool


Line = AuditRow | Damaged | End


class AuditSource:
    """What the gateway tells of the audit trail and of records.

    Every method raises an `ApiError` for what the API server or the gateway refuses, and a `CommandError` for what only
    a person can put right.
    """

    def __init__(self, client: ApiClient, place: AuditPlace) -> None:
        self._client = client
        self.place = place
        self._token = ""
        self._token_at = 0.0

    async def lines(self, query: Mapping[str, str]) -> AsyncGenerator[Line, None]:
        """Yield rows as they come, and at last a `Damaged` or an `End`.

        Args:
            query: parameters of ``GET /v1/audit``; empty ones are left out.
        """
        given = {name: value for name, value in query.items() if value}
        async with self._stream("GET", "audit", given) as chunks:
            ended = False
            async for line in _split(chunks):
                read = _line(line)
                ended = not isinstance(read, AuditRow)
                yield read
        if not ended:
            raise CommandError(ExitCode.UNREACHABLE, "the gateway's answer broke off; try again")

    async def heads(self) -> tuple[ChainHead, ...]:
        """Return the newest row of each chain, as the store has it."""
        said = await self._ask("GET", "audit/heads", {})
        return tuple(
            ChainHead(text(item, "chain"), number(item, "sequence"), text(item, "hash"), text(item, "time"))
            for item in children(said, "items")
        )

    async def anchors(self) -> Anchors:
        """Return the signed heads that the operator keeps."""
        try:
            raw = await self._client.get(CONFIG_MAPS, AUDIT_ANCHORS, self.place.aos_namespace)
        except NotFound:
            return Anchors()
        data = child(raw, "data")
        try:
            return Anchors.parse(text(data, "heads"), text(data, "earlier"))
        except HeadError as error:
            raise CommandError(ExitCode.FAILURE, str(error)) from error

    async def document(self, row: AuditRow, digest: str) -> JsonObject | None:
        """Return what a digest of the row stands for, its policy's or its revision's; None if it is not kept."""
        place = {"namespace": self.place.namespace, "chain": row.chain, "sequence": str(row.sequence)}
        try:
            return await self._ask("GET", f"audit/documents/{digest}", place)
        except NotFound:
            return None

    async def holds(self) -> tuple[JsonObject, ...]:
        """Return the legal holds."""
        return children(await self._ask("GET", "audit/holds", self._namespace()), "items")

    async def hold(self, name: str, reason: str) -> JsonObject:
        """Set a legal hold."""
        return await self._change(
            "PUT", f"audit/holds/{quote(name, safe='')}", {**self._namespace(), "reason": reason}
        )

    async def release(self, name: str) -> JsonObject:
        """Release a legal hold."""
        return await self._change("DELETE", f"audit/holds/{quote(name, safe='')}", self._namespace())

    async def records(self) -> tuple[JsonObject, ...]:
        """Return who holds which record."""
        return children(await self._ask("GET", "records", self._namespace()), "items")

    async def free(self, record: str) -> JsonObject:
        """Take a record from its holder, and return who that was."""
        return await self._change("DELETE", "records", {**self._namespace(), "record": record})

    async def _change(self, method: str, path: str, query: Mapping[str, str]) -> JsonObject:
        try:
            return await self._ask(method, path, query)
        except Unavailable:
            raise
        except ApiError as error:
            # The gateway's own words say what is wrong; the path through the proxy tells a person nothing.
            raise CommandError(ExitCode.REFUSED, error.message) from error

    def _namespace(self) -> dict[str, str]:
        return {"namespace": self.place.namespace} if self.place.namespace else {}

    async def _ask(self, method: str, path: str, query: Mapping[str, str]) -> JsonObject:
        content = bytearray()
        async with self._stream(method, path, query) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise _nonsense(f"it has more than {MAX_ANSWER_BYTES} bytes")
        try:
            said = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise _nonsense(str(error)) from error
        if not isinstance(said, dict):
            raise _nonsense("it is no object")
        return said

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, query: Mapping[str, str]
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        home = self.place.aos_namespace
        service = f"https:{GATEWAY_SERVICE}:{_PORT}"
        address = f"/api/v1/namespaces/{quote(home, safe='')}/services/{service}/proxy/v1/{path}"
        headers = {AUDIT_TOKEN_HEADER: await self._fresh_token()}
        try:
            async with self._client.stream(method, address, query=query, headers=headers) as chunks:
                yield chunks
        except (NotFound, Unavailable) as error:
            if f'"{GATEWAY_SERVICE}"' in error.message:
                raise CommandError(
                    ExitCode.UNREACHABLE,
                    f"no AOS gateway is ready in namespace {home}; if AOS runs in another, name it with --aos-namespace",
                ) from error
            raise
        except Forbidden as error:
            if "services/proxy" in error.message:
                raise CommandError(
                    ExitCode.REFUSED,
                    f"{error.message}; ask an administrator to bind the role aos-audit-proxy of namespace {home} to you",
                ) from error
            raise CommandError(ExitCode.REFUSED, error.message) from error

    async def _fresh_token(self) -> str:
        if not self._token or time.monotonic() - self._token_at > RENEW_SECONDS:
            self._token, self._token_at = await self._new_token(), time.monotonic()
        return self._token

    async def _new_token(self) -> str:
        namespace, name = self.place.account
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(name, safe='')}/token"
        body: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [AUDIENCE_AUDIT], "expirationSeconds": TOKEN_EXPIRATION_SECONDS},
        }
        try:
            made = await self._client.request("POST", path, body=body)
        except Unavailable:
            raise
        except ApiError as error:
            raise CommandError(
                ExitCode.REFUSED,
                f"no token of the service account {namespace}/{name} to read with: {error.message}; name one that you"
                " may make tokens of with --service-account, or AOS's own namespace with --aos-namespace",
            ) from error
        return text(child(made, "status"), "token")


async def _split(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise _nonsense(f"a line has more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            if line:
                yield line


def _line(line: bytes) -> Line:
    try:
        if line.startswith(b'{"chain"'):
            return decode_row(line)
        said = orjson.loads(line)
    except DamagedRowError as error:
        return Damaged(error.chain, error.sequence, str(error))
    except (EventError, orjson.JSONDecodeError) as error:
        raise _nonsense(str(error)) from error
    if not isinstance(said, dict):
        raise _nonsense("a line is no object")
    if "end" in said:
        end = child(said, "end")
        return End(number(end, "rows"), end.get("more") is True)
    if "damaged" in said:
        damaged = child(said, "damaged")
        return Damaged(text(damaged, "chain"), number(damaged, "sequence"), text(damaged, "message"))
    raise CommandError(
        ExitCode.UNREACHABLE, f"the gateway can't read on: {text(child(said, 'error'), 'message')}"
    )


def _nonsense(why: str) -> CommandError:
    return CommandError(ExitCode.UNREACHABLE, f"the gateway's answer can't be read: {why}")
