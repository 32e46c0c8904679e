"""The anchors' reconcile, with the ConfigMap in memory."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from aos.audit.anchors import Anchors
from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner, SignedHead
from aos.controllers import anchors
from aos.controllers.keys import ANCHORS, Key
from aos.controllers.world import World
from aos.kube.objects import child, text
from aos.model.base import JsonObject
from aos.reconcile.settings import OperatorSettings
from tests.unit.reconcile.make import SETTINGS

SIGNER = HeadSigner()


def head(sequence: int) -> SignedHead:
    return SIGNER.sign(
        ChainHead("gateway-1", sequence, f"{sequence:064}", f"2026-01-02T03:04:{sequence:02}Z")
    )


@dataclass
class FakeWorld:
    """As much of a world as anchors ask for."""

    settings: OperatorSettings = SETTINGS
    config_map: JsonObject | None = None
    signed: tuple[SignedHead, ...] = ()
    writes: int = 0
    waits: list[float] = field(default_factory=list)

    @property
    def actor(self) -> "FakeWorld":
        return self

    @property
    def gateways(self) -> "FakeWorld":
        return self

    def heads(self) -> tuple[SignedHead, ...]:
        return self.signed

    async def read_config_map(self, namespace: str, name: str) -> JsonObject | None:
        assert (namespace, name) == (SETTINGS.namespace, "aos-audit-anchors")
        return self.config_map

    async def apply_config_map(self, manifest: JsonObject) -> JsonObject:
        before = text(child(self.config_map or {}, "metadata"), "resourceVersion")
        metadata = child(manifest, "metadata")
        assert text(metadata, "resourceVersion") == before
        self.writes += 1
        self.config_map = {**manifest, "metadata": {**metadata, "resourceVersion": str(self.writes)}}
        return self.config_map

    def later(self, key: Key, seconds: float) -> None:
        assert key == ANCHORS
        self.waits.append(seconds)

    async def reconcile(self, *heads: SignedHead) -> Anchors:
        self.signed = heads
        await anchors.reconcile(cast("World", self), ANCHORS)
        data = child(self.config_map or {}, "data")
        return Anchors.parse(text(data, "heads"), text(data, "earlier"))


async def test_heads_are_anchored_each_minute_and_what_is_known_is_not_written_again() -> None:
    world = FakeWorld()
    assert (await world.reconcile(head(1))).newest == (head(1),)
    assert (await world.reconcile(head(1))).newest == (head(1),)
    kept = await world.reconcile(head(4))
    assert (kept.newest, kept.earlier) == ((head(4),), (head(1),))
    assert world.writes == 2
    assert world.waits == [60.0] * 3


async def test_with_nothing_to_anchor_nothing_is_written() -> None:
    world = FakeWorld()
    await world.reconcile()
    assert world.config_map is None


async def test_a_head_that_is_behind_or_forged_replaces_nothing() -> None:
    world = FakeWorld()
    await world.reconcile(head(4))
    await world.reconcile(head(2), replace(head(9), signature=head(8).signature))
    assert (await world.reconcile()).newest == (head(4),)


async def test_damaged_anchors_are_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    world = FakeWorld(config_map={"metadata": {}, "data": {"heads": "nonsense"}})
    assert (await world.reconcile(head(1))).newest == (head(1),)
    assert "the anchors are damaged" in caplog.text


async def test_each_anchor_is_copied_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    world = FakeWorld(replace(SETTINGS, audit_anchor_file=file))
    await world.reconcile(head(1))
    await world.reconcile(head(1))
    await world.reconcile(head(2))
    assert [SignedHead.parse(line) for line in file.read_bytes().splitlines()] == [head(1), head(2)]


async def test_a_file_that_can_not_be_written_does_not_stop_the_anchors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = FakeWorld(replace(SETTINGS, audit_anchor_file=tmp_path / "missing" / "anchors.jsonl"))
    assert (await world.reconcile(head(1))).newest == (head(1),)
    assert "anchors can't be copied" in caplog.text
