"""Tool calls held to limits, records, data rules and circuits, through the endpoint, with real tools and a real store."""

import asyncio
import base64
import sqlite3
import threading
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import pytest
from mcp.types import CallToolResult
from pydantic import JsonValue
from starlette.types import Send

from aos.audit.event import Phase
from aos.gateway.caller import Caller
from aos.gateway.control.asked import Repeated
from aos.gateway.mcp import inspecting
from aos.gateway.off_loop import MAX_BYTES_ON_LOOP, OffLoop
from aos.model.base import JsonObject
from aos.model.tool import Tool
from aos.policy.effective import EffectivePolicy
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.gateway_control.make import asked, caller, effective, policy, task, tool
from tests.unit.gateway_mcp.make import CREDENTIAL, SETTINGS, definition
from tests.unit.gateway_mcp.world import Gateway, answer, crm, gateway, respond, scripted

SCHEMA: JsonObject = {"id": {"type": "string"}, "note": {"type": "string"}}
BOTH = [definition("get_contact", SCHEMA), definition("update_contact", SCHEMA)]
TWO: JsonValue = {"name": "calls", "calls": 2, "per": "1h"}
WINDOW = policy(conflicts={"duplicateWindowSeconds": 600})
CARD = "4111 1111 1111 1111"


async def serve_for(front: Gateway, by: Caller, of: Tool) -> None:
    front.caller = by
    front.registry.tool_objects["crm"] = of
    await front.catalogue.refresh(of.key)


def working(rules: EffectivePolicy, name: str = "t1") -> Caller:
    return caller(rules, task(name, agent=rules.agent.metadata.name))


async def call(front: Gateway, action: str = "get_contact", **arguments: str) -> CallToolResult:
    async with front.client("auto") as client:
        return await client.call_tool(f"crm.{action}", arguments or {"id": "7"})


def said(result: CallToolResult) -> JsonObject:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def outcomes(front: Gateway) -> list[tuple[Phase, str]]:
    return [(row.phase, row.outcome) for row in await front.held.rows()]


async def test_a_limit_is_named_to_the_agent_and_nothing_is_sent() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await serve_for(front, working(effective(policy(limits=[TWO]), of=tool(url))), tool(url))
        for _ in range(2):
            assert not (await call(front)).is_error
        result = await call(front)
        assert (said(result)["decision"], said(result)["reason"]) == ("Deny", "LimitExceeded")
        assert said(result)["bound"] == "Policy baseline, limit calls (Agent sales/enricher)"
        assert isinstance(said(result)["retryAfterSeconds"], int)
        assert len(seen.of("tools/call")) == 2
        assert front.journal.entries[-1].reason == "LimitExceeded"


async def test_attack_29_what_one_agent_used_up_is_not_anothers() -> None:
    async with scripted(BOTH) as (url, _, _), gateway() as front:
        limited = policy(limits=[{"name": "calls", "calls": 1, "per": "1h"}])
        await serve_for(front, working(effective(limited, of=tool(url))), tool(url))
        assert not (await call(front)).is_error
        assert (await call(front)).is_error
        front.caller = working(effective(limited, agent="writer", of=tool(url)), "t2")
        assert not (await call(front)).is_error


async def test_attack_19_an_agent_may_do_no_more_for_another_than_that_one_may_itself() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        may_read = policy(
            rules=[{"name": "reads", "effect": "Allow", "tools": [{"name": "*", "access": ["Read"]}]}],
            limits=[{"name": "calls", "calls": 1, "per": "1h"}],
        )
        first = effective(may_read, agent="planner", of=tool(url))
        lineage: list[JsonValue] = [{"agent": "planner", "task": "t0", "taskUID": "uid-t0"}]
        by = replace(caller(effective(of=tool(url)), task("t1", lineage=lineage)), ancestors=(first,))
        await serve_for(front, by, tool(url))
        assert said(await call(front, "update_contact"))["reason"] == "NotAllowed"
        async with front.client("auto") as client:
            assert [item.name for item in (await client.list_tools()).tools] == ["crm.get_contact"]
        assert not (await call(front)).is_error
        assert said(await call(front))["reason"] == "LimitExceeded"
        assert len(seen.of("tools/call")) == 1


