import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from aos.audit.lines import decode_row
from aos.audit.signing import HeadSigner
from aos.audit.verification import Verifier
from aos.gateway.audit.api import MAX_READERS
from aos.gateway.audit.parameters import MAX_ROWS
from aos.kube.errors import Target, Unavailable
from aos.kube.reviews import AccessRequest, UserInfo
from aos.model.base import JsonObject
from aos.store.interface import Admission, Admitted, LeaseRequest
from tests.unit.audit.make import event
from tests.unit.gateway_audit.serve import served

POLICY = event().policy_digest
REVISION = event().revision_digest
OTHERS = event(3, namespace="finance", agent="auditor", record="invoice/9")


def lease(record: str = "sales/crm/contact/1") -> Admission:
    request = LeaseRequest(record, "task-uid", "t-1", "lead-enricher", "sales", 600)
    return Admission("call-1", (), request, (), event(5), 600)


def names(rows: list[JsonObject]) -> list[str]:
    return [decode_row(orjson.dumps(row)).event.call for row in rows if "event" in row]


async def test_rows_are_streamed_and_an_end_says_that_the_answer_is_whole(tmp_path: Path) -> None:
    async with served(tmp_path, event(1), event(2), OTHERS) as it:
        it.verdicts.allow("get", "audit", "sales")
        rows = await it.rows(namespace="sales")
    assert names(rows) == ["c1", "c2"]
    assert rows[-1] == {"end": {"rows": 2, "more": False}}


async def test_filters_and_bounds_reach_the_store(tmp_path: Path) -> None:
    async with served(tmp_path, event(1), event(2, effect="Deny"), OTHERS) as it:
        it.verdicts.allow("get", "audit")
        assert names(await it.rows(effect="Deny")) == ["c2"]
        assert names(await it.rows(agent="auditor")) == ["c3"]
        assert names(await it.rows(since=event(2).time, until=event(3).time)) == ["c2"]
        assert names(await it.rows(chain="gateway-1", after="2", limit="1")) == ["c2"]
        assert (await it.rows(limit="1"))[-1] == {"end": {"rows": 1, "more": True}}


async def test_what_is_read_can_be_verified(tmp_path: Path) -> None:
    async with served(tmp_path, event(1), event(2)) as it:
        it.verdicts.allow("get", "audit")
        heads = (await it.ask("/v1/audit/heads")).items
        verifier = Verifier(datetime.now(UTC))
        for row in (await it.rows(chain="gateway-1"))[:-1]:
            verifier.take(decode_row(orjson.dumps(row)))
        known = await it.store.heads()
        assert verifier.finish(known, [HeadSigner().sign(head) for head in known]).holds
    assert [head["sequence"] for head in heads] == [3]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/v1/audit", {"namespace": "finance"}),
        ("GET", "/v1/audit", {}),
        ("GET", "/v1/audit", {"chain": "gateway-1"}),
        ("GET", "/v1/audit/heads", {}),
        (
            "GET",
            f"/v1/audit/documents/{POLICY}",
            {"namespace": "finance", "chain": "gateway-1", "sequence": "3"},
        ),
        ("GET", "/v1/audit/holds", {"namespace": "finance"}),
        ("PUT", "/v1/audit/holds/suit", {"namespace": "finance", "reason": "x"}),
        ("DELETE", "/v1/audit/holds/suit", {"namespace": "finance"}),
        ("GET", "/v1/records", {"namespace": "finance"}),
        ("DELETE", "/v1/records", {"namespace": "finance", "record": "a"}),
        ("DELETE", "/v1/records", {"namespace": "sales", "record": "a"}),
        ("PUT", "/v1/audit/holds/suit", {"namespace": "sales", "reason": "x"}),
    ],
)
async def test_attack_32_a_tenants_reader_gets_nothing_of_another_and_changes_nothing(
    tmp_path: Path, method: str, path: str, query: dict[str, str]
) -> None:
    async with served(tmp_path, event(1), OTHERS) as it:
        it.verdicts.allow("get", "audit", "sales")
        it.verdicts.allow("get", "records", "sales")
        reply = await it.ask(path, query, method=method)
        assert (reply.status, reply.reason) == (403, "Forbidden")
        assert "user:jane may not" in str(reply.json["message"])
        assert len(await it.store.holds()) == 0


