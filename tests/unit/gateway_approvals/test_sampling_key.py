import asyncio
import base64

import pytest

from aos.gateway.approvals import sampling_key
from aos.gateway.approvals.sampling import KeyedSampler, is_drawn
from aos.gateway.approvals.sampling_key import SamplingKeyWatch
from aos.kube.resources import SECRETS
from aos.model.base import JsonObject
from aos.policy.approvals import BoundQuorum
from tests.unit.gateway.make import FakeApiServer, raw

KEY = bytes(range(32))
CALLS = [f"call-{number}" for number in range(100)]
TENTH = BoundQuorum("spot-check", 1, sample_percent=10)


def secret(**data: bytes) -> JsonObject:
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return raw("Secret", "aos-sampling", "aos-system", data=dict(encoded))


async def test_the_secret_is_followed_and_a_broken_or_missing_one_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api, sampler = FakeApiServer(), KeyedSampler()
    watch = asyncio.create_task(SamplingKeyWatch(api, "aos-system", sampler).run())
    api.put(SECRETS, secret(key=KEY))
    expected = [is_drawn(KEY, call, 10) for call in CALLS]
    await settled()
    assert drawn(sampler) == expected
    api.put(SECRETS, secret(key=b"short"))
    await settled()
    assert "holds no usable key" in caplog.text
    api.put(SECRETS, secret(other=KEY))
    await settled()
    api.remove(SECRETS, "aos-sampling", "aos-system")
    await settled()
    assert "its last key stays in use" in caplog.text
    assert drawn(sampler) == expected
    watch.cancel()
    await asyncio.wait((watch,))
    assert [selection.field_selector for _, selection in api.watched] == ["metadata.name=aos-sampling"]


async def test_a_gateway_serves_once_it_has_the_key_or_knows_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, sampler = FakeApiServer(), KeyedSampler()
    api.put(SECRETS, secret(key=KEY))
    watch = SamplingKeyWatch(api, "aos-system", sampler)
    running = asyncio.create_task(watch.run())
    await watch.read()
    assert not all(drawn(sampler))
    running.cancel()
    await asyncio.wait((running,))
    monkeypatch.setattr(sampling_key, "READ_SECONDS", 0.01)
    await SamplingKeyWatch(api, "aos-system", KeyedSampler()).read()


def drawn(sampler: KeyedSampler) -> list[bool]:
    return [sampler.draws(call, TENTH) for call in CALLS]


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)
