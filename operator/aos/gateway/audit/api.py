"""Audit rows, heads, documents, legal holds and records over HTTP, for readers behind the API server's proxy."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import orjson
from pydantic import JsonValue

from aos.audit.chain import DamagedRowError
from aos.audit.lines import encode_row
from aos.audit.query import AuditQuery
from aos.gateway.audit.access import Access
from aos.gateway.audit.changes import change
from aos.gateway.audit.parameters import ROWS, audit_query, bad, number, parameters
from aos.gateway.http import HttpRequest, Send, send_bytes, send_json, send_stream
from aos.gateway.refusal import Refusal, RefusalCode
from aos.kube.reviews import UserInfo
from aos.model.base import JsonObject
from aos.store.interface import LegalHold, Store, StoreUnavailableError

AUDIT: Final = "/v1/audit"
RECORDS: Final = "/v1/records"
MAX_READERS: Final = 8
"""Requests at once; more are answered 429."""
MAX_REASON_LENGTH: Final = 512
MAX_HOLD_NAME_LENGTH: Final = 63
EVERYWHERE: Final = "*"
"""Stands for all namespaces in the name of a hold."""
_CHUNK_BYTES: Final = 65_536
_LINES: Final = (b"content-type", b"application/x-ndjson")
_JSON: Final = (b"content-type", b"application/json")
_HOLDS: Final = f"{AUDIT}/holds"
_DOCUMENTS: Final = f"{AUDIT}/documents"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, understood.

    Attributes:
        request: as it came.
        query: its query string.
        rest: what follows the route in the path.
    """

    request: HttpRequest
    query: bytes
    rest: str

    def given(self, *known: str) -> Mapping[str, str]:
        return parameters(self.query, known)


_Answer = Callable[[_Asked, UserInfo, Send], Awaitable[None]]


