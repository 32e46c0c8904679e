import json
from typing import cast

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import RequestParamsMeta
from pydantic import JsonValue

from aos.gateway.journal import CallOutcome
from aos.model.base import JsonObject
from aos.policy.decision import Effect
from tests.unit.gateway_mcp.make import (
    ALLOW_ALL,
    CREDENTIAL,
    READ_ALL,
    agent,
    caller,
    definition,
    merged,
    task,
    tool,
)
from tests.unit.gateway_mcp.world import Gateway, crm, gateway, scripted

MODES = ("auto", "legacy", "2026-07-28")
SERVERS = {
    "stateless JSON": {"stateless": True},
    "stateless events": {"stateless": True, "json_response": False},
    "session JSON": {"modern": False},
    "session events": {"modern": False, "json_response": False},
    "no session, 2025, JSON": {"modern": False, "stateless": True},
    "no session, 2025, events": {"modern": False, "stateless": True, "json_response": False},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("server", SERVERS)
async def test_official_clients_of_both_eras_reach_official_servers_of_both_eras(
    server: str, mode: str
) -> None:
    async with crm(**SERVERS[server]) as (url, watched), gateway() as front:
        await front.offer(tool(url))
        async with front.client(mode) as client:
            assert [item.name for item in (await client.list_tools()).tools] == [
                "crm.get_contact",
                "crm.update_contact",
            ]
            read = await client.call_tool("crm.get_contact", {"id": "7"})
            write = await client.call_tool("crm.update_contact", {"id": "7", "stage": "won"})
        async with front.client(mode, "crm") as client:
            assert [item.name for item in (await client.list_tools()).tools] == [
                "get_contact",
                "update_contact",
            ]
            plain = await client.call_tool("get_contact", {"id": "8"})
    assert not read.is_error
    assert read.structured_content == {"result": "contact 7"}
    assert write.structured_content == {"id": "7", "stage": "won"}
    assert plain.structured_content == {"result": "contact 8"}
    assert {entry.outcome for entry in front.journal.entries} == {CallOutcome.ANSWERED}
    assert len(watched.seen.of("tools/call")) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("server", ["stateless JSON", "session events"])
async def test_attack_04_nothing_of_the_agent_but_its_arguments_reaches_a_tool(
    server: str, mode: str
) -> None:
    meta = cast("RequestParamsMeta", {"progressToken": "p", "x/secret": "s"})
    async with crm(**SERVERS[server]) as (url, watched), gateway() as front:
        await front.offer(tool(url))
        async with front.client(mode) as client:
            await client.call_tool("crm.get_contact", {"id": "7"}, meta=meta)
    for _, headers, body in watched.seen.requests:
        sent = json.dumps(headers) + json.dumps(body)
        assert headers["authorization"] == f"Bearer {CREDENTIAL}"
        assert headers["user-agent"].startswith("aos-gateway/")
        assert "cookie" not in headers
        assert "x-agent" not in headers
        assert "the-agents-own" not in sent
        assert "progress" not in sent
        assert "secret" not in sent
        assert "mcp-python" not in sent
    (_, called), *_ = watched.seen.of("tools/call")
    params = called["params"]
    assert isinstance(params, dict)
    assert params["name"] == "get_contact"
    assert params["arguments"] == {"id": "7"}
    assert json.dumps(params.get("_meta", {})).count("aos-gateway") == ("_meta" in params)


@pytest.mark.parametrize("mode", MODES)
async def test_a_denied_call_says_why_and_never_reaches_the_tool(mode: str) -> None:
    async with crm() as (url, watched), gateway() as front:
        await front.offer(tool(url), rules=[READ_ALL])
        async with front.client(mode) as client:
            names = [item.name for item in (await client.list_tools()).tools]
            denied = await client.call_tool("crm.update_contact", {"id": "7"})
    assert names == ["crm.get_contact"]
    assert denied.is_error
    assert denied.content[0].type == "text"
    assert denied.content[0].text.startswith("denied: no Policy rule allows crm.update_contact")
    assert denied.structured_content is not None
    assert denied.structured_content["decision"] == "Deny"
    assert denied.structured_content["reason"] == "NotAllowed"
    assert not watched.seen.of("tools/call")
    (entry,) = front.journal.entries
    assert (entry.effect, entry.outcome) == (Effect.DENY, CallOutcome.REFUSED)


@pytest.mark.parametrize("mode", MODES)
async def test_arguments_are_checked_before_rules_and_before_the_tool(mode: str) -> None:
    async with crm() as (url, watched), gateway() as front:
        await front.offer(tool(url))
        async with front.client(mode) as client:
            refused = await client.call_tool("crm.get_contact", {"id": 7})
    assert refused.is_error
    assert refused.structured_content is not None
    assert refused.structured_content["reason"] == "ArgumentsInvalid"
    assert "/id" in refused.structured_content["message"]
    assert not watched.seen.of("tools/call")


@pytest.mark.parametrize("mode", MODES)
async def test_arguments_decide_where_a_rule_looks_at_them(mode: str) -> None:
    own: JsonObject = {
        "name": "own",
        "effect": "Allow",
        "tools": [{"name": "crm"}],
        "when": "args.id.startsWith('emea-')",
    }
    async with crm() as (url, watched), gateway() as front:
        await front.offer(tool(url), rules=[own])
        async with front.client(mode) as client:
            assert not (await client.call_tool("crm.get_contact", {"id": "emea-1"})).is_error
            assert (await client.call_tool("crm.get_contact", {"id": "amer-1"})).is_error
    assert len(watched.seen.of("tools/call")) == 1
    assert [entry.rules[0].rule for entry in front.journal.entries if entry.rules] == ["own"]


async def test_attack_29_two_agents_get_two_lists_and_nobody_may_keep_them() -> None:
    async with crm() as (url, _), gateway() as front:
        await front.offer(tool(url))
        everything = front.caller
        reads = caller(merged([tool(url)], READ_ALL))
        answers = []
        for front.caller in (everything, reads, everything):
            answers.append(await post_modern(front, "tools/list"))
    names = [[item["name"] for item in answer.json()["result"]["tools"]] for answer in answers]
    assert names == [["crm.get_contact", "crm.update_contact"], ["crm.get_contact"], names[0]]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["result"]["cacheScope"] == "private"
        assert answer.json()["result"]["ttlMs"] == 0


async def test_attack_12_a_tools_own_hints_are_replaced() -> None:
    async with crm() as (url, _), gateway() as front:
        await front.offer(tool(url))
        async with front.client("auto") as client:
            read, write = (await client.list_tools()).tools
    assert read.annotations is not None
    assert write.annotations is not None
    assert (read.annotations.read_only_hint, read.annotations.destructive_hint) == (True, False)
    assert (write.annotations.read_only_hint, write.annotations.destructive_hint) == (False, True)
    assert read.annotations.title is None


async def test_a_tool_that_the_agent_does_not_ask_for_is_not_found_whether_it_exists_or_not() -> None:
    async with crm() as (url, _), gateway() as front:
        await front.offer(tool(url))
        front.registry.add(tool(url, name="finance"))
        answers = [
            await post(front, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, path=f"/mcp/{name}")
            for name in ("finance", "nothing")
        ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["error"]["code"] == "ToolUnknown"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_are_no_streams_to_open_and_no_sessions_to_end(method: str) -> None:
    async with gateway() as front, httpx2.AsyncClient() as http:
        answer = await http.request(method, f"{front.url}/mcp")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def post(
    front: Gateway, body: JsonValue | bytes, headers: dict[str, str] | None = None, path: str = "/mcp"
) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx2.AsyncClient() as http:
        return await http.post(
            front.url + path, content=content, headers={"Content-Type": "application/json", **(headers or {})}
        )


async def post_modern(
    front: Gateway, method: str, params: JsonObject | None = None, **headers: str
) -> httpx2.Response:
    body: JsonObject = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {
            **(params or {}),
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    said = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if params and "name" in params:
        said["Mcp-Name"] = str(params["name"])
    return await post(
        front, body, {**said, **{name.replace("_", "-"): value for name, value in headers.items()}}
    )


async def test_attack_05_a_header_that_disagrees_with_the_body_is_answered_400() -> None:
    async with crm() as (url, watched), gateway() as front:
        await front.offer(tool(url))
        params: JsonObject = {"name": "crm.get_contact", "arguments": {"id": "7"}}
        for name, value in (("Mcp_Name", "crm.update_contact"), ("Mcp_Method", "tools/list")):
            answer = await post_modern(front, "tools/call", params, **{name: value})
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == -32020
            assert answer.json()["id"] == 1
    assert not watched.seen.of("tools/call")


async def test_attack_05_a_repeated_routing_header_is_refused() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with gateway() as front, httpx2.AsyncClient() as http:
        answer = await http.post(
            f"{front.url}/mcp", json=body, headers=[("Mcp-Method", "ping"), ("Mcp-Method", "tools/call")]
        )
    assert answer.status_code == 400


async def test_attack_05_mirrored_arguments_must_say_what_the_arguments_say() -> None:
    properties: JsonObject = {"region": {"type": "string", "x-mcp-header": "Region"}}
    async with scripted([definition("get_contact", properties)]) as (url, _, seen), gateway() as front:
        await front.offer(tool(url, actions={"get_contact": "Read"}))
        params: JsonObject = {"name": "crm.get_contact", "arguments": {"region": "emea"}}
        good = await post_modern(front, "tools/call", params, Mcp_Param_Region="emea")
        lies = await post_modern(front, "tools/call", params, Mcp_Param_Region="amer")
        silent = await post_modern(front, "tools/call", params)
        more = await post_modern(front, "tools/call", params, Mcp_Param_Region="emea", Mcp_Param_X="1")
        async with front.client("auto") as client:
            await client.list_tools()
            mirrored = await client.call_tool("crm.get_contact", {"region": "süd"})
    assert good.json()["result"]["isError"] is False
    assert {answer.status_code for answer in (lies, silent, more)} == {400}
    assert {answer.json()["error"]["code"] for answer in (lies, silent, more)} == {-32020}
    assert not mirrored.is_error
    assert [headers["mcp-param-region"] for headers, _ in seen.of("tools/call")] == [
        "emea",
        "=?base64?c8O8ZA==?=",
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32700),
        (b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 70 + b"1" + b"}" * 71, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
    ],
)
async def test_attack_06_bodies_with_two_meanings_are_refused(content: bytes, code: int) -> None:
    async with gateway() as front:
        answer = await post(front, content)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["id"] is None or code == -32600


async def test_a_method_that_is_not_offered_is_not_found() -> None:
    async with gateway() as front:
        for method in ("resources/list", "prompts/get", "ping", "initialize", "subscriptions/listen"):
            answer = await post_modern(front, method)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)
        for method in ("resources/list", "logging/setLevel", "server/discover", "sampling/createMessage"):
            answer = await post(front, {"jsonrpc": "2.0", "id": "x", "method": method})
            assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32601)
            assert answer.json()["id"] == "x"


