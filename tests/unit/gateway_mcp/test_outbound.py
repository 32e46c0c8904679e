import asyncio

import aiohttp
import orjson
import pytest

from aos.gateway.mcp import outbound
from aos.gateway.mcp.outbound import Target, UpstreamError, open_client, target_of
from aos.gateway.refusal import RefusalCode
from aos.gateway.settings import GatewaySettings
from tests.unit.gateway_mcp.make import CREDENTIAL, SETTINGS, StubRegistry, tool


def test_a_target_is_what_the_tool_says_with_its_credential() -> None:
    target = target_of(StubRegistry(), tool("http://crm.invalid/mcp"))
    assert target == Target("uid-crm", "http://crm.invalid/mcp", CREDENTIAL)
    assert target.authorization() == {"Authorization": f"Bearer {CREDENTIAL}"}
    assert target_of(StubRegistry(), tool(credential_in=None)).authorization() == {}


def test_a_credential_is_never_shown_by_accident() -> None:
    assert CREDENTIAL not in repr(target_of(StubRegistry(), tool()))


def test_a_line_end_after_a_credential_is_no_part_of_it() -> None:
    registry = StubRegistry(credentials={"crm-credentials": "token\n"})
    assert target_of(registry, tool()).credential == "token"


@pytest.mark.parametrize("credential", ["", " ", "\n", "a\r\nCookie: b", "naïve", "a\x00b"])
def test_a_credential_that_no_header_can_carry_is_missing(credential: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        target_of(StubRegistry(credentials={"crm-credentials": credential}), tool())
    assert raised.value.code is RefusalCode.CREDENTIALS_MISSING
    assert not raised.value.maybe_done


@pytest.mark.parametrize("credential", ["plain", 'with "quotes"', "back\\slash"])
def test_a_credential_is_found_in_what_would_give_it_away(credential: str) -> None:
    target = Target("uid", "http://x.invalid", credential)
    assert target.gives_away(orjson.dumps({"text": f"the token is {credential}."}))
    assert not target.gives_away(orjson.dumps({"text": "nothing"}))
    assert not Target("uid", "http://x.invalid").gives_away(b"anything")


@pytest.mark.parametrize(
    ("error", "code", "maybe_done"),
    [
        (aiohttp.ConnectionTimeoutError("10.0.0.7"), RefusalCode.UPSTREAM_TIMEOUT, False),
        (aiohttp.InvalidURL("http://10.0.0.7"), RefusalCode.UPSTREAM_UNREACHABLE, False),
        (TimeoutError("10.0.0.7"), RefusalCode.UPSTREAM_TIMEOUT, True),
        (aiohttp.SocketTimeoutError("10.0.0.7"), RefusalCode.UPSTREAM_TIMEOUT, True),
        (aiohttp.ServerDisconnectedError("10.0.0.7"), RefusalCode.UPSTREAM_UNREACHABLE, True),
        (aiohttp.ClientPayloadError("10.0.0.7"), RefusalCode.UPSTREAM_INVALID, True),
        (ConnectionResetError("10.0.0.7"), RefusalCode.UPSTREAM_UNREACHABLE, True),
    ],
)
def test_failures_tell_nothing_of_the_other_side(
    error: Exception, code: RefusalCode, *, maybe_done: bool
) -> None:
    with pytest.raises(UpstreamError) as raised, outbound.failures:
        raise error
    assert (raised.value.code, raised.value.maybe_done) == (code, maybe_done)
    assert "10.0.0.7" not in raised.value.message
    assert raised.value.__cause__ is None


def test_faults_of_the_program_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), outbound.failures:
        raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError), outbound.failures:
        raise asyncio.CancelledError


async def test_the_client_keeps_no_cookies_and_takes_no_proxy_from_the_environment() -> None:
    async with open_client(SETTINGS) as http:
        assert isinstance(http.cookie_jar, aiohttp.DummyCookieJar)
        assert not http.trust_env
        assert not http.auto_decompress


async def test_nothing_listens_is_said_without_the_address() -> None:
    settings = GatewaySettings(namespace="aos-system", connect_timeout_seconds=5)
    async with open_client(settings) as http:
        with pytest.raises(UpstreamError) as raised, outbound.failures:
            await http.post("http://127.0.0.1:9/mcp")
    assert raised.value.code is RefusalCode.UPSTREAM_UNREACHABLE
    assert not raised.value.maybe_done
    assert "127.0.0.1" not in raised.value.message