@pytest.mark.parametrize("token", ["", "wrong", "x" * 9000])
async def test_attack_32_without_a_token_that_holds_nothing_is_told(tmp_path: Path, token: str) -> None:
    async with served(tmp_path, event(1)) as it:
        it.verdicts.allow("get", "audit")
        reply = await it.ask("/v1/audit", token=token)
    assert reply.status == 403
    assert reply.reason in {"NoToken", "TokenNotAccepted"}


async def test_attack_32_a_token_for_another_audience_is_not_accepted(tmp_path: Path) -> None:
    async with served(tmp_path, event(1)) as it:
        it.verdicts.allow("get", "audit")
        it.verdicts.audiences = ("aos-gateway",)
        assert (await it.ask("/v1/audit")).reason == "TokenNotAccepted"


async def test_while_the_api_server_gives_no_verdict_nothing_is_told(tmp_path: Path) -> None:
    async with served(tmp_path, event(1)) as it:
        it.verdicts.error = Unavailable(Target("create", "tokenreviews"), 0, "Down", "it is down")
        reply = await it.ask("/v1/audit")
    assert (reply.status, reply.reason) == (503, "IdentityUnavailable")


async def test_a_document_is_shown_to_those_who_see_a_row_that_names_it(tmp_path: Path) -> None:
    async with served(tmp_path, event(1), OTHERS) as it:
        it.verdicts.allow("get", "audit", "sales")
        await it.store.put_document(POLICY, b'{"rules":[]}')
        path = f"/v1/audit/documents/{POLICY}"
        place = {"namespace": "sales", "chain": "gateway-1", "sequence": "2"}
        shown = await it.ask(path, place)
        assert (shown.status, shown.json) == (200, {"rules": []})
        others = await it.ask(path, {**place, "sequence": "3"})
        assert (others.status, others.reason) == (404, "NotFound")
        assert (await it.ask("/v1/audit/documents/sha256:00", place)).status == 404
        await it.store.put_document(REVISION, b'{"instructions":"Enrich."}')
        prompt = await it.ask(f"/v1/audit/documents/{REVISION}", place)
        assert (prompt.status, prompt.json) == (200, {"instructions": "Enrich."})


