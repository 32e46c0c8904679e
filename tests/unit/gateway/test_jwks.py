import pytest

from aos.gateway.jwks import KEYS_LIFETIME_SECONDS, KeysUnavailable, SigningKeys, parse_keys
from aos.kube.errors import Target, Unavailable
from tests.unit.gateway.signing import ISSUER, FakeIssuer, Key
from tests.unit.kube.fakes import FakeClock

ONE, TWO = Key("one"), Key("two")
DOWN = Unavailable(Target("get", "/openid/v1/jwks"), 0, "ConnectionError", "no answer")


async def test_keys_are_read_once_and_again_for_one_that_is_not_known() -> None:
    issuer, clock = FakeIssuer([ONE.jwk()]), FakeClock()
    keys = SigningKeys(issuer, 10, clock)
    for _ in range(3):
        found = await keys.find("one")
        assert found is not None
        assert found[0] == ISSUER
    assert issuer.readings == 1
    issuer.keys.append(TWO.jwk())
    await clock.advance(10)
    assert await keys.find("two") is not None
    assert issuer.readings == 2


async def test_made_up_key_ids_do_not_make_the_gateway_ask_all_the_time() -> None:
    issuer, clock = FakeIssuer([ONE.jwk()]), FakeClock()
    keys = SigningKeys(issuer, 10, clock)
    for number in range(100):
        assert await keys.find(f"made-up-{number}") is None
    assert issuer.readings == 1
    await clock.advance(10)
    assert await keys.find("made-up") is None
    assert issuer.readings == 2


async def test_a_key_that_was_withdrawn_is_dropped_in_time() -> None:
    issuer, clock = FakeIssuer([ONE.jwk(), TWO.jwk()]), FakeClock()
    keys = SigningKeys(issuer, 10, clock)
    assert await keys.find("one") is not None
    issuer.keys = [TWO.jwk()]
    await clock.advance(KEYS_LIFETIME_SECONDS)
    assert await keys.find("one") is None


async def test_known_keys_stay_in_use_while_the_api_server_is_away() -> None:
    issuer, clock = FakeIssuer([ONE.jwk()]), FakeClock()
    keys = SigningKeys(issuer, 10, clock)
    await keys.find("one")
    issuer.failure = DOWN
    await clock.advance(KEYS_LIFETIME_SECONDS)
    assert await keys.find("one") is not None


async def test_without_any_keys_the_answer_is_that_there_are_none_yet() -> None:
    issuer, clock = FakeIssuer([ONE.jwk()], failure=DOWN), FakeClock()
    keys = SigningKeys(issuer, 10, clock)
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await keys.find("one")
    issuer.failure = None
    await clock.advance(10)
    assert await keys.find("one") is not None


@pytest.mark.parametrize("issuer", ["", ISSUER])
def test_a_set_without_issuer_or_keys_is_refused(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        parse_keys(issuer, {"keys": [] if issuer else [ONE.jwk()]})
