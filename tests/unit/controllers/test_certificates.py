"""The certificates' reconcile, with Secrets in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from aos.controllers import certificates, sampling
from aos.controllers.authority import Kept, make_serving
from aos.controllers.keys import CERTIFICATES, Key
from aos.controllers.world import World
from aos.kube.errors import Conflict, Target
from aos.model.base import JsonObject
from aos.model.names import SAMPLING_SECRET
from aos.reconcile.certificates import AUTHORITY_LIFE, LONGEST_POD, SERVING_LIFE, serving_names
from aos.reconcile.events import Happening
from tests.unit.reconcile.make import NOW, SETTINGS


@dataclass
class FakeActor:
    """Keeps Secrets as an API server would."""

    secrets: dict[str, JsonObject] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    async def read_secret(self, namespace: str, name: str) -> JsonObject | None:
        assert namespace == SETTINGS.namespace
        return self.secrets.get(name)

    async def apply_secret(self, manifest: JsonObject) -> JsonObject:
        metadata = cast("JsonObject", manifest["metadata"])
        name = str(metadata["name"])
        before = cast("JsonObject", self.secrets.get(name, {"metadata": {}})["metadata"])
        if metadata.get("resourceVersion") != before.get("resourceVersion"):
            raise Conflict(Target("apply", "secrets", name), 409, "Conflict", "changed")
        version = str(int(str(before.get("resourceVersion", "0"))) + 1)
        self.secrets[name] = {**manifest, "metadata": {**metadata, "resourceVersion": version}}
        self.writes.append(name)
        return self.secrets[name]

    def tell(self, raw: JsonObject, events: Sequence[Happening]) -> None:
        assert raw["kind"] == "Secret"
        self.told += [event.reason for event in events]


@dataclass
class FakeWorld:
    """As much of a world as certificates ask for."""

    actor: FakeActor = field(default_factory=FakeActor)
    settings: object = SETTINGS
    objects: object = None
    gateways: object = None
    time: datetime = NOW
    trusted: str = ""
    waits: list[float] = field(default_factory=list)

    @property
    def state(self) -> "FakeWorld":
        return self

    def trust(self, authorities: str, _objects: object, _gateways: object) -> None:
        self.trusted = authorities

    def later(self, key: Key, seconds: float) -> None:
        assert key == CERTIFICATES
        self.waits.append(seconds)

    def now(self) -> datetime:
        return self.time

    async def reconcile(self) -> list[str]:
        """Reconcile once and return the Secrets with certificates that were written."""
        if SAMPLING_SECRET not in self.actor.secrets:
            await sampling.keep(cast("World", self))
        self.actor.writes.clear()
        self.actor.told.clear()
        await certificates.reconcile(cast("World", self), CERTIFICATES)
        return list(self.actor.writes)

    def kept(self) -> Kept:
        return Kept.parse(self.actor.secrets.get("aos-ca"), self.actor.secrets.get("aos-gateway-tls"))


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


async def test_both_secrets_are_made_and_then_left_alone(world: FakeWorld) -> None:
    assert await world.reconcile() == ["aos-ca", "aos-gateway-tls"]
    assert world.actor.told == ["AuthorityCreated", "CertificateIssued"]
    assert world.trusted == world.kept().bundle() != ""
    assert await world.reconcile() == []
    assert world.waits[-1] == certificates.CHECK_SECONDS


async def test_a_serving_certificate_that_is_due_or_gone_is_issued_anew(world: FakeWorld) -> None:
    await world.reconcile()
    world.time = NOW + SERVING_LIFE * 2 / 3
    assert await world.reconcile() == ["aos-gateway-tls"]
    del world.actor.secrets["aos-gateway-tls"]
    assert await world.reconcile() == ["aos-gateway-tls"]
    assert world.actor.told == ["CertificateIssued"]


async def test_a_certificate_of_an_earlier_version_gets_the_names_that_it_lacks_at_once(
    world: FakeWorld,
) -> None:
    await world.reconcile()
    kept, wanted = world.kept(), serving_names(SETTINGS.namespace)
    assert kept.signing is not None
    older = replace(kept, serving=make_serving(kept.signing, wanted[:4], NOW))
    await world.actor.apply_secret(older.serving_manifest(SETTINGS.namespace))
    assert await world.reconcile() == ["aos-gateway-tls"]
    serving = world.kept().observed().serving
    assert serving is not None
    assert serving.names == set(wanted)


async def test_the_authority_changes_over_in_steps(world: FakeWorld) -> None:
    await world.reconcile()
    first = world.kept().observed().signing
    world.time = NOW + AUTHORITY_LIFE * 2 / 3
    assert await world.reconcile() == ["aos-ca", "aos-gateway-tls"]
    assert "AuthorityPrepared" in world.actor.told
    assert world.kept().observed().signing == first
    assert world.trusted.count("BEGIN CERTIFICATE") == 2
    assert await world.reconcile() == []
    world.time += LONGEST_POD + timedelta(minutes=1)
    assert await world.reconcile() == ["aos-ca", "aos-gateway-tls"]
    assert "AuthorityReplaced" in world.actor.told
    assert world.kept().observed().signing != first
    assert world.trusted.count("BEGIN CERTIFICATE") == 2
    world.time = NOW + AUTHORITY_LIFE + timedelta(days=1)
    await world.reconcile()
    assert world.trusted.count("BEGIN CERTIFICATE") == 1


async def test_an_authority_that_was_spoiled_is_made_anew(world: FakeWorld) -> None:
    await world.reconcile()
    spoiled = cast("JsonObject", world.actor.secrets["aos-ca"]["data"])
    spoiled["tls.key"] = "eA=="
    assert await world.reconcile() == ["aos-ca", "aos-gateway-tls"]
    assert world.kept().observed().signing is not None


async def test_another_operator_that_was_faster_is_not_overwritten(world: FakeWorld) -> None:
    await world.reconcile()
    other = FakeWorld(actor=world.actor, time=NOW + SERVING_LIFE * 2 / 3)
    stale = world.actor.secrets["aos-gateway-tls"]
    await other.reconcile()
    current = world.actor.secrets["aos-gateway-tls"]

    async def read_stale(namespace: str, name: str) -> JsonObject | None:
        found = await FakeActor.read_secret(world.actor, namespace, name)
        return stale if name == "aos-gateway-tls" else found

    world.actor.read_secret = read_stale  # type: ignore[method-assign]
    world.time = NOW + SERVING_LIFE * 2 / 3
    with pytest.raises(Conflict):
        await world.reconcile()
    assert world.actor.secrets["aos-gateway-tls"] == current
