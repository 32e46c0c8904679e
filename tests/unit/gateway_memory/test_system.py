import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mcp.types import CallToolResult, TextContent
from pydantic import JsonValue

from aos.audit.event import Phase
from aos.gateway.journal import CallOutcome
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.task import Task
from aos.store.interface import StoreUnavailableError
from tests.unit.gateway_mcp.make import READ_ALL, SETTINGS, in_run, task
from tests.unit.gateway_mcp.world import gateway
from tests.unit.gateway_memory.world import at_work, call, memory_tool, said, serve_for, version

CARD = "4111 1111 1111 1111"
SCHEMA: JsonObject = {"type": "object", "required": ["lead"], "properties": {"lead": {"type": "string"}}}


def below(root: Task, name: str, uid: str) -> Task:
    """Return a Task that ``root`` handed over."""
    ancestor: JsonValue = {"agent": "enricher", "task": root.metadata.name, "taskUID": root.metadata.uid}
    raw = task(name, uid).model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["spec"]["lineage"] = [ancestor]
    return Task.parse(raw)


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_what_one_agent_puts_another_of_its_run_gets() -> None:
    notes = memory_tool()
    async with gateway() as front:
        await serve_for(front, at_work([notes], task("a", "a-uid", in_run("enrich"))))
        assert said(await call(front, "get")) == {"value": None, "version": 0}
        put = await call(front, "put", {"value": {"lead": "Ana"}})
        await serve_for(front, at_work([notes], task("b", "b-uid", in_run("draft"))))
        got = said(await call(front, "get"))
        assert (got["value"], got["version"]) == ({"lead": "Ana"}, version(put))
        gone = datetime.fromisoformat(str(got["expiresAt"]))
        assert abs(gone - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)
        assert said(await call(front, "delete")) == {"version": 0}
        assert said(await call(front, "get")) == {"value": None, "version": 0}


async def test_outside_a_run_a_task_shares_with_what_it_hands_over_and_with_nothing_else() -> None:
    notes, root = memory_tool(), task("root", "root-uid")
    async with gateway() as front:
        await serve_for(front, at_work([notes], root))
        await call(front, "put", {"value": 1})
        child = at_work([notes], below(root, "child", "child-uid"))
        await serve_for(front, replace(child, ancestors=(child.policy,)))
        assert said(await call(front, "get"))["value"] == 1
        await serve_for(front, at_work([notes], task("other", "other-uid")))
        assert said(await call(front, "get")) == {"value": None, "version": 0}


async def test_attack_32_one_run_and_one_namespace_read_nothing_of_another() -> None:
    async with gateway() as front:
        shared = memory_tool(scope="Namespace")
        await serve_for(front, at_work([shared]))
        await call(front, "put", {"value": "sales only"})
        # Of the same name in another namespace, and made anew in this one after the first was deleted.
        for other in (
            memory_tool(scope="Namespace", namespace="support", uid="uid-of-support"),
            memory_tool(scope="Namespace", uid="uid-of-another"),
            memory_tool(scope="Run", uid="uid-notes"),
        ):
            await serve_for(front, at_work([other]))
            assert said(await call(front, "get")) == {"value": None, "version": 0}
            assert not (await call(front, "delete")).is_error
        await serve_for(front, at_work([shared], task("later", "later-uid")))
        assert said(await call(front, "get"))["value"] == "sales only"


async def test_of_two_agents_that_change_one_version_one_loses_and_is_told() -> None:
    notes = memory_tool(scope="Namespace")
    async with gateway() as front:
        await serve_for(front, at_work([notes]))
        first = version(await call(front, "put", {"value": 0, "ifVersion": 0}))
        puts = [call(front, "put", {"value": number, "ifVersion": first}) for number in (1, 2)]
        results = await asyncio.gather(*puts)
        (won,) = [item for item in results if not item.is_error]
        (lost,) = [item for item in results if item.is_error]
        assert said(lost)["error"] == "Conflict"
        assert said(lost)["version"] == version(won)
        assert f"does not have version {first} any more" in text(lost)
        refused = await call(front, "delete", {"ifVersion": first})
        assert said(refused)["error"] == "Conflict"
        nothing = await call(front, "put", {"value": 1, "ifVersion": 0})
        assert "read it again" in text(nothing)
    assert front.journal.entries[-1].outcome is CallOutcome.ERROR_ANSWERED


async def test_a_value_is_held_to_its_schema_and_the_place_is_told() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool(schema=SCHEMA)]))
        refused = await call(front, "put", {"value": {"lead": 7}})
        assert said(refused)["reason"] == "ArgumentsInvalid"
        assert "/value/lead: " in text(refused)
        assert said(await call(front, "get"))["version"] == 0
        assert version(await call(front, "put", {"value": {"lead": "Ana"}}))


