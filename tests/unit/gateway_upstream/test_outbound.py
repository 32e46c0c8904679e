import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.refusal import RefusalCode
from aos.gateway.upstream.http_client import Waits
from aos.gateway.upstream.outbound import Target, decoded, encoded, open_client, target_of, with_key
from aos.gateway.upstream.upstream_error import UpstreamError
from aos.model.meta import KeyReference
from aos.model.tool import Auth, AuthType
from tests.unit.gateway_mcp.make import CREDENTIAL, SETTINGS, StubRegistry, tool


def test_a_target_is_what_the_tool_says_with_its_credential() -> None:
    target = target_of(StubRegistry(), tool("http://crm.invalid/mcp"))
    assert target == Target("uid-crm", "http://crm.invalid/mcp", CREDENTIAL)
    assert target.authorization() == {"Authorization": f"Bearer {CREDENTIAL}"}
    assert target_of(StubRegistry(), tool(credential_in=None)).authorization() == {}


def test_the_gateways_own_key_replaces_one_that_an_agent_made_up() -> None:
    made_up = {"Accept": "*/*", "idempotency-KEY": "mine"}
    assert with_key(made_up, "") == made_up
    assert with_key(made_up, "ours") == {"Accept": "*/*", "Idempotency-Key": "ours"}


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


async def test_nothing_listens_is_said_without_the_address() -> None:
    async with open_client(SETTINGS) as http:
        with pytest.raises(UpstreamError) as raised:
            await http.request("POST", "http://127.0.0.1:9/mcp", {}, b"", Waits(20))
    assert raised.value.code is RefusalCode.UPSTREAM_UNREACHABLE
    assert not raised.value.maybe_done
    assert "127.0.0.1" not in raised.value.message


def test_what_can_not_be_read_or_written_as_json_is_refused() -> None:
    with pytest.raises(UpstreamError):
        decoded(b"{")
    deep: JsonValue = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(UpstreamError):
        encoded(deep)


def test_a_credential_may_stand_in_a_header_of_its_own() -> None:
    by_key = tool()
    auth = Auth(
        type=AuthType.HEADER, header="X-Api-Key", secret_ref=KeyReference(name="crm-credentials", key="t")
    )
    by_key = by_key.model_copy(update={"spec": by_key.spec.model_copy(update={"auth": auth})})
    target = target_of(StubRegistry(), by_key)
    assert target.authorization() == {"X-Api-Key": CREDENTIAL}
    assert target != target_of(StubRegistry(), tool())
    assert target.gives_away(orjson.dumps({"text": CREDENTIAL}))
