"""Copies of anchors: to a real file, and over HTTP to a real server that takes OTLP."""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner, SignedHead
from aos.controllers.anchor_copies import (
    AnchorCopies,
    CollectorCopy,
    Copy,
    CopyError,
    FileCopy,
    copies_of,
)
from aos.controllers.settings import ControllerSettings
from aos.kube.objects import child, children, text
from aos.model.environment import SettingsError
from tests.unit.controllers.hooks import Hooks, Received, serving
from tests.unit.gateway.certificates import Authority

SIGNER = HeadSigner()


def head(sequence: int, chain: str = "gateway-1") -> SignedHead:
    return SIGNER.sign(ChainHead(chain, sequence, f"{sequence:064}", f"2026-01-02T03:04:{sequence:02}Z"))


@dataclass
class Counted:
    """What was counted, in order: the place, and whether it failed."""

    results: list[tuple[str, bool]] = field(default_factory=list)

    def anchors_copied(self, to: str, *, failed: bool) -> None:
        self.results.append((to, failed))


@pytest.fixture
async def collector() -> AsyncIterator[Hooks]:
    async with serving() as found:
        yield found


def copy_to(hooks: Hooks, path: str = "/v1/logs", **parts: float) -> CollectorCopy:
    return CollectorCopy(f"{hooks.url}{path}", "aos-system", **parts)  # type: ignore[arg-type]


def heads_in(received: Received) -> list[SignedHead]:
    """Return the heads of a request, read as whoever has the collector's records would."""
    (resource,) = children(received.data, "resourceLogs")
    (scope,) = children(resource, "scopeLogs")
    bodies = [text(child(record, "body"), "stringValue") for record in children(scope, "logRecords")]
    return [SignedHead.parse(body.encode()) for body in bodies]


async def test_heads_are_posted_as_log_records_whose_bodies_are_the_anchors(collector: Hooks) -> None:
    await copy_to(collector).take([head(1), head(2, "gateway-2")])
    (received,) = collector.received
    assert received.path == "/v1/logs"
    assert received.headers["Content-Type"] == "application/json"
    assert heads_in(received) == [head(1), head(2, "gateway-2")]
    assert all(item.is_genuine for item in heads_in(received))


async def test_headers_come_from_a_file_that_is_read_each_time(collector: Hooks, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    to = CollectorCopy(collector.url, "aos-system", file)
    for key in ("one", "two"):
        file.write_text(f"Authorization: Bearer {key}\n\nX-Scope-OrgID:audit\n")
        await to.take([head(1)])
    assert [item.headers["Authorization"] for item in collector.received] == ["Bearer one", "Bearer two"]
    assert collector.received[0].headers["X-Scope-OrgID"] == "audit"


@pytest.mark.parametrize("content", ["nonsense", "Host: elsewhere", "X: a\x00b", "X: " + "a" * 20_000])
async def test_headers_that_can_not_be_used_send_nothing_and_are_not_told(
    collector: Hooks, tmp_path: Path, content: str
) -> None:
    (tmp_path / "headers").write_text(content)
    with pytest.raises(CopyError) as caught:
        await CollectorCopy(collector.url, "aos-system", tmp_path / "headers").take([head(1)])
    assert content not in str(caught.value)
    with pytest.raises(CopyError, match="can't be read"):
        await CollectorCopy(collector.url, "aos-system", tmp_path / "none").take([head(1)])
    assert collector.received == []


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 503])
async def test_a_collector_that_refuses_has_not_taken_anything(collector: Hooks, status: int) -> None:
    collector.answers.append(status)
    collector.headers["Location"] = f"{collector.url}/elsewhere"
    with pytest.raises(CopyError, match=str(status)) as caught:
        await copy_to(collector, "/a-secret-path").take([head(1)])
    assert "secret" not in str(caught.value)
    assert [item.path for item in collector.received] == ["/a-secret-path"]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (b"", True),
        (b"{}", True),
        (b"\x0a\x00", True),
        (b'{"partialSuccess": {}}', True),
        (b'{"partialSuccess": {"rejectedLogRecords": "0", "errorMessage": "slow"}}', True),
        (b'{"partialSuccess": {"rejectedLogRecords": "1"}}', False),
        (b'{"partialSuccess": {"rejectedLogRecords": 2}}', False),
    ],
)
async def test_a_collector_that_takes_a_part_has_not_taken_all(
    collector: Hooks, said: bytes, *, taken: bool
) -> None:
    collector.body = said
    if taken:
        await copy_to(collector).take([head(1)])
    else:
        with pytest.raises(CopyError, match="rejected"):
            await copy_to(collector).take([head(1)])


