import asyncio
import json

import pytest
from mcp.types import CallToolResult
from pydantic import JsonValue
from starlette.types import Send

from aos.gateway.journal import CallOutcome, arguments_digest
from aos.gateway.refusal import RefusalCode
from aos.model.base import JsonObject
from aos.policy.decision import DecisionReason, Effect
from tests.unit.gateway_mcp.make import ALLOW_ALL, CREDENTIAL, SETTINGS, caller, definition, merged, tool
from tests.unit.gateway_mcp.world import Gateway, Script, answer, gateway, respond, scripted

MODES = ("auto", "legacy")
ACTIONS = {"get_contact": "Read", "update_contact": "Write"}
BOTH = [definition("get_contact"), definition("update_contact")]


async def call(front: Gateway, action: str = "get_contact", mode: str = "auto") -> CallToolResult:
    async with front.client(mode) as client:
        return await client.call_tool(f"crm.{action}", {"id": "7"})


def reason(result: CallToolResult) -> tuple[str, str]:
    assert result.is_error
    assert isinstance(result.structured_content, dict)
    return result.structured_content["decision"], result.structured_content["reason"]


async def failing(on_call: Script, action: str = "get_contact") -> tuple[CallToolResult, Gateway]:
    async with scripted(BOTH, on_call) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        return await call(front, action), front


async def fails(_: str, body: JsonObject, send: Send) -> None:
    await respond(send, 500, b"Traceback: db-7 refused postgres://root:hunter2@10.0.0.7")


@pytest.mark.parametrize("mode", MODES)
async def test_a_failing_tool_is_told_without_its_internals(mode: str) -> None:
    async with scripted(BOTH, fails) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        result = await call(front, mode=mode)
    assert reason(result) == ("Allow", "UpstreamUnreachable")
    said = result.model_dump_json()
    assert "failed: crm.get_contact gave no result" in said
    for internal in ("db-7", "hunter2", "Traceback", url, "127.0.0.1"):
        assert internal not in said
    (entry,) = front.journal.entries
    assert (entry.effect, entry.reason, entry.outcome) == (
        Effect.ALLOW,
        RefusalCode.UPSTREAM_UNREACHABLE,
        CallOutcome.FAILED,
    )


async def test_a_write_that_may_have_been_made_is_said_to_be_unknown() -> None:
    result, _ = await failing(fails, "update_contact")
    assert isinstance(result.structured_content, dict)
    assert result.structured_content["outcomeUnknown"] is True
    assert "its outcome is unknown" in result.structured_content["message"]


async def test_a_read_or_a_write_that_was_surely_not_made_is_not() -> None:
    async def refuses(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 401, b"")

    for on_call, action in ((fails, "get_contact"), (refuses, "update_contact")):
        result, _ = await failing(on_call, action)
        assert isinstance(result.structured_content, dict)
        assert "outcomeUnknown" not in result.structured_content
        assert "unknown" not in result.structured_content["message"]


async def test_a_timeout_leaves_a_write_unknown() -> None:
    over = asyncio.Event()

    async def waits(_: str, body: JsonObject, send: Send) -> None:
        await over.wait()
        await answer(send, body, {"content": []})

    settings = SETTINGS.model_copy(update={"upstream_timeout_seconds": 0.3})
    async with scripted(BOTH, waits) as (url, _, _), gateway(settings) as front:
        await front.offer(tool(url))
        result = await call(front, "update_contact")
        over.set()
    assert reason(result) == ("Allow", "UpstreamTimeout")
    assert isinstance(result.structured_content, dict)
    assert result.structured_content["outcomeUnknown"] is True


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_of_the_tool_itself_reaches_the_model(mode: str) -> None:
    async def says_no(_: str, body: JsonObject, send: Send) -> None:
        text: JsonObject = {"type": "text", "text": "no contact 7"}
        await answer(send, body, {"content": [text], "isError": True})

    async with scripted(BOTH, says_no) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        result = await call(front, mode=mode)
    assert result.is_error
    assert result.content[0].type == "text"
    assert result.content[0].text == "no contact 7"
    (entry,) = front.journal.entries
    assert entry.outcome is CallOutcome.ERROR_ANSWERED


@pytest.mark.parametrize(
    "result",
    [
        {"content": [{"type": "text", "text": f"your token is {CREDENTIAL}"}]},
        {"content": [], "structuredContent": {CREDENTIAL: 1}},
        {"content": [{"type": "text", "text": CREDENTIAL}], "isError": True},
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
async def test_an_answer_that_holds_the_credential_is_withheld(result: JsonObject, *, escaped: bool) -> None:
    async def leaks(_: str, body: JsonObject, send: Send) -> None:
        content = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result})
        if escaped:
            content = content.replace(CREDENTIAL, "".join(f"\\u{ord(item):04x}" for item in CREDENTIAL))
        await respond(send, 200, content.encode())

    given, front = await failing(leaks)
    assert reason(given) == ("Allow", "UpstreamInvalid")
    assert CREDENTIAL not in given.model_dump_json()
    assert CREDENTIAL not in repr(front.journal.entries)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"content": "text"},
        {"content": ["text"]},
        {"content": [{"type": "video"}]},
        {"content": [{"type": ["text"]}]},
        {"resultType": "input_required", "inputRequests": {}, "content": []},
        {"resultType": 7, "content": []},
    ],
)
async def test_a_result_that_no_client_can_read_is_not_passed_on(result: JsonObject) -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, result)

    given, _ = await failing(on_call)
    assert reason(given) == ("Allow", "UpstreamInvalid")