async def test_a_call_has_its_two_rows_and_its_record() -> None:
    async with scripted(BOTH) as (url, _, _), gateway() as front:
        await serve_for(front, working(effective(of=tool(url))), tool(url))
        await call(front, "update_contact")
        intent, outcome = await front.held.rows()
    assert (intent.phase, outcome.phase, outcome.outcome) == (Phase.INTENT, Phase.OUTCOME, "Answered")
    assert intent.record.endswith("/mcp/contact/7")
    assert intent.arguments_digest.startswith("sha256:")


async def test_a_tool_named_without_a_namespace_is_the_service_beside_the_gateway() -> None:
    async with scripted(BOTH) as (url, _, _), gateway() as front:
        plain = tool(url)
        await serve_for(front, working(effective(of=plain)), plain)
        front.caller = working(effective(of=tool("http://crm:9/mcp")))
        await call(front, "update_contact")
        intent, *_ = await front.held.rows()
    assert intent.record.endswith("crm.aos-system:9/mcp/contact/7")


async def test_a_denial_has_one_row() -> None:
    async with scripted(BOTH) as (url, _, _), gateway() as front:
        denied = policy(rules=[{"name": "no", "effect": "Deny", "tools": [{"name": "*"}]}])
        await serve_for(front, working(effective(denied, of=tool(url))), tool(url))
        await call(front)
        await call(front, "nonsense")
        rows = await front.held.rows()
    assert [(row.phase, row.reason) for row in rows] == [
        (Phase.REFUSAL, "DeniedByRule"),
        (Phase.REFUSAL, "ActionUnknown"),
    ]


async def test_of_two_agents_that_write_one_record_one_wins_and_the_other_is_told_by_whom() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await serve_for(front, working(effective(of=tool(url))), tool(url))
        assert not (await call(front, "update_contact")).is_error
        front.caller = working(effective(agent="writer", of=tool(url)), "t2")
        result = await call(front, "update_contact", id="7", note="mine")
        assert said(result)["reason"] == "RecordBusy"
        assert said(result)["holder"] == {"agent": "enricher", "task": "t1", "namespace": "sales"}
        assert len(seen.of("tools/call")) == 1


async def test_an_identical_write_is_answered_with_the_first_ones_result_and_not_sent() -> None:
    async def makes(_: str, body: JsonObject, send: Send) -> None:
        content: list[JsonValue] = [{"type": "text", "text": "made"}]
        await answer(send, body, {"content": content, "structuredContent": {"version": 3}})

    async with scripted(BOTH, makes) as (url, _, seen), gateway() as front:
        plain = tool(url, record=None)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        first = await call(front, "update_contact")
        await front.held.settled()
        front.caller = working(effective(WINDOW, agent="writer", of=plain), "t2")
        second = await call(front, "update_contact")
        assert (second.content, second.structured_content) == (first.content, {"version": 3})
        assert len(seen.of("tools/call")) == 1
        assert (await outcomes(front))[-1] == (Phase.REFUSAL, "Duplicate")
        assert front.journal.entries[-1].outcome == "Duplicate"


@pytest.mark.parametrize(("idempotent", "calls"), [(True, 2), (None, 1)])
async def test_a_write_that_its_tool_answered_with_an_error_is_sent_again_only_if_it_may_be_repeated(
    idempotent: bool | None,  # noqa: FBT001 - one of the cases
    calls: int,
) -> None:
    async def fails(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [{"type": "text", "text": "try later"}], "isError": True})

    async with scripted(BOTH, fails) as (url, _, seen), gateway() as front:
        plain = tool(url, record=None, idempotent=idempotent)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        assert (await call(front, "update_contact")).is_error
        await front.held.settled()
        front.caller = working(effective(WINDOW, agent="writer", of=plain), "t2")
        assert (await call(front, "update_contact")).is_error
        assert len(seen.of("tools/call")) == calls


