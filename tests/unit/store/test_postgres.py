"""What only a server can suffer: restarts, lost connections, other programs' tables, replicas that hang."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from aos.audit.event import Phase
from aos.store.interface import Admitted, Completion, StoreRefusedError, StoreUnavailableError
from aos.store.postgres import PostgresStore
from aos.store.settings import StoreSettings
from hack.postgres.server import Server
from tests.unit.store.make import admission, charge, event
from tests.unit.store.racer import TOKENS
from tests.unit.store.racing import standing

QUICK = StoreSettings(retry_seconds=0.0, lock_wait_seconds=0.2, connect_seconds=2.0)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, "mine", QUICK)
    await store.open()
    yield store
    await store.close()


async def run(database: str, sql: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def load(store: PostgresStore, stop: asyncio.Event, name: str) -> tuple[int, int]:
    """Admit and finish until told to stop; return how many were admitted and how many failed."""
    admitted = failed = 0
    while not stop.is_set():
        call = f"{name}-{admitted + failed}"
        charges = (charge("calls", 1, 10**6, 3600), charge("tokens", TOKENS, 10**9, 3600))
        try:
            assert await store.admit(admission(*charges, call=call, expires_seconds=1)) == Admitted()
            admitted += 1
            outcome = event(call, Phase.OUTCOME, prompt_tokens=3)
            await store.finish(Completion(call, {"tokens": 3}, outcome=outcome))
        except StoreUnavailableError:
            failed += 1
            await asyncio.sleep(0.01)
    return admitted, failed


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_restart_under_load_loses_nothing_and_needs_nobody(
    server: Server, store: PostgresStore, *, at_once: bool
) -> None:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(load(store, stop, f"t{number}")) for number in range(4)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.stop, at_once=at_once)
    with pytest.raises(StoreUnavailableError, match="PostgreSQL failed"):
        await store.ping()
    await asyncio.to_thread(server.start)
    await asyncio.sleep(0.5)
    stop.set()
    done = await asyncio.gather(*tasks)
    assert await store.admit(admission(charge("other"))) == Admitted()
    found = await standing(store, 0)
    assert found.calls_used + 1 == found.intents
    assert found.tokens_used == found.tokens_by_rows - TOKENS
    assert sum(failed for _, failed in done)
    assert found.calls_used >= sum(admitted for admitted, _ in done)


async def test_lost_connections_lose_nothing(database: str, store: PostgresStore) -> None:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(load(store, stop, f"t{number}")) for number in range(4)]
    for _ in range(10):
        await asyncio.sleep(0.05)
        await run(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    stop.set()
    await asyncio.gather(*tasks)
    found = await standing(store, 0)
    assert found.calls_used == found.intents
    assert found.tokens_used == found.tokens_by_rows


async def test_a_server_that_is_not_there_yet_denies_and_recovers(server: Server, database: str) -> None:
    await asyncio.to_thread(server.stop)
    store = PostgresStore(database, "mine", QUICK)
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        await store.open()
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        await store.admit(admission(charge()))
    await asyncio.to_thread(server.start)
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()


async def test_a_replica_that_hangs_holds_up_the_others_for_a_bounded_time(
    database: str, store: PostgresStore
) -> None:
    await store.admit(admission(charge()))
    hanging = await asyncpg.connect(database)
    transaction = hanging.transaction()
    await transaction.start()
    await hanging.execute("SELECT 1 FROM cells FOR UPDATE")
    with pytest.raises(StoreUnavailableError, match="another replica held what is needed for too long"):
        await store.admit(admission(charge()))
    await transaction.rollback()
    await hanging.close()
    assert await store.admit(admission(charge())) == Admitted()


async def test_replicas_that_start_together_migrate_once(database: str) -> None:
    stores = [PostgresStore(database, f"chain-{number}", QUICK) for number in range(6)]
    patient = [PostgresStore(database, f"patient-{number}") for number in range(2)]
    await asyncio.gather(*(store.open() for store in stores + patient))
    assert len(await stores[0].heads()) == 8
    await asyncio.gather(*(store.close() for store in stores + patient))


async def test_tables_of_another_program_are_never_written(database: str) -> None:
    await run(database, "CREATE TABLE audit (theirs text)")
    with pytest.raises(StoreRefusedError, match="tables that AOS did not make"):
        await PostgresStore(database, "mine").open()


async def test_a_standby_is_named_as_what_it_is(database: str) -> None:
    store = PostgresStore(database, "first", QUICK)
    await store.open()
    await store.close()
    name = urlsplit(database).path[1:]
    await run(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    store = PostgresStore(database, "mine", QUICK)
    with pytest.raises(StoreUnavailableError, match="it is a standby, or read-only"):
        await store.open()
    await store.close()


async def test_a_password_is_never_repeated(database: str) -> None:
    parts = urlsplit(database)
    wrong = database.replace(parts.password or "", "not-the-password")
    store = PostgresStore(wrong, "mine", QUICK)
    with pytest.raises(StoreUnavailableError, match="the user or password is wrong") as raised:
        await store.open()
    assert "not-the-password" not in str(raised.value)
    await store.close()


async def test_replicas_that_meet_wait_for_each_other_and_nobody_is_refused(database: str) -> None:
    replicas = [PostgresStore(database, f"chain-{number}") for number in range(3)]
    await asyncio.gather(*(replica.open() for replica in replicas))

    async def spend(replica: PostgresStore, number: int) -> None:
        for turn in range(20):
            order = (charge("a", limit=10**6), charge("b", limit=10**6), charge(f"c{turn}", limit=10**6))
            asked = order if number % 2 else order[::-1]
            assert await replica.admit(admission(*asked)) == Admitted()
            if turn % 5 == 0:
                await replica.end_task("nobody")
                await replica.sweep()

    await asyncio.gather(
        *(spend(replica, number) for number, replica in enumerate(replicas) for _ in range(3))
    )
    assert await replicas[0].used([("a", 60), ("b", 60), ("c3", 60)]) == {"a": 180, "b": 180, "c3": 9}
    await asyncio.gather(*(replica.close() for replica in replicas))


async def test_replicas_that_make_one_counter_at_once_lose_nothing(database: str) -> None:
    replicas = [PostgresStore(database, f"chain-{number}") for number in range(3)]
    await asyncio.gather(*(replica.open() for replica in replicas))
    counters = [f"fresh{number}" for number in range(100)]
    for counter in counters:
        asked = [admission(charge(counter, limit=10**6)) for _ in replicas]
        pairs = zip(replicas, asked, strict=True)
        await asyncio.gather(*(replica.admit(one) for replica, one in pairs))
    used = await replicas[0].used([(counter, 60) for counter in counters])
    await asyncio.gather(*(replica.close() for replica in replicas))
    assert {counter: count for counter, count in used.items() if count != len(replicas)} == {}


async def test_a_database_that_was_replaced_while_in_use_is_not_written(
    database: str, store: PostgresStore
) -> None:
    await store.close()
    await run(database, "DELETE FROM audit; DELETE FROM chains")
    with pytest.raises(StoreRefusedError, match="does not hold audit chain mine any more"):
        await store.open()


async def test_a_chain_that_another_process_wrote_meanwhile_is_given_up(
    database: str, store: PostgresStore
) -> None:
    await run(database, "UPDATE chains SET sequence = sequence + 1")
    for _ in range(2):
        with pytest.raises(StoreRefusedError, match="another process has written audit chain mine"):
            await store.admit(admission(charge()))
    with pytest.raises(StoreRefusedError, match="another process has written audit chain mine"):
        await store.ping()
