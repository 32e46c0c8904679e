"""Copies of the audit trail's anchors, out of the cluster's own reach: in a file, and at an OpenTelemetry collector."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import orjson

from aos.audit.otlp import anchor_records
from aos.audit.signing import SignedHead
from aos.controllers.settings import ControllerSettings
from aos.reconcile.events import EventReason, Happening

TIMEOUT_SECONDS: Final = 10.0
"""Of one request to a collector."""
CONNECT_SECONDS: Final = 5.0
_MAX_ANSWER_BYTES: Final = 65_536
_MAX_HEADERS_BYTES: Final = 16_384
_HEADER: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)"
)
_OWN_HEADERS: Final = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})

_log = logging.getLogger(__name__)


class CopyError(Exception):
    """A copy was not taken, or nobody can tell; the message says why, and holds no credential."""


class Copy(Protocol):
    """One place that anchors are copied to."""

    @property
    def name(self) -> str:
        """What it is called in metrics, events and logs."""

    async def take(self, heads: Sequence[SignedHead]) -> None:
        """Keep the heads.

        Raises:
            CopyError: they were not all taken.
        """


class Metrics(Protocol):
    """Hears what becomes of copies."""

    def anchors_copied(self, to: str, *, failed: bool) -> None:
        """Anchors were copied, or were not taken."""


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file to which each head is added as a line of JSON, durably."""

    file: Path
    name: str = "file"

    async def take(self, heads: Sequence[SignedHead]) -> None:
        """Add the heads.

        Raises:
            CopyError: the file can't be written.
        """
        content = b"".join(head.encode() + b"\n" for head in heads)
        try:
            await asyncio.to_thread(_append, self.file, content)
        except OSError as error:
            raise CopyError(f"{self.file} can't be written: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class CollectorCopy:
    """A collector that each head is posted to as a log record: OTLP over HTTP, as JSON.

    Attributes:
        url: the whole URL, usually ending in ``/v1/logs``.
        namespace: of the operator.
        headers_file: headers of each request, ``NAME: VALUE`` a line, read anew each time; None for none.
        timeout_seconds: of one request.
    """

    url: str
    namespace: str
    headers_file: Path | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = "otlp"

    async def take(self, heads: Sequence[SignedHead]) -> None:
        """Post the heads, in one request.

        Raises:
            CopyError: the collector can't be reached or did not take them all, or the headers can't be read.
        """
        body = orjson.dumps(anchor_records(heads, self.namespace, time.time_ns()))
        headers = {"Content-Type": "application/json", **self._headers()}
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
                session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status, said = answer.status, await _body(answer)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # The address may hold a key, and these errors repeat it.
            raise CopyError(f"the collector did not answer in order ({type(error).__name__})") from None
        _check(status, said)

    def _headers(self) -> Mapping[str, str]:
        if self.headers_file is None:
            return {}
        try:
            content = self.headers_file.read_bytes()[: _MAX_HEADERS_BYTES + 1]
        except OSError as error:
            raise CopyError(
                f"the collector's headers can't be read from {self.headers_file}: {error.strerror}"
            ) from error
        return _parsed(content, self.headers_file)


@dataclass(slots=True)
class _Line:
    """How far one copy is.

    Attributes:
        taken: by chain, the sequence of the newest head that was taken.
        failing: whether the last attempt failed.
    """

    copy: Copy
    taken: dict[str, int] = field(default_factory=dict)
    failing: bool = False


class AnchorCopies:
    """Keeps every copy in step with what is anchored; what one did not take it is given again.

    What was copied is known to this process alone: another one that takes over copies the newest head of each chain once more.
    """

    def __init__(self, copies: Sequence[Copy], metrics: Metrics) -> None:
        self._lines = [_Line(copy) for copy in copies]
        self._metrics = metrics

    async def keep(self, heads: Sequence[SignedHead]) -> tuple[Happening, ...]:
        """Copy of ``heads``, the newest of each chain, those that are not copied yet; return what people should know."""
        told = await asyncio.gather(*(self._bring(line, heads) for line in self._lines))
        return tuple(happening for happening in told if happening is not None)

    async def _bring(self, line: _Line, heads: Sequence[SignedHead]) -> Happening | None:
        due = [item for item in heads if line.taken.get(item.head.chain) != item.head.sequence]
        if not due:
            return None
        name = line.copy.name
        try:
            await line.copy.take(due)
        except CopyError as error:
            self._metrics.anchors_copied(name, failed=True)
            _log.error("anchors can't be copied (%s): %s", name, error)
            line.failing = True
            note = f"{len(due)} anchors are not copied ({name}), and will be tried again: {error}"
            return Happening(EventReason.ANCHORS_NOT_COPIED, note)
        self._metrics.anchors_copied(name, failed=False)
        line.taken = {item.head.chain: item.head.sequence for item in heads}
        recovered, line.failing = line.failing, False
        note = f"anchors are copied again ({name}); what was missing is there"
        return Happening(EventReason.ANCHORS_COPIED, note) if recovered else None


def copies_of(settings: ControllerSettings) -> list[Copy]:
    """Return the copies that the settings ask for."""
    found: list[Copy] = []
    if settings.audit_anchor_file is not None:
        found.append(FileCopy(settings.audit_anchor_file))
    if settings.audit_anchor_otlp_url:
        found.append(
            CollectorCopy(
                settings.audit_anchor_otlp_url, settings.namespace, settings.audit_anchor_otlp_headers_file
            )
        )
    return found


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body, cut where it is longer than any that says something."""
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > _MAX_ANSWER_BYTES:
            break
    return bytes(content)


def _append(file: Path, content: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _parsed(content: bytes, file: Path) -> Mapping[str, str]:
    if len(content) > _MAX_HEADERS_BYTES:
        raise CopyError(f"the collector's headers in {file} are longer than {_MAX_HEADERS_BYTES} bytes")
    headers: dict[str, str] = {}
    for number, line in enumerate(content.decode("latin-1").splitlines(), 1):
        if not line.strip():
            continue
        found = _HEADER.fullmatch(line.strip())
        if found is None or found[1].lower() in _OWN_HEADERS:
            raise CopyError(f"line {number} of {file} is no header that may be set: write NAME: VALUE")
        headers[found[1]] = found[2]
    return headers


def _check(status: int, said: bytes) -> None:
    """Find out whether the collector took everything.

    Raises:
        CopyError: it did not.
    """
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        redirected = ", and redirects are not followed" if HTTPStatus.MULTIPLE_CHOICES <= status < 400 else ""  # noqa: PLR2004 - redirects
        raise CopyError(f"the collector answered with HTTP {status}{redirected}")
    rejected = _rejected(said)
    if rejected:
        raise CopyError(f"the collector rejected {rejected} of the records")


def _rejected(said: bytes) -> int:
    """Return how many records an answer says were rejected; 0 where it does not say so."""
    try:
        answer = orjson.loads(said)
        return int(answer["partialSuccess"]["rejectedLogRecords"])
    except (ValueError, KeyError, TypeError):
        return 0