async def test_what_another_may_see_of_a_result_is_decided_by_its_own_policy() -> None:
    async def makes(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [{"type": "text", "text": f"paid with {CARD}"}]})

    async with scripted(BOTH, makes) as (url, _, _), gateway() as front:
        plain = tool(url, record=None)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        await call(front, "update_contact")
        await front.held.settled()
        blocking = policy(conflicts={"duplicateWindowSeconds": 600}, data={"block": ["payment"]})
        front.caller = working(effective(blocking, agent="writer", of=plain), "t2")
        result = await call(front, "update_contact")
        assert said(result)["reason"] == "DataBlocked"
        assert CARD not in result.model_dump_json()


async def test_an_answer_too_large_to_keep_still_keeps_the_write_from_being_repeated() -> None:
    async def makes(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [{"type": "text", "text": "x" * 2000}]})

    small = SETTINGS.model_copy(update={"max_kept_result_bytes": 1024})
    async with scripted(BOTH, makes) as (url, _, seen), gateway(small) as front:
        plain = tool(url, record=None)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        await call(front, "update_contact")
        await front.held.settled()
        front.caller = working(effective(WINDOW, agent="writer", of=plain), "t2")
        result = await call(front, "update_contact")
        assert "too large to be kept" in result.model_dump_json()
        assert len(seen.of("tools/call")) == 1


async def test_of_a_result_only_what_is_answered_is_kept() -> None:
    async def makes(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [], "_meta": {"card": CARD}, "more": CARD})

    async with scripted(BOTH, makes) as (url, _, _), gateway() as front:
        plain = tool(url, record=None)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        await call(front, "update_contact")
        await front.held.settled()
        other = working(effective(WINDOW, agent="writer", of=plain), "t2")
        repeated = await front.held.calls.admit_tool(asked(other, "update_contact"))
        assert isinstance(repeated, Repeated)
        assert repeated.result == b'{"content":[]}'


async def test_what_policy_redacts_is_not_sent_and_the_record_names_what_was_asked() -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        rules = policy(data={"redact": ["payment"]})
        await serve_for(front, working(effective(rules, of=tool(url))), tool(url))
        assert not (await call(front, id="7", note=f"paid with {CARD}")).is_error
        ((_, sent),) = seen.of("tools/call")
        assert CARD not in str(sent)
        intent, _ = await front.held.rows()
        assert intent.data_classes == ("payment",)


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        CARD.replace(" ", "\u200b"),
        CARD.translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"}),
        base64.b64encode(f"pay with {CARD} today".encode()).decode(),
        "https://example.com/?card=" + quote(CARD),
    ],
)
async def test_attack_16_what_policy_blocks_is_found_however_it_is_written(text: str) -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        blocking = policy(data={"block": ["payment"]})
        await serve_for(front, working(effective(blocking, of=tool(url))), tool(url))
        assert said(await call(front, id="7", note=text))["reason"] == "DataBlocked"
        assert not seen.of("tools/call")


