"""Webhooks hear of ApprovalRequests: a real operator, a real HTTP server, and people who decide meanwhile."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Final

import pytest
from pydantic import JsonValue

from aos.controllers.settings import ControllerSettings
from aos.kube.errors import NotFound
from aos.kube.objects import children, text
from aos.kube.resources import LEASES
from aos.model.names import OPERATOR_LEASE
from tests.cluster.operator.approvals import Desk
from tests.cluster.operator.conftest import operating
from tests.cluster.operator.fake_gateway import FakeGateway
from tests.cluster.operator.rig import HOME, Rig
from tests.cluster.operator.test_approvals import Office
from tests.cluster.operator.test_process import process
from tests.unit.controllers.hooks import Hooks, serving

KEY: Final = b"0123456789abcdef"
ROUNDS: Final = 2
REQUESTS: Final = 8


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with serving() as found:
        yield found


def told(rig: Rig, folder: Path, *webhooks: dict[str, JsonValue]) -> ControllerSettings:
    """Return the operator's settings with these webhooks."""
    (folder / "key").write_bytes(KEY)
    file = folder / "notifications.json"
    file.write_text(json.dumps([{"keyFile": str(folder / "key"), **item} for item in webhooks]))
    return rig.settings.model_copy(update={"notifications_file": file})


async def notices(office: Office, name: str = "apr-1") -> list[tuple[str, str]]:
    status = await office.status(name)
    return sorted((text(item, "webhook"), text(item, "event")) for item in children(status, "notices"))


async def test_what_was_due_while_a_webhook_was_down_is_told_by_the_next_operator(
    rig: Rig, gateway: FakeGateway, desk: Desk, hooks: Hooks, tmp_path: Path
) -> None:
    office = Office(rig, desk)
    settings = told(rig, tmp_path, {"name": "chat", "url": f"{hooks.url}/chat"})
    hooks.answers = [503] * 1000
    async with operating(settings):
        await office.open()
        await office.ask()
        await office.counted()
        await rig.eventually(lambda: _has(len(hooks.received) > 1))
    assert await notices(office) == []
    hooks.answers.clear()
    async with operating(settings):
        await rig.eventually(lambda: _is(notices(office), [("chat", "Asked")]))
        await office.decide("grace")
        await office.becomes("Approved")
        await rig.eventually(lambda: _is(notices(office), [("chat", "Asked"), ("chat", "Decided")]))
    last = hooks.received[-1]
    signed = last.headers["AOS-Webhook-Timestamp"].encode() + b"." + last.body
    assert last.headers["AOS-Webhook-Signature"] == f"v1={hmac.new(KEY, signed, hashlib.sha256).hexdigest()}"
    assert last.data["event"] == "Decided"
    assert "Approved by grace" in str(last.data["text"])


async def test_a_webhook_that_hangs_delays_neither_decisions_nor_other_webhooks(
    rig: Rig, gateway: FakeGateway, desk: Desk, hooks: Hooks, tmp_path: Path
) -> None:
    office = Office(rig, desk)
    async with serving() as stuck:
        stuck.hangs = True
        webhooks: tuple[dict[str, JsonValue], ...] = (
            {"name": "stuck", "url": stuck.url},
            {"name": "chat", "url": hooks.url, "namespaces": [rig.namespace]},
            {"name": "elsewhere", "url": hooks.url, "namespaces": ["support"]},
        )
        async with operating(told(rig, tmp_path, *webhooks)):
            await office.open()
            for name in ("apr-1", "apr-2", "apr-3", "apr-4"):
                await office.ask(name)
            await office.counted("apr-4")
            await rig.eventually(lambda: _has(len(stuck.received) >= 2))
            await office.decide("grace", "apr-4")
            await office.becomes("Approved", "apr-4")
            expected = [("chat", "Asked"), ("chat", "Decided")]
            await rig.eventually(lambda: _is(notices(office, "apr-4"), expected))


async def test_killed_while_it_tells_it_loses_nothing_and_repeats_only_what_can_be_told_apart(
    rig: Rig, gateway: FakeGateway, desk: Desk, hooks: Hooks, tmp_path: Path
) -> None:
    office = Office(rig, desk)
    dice = random.Random(5)  # noqa: S311 - which moment is hit does not matter
    settings = told(rig, tmp_path, {"name": "chat", "url": hooks.url})
    async with operating(rig.settings):
        await office.open()
    names = [f"apr-{item}" for item in range(REQUESTS)]
    for name in names:
        await office.ask(name)
    for _ in range(ROUNDS):
        hooks.answers = [dice.choice([200, 503]) for _ in range(REQUESTS)]
        async with process(settings) as one:
            await rig.eventually(rig.is_leading)
            await asyncio.sleep(dice.uniform(0, 0.5))
            os.kill(one.pid, signal.SIGKILL)
            await one.wait()
        # The next one shall not wait for the end of its lease.
        with contextlib.suppress(NotFound):
            await rig.admin.delete(LEASES, OPERATOR_LEASE, namespace=HOME)
    hooks.answers.clear()
    async with operating(settings):
        for name in names:
            await rig.eventually(lambda name=name: _is(notices(office, name), [("chat", "Asked")]))  # type: ignore[misc]
    ids = Counter(item.headers["AOS-Webhook-Id"] for item in hooks.received)
    assert len(ids) == REQUESTS


async def _has(value: bool) -> bool:  # noqa: FBT001 - what was asked
    return value


async def _is(found: Awaitable[list[tuple[str, str]]], expected: list[tuple[str, str]]) -> bool:
    return await found == expected
