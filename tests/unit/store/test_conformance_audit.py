"""The trail, documents and holds: what both backends keep, and what retention leaves."""

from datetime import UTC, datetime

import pytest

from aos.audit.chain import origin, row_hash
from aos.audit.event import AuditRow, Phase
from aos.audit.query import AuditQuery
from aos.store.interface import LegalHold, Store, StoreRefusedError, StoreUnavailableError
from aos.store.settings import StoreSettings
from tests.unit.store.conftest import Backend
from tests.unit.store.make import admission, charge, completion, event

OLD = datetime(2026, 2, 1, tzinfo=UTC).timestamp()
PAST_ALL = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


async def rows(store: Store, **query: object) -> list[AuditRow]:
    return [row async for row in store.rows(AuditQuery(**query))]  # type: ignore[arg-type]


async def test_rows_are_linked_from_the_chains_origin(backend: Backend) -> None:
    store = await backend.open("mine")
    call = admission(charge())
    await store.admit(call)
    await store.finish(completion(call.call))
    await store.append([event("refused", Phase.REFUSAL)])
    found = await rows(store, chain="mine")
    assert [row.event.phase for row in found] == [Phase.START, Phase.INTENT, Phase.OUTCOME, Phase.REFUSAL]
    previous = origin("mine")
    for sequence, row in enumerate(found, 1):
        assert (row.sequence, row.previous) == (sequence, previous)
        previous = row_hash("mine", sequence, previous, row.event)
        assert row.hash == previous
    assert [(head.chain, head.sequence, head.hash) for head in await store.heads()] == [("mine", 4, previous)]


async def test_a_process_knows_by_itself_where_it_left_its_chain(backend: Backend) -> None:
    store = backend.store("mine")
    assert store.written() is None
    await store.open()
    call = admission(charge())
    await store.admit(call)
    await store.finish(completion(call.call))
    await store.ping()
    (head,) = await store.heads()
    assert head.sequence == 3
    assert store.written() == head
    await store.purge(PAST_ALL)
    await store.ping()
    assert store.written() in await store.heads()


async def test_a_refused_call_writes_no_intent(backend: Backend) -> None:
    store = await backend.open("mine")
    await store.admit(admission(charge(amount=11)))
    assert len(await rows(store)) == 1


async def test_a_chain_is_continued_by_nobody_but_its_writer(backend: Backend) -> None:
    store = await backend.open("mine")
    with pytest.raises(StoreRefusedError, match="another process has written audit chain mine"):
        await backend.open("mine")
    await store.close()
    with pytest.raises(StoreRefusedError, match="a chain name of its own"):
        await backend.open("mine")
    await store.open()
    await store.append([event("after", Phase.REFUSAL)])
    assert [row.sequence for row in await rows(store, chain="mine")] == [1, 2]


async def test_a_new_chain_says_where_the_others_stood(backend: Backend) -> None:
    first = await backend.open("first")
    await first.append([event()])
    (head,) = await first.heads()
    second = await backend.open("second")
    (start,) = await rows(second, chain="second")
    assert head.hash in start.event.rules[0]
    assert {found.chain for found in await second.heads()} == {"first", "second"}


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ({"agent": "b"}, ["2"]),
        ({"namespace": "support"}, ["3"]),
        ({"task": "other"}, ["2"]),
        ({"task": "other-uid"}, ["2"]),
        ({"name": "erp"}, ["3"]),
        ({"record": "contact/1"}, ["1"]),
        ({"action": "delete_contact"}, ["2"]),
        ({"effect": "Deny"}, ["3"]),
        ({"person": "robin@example.com"}, ["1"]),
        ({"person": "lena@example.com"}, ["2"]),
        ({"person": "max of sales"}, ["2"]),
        ({"person": "max"}, []),
        ({"person": "approval-1"}, []),
        ({"since": "2026-03-02T00:00:00Z"}, ["2", "3"]),
        ({"until": "2026-03-02T01:00:00+01:00"}, ["1"]),
        ({"since": "2026-03-02T00:00:00Z", "agent": "b", "namespace": "sales"}, ["2"]),
        ({"agent": "nobody"}, []),
        ({"limit": 2, "name": "crm"}, ["1", "2"]),
        ({"limit": 0}, []),
    ],
)
async def test_rows_are_found_by_what_they_say(
    store: Store, query: dict[str, object], calls: list[str]
) -> None:
    await store.append(
        [
            event("3", time="2026-03-03T00:00:00.000000Z", namespace="support", name="erp", effect="Deny"),
            event("1", record="contact/1", requested_by="robin@example.com"),
            event(
                "2",
                time="2026-03-02T00:00:00.000000Z",
                agent="b",
                task="other",
                task_uid="other-uid",
                action="delete_contact",
                approvals=("approval-1",),
                approvers=("lena@example.com Approve", "max of sales Reject"),
            ),
        ]
    )
    until: dict[str, object] = {"until": "2026-04-01T00:00:00Z"}
    assert [row.event.call for row in await rows(store, **(until | query))] == calls