@pytest.mark.parametrize("data", [{"block": ["payment"]}, {"maxRequestBytes": 64}])
async def test_attack_16_data_that_policy_blocks_is_not_sent(data: JsonValue) -> None:
    async with scripted(BOTH) as (url, _, seen), gateway() as front:
        await serve_for(front, working(effective(policy(data=data), of=tool(url))), tool(url))
        result = await call(front, id="7", note=f"paid with {CARD} {'x' * 64}")
        assert said(result)["reason"] in ("DataBlocked", "DataTooLarge")
        assert CARD not in result.model_dump_json()
        assert not seen.of("tools/call")
        (row,) = await front.held.rows()
        assert (row.phase, row.effect) == (Phase.REFUSAL, "Deny")
        assert CARD not in repr(front.held.news.told)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://kubernetes.default.svc/api",
        "http://127.1/",
    ],
)
async def test_attack_14_arguments_that_lead_inside_are_not_sent(url: str) -> None:
    async with scripted(BOTH) as (where, _, seen), gateway() as front:
        await serve_for(front, working(effective(of=tool(where))), tool(where))
        assert said(await call(front, id="7", note=url))["reason"] == "UrlNotAllowed"
        assert not seen.of("tools/call")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"block": ["payment"]}, "DataBlocked"),
        ({"maxResponseBytes": 64}, "DataTooLarge"),
        (
            {"projections": [{"tools": [{"name": "crm"}], "fields": ["id"]}]},
            "ProjectionFailed",
        ),
    ],
)
async def test_an_answer_that_policy_withholds_was_made_all_the_same(data: JsonValue, reason: str) -> None:
    async def leaks(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [{"type": "text", "text": f"paid with {CARD} {'x' * 64}"}]})

    async with scripted(BOTH, leaks) as (url, _, _), gateway() as front:
        await serve_for(front, working(effective(policy(data=data), of=tool(url))), tool(url))
        result = await call(front, "update_contact")
        assert (said(result)["decision"], said(result)["reason"]) == ("Allow", reason)
        assert CARD not in result.model_dump_json()
        _, row = await front.held.rows()
        assert (row.outcome, row.reason) == ("Failed", reason)


async def test_results_are_redacted_and_cut_down_and_a_client_is_shown_no_schema_of_them() -> None:
    schema: JsonObject = {
        "type": "object",
        "required": ["id", "salary"],
        "properties": {"id": {"type": "string"}, "salary": {"type": "integer"}},
    }
    listed = [definition("get_contact", SCHEMA, outputSchema=schema), BOTH[1]]

    async def tells(_: str, body: JsonObject, send: Send) -> None:
        structured: JsonValue = {"id": f"7 {CARD}", "salary": 90_000}
        await answer(send, body, {"content": [], "structuredContent": structured})

    async with scripted(listed, tells) as (url, _, _), gateway() as front:
        rules = policy(
            data={
                "redact": ["payment"],
                "projections": [{"tools": [{"name": "crm", "actions": ["get_*"]}], "fields": ["id"]}],
            }
        )
        await serve_for(front, working(effective(rules, of=tool(url))), tool(url))
        async with front.client("auto") as client:
            shown = {item.name: item.output_schema for item in (await client.list_tools()).tools}
            result = await client.call_tool("crm.get_contact", {"id": "7"})
        assert shown["crm.get_contact"] is None
        assert list(said(result)) == ["id"]
        assert CARD not in result.model_dump_json()
        assert "90000" not in result.model_dump_json()


async def test_a_failure_that_was_certainly_none_gives_its_limit_back() -> None:
    async def refuses(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 401, b"")

    async with scripted(BOTH, refuses) as (url, _, seen), gateway() as front:
        await serve_for(front, working(effective(policy(limits=[TWO]), of=tool(url))), tool(url))
        for number in range(4):
            assert said(await call(front, id=str(number)))["reason"] == "UpstreamInvalid"
            await front.held.settled()
        assert len(seen.of("tools/call")) == 4


async def test_a_read_that_met_a_tool_that_was_not_there_is_sent_again() -> None:
    calls = 0

    async def recovers(_: str, body: JsonObject, send: Send) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await respond(send, 503, b"")
            return
        await answer(send, body, {"content": []})

    async with scripted(BOTH, recovers) as (url, _, _), gateway() as front:
        await serve_for(front, working(effective(of=tool(url))), tool(url))
        for _ in range(10):
            front.held.control.retries.called("uid-crm")
        assert not (await call(front)).is_error
        calls = 0
        assert said(await call(front, "update_contact"))["outcomeUnknown"] is True
        assert calls == 1
        assert len(await front.held.rows()) == 4
        assert b'aos_gateway_retries_total{tool="crm"} 1.0' in front.held.metrics.exposition()