async def test_a_collector_that_hangs_is_not_there_or_nobody_vouches_for_is_given_up(
    collector: Hooks, tmp_path: Path
) -> None:
    collector.hangs = True
    with pytest.raises(CopyError, match="did not answer in order"):
        await copy_to(collector, timeout_seconds=0.2).take([head(1)])
    with pytest.raises(CopyError, match="did not answer in order"):
        await CollectorCopy("http://127.0.0.1:1/v1/logs", "aos-system").take([head(1)])
    pair = Authority().issue("localhost")
    (tmp_path / "pair").write_bytes(pair.certificate + pair.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "pair")
    async with serving(tls) as hooks:
        with pytest.raises(CopyError, match="Certificate"):
            await copy_to(hooks).take([head(1)])
    assert hooks.received == []


async def test_a_file_gets_a_line_for_each_head(tmp_path: Path) -> None:
    copies: list[Copy] = [FileCopy(tmp_path / "anchors.jsonl")]
    kept = AnchorCopies(copies, Counted())
    for heads in ([head(1)], [head(1)], [head(2), head(1, "gateway-2")]):
        assert await kept.keep(heads) == ()
    lines = (tmp_path / "anchors.jsonl").read_bytes().splitlines()
    assert [SignedHead.parse(line) for line in lines] == [head(1), head(2), head(1, "gateway-2")]


async def test_one_copy_that_fails_is_no_concern_of_another_and_gets_what_it_missed(
    collector: Hooks, tmp_path: Path
) -> None:
    counted, there = Counted(), tmp_path / "later"
    copies: Sequence[Copy] = [copy_to(collector), FileCopy(there / "anchors.jsonl")]
    kept = AnchorCopies(copies, counted)
    (told,) = await kept.keep([head(1), head(1, "ended")])
    assert told.reason == "AnchorsNotCopied"
    assert "2 anchors are not copied (file)" in told.note
    assert heads_in(collector.received[0]) == [head(1), head(1, "ended")]
    there.mkdir()
    (told,) = await kept.keep([head(2), head(1, "ended")])
    assert told.reason == "AnchorsCopied"
    assert heads_in(collector.received[1]) == [head(2)]
    lines = (there / "anchors.jsonl").read_bytes().splitlines()
    assert [SignedHead.parse(line) for line in lines] == [head(2), head(1, "ended")]
    assert sorted(counted.results) == [("file", False), ("file", True), ("otlp", False), ("otlp", False)]


def settings(**given: str) -> ControllerSettings:
    environment = {"POD_NAMESPACE": "aos-system", "AOS_AGENT_IMAGE": "aos", **given}
    return ControllerSettings.from_environment(environment)


def test_copies_are_made_where_the_settings_say() -> None:
    assert copies_of(settings()) == []
    url = "https://collector.example:4318/v1/logs"
    found = copies_of(
        settings(
            AOS_AUDIT_ANCHOR_FILE="/a",
            AOS_AUDIT_ANCHOR_OTLP_URL=url,
            AOS_AUDIT_ANCHOR_OTLP_HEADERS_FILE="/h",
        )
    )
    assert found == [FileCopy(Path("/a")), CollectorCopy(url, "aos-system", Path("/h"))]


@pytest.mark.parametrize(
    "url", ["collector:4318", "file:///etc/passwd", "https://user:key@collector", "http://"]
)
def test_a_collector_is_an_address_of_http_without_a_key_in_it(url: str) -> None:
    with pytest.raises(SettingsError, match="AOS_AUDIT_ANCHOR_OTLP_URL"):
        settings(AOS_AUDIT_ANCHOR_OTLP_URL=url)