async def test_a_result_nested_without_end_is_not_passed_on() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        deep = '{"a":' * 300 + "1" + "}" * 300
        content = (
            f'{{"jsonrpc":"2.0","id":{body["id"]},"result":{{"content":[],"structuredContent":{deep}}}}}'
        )
        await respond(send, 200, content.encode())

    given, _ = await failing(on_call)
    assert reason(given) == ("Allow", "UpstreamInvalid")


@pytest.mark.parametrize(
    ("result", "fits"),
    [
        ({"content": [], "structuredContent": {"score": 1}}, True),
        ({"content": [], "structuredContent": {"score": "high"}}, False),
        ({"content": []}, False),
    ],
)
async def test_a_structured_result_must_be_what_its_own_schema_says(
    result: JsonObject, *, fits: bool
) -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, result)

    schema: JsonObject = {
        "type": "object",
        "required": ["score"],
        "properties": {"score": {"type": "number"}},
    }
    listed = definition("get_contact", outputSchema=schema)
    async with scripted([listed], on_call) as (url, _, _), gateway() as front:
        await front.offer(tool(url, actions={"get_contact": "Read"}))
        given = await call(front)
    assert given.is_error is not fits


async def test_what_a_tool_says_besides_its_result_is_dropped() -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await answer(
            send,
            body,
            {"content": [], "_meta": {"x": "y"}, "ttlMs": 10**6, "cacheScope": "public", "more": 1},
        )

    async with scripted(BOTH, on_call) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        async with front.client("2026-07-28") as client:
            result = await client.call_tool("crm.get_contact", {"id": "7"})
    assert not result.is_error
    assert result.meta is not None
    assert list(result.meta) == ["io.modelcontextprotocol/serverInfo"]


@pytest.mark.parametrize(("mode", "passed"), [("auto", [1, 2]), ("legacy", None)])
async def test_structured_results_that_are_no_objects_go_to_the_stateless_era_only(
    mode: str, passed: JsonValue
) -> None:
    async def on_call(_: str, body: JsonObject, send: Send) -> None:
        await answer(
            send, body, {"content": [{"type": "text", "text": "[1,2]"}], "structuredContent": [1, 2]}
        )

    async with scripted(BOTH, on_call) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        result = await call(front, mode=mode)
    assert not result.is_error
    assert result.structured_content == passed


async def test_an_action_that_is_quarantined_can_not_be_called_whatever_policy_says() -> None:
    hidden = {**BOTH[0], "description": "Reads.\u200b"}
    async with scripted([hidden, BOTH[1]]) as (url, _, seen), gateway() as front:
        await front.offer(tool(url))
        async with front.client("auto") as client:
            assert [item.name for item in (await client.list_tools()).tools] == ["crm.update_contact"]
        result = await call(front)
    assert reason(result) == ("Deny", "ActionQuarantined")
    assert not seen.of("tools/call")


async def test_an_action_that_the_tool_does_not_list_can_not_be_called() -> None:
    async with scripted([BOTH[1]]) as (url, _, seen), gateway() as front:
        await front.offer(tool(url))
        result = await call(front)
    assert reason(result) == ("Deny", "ActionQuarantined")
    assert not seen.of("tools/call")


async def test_a_tool_that_was_never_read_can_not_be_called() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        front.caller = caller(merged([tool(url)], ALLOW_ALL))
        result = await call(front)
    assert reason(result) == ("Deny", "UpstreamUnreachable")
    assert not seen.requests


async def test_a_tool_that_changed_is_not_called_by_what_was_read_before() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await front.offer(tool(url))
        front.caller = caller(merged([tool(url, generation=2)], ALLOW_ALL))
        result = await call(front)
    assert reason(result) == ("Deny", "UpstreamUnreachable")
    assert not seen.of("tools/call")


async def test_a_tool_that_is_down_is_named_as_such() -> None:
    async with gateway() as front:
        await front.offer(tool("http://127.0.0.1:9/mcp"))
        assert reason(await call(front)) == ("Deny", "UpstreamUnreachable")


async def test_a_tool_whose_credential_is_missing_is_not_called() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await front.offer(tool(url))
        front.registry.credentials.clear()
        assert reason(await call(front)) == ("Allow", "CredentialsMissing")
        await front.offer(tool(url))
        assert reason(await call(front)) == ("Deny", "CredentialsMissing")
    assert not seen.of("tools/call")


async def test_a_suspended_agent_sees_and_calls_nothing() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await front.offer(tool(url))
        suspended = front.caller.policy.agent.model_copy(
            update={"spec": front.caller.policy.agent.spec.model_copy(update={"suspend": True})}
        )
        front.caller = caller(merged([tool(url)], ALLOW_ALL, of=suspended))
        async with front.client("auto") as client:
            assert (await client.list_tools()).tools == []
        assert reason(await call(front)) == ("Deny", "AgentSuspended")
    assert not seen.of("tools/call")


async def test_a_call_is_recorded_with_its_rules_and_without_its_arguments() -> None:
    async with scripted(BOTH) as (url, _, _), gateway() as front:
        await front.offer(tool(url))
        await call(front)
    (entry,) = front.journal.entries
    assert (entry.name, entry.action, entry.reason) == ("crm", "get_contact", DecisionReason.ALLOWED)
    assert [rule.rule for rule in entry.rules] == ["all"]
    assert entry.arguments_digest == arguments_digest({"id": "7"})
    assert 0 < entry.upstream_seconds <= entry.duration_seconds