async def test_a_legal_hold_is_set_listed_and_released_and_each_is_on_record(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.verdicts.allow("hold", "audit", "sales")
        it.verdicts.allow("get", "audit", "sales")
        query = {"namespace": "sales"}
        made = await it.ask("/v1/audit/holds/suit-7", {**query, "reason": "case 7"}, method="PUT")
        assert made.json["created_by"] == "user:jane"
        again = await it.ask("/v1/audit/holds/suit-7", {**query, "reason": "x"}, method="PUT")
        assert again.status == 409
        (listed,) = (await it.ask("/v1/audit/holds", query)).items
        assert (listed["name"], listed["reason"]) == ("suit-7", "case 7")
        assert (await it.ask("/v1/audit/holds/suit-7", query, method="DELETE")).status == 200
        assert (await it.ask("/v1/audit/holds/suit-7", query, method="DELETE")).status == 404
        rows = [decode_row(orjson.dumps(row)).event for row in (await it.rows(**query))[:-1]]
    assert [(row.phase, row.action, row.name, row.requested_by) for row in rows] == [
        ("Change", "set", "suit-7", "user:jane"),
        ("Change", "release", "suit-7", "user:jane"),
    ]
    assert rows[0].rules == ("case 7",)


async def test_attack_32_a_hold_of_one_namespace_can_not_take_the_place_of_anothers(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.verdicts.allow("hold", "audit")
        for query in ({"namespace": "sales"}, {}, {"namespace": "finance"}):
            reply = await it.ask("/v1/audit/holds/suit", {**query, "reason": "x"}, method="PUT")
            assert reply.status == 200
        assert {hold.namespace for hold in await it.store.holds()} == {"sales", "finance", ""}


async def test_records_are_listed_with_their_holders_and_freed_on_record(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.verdicts.allow("get", "records", "sales")
        it.verdicts.allow("delete", "records", "sales")
        it.verdicts.allow("get", "audit", "sales")
        assert isinstance(await it.store.admit(lease()), Admitted)
        (held,) = (await it.ask("/v1/records", {"namespace": "sales"})).items
        assert (held["record"], held["task"]) == ("sales/crm/contact/1", "t-1")
        query = {"namespace": "sales", "record": "sales/crm/contact/1"}
        freed = await it.ask("/v1/records", query, method="DELETE")
        assert freed.json["agent"] == "lead-enricher"
        assert (await it.ask("/v1/records", {"namespace": "sales"})).items == ()
        assert (await it.ask("/v1/records", query, method="DELETE")).status == 404
        rows = await it.rows(namespace="sales", record="sales/crm/contact/1")
    row = decode_row(orjson.dumps(rows[-2])).event
    assert (row.phase, row.action, row.name, row.requested_by) == ("Change", "free", "t-1", "user:jane")


@pytest.mark.parametrize(
    ("method", "path", "query", "problem"),
    [
        ("GET", "/v1/audit", {"colour": "red"}, "unknown parameter 'colour'"),
        ("GET", "/v1/audit", {"limit": "0"}, f"from 1 to {MAX_ROWS}"),
        ("GET", "/v1/audit", {"limit": "x"}, f"from 1 to {MAX_ROWS}"),
        ("GET", "/v1/audit", {"since": "yesterday"}, "since must be an RFC 3339 time"),
        ("GET", "/v1/audit", {"until": "2026-01-02T03:04:05"}, "until must be an RFC 3339 time"),
        ("GET", "/v1/audit", {"after": "3"}, "give chain as well"),
        ("PUT", "/v1/audit/holds/suit", {"reason": " "}, "needs a reason"),
        ("PUT", "/v1/audit/holds/a%2Fb", {"reason": "x"}, "without a slash"),
        ("DELETE", "/v1/records", {"namespace": "sales"}, "give the namespace of the holder and the record"),
        ("GET", f"/v1/audit/documents/{POLICY}", {"chain": "gateway-1"}, "sequence must be"),
    ],
)
async def test_a_request_that_can_not_be_understood_is_told_why(
    tmp_path: Path, method: str, path: str, query: dict[str, str], problem: str
) -> None:
    async with served(tmp_path) as it:
        for verb in ("get", "hold"):
            it.verdicts.allow(verb, "audit")
        reply = await it.ask(path, query, method=method)
    assert reply.status == 400
    assert problem in str(reply.json["message"])


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/audit"), ("GET", "/v1/audit/other"), ("PUT", "/v1/records")]
)
async def test_what_is_not_served_is_not_found(tmp_path: Path, method: str, path: str) -> None:
    async with served(tmp_path) as it:
        assert (await it.ask(path, method=method)).status == 404


async def test_readers_at_once_are_bounded(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        waiting = asyncio.Event()

        async def slow(user: UserInfo, access: AccessRequest) -> bool:
            await waiting.wait()
            return True

        it.verdicts.may = slow  # type: ignore[method-assign]
        busy = [asyncio.create_task(it.ask("/v1/audit")) for _ in range(MAX_READERS + 1)]
        done, _ = await asyncio.wait(busy, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status for task in done] == [429]
        waiting.set()
        replies = await asyncio.gather(*busy)
    assert sorted(reply.status for reply in replies) == [200] * MAX_READERS + [429]


async def test_a_row_that_was_damaged_in_the_store_is_named_in_the_answer(tmp_path: Path) -> None:
    async with served(tmp_path, event(1), event(2)) as it:
        it.verdicts.allow("get", "audit")
        with sqlite3.connect(tmp_path / "store.db") as other:
            other.execute("UPDATE audit SET event = ? WHERE id = (SELECT max(id) FROM audit)", (b"{}",))
        other.close()
        rows = await it.rows(chain="gateway-1")
    assert len(rows) == 3
    damaged = rows[-1]["damaged"]
    assert isinstance(damaged, dict)
    assert (damaged["chain"], damaged["sequence"]) == ("gateway-1", 3)


async def test_a_store_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.verdicts.allow("get", "audit")
        it.verdicts.allow("get", "records")
        await it.store.close()
        reply = await it.ask("/v1/audit/heads")
        assert (reply.status, reply.reason) == (503, "StoreUnavailable")
        rows = await it.rows()
    assert list(rows[-1]) == ["error"]
