"""The anchors' reconcile, with the ConfigMap in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from aos.audit.anchors import Anchors
from aos.audit.head import ChainHead
from aos.audit.signing import HeadSigner, SignedHead
from aos.controllers import anchors
from aos.controllers.anchor_copies import AnchorCopies, Copy, CopyError
from aos.controllers.keys import ANCHORS, Key
from aos.controllers.world import World
from aos.kube.objects import child, text
from aos.model.base import JsonObject
from aos.reconcile.events import Happening
from aos.reconcile.settings import OperatorSettings
from tests.unit.reconcile.make import SETTINGS

SIGNER = HeadSigner()


def head(sequence: int) -> SignedHead:
    return SIGNER.sign(
        ChainHead("gateway-1", sequence, f"{sequence:064}", f"2026-01-02T03:04:{sequence:02}Z")
    )


@dataclass
class Elsewhere:
    """A place that anchors are copied to, while it is up."""

    world: "FakeWorld | None" = None
    is_up: bool = True
    taken: list[SignedHead] = field(default_factory=list)
    anchored: list[bool] = field(default_factory=list)
    name: str = "elsewhere"

    async def take(self, heads: Sequence[SignedHead]) -> None:
        assert self.world is not None
        self.anchored.append(heads[0] in self.world.kept().newest)
        if not self.is_up:
            raise CopyError("it is down")
        self.taken += heads

    def anchors_copied(self, to: str, *, failed: bool) -> None:
        assert (to, failed) == (self.name, not self.is_up)


@dataclass
class FakeWorld:
    """As much of a world as anchors ask for."""

    settings: OperatorSettings = SETTINGS
    config_map: JsonObject | None = None
    signed: tuple[SignedHead, ...] = ()
    writes: int = 0
    waits: list[float] = field(default_factory=list)
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.elsewhere.world = self
        copies: list[Copy] = [self.elsewhere]
        self.anchor_copies = AnchorCopies(copies, self.elsewhere)

    def tell(self, raw: JsonObject, events: Sequence[Happening]) -> None:
        assert (raw["apiVersion"], raw["kind"]) == ("v1", "ConfigMap")
        assert text(child(raw, "metadata"), "name") == "aos-audit-anchors"
        self.told += [event.reason for event in events]

    def kept(self) -> Anchors:
        data = child(self.config_map or {}, "data")
        return Anchors.parse(text(data, "heads"), text(data, "earlier"))

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
        return self.kept()


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


async def test_each_anchor_is_copied_once_and_only_after_it_is_anchored() -> None:
    world = FakeWorld()
    await world.reconcile(head(1))
    await world.reconcile(head(1))
    await world.reconcile(head(2))
    assert world.elsewhere.taken == [head(1), head(2)]
    assert world.elsewhere.anchored == [True, True]
    assert world.told == []


async def test_a_copy_that_fails_stops_no_anchor_is_told_and_made_up_for() -> None:
    world = FakeWorld()
    world.elsewhere.is_up = False
    assert (await world.reconcile(head(1))).newest == (head(1),)
    assert (await world.reconcile(head(2))).newest == (head(2),)
    assert world.told == ["AnchorsNotCopied"] * 2
    assert world.waits == [60.0] * 2
    world.elsewhere.is_up = True
    # Nothing new is signed, and what is missing there is copied all the same.
    await world.reconcile()
    assert world.elsewhere.taken == [head(2)]
    assert world.told[2:] == ["AnchorsCopied"]