async def test_a_write_that_may_be_repeated_has_one_key_through_all_tries_and_attempts_until_it_is_answered() -> (
    None
):
    statuses = [503, 503, 200, 200]

    async def comes_and_goes(_: str, body: JsonObject, send: Send) -> None:
        status = statuses.pop(0)
        if status == HTTPStatus.OK:
            await answer(send, body, {"content": []})
        else:
            await respond(send, status, b"")

    async with scripted(BOTH, comes_and_goes) as (url, _, seen), gateway() as front:
        of = tool(url, record=None, idempotent=True)
        rules = effective(of=of)
        await serve_for(front, caller(rules, task("a1", run={"attempt": 1})), of)
        for _ in range(10):
            front.held.control.retries.called("uid-crm")
        assert said(await call(front, "update_contact"))["outcomeUnknown"] is True
        await front.held.settled()
        front.caller = caller(rules, task("a2", run={"attempt": 2}))
        assert not (await call(front, "update_contact")).is_error
        await front.held.settled()
        assert not (await call(front, "update_contact")).is_error
        keys = [headers["idempotency-key"] for headers, _ in seen.of("tools/call")]
    assert len(set(keys[:3])) == 1
    assert keys[3] not in keys[:3]


async def test_an_error_after_a_try_that_may_have_been_done_leaves_the_write_the_same_one() -> None:
    tries = 0

    async def forgets(_: str, body: JsonObject, send: Send) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await respond(send, 503, b"")
        else:
            await answer(send, body, {"content": [{"type": "text", "text": "busy"}], "isError": True})

    async with scripted(BOTH, forgets) as (url, _, seen), gateway() as front:
        of = tool(url, record=None, idempotent=True)
        await serve_for(front, caller(effective(of=of), task("a1", run={"attempt": 1})), of)
        for _ in range(10):
            front.held.control.retries.called("uid-crm")
        assert (await call(front, "update_contact")).is_error
        await front.held.settled()
        front.caller = caller(effective(of=of), task("a2", run={"attempt": 2}))
        await call(front, "update_contact")
        keys = [headers["idempotency-key"] for headers, _ in seen.of("tools/call")]
    assert len(keys) == 3
    assert len(set(keys)) == 1


@pytest.mark.parametrize("idempotent", [True, None])
@pytest.mark.parametrize("modern", [True, False])
async def test_only_a_write_that_may_be_repeated_has_a_key(
    *,
    idempotent: bool | None,
    modern: bool,
) -> None:
    async with crm(modern=modern) as (url, watched), gateway() as front:
        of = tool(url, record=None, idempotent=idempotent)
        await serve_for(front, working(effective(of=of)), of)
        assert not (await call(front)).is_error
        assert not (await call(front, "update_contact")).is_error
        reads, writes = (headers for headers, _ in watched.seen.of("tools/call"))
    assert "idempotency-key" not in reads
    assert ("idempotency-key" in writes) is (idempotent is True)


async def test_a_tool_that_fails_again_and_again_is_left_alone() -> None:
    async def is_away(_: str, body: JsonObject, send: Send) -> None:
        await respond(send, 503, b"")

    quick = SETTINGS.model_copy(update={"circuit_failures": 3})
    async with scripted(BOTH, is_away) as (url, _, seen), gateway(quick) as front:
        await serve_for(front, working(effective(policy(limits=[TWO]), of=tool(url))), tool(url))
        front.caller = working(effective(of=tool(url)))
        for number in range(3):
            assert said(await call(front, id=str(number)))["reason"] == "UpstreamUnreachable"
        result = await call(front)
        assert said(result)["reason"] == "CircuitOpen"
        assert said(result)["retryAfterSeconds"] == 15
        assert len(seen.of("tools/call")) == 3
        assert front.held.news.told[-1][1] == "CircuitOpen"