async def test_one_chain_is_read_in_order_of_sequence_page_by_page(backend: Backend) -> None:
    store = await backend.open("mine", StoreSettings(page_rows=3))
    times = [f"2026-03-{20 - number:02d}T00:00:00.000000Z" for number in range(10)]
    await store.append([event(str(number), time=time) for number, time in enumerate(times)])
    assert [row.sequence for row in await rows(store, chain="mine")] == list(range(1, 12))
    assert [row.sequence for row in await rows(store, chain="mine", after_sequence=8)] == [9, 10, 11]
    assert await rows(store, chain="other") == []
    by_time = [row.event.call for row in await rows(store, until="2026-04-01T00:00:00Z")]
    assert by_time == [str(number) for number in range(9, -1, -1)]


async def test_a_tasks_rows_are_found_wherever_they_stand(backend: Backend) -> None:
    first, second = await backend.open("first"), await backend.open("second")
    for number in range(5):
        await first.append([event(f"noise-{n}", task="noise") for n in range(1500)])
        await second.append([event(f"second-{number}", record="contact/9")])
        await first.append([event(f"first-{number}", record="contact/9")])
    calls = {f"{name}-{number}" for name in ("first", "second") for number in range(5)}
    for query in ({"task": "a-task"}, {"record": "contact/9"}, {"task": "task-uid", "record": "contact/9"}):
        assert {row.event.call for row in await rows(first, **query)} == calls
    assert len(await rows(first, task="a-task", chain="second")) == 5
    await first.purge(PAST_ALL)
    assert await rows(first, task="a-task") == []
    await second.append([event("later")])
    assert [row.event.call for row in await rows(first, task="a-task")] == ["later"]


async def test_a_query_with_no_time_in_it_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="no RFC 3339 time"):
        await rows(store, since="yesterday")


async def test_retention_leaves_marks_that_close_the_gap(backend: Backend) -> None:
    store = await backend.open("mine", StoreSettings(purge_rows=100))
    await store.append([event(str(n), time="2026-01-01T00:00:00.000000Z") for n in range(5)])
    await store.append([event("new")])
    before = {row.sequence: row for row in await rows(store, chain="mine")}
    assert await store.purge(OLD) == 5
    (gap,) = await store.gaps()
    assert (gap.chain, gap.first, gap.last) == ("mine", 2, 6)
    assert (gap.previous, gap.hash) == (before[1].hash, before[7].previous)
    assert [row.sequence for row in await rows(store, chain="mine")] == [1, 7, 8]
    assert await store.purge(OLD) == 0


async def test_retention_of_a_whole_chain_keeps_its_head_and_all_marks(backend: Backend) -> None:
    old = await backend.open("old")
    await old.append([event(str(n)) for n in range(5)])
    (head,) = await old.heads()
    await old.close()
    store = await backend.open("new", StoreSettings(purge_rows=2))
    assert await store.purge(PAST_ALL) == 7
    heads = {found.chain: found for found in await store.heads()}
    assert heads["old"] == head
    assert {row.event.phase for row in await rows(store)} == {Phase.GAP}
    assert sum(gap.last - gap.first + 1 for gap in await store.gaps()) == 7
    assert await store.purge(PAST_ALL) == 0
    await store.append([event("after")])


async def test_what_is_held_is_kept_and_what_lies_between_goes(backend: Backend) -> None:
    store = await backend.open("mine")
    spaces = ["sales", "support", "sales"]
    await store.append([event(space, namespace=space, time="2026-01-01T00:00:00Z") for space in spaces])
    hold = LegalHold("case-7", "support", "a claim", "kim@example.com", 1.5)
    await store.hold(hold)
    assert await store.holds() == [hold]
    assert await store.purge(OLD) == 2
    assert sorted((gap.first, gap.last) for gap in await store.gaps()) == [(2, 2), (4, 4)]
    await store.hold(LegalHold("all", "", "an inquiry", "kim@example.com", 2.5))
    assert await store.purge(OLD) == 0
    assert await store.release_hold("all")
    assert await store.release_hold("case-7")
    assert not await store.release_hold("case-7")
    assert await store.purge(OLD) == 1


async def test_documents_are_kept_by_digest(store: Store) -> None:
    assert await store.document("sha256:1") is None
    await store.put_document("sha256:1", b"policy")
    await store.put_document("sha256:1", b"policy")
    assert await store.document("sha256:1") == b"policy"


async def test_a_document_that_is_too_long_is_refused(backend: Backend) -> None:
    store = await backend.open(settings=StoreSettings(max_document_bytes=3))
    with pytest.raises(StoreUnavailableError, match="has 4 bytes; the store keeps 3"):
        await store.put_document("sha256:1", b"long")


async def test_a_store_that_is_not_open_says_so(backend: Backend) -> None:
    store = backend.store()
    for ask in (store.ping, store.sweep, store.heads, store.holds):
        with pytest.raises(StoreUnavailableError, match="not open"):
            await ask()
    await store.open()
    await store.ping()
    await store.close()
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.admit(admission())