@pytest.mark.parametrize(
    ("asked", "got"), [("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25"), (7, "2025-11-25")]
)
async def test_the_handshake_agrees_on_a_version_and_opens_no_session(asked: JsonValue, got: str) -> None:
    async with gateway() as front:
        answer = await post(
            front, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": asked}}
        )
        noted = await post(front, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert answer.json()["result"]["protocolVersion"] == got
    assert answer.json()["result"]["capabilities"] == {"tools": {}}
    assert "mcp-session-id" not in answer.headers
    assert (noted.status_code, noted.content) == (202, b"")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"name": 7},
        {"name": ""},
        {"name": "no-dot"},
        {"name": ".action"},
        {"name": "tool."},
        {"name": "x" * 193},
        {"name": "crm.get_contact", "arguments": []},
        {"name": "crm.get_contact", "task": {"ttl": 1}},
        {"name": "crm.get_contact", "requestState": "x"},
        {"name": "crm.get_contact", "inputResponses": {}},
    ],
)
async def test_params_that_a_call_can_not_have_are_refused(params: JsonObject) -> None:
    async with gateway() as front:
        front.caller = caller(merged([tool()], ALLOW_ALL))
        answer = await post(front, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    assert answer.json()["error"]["code"] == -32602
    assert not front.journal.entries


async def test_lists_are_whole_so_there_is_no_cursor() -> None:
    async with gateway() as front:
        answer = await post(
            front, {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "2"}}
        )
    assert answer.json()["error"]["code"] == -32602