async def test_a_value_that_is_too_long_is_refused() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool(max_bytes=10)]))
        assert version(await call(front, "put", {"value": "x" * 8}))
        refused = await call(front, "put", {"value": "x" * 9})
        assert said(refused)["reason"] == "ArgumentsInvalid"
        assert "/value: it has 11 bytes as JSON, and at most 10 are kept" in text(refused)


async def test_a_value_is_gone_when_its_task_ends_or_its_time_is_up() -> None:
    async with gateway() as front:
        notes = memory_tool()
        await serve_for(front, at_work([notes]))
        await call(front, "put", {"value": 1})
        await front.held.store.end_task("task-uid-1")
        assert said(await call(front, "get")) == {"value": None, "version": 0}
        await serve_for(front, at_work([memory_tool(ttl="1s", uid="brief")]))
        await call(front, "put", {"value": 1})
        await asyncio.sleep(1.1)
        assert said(await call(front, "get")) == {"value": None, "version": 0}


async def test_policy_decides_who_reads_and_who_writes() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()], rules=[READ_ALL]))
        assert not (await call(front, "get")).is_error
        assert said(await call(front, "put", {"value": 1}))["decision"] == "Deny"
        async with front.client("auto") as client:
            assert [item.name for item in (await client.list_tools()).tools] == ["notes.get"]


async def test_a_write_with_risk_waits_for_people_as_any_other() -> None:
    async with gateway(SETTINGS.model_copy(update={"approval_wait_seconds": 0.05})) as front:
        await serve_for(front, at_work([memory_tool(risk="High")]))
        result = await call(front, "put", {"value": 1})
        assert said(result)["reason"] == "ApprovalPending"


async def test_values_stand_in_no_row_of_the_audit_trail() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()]))
        await call(front, "put", {"value": "the-secret-value"})
        await call(front, "get")
        rows = await front.held.rows()
    assert [(row.phase, row.action) for row in rows] == [
        (Phase.INTENT, "put"),
        (Phase.OUTCOME, "put"),
        (Phase.INTENT, "get"),
        (Phase.OUTCOME, "get"),
    ]
    assert not any("the-secret-value" in repr(row) for row in rows)


async def test_a_record_is_taken_only_where_the_action_names_one() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool(scope="Namespace")]))
        await call(front, "put", {"value": 1})
        assert await front.held.store.leases("") == []
        leased = memory_tool(scope="Namespace", put={"record": "notes"}, uid="leased")
        await serve_for(front, at_work([leased]))
        assert version(await call(front, "put", {"value": 2}))
        await serve_for(front, at_work([leased], task("t2", "task-uid-2")))
        assert said(await call(front, "put", {"value": 3}))["reason"] == "RecordBusy"


async def test_a_schema_that_can_not_be_used_offers_nothing() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool(schema={"$ref": "http://evil.example/x"})]))
        availability, _ = front.reports.tools["notes"]
        assert availability.reason is Reason.UNREACHABLE
        assert "spec.memory.schema" in availability.message
        assert (await call(front, "put", {"value": 1})).is_error


async def test_a_store_that_fails_is_told_and_a_put_may_have_been_made() -> None:
    async with gateway() as front:
        await serve_for(front, at_work([memory_tool()]))

        async def broken(_: object) -> None:
            raise StoreUnavailableError("the disk is gone")

        front.held.store.put_memory = broken  # type: ignore[method-assign,assignment]
        result = await call(front, "put", {"value": 1})
        assert said(result)["reason"] == "StoreUnavailable"
        assert said(result)["outcomeUnknown"] is True
        assert "disk" not in text(result)


async def test_the_same_value_is_put_again_where_policies_look_for_identical_writes() -> None:
    window: JsonObject = {"duplicateWindowSeconds": 600}
    async with gateway() as front:
        shared, versions = memory_tool(scope="Namespace"), []
        for number, value in enumerate((1, 2, 1)):
            await serve_for(front, at_work([shared], task(f"t{number}", f"uid-{number}"), conflicts=window))
            versions.append(version(await call(front, "put", {"value": value})))
        assert said(await call(front, "get"))["value"] == 1
    assert versions == sorted(set(versions))


async def test_what_policy_redacts_is_neither_kept_nor_answered() -> None:
    async with gateway() as front:
        shared = memory_tool(scope="Namespace")
        redacts: JsonObject = {"redact": ["payment"], "in": ["Request"]}
        await serve_for(front, at_work([shared], data=redacts))
        await call(front, "put", {"value": {"card": CARD}})
        await serve_for(front, at_work([shared]))
        assert CARD not in text(await call(front, "get"))
        await call(front, "put", {"value": {"card": CARD}})
        assert CARD in text(await call(front, "get"))
        await serve_for(front, at_work([shared], data={"redact": ["payment"], "in": ["Response"]}))
        got = await call(front, "get")
        assert CARD not in got.model_dump_json()
        assert version(got)
        await serve_for(front, at_work([shared], data={"block": ["payment"], "in": ["Response"]}))
        assert said(await call(front, "get"))["reason"] == "DataBlocked"