class AuditApi:
    """Answers readers; each answer holds only what the API server says that the reader may see."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access
        self._readers = 0
        self._routes: Mapping[tuple[str, str], _Answer] = {
            ("GET", AUDIT): self._rows,
            ("GET", f"{AUDIT}/heads"): self._heads,
            ("GET", _DOCUMENTS): self._document,
            ("GET", _HOLDS): self._list_holds,
            ("PUT", _HOLDS): self._hold,
            ("DELETE", _HOLDS): self._release,
            ("GET", RECORDS): self._records,
            ("DELETE", RECORDS): self._free,
        }

    @staticmethod
    def serves(path: str) -> bool:
        """Whether the path is one of these."""
        return path in {AUDIT, RECORDS} or path.startswith(f"{AUDIT}/")

    async def answer(self, request: HttpRequest, query: bytes, send: Send) -> None:
        """Answer one request; what is refused is said as the API server says it, since it is read through that.

        Raises:
            ClientDisconnected: nobody waits for the answer.
        """
        try:
            await self._answered(request, query, send)
        except StoreUnavailableError as error:
            refusal = Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefusalCode.STORE_UNAVAILABLE,
                f"the store can't be read: {error}",
                retry_after_seconds=5,
            )
            await _send_status(send, refusal)
        except Refusal as refusal:
            await _send_status(send, refusal)

    async def _answered(self, request: HttpRequest, query: bytes, send: Send) -> None:
        route, rest = _route(request.path)
        answer = self._routes.get((request.method, route))
        if answer is None:
            raise _not_found(f"there is no {request.method} {request.path}")
        if self._readers >= MAX_READERS:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                RefusalCode.TOO_MANY_CALLS,
                f"{MAX_READERS} readers are served at once; try again",
                retry_after_seconds=1,
            )
        self._readers += 1
        try:
            user = await self._access.user(request)
            await answer(_Asked(request, query, rest), user, send)
        finally:
            self._readers -= 1

    async def _rows(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        query = audit_query(asked.given(*ROWS))
        await self._access.require(user, "get", "audit", query.namespace)
        await asked.request.body()
        async with aclosing(self._lines(query)) as lines:
            sending = asyncio.create_task(send_stream(send, lines, headers=(_LINES,)), name="audit rows")
            leaving = asyncio.create_task(asked.request.disconnected(), name="audit reader")
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                sending.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _lines(self, query: AuditQuery) -> AsyncGenerator[bytes, None]:
        """Yield rows, and at the end a line that says that it is the end: without it the answer is not whole."""
        chunk, size, count = [], 0, 0
        end: JsonObject
        try:
            async for row in self._store.rows(query):
                line = encode_row(row)
                chunk.append(line)
                size += len(line)
                count += 1
                if size >= _CHUNK_BYTES:
                    yield b"\n".join(chunk) + b"\n"
                    chunk, size = [], 0
            end = {"end": {"rows": count, "more": count >= query.limit}}
        except DamagedRowError as error:
            end = {"damaged": {"chain": error.chain, "sequence": error.sequence, "message": str(error)}}
        except StoreUnavailableError as error:
            end = {"error": {"code": RefusalCode.STORE_UNAVAILABLE, "message": str(error)}}
        yield b"\n".join([*chunk, orjson.dumps(end)]) + b"\n"

    async def _heads(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        asked.given()
        await self._access.require(user, "get", "audit", "")
        heads = await self._store.heads()
        await _send_items(send, [asdict(head) for head in heads])

    async def _document(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        """Answer with a document that a row names, to those who may see that row."""
        given = asked.given("namespace", "chain", "sequence")
        namespace, chain = given.get("namespace", ""), given.get("chain", "")
        sequence = number(given, "sequence", 0, 1, 2**40)
        await self._access.require(user, "get", "audit", namespace)
        query = AuditQuery(chain=chain, after_sequence=sequence - 1, limit=1)
        found = [row async for row in self._store.rows(query)]
        named = any(
            row.sequence == sequence
            and asked.rest in {row.event.policy_digest, row.event.revision_digest}
            and namespace in {"", row.event.namespace}
            for row in found
        )
        content = await self._store.document(asked.rest) if named else None
        if content is None:
            raise _not_found(f"row {sequence} of chain {chain} has no document {asked.rest} that is kept")
        await send_bytes(send, content, HTTPStatus.OK, (_JSON,))

    async def _list_holds(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        namespace = asked.given("namespace").get("namespace", "")
        await self._access.require(user, "get", "audit", namespace)
        holds = [hold for hold in await self._store.holds() if namespace in {"", hold.namespace}]
        await _send_items(send, [_shown(hold) for hold in holds])

    async def _hold(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        given = asked.given("namespace", "reason")
        namespace, reason = given.get("namespace", ""), given.get("reason", "")
        name = _hold_name(asked.rest, namespace)
        await self._access.require(user, "hold", "audit", namespace)
        if not reason.strip() or len(reason) > MAX_REASON_LENGTH:
            raise bad(f"a legal hold needs a reason of at most {MAX_REASON_LENGTH} characters")
        if any(hold.name == name for hold in await self._store.holds()):
            raise Refusal(
                HTTPStatus.CONFLICT, RefusalCode.BAD_REQUEST, f"there is a legal hold {asked.rest} already"
            )
        hold = LegalHold(name, namespace, reason, user.username, time.time())
        await self._store.append([change(user, namespace, "hold", "set", name=asked.rest, why=reason)])
        await self._store.hold(hold)
        await send_json(send, _shown(hold))

    async def _release(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        namespace = asked.given("namespace").get("namespace", "")
        name = _hold_name(asked.rest, namespace)
        await self._access.require(user, "hold", "audit", namespace)
        held = [hold for hold in await self._store.holds() if hold.name == name]
        if not held:
            raise _not_found(f"there is no legal hold {asked.rest} on {namespace or 'all namespaces'}")
        await self._store.append([change(user, namespace, "hold", "release", name=asked.rest)])
        await self._store.release_hold(name)
        await send_json(send, _shown(held[0]))

    async def _records(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        namespace = asked.given("namespace").get("namespace", "")
        await self._access.require(user, "get", "records", namespace)
        leases = await self._store.leases(namespace)
        await _send_items(send, [asdict(lease) for lease in leases])

    async def _free(self, asked: _Asked, user: UserInfo, send: Send) -> None:
        given = asked.given("namespace", "record")
        namespace, record = given.get("namespace", ""), given.get("record", "")
        if not namespace or not record:
            raise bad("give the namespace of the holder and the record")
        await self._access.require(user, "delete", "records", namespace)
        held = [lease for lease in await self._store.leases(namespace) if lease.record == record]
        if not held:
            raise _not_found(f"no Task of namespace {namespace} holds the record {record}")
        holder = held[0]
        row = change(user, namespace, "record", "free", name=holder.task, record=record)
        await self._store.append([row])
        freed = await self._store.free_lease(record, namespace) or holder
        await send_json(send, asdict(freed))


def _route(path: str) -> tuple[str, str]:
    for parent in (_HOLDS, _DOCUMENTS):
        if path.startswith(f"{parent}/"):
            return parent, unquote(path.removeprefix(f"{parent}/"))
    return path, ""


def _hold_name(name: str, namespace: str) -> str:
    """Return the name that the store knows: one that no other namespace's hold can have."""
    if not name or len(name) > MAX_HOLD_NAME_LENGTH or "/" in name:
        raise bad(f"a legal hold has a name of 1 to {MAX_HOLD_NAME_LENGTH} characters without a slash")
    return f"{namespace or EVERYWHERE}/{name}"


def _shown(hold: LegalHold) -> JsonObject:
    return {**asdict(hold), "name": hold.name.partition("/")[2]}


def _not_found(message: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, RefusalCode.NOT_FOUND, message)


async def _send_items(send: Send, items: Sequence[JsonValue]) -> None:
    await send_json(send, {"items": list(items)})


async def _send_status(send: Send, refusal: Refusal) -> None:
    body: JsonObject = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": refusal.code.value,
        "message": refusal.message,
        "code": refusal.status,
    }
    await send_json(send, body, refusal.status, refusal.headers())
