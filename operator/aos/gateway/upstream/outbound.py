"""Requests to tools and models: where they go, with which credential, and how much of an answer is read."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.refusal import RefusalCode
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.http_client import HttpClient, Response
from aos.gateway.upstream.upstream_error import UpstreamError, invalid, too_large
from aos.model.model import Model
from aos.model.tool import AuthType, Tool

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""The header that systems know a request by which they were sent before (draft-ietf-httpapi-idempotency-key-header)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, and with which credential.

    Attributes:
        uid: of the Tool or Model.
        url: as its spec gives it.
        credential: printable ASCII; None where the spec asks for none.
        header: the header that it stands in by itself; empty for ``Authorization``, as a bearer token.
    """

    uid: str
    url: str
    credential: str | None = field(default=None, repr=False)
    header: str = ""

    def authorization(self) -> dict[str, str]:
        """Return the header that shows the credential; none where there is none to show."""
        if self.credential is None:
            return {}
        return (
            {self.header: self.credential} if self.header else {"Authorization": f"Bearer {self.credential}"}
        )

    def gives_away(self, content: bytes) -> bool:
        """Whether ``content``, JSON as orjson writes it, holds the credential."""
        return self.credential is not None and orjson.dumps(self.credential)[1:-1] in content


def target_of(registry: Registry, there: Tool | Model) -> Target:
    """Return where ``there`` is reached, with its credential as it is now.

    Raises:
        UpstreamError: its credential is missing, or can't stand in a header.
    """
    auth = there.spec.auth
    if auth is None:
        return Target(uid=there.metadata.uid, url=there.spec.url)
    credential = (registry.credential(there.metadata.namespace, auth.secret_ref) or "").strip()
    if not credential or not credential.isascii() or not credential.isprintable():
        raise UpstreamError(
            RefusalCode.CREDENTIALS_MISSING,
            f"the gateway has no credential that it could show {there.kind} {there.metadata.name}",
            maybe_done=False,
        )
    header = (auth.header or "") if auth.type is AuthType.HEADER else ""
    return Target(uid=there.metadata.uid, url=there.spec.url, credential=credential, header=header)


def with_key(headers: Mapping[str, str], key: str) -> Mapping[str, str]:
    """Return headers by which a system can tell that it was sent a request before; as they are without a key.

    The gateway's own key is the only one: what an agent makes up is another one with each attempt.
    """
    if not key:
        return headers
    others = {name: value for name, value in headers.items() if name.lower() != IDEMPOTENCY_KEY.lower()}
    return {**others, IDEMPOTENCY_KEY: key}


def open_client(settings: GatewaySettings) -> HttpClient:
    """Return the client that all requests to tools and models share; the caller closes it."""
    return HttpClient(settings.connect_timeout_seconds)


def check_encoding(response: Response) -> None:
    """Refuse a compressed answer: a small one could be a large one.

    Raises:
        UpstreamError: it is compressed although none was asked for.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise invalid("the answer is compressed, which was not asked for")


def media_type(response: Response) -> str:
    """Return the answer's type without parameters, in lower case; empty where it has none."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def chunks(response: Response, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the answer's body as it comes.

    Raises:
        UpstreamError: it has more than ``max_bytes``, or did not come whole.
    """
    received = 0
    while chunk := await response.read():
        received += len(chunk)
        if received > max_bytes:
            raise too_large(max_bytes)
        yield chunk


async def read_all(response: Response, max_bytes: int) -> bytes:
    """Return the answer's whole body.

    Raises:
        UpstreamError: it has more than ``max_bytes``, or did not come whole.
    """
    first = await response.read()
    if response.at_end and len(first) <= max_bytes:
        return first
    content = bytearray(first)
    while len(content) <= max_bytes:
        chunk = await response.read()
        if not chunk:
            return bytes(content)
        content += chunk
    raise too_large(max_bytes)


def decoded(content: bytes) -> JsonValue:
    """Return the JSON that ``content`` is.

    Raises:
        UpstreamError: it is none.
    """
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise invalid("the answer is not JSON") from None
    return value


def encoded(value: JsonValue) -> bytes:
    """Return ``value``, which came from the other side, as JSON.

    Raises:
        UpstreamError: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        raise invalid("the answer is nested too deeply") from None
