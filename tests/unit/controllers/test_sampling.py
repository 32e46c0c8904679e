import base64
from typing import cast

import pytest

from aos.controllers import certificates, sampling
from aos.controllers.keys import CERTIFICATES
from aos.controllers.world import World
from aos.kube.errors import Conflict
from aos.model.base import JsonObject
from tests.unit.controllers.test_certificates import FakeWorld


def key(world: FakeWorld) -> bytes:
    data = cast("JsonObject", world.actor.secrets["aos-sampling"]["data"])
    return base64.b64decode(str(data["key"]))


async def test_a_key_is_made_once_and_then_left_alone() -> None:
    world = FakeWorld()
    await sampling.keep(cast("World", world))
    assert world.actor.writes == ["aos-sampling"]
    assert world.actor.told == ["SamplingKeyCreated"]
    made = key(world)
    assert len(made) == 32
    await sampling.keep(cast("World", world))
    assert world.actor.writes == ["aos-sampling"]
    assert key(world) == made


@pytest.mark.parametrize("spoiled", ["", "AAAA", "not base64"])
async def test_what_is_no_key_is_replaced(spoiled: str) -> None:
    world = FakeWorld()
    await sampling.keep(cast("World", world))
    cast("JsonObject", world.actor.secrets["aos-sampling"]["data"])["key"] = spoiled
    await sampling.keep(cast("World", world))
    assert len(key(world)) == 32


async def test_two_installations_have_two_keys() -> None:
    worlds = FakeWorld(), FakeWorld()
    for world in worlds:
        await sampling.keep(cast("World", world))
    assert key(worlds[0]) != key(worlds[1])


async def test_of_two_operators_the_slower_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = FakeWorld()
    await sampling.keep(cast("World", world))
    cast("JsonObject", world.actor.secrets["aos-sampling"]["data"])["key"] = ""
    stale = {"metadata": {"name": "aos-sampling", "resourceVersion": "0"}}

    async def read(_namespace: str, _name: str) -> JsonObject:
        return cast("JsonObject", stale)

    monkeypatch.setattr(world.actor, "read_secret", read)
    with pytest.raises(Conflict):
        await sampling.keep(cast("World", world))


async def test_the_key_is_there_before_the_certificate_without_which_no_gateway_serves() -> None:
    world = FakeWorld()
    await certificates.reconcile(cast("World", world), CERTIFICATES)
    assert world.actor.writes == ["aos-sampling", "aos-ca", "aos-gateway-tls"]
