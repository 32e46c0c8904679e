import pytest
from pydantic import JsonValue

from aos.model.base import JsonObject
from tests.unit.gateway_mcp.make import READ_ALL, SETTINGS
from tests.unit.gateway_mcp.make import tool as mcp_tool
from tests.unit.gateway_mcp.world import gateway
from tests.unit.gateway_memory.world import at_work, call, memory_tool, request, said, serve_for


async def test_a_value_is_put_got_and_deleted_by_plain_http() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()]))
        none = await request(front, "GET")
        assert (none.status_code, none.json()) == (404, {"value": None, "version": 0})
        put = await request(front, "PUT", body={"value": {"a": 1}})
        assert put.status_code == 200
        tag = put.headers["etag"]
        assert tag == f'"{put.json()["version"]}"'
        got = await request(front, "GET")
        assert (got.status_code, got.headers["etag"], got.headers["cache-control"]) == (200, tag, "no-store")
        assert got.json()["value"] == {"a": 1}
        assert said(await call(front, "get")) == got.json()
        gone = await request(front, "DELETE")
        assert (gone.status_code, gone.json()) == (200, {"version": 0})
        assert (await request(front, "GET")).status_code == 404


async def test_a_change_for_a_version_that_is_gone_fails_its_precondition() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()]))
        first = await request(front, "PUT", body={"value": 1}, if_none_match="*")
        assert first.status_code == 200
        again = await request(front, "PUT", body={"value": 2}, if_none_match="*")
        assert again.status_code == 412
        assert again.json()["error"]["code"] == "Conflict"
        assert again.headers["etag"] == first.headers["etag"]
        second = await request(front, "PUT", body={"value": 2}, if_match=first.headers["etag"])
        assert second.status_code == 200
        assert (await request(front, "DELETE", if_match=first.headers["etag"])).status_code == 412
        assert (await request(front, "DELETE", if_match=second.headers["etag"])).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([1], {}),
        ({"value": 1}, {"if_match": "7"}),
        ({"value": 1}, {"if_match": 'W/"7"'}),
        ({"value": 1}, {"if_match": "*"}),
        ({"value": 1}, {"if_none_match": '"7"'}),
        ({"value": 1}, {"if_none_match": "*", "if_match": '"7"'}),
        ({"value": 1, "ifVersion": 8}, {"if_match": '"7"'}),
        ({}, {}),
        ({"value": 1, "more": 2}, {}),
    ],
)
async def test_a_request_that_says_two_things_or_nothing_is_refused(
    body: JsonValue, headers: dict[str, str]
) -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()]))
        answer = await request(front, "PUT", body=body, **headers)
        assert answer.status_code == 400
        assert (await request(front, "GET")).status_code == 404


async def test_other_methods_and_other_tools_are_not_there() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool(), mcp_tool(actions={"get": "Read"})]))
        assert (await request(front, "POST")).status_code == 405
        for name in ("crm", "nothing"):
            answer = await request(front, "GET", name)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ToolUnknown")


async def test_policy_and_people_are_asked_as_over_mcp() -> None:
    async with gateway(SETTINGS.model_copy(update={"approval_wait_seconds": 0.05})) as front:
        await serve_for(front, at_work([memory_tool()], rules=[READ_ALL]))
        denied = await request(front, "PUT", body={"value": 1})
        assert (denied.status_code, denied.json()["error"]["code"]) == (403, "NotAllowed")
        await serve_for(front, at_work([memory_tool(risk="High", uid="risky")]))
        waits = await request(front, "PUT", body={"value": 1})
        assert (waits.status_code, waits.json()["error"]["code"]) == (409, "ApprovalPending")
        assert int(waits.headers["retry-after"]) > 0


async def test_limits_hold_over_both_ways_together() -> None:
    limits: list[JsonValue] = [{"name": "calls", "calls": 2, "per": "1h"}]
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()], limits=limits))
        await call(front, "get")
        assert (await request(front, "GET")).status_code == 404
        exceeded: JsonObject = (await request(front, "GET")).json()["error"]
        assert exceeded["code"] == "LimitExceeded"
        rows = await front.held.rows()
    assert [row.action for row in rows if row.outcome] == ["get", "get", "get"]