async def test_attack_23_a_client_that_goes_away_pays_and_leaves_the_write_unknown() -> None:
    over, begun = asyncio.Event(), asyncio.Event()

    async def waits(_: str, body: JsonObject, send: Send) -> None:
        begun.set()
        await over.wait()
        await answer(send, body, {"content": []})

    async with scripted(BOTH, waits) as (url, _, _), gateway() as front:
        plain = tool(url, record=None)
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        made = asyncio.create_task(call(front, "update_contact"))
        await begun.wait()
        made.cancel()
        await asyncio.wait((made,))
        over.set()
        async with asyncio.timeout(20):
            while (await outcomes(front))[-1][0] is not Phase.OUTCOME:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        assert (await outcomes(front))[-1][1] in ("Aborted", "Answered")


async def test_attack_26_without_a_store_nothing_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "gateway-0-1", StoreSettings(answer_seconds=0.2))
    await store.open()
    async with scripted(BOTH) as (url, _, seen), gateway(store=store) as front:
        await serve_for(front, working(effective(of=tool(url))), tool(url))
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            result = await call(front)
            assert said(result)["reason"] == "StoreUnavailable"
            assert not seen.of("tools/call")
            other.execute("ROLLBACK")
        assert not (await call(front)).is_error
        await front.held.settled()
    await store.close()


async def test_an_answer_with_the_credential_is_kept_for_nobody() -> None:
    async def leaks(_: str, body: JsonObject, send: Send) -> None:
        await answer(send, body, {"content": [{"type": "text", "text": CREDENTIAL}]})

    async with scripted(BOTH, leaks) as (url, _, _), gateway() as front:
        plain = Tool.parse(
            {
                **tool(url, record=None).model_dump(mode="json", by_alias=True, exclude_none=True),
                "spec": {
                    **tool(url, record=None).spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                    "auth": {"type": "Bearer", "secretRef": {"name": "crm-credentials", "key": "token"}},
                },
            }
        )
        await serve_for(front, working(effective(WINDOW, of=plain)), plain)
        await call(front, "update_contact")
        await front.held.settled()
        front.caller = working(effective(WINDOW, agent="writer", of=plain), "t2")
        result = await call(front, "update_contact")
        assert said(result)["reason"] == "DuplicateInFlight"
        assert CREDENTIAL not in result.model_dump_json()


@pytest.mark.parametrize("where", ["arguments", "result"])
async def test_a_long_text_that_can_not_be_looked_through_in_time_is_withheld_and_its_call_settled(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "words " * MAX_BYTES_ON_LOOP
    hangs = threading.Event()

    async def tells(_: str, body: JsonObject, send: Send) -> None:
        text = long if where == "result" else "short"
        await answer(send, body, {"content": [{"type": "text", "text": text}]})

    settings = SETTINGS.model_copy(update={"max_response_bytes": 1_000_000})
    async with scripted(BOTH, tells) as (url, _, seen), gateway(settings=settings) as front:
        busy = OffLoop(threads=1, wait_seconds=0.2)
        busy._threads.submit(hangs.wait)
        monkeypatch.setattr(inspecting, "OFF_LOOP", busy)
        await serve_for(
            front, working(effective(policy(data={"redact": ["payment"]}), of=tool(url))), tool(url)
        )
        result = await call(front, id="7", note=long if where == "arguments" else "short")
        assert said(result)["reason"] == "DataTooLarge"
        assert "less at once" in str(said(result)["message"])
        assert len(seen.of("tools/call")) == (1 if where == "result" else 0)
        hangs.set()
        phases = [row.phase for row in await front.held.rows()]
        assert phases == ([Phase.INTENT, Phase.OUTCOME] if where == "result" else [Phase.REFUSAL])