async def test_a_client_that_takes_no_json_is_told_so() -> None:
    body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with gateway() as front:
        assert (await post(front, body, {"Accept": "text/event-stream"})).status_code == 406
        assert (await post(front, body, {"Accept": "application/json, text/event-stream"})).status_code == 200
        assert (await post(front, body, {"Accept": "*/*"})).json()["result"] == {}


async def test_sessions_of_a_tool_are_one_for_each_task() -> None:
    async with crm(modern=False) as (url, watched), gateway() as front:
        await front.offer(tool(url))
        for uid in ("a", "b", "a"):
            front.caller = caller(front.caller.policy, task(uid=uid))
            async with front.client("auto") as client:
                await client.call_tool("crm.get_contact", {"id": "7"})
    sessions = [headers["mcp-session-id"] for headers, _ in watched.seen.of("tools/call")]
    listing = watched.seen.of("tools/list")[0][0]["mcp-session-id"]
    assert sessions[0] == sessions[2]
    assert len({*sessions, listing}) == 3


async def test_an_unknown_tool_name_is_denied_by_decision() -> None:
    async with gateway() as front:
        front.caller = caller(merged([tool()], ALLOW_ALL, of=agent(["crm"])))
        async with front.client("auto") as client:
            denied = await client.call_tool("finance.pay", {})
            with pytest.raises(MCPError):
                await client.call_tool("pay", {})
    assert denied.structured_content is not None
    assert denied.structured_content["reason"] == "ToolUnknown"
