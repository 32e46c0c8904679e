"""What only a file can suffer: other programs, full disks, torn writes."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aos.audit.query import AuditQuery
from aos.store.interface import Admitted, StoreRefusedError, StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.store.make import admission, charge, completion
from tests.unit.store.racing import ROOT

QUICK = StoreSettings(retry_seconds=0.0, lock_wait_seconds=0.1)


async def filled(path: Path, chain: str = "first") -> SqliteStore:
    store = SqliteStore(path, chain, QUICK)
    await store.open()
    for number in range(20):
        call = admission(charge(limit=1000), call=f"{chain}-{number}")
        await store.admit(call)
        await store.finish(completion(call.call))
    return store


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store.db")
    modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}  # noqa: PTH116, PTH208
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    await store.close()


async def test_a_file_of_another_program_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreRefusedError, match="AOS did not make"):
        await SqliteStore(path, "c").open()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"nonsense" * 1000)
    store = SqliteStore(path, "c", QUICK)
    with pytest.raises(StoreUnavailableError, match="the file is no SQLite database"):
        await store.open()
    await store.close()
    assert path.read_bytes() == b"nonsense" * 1000


async def test_a_damaged_file_admits_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await (await filled(path)).close()
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    store = SqliteStore(path, "second", QUICK)
    with pytest.raises(StoreUnavailableError, match="the file is damaged"):
        await store.open()
    with pytest.raises(StoreUnavailableError, match="the file is damaged"):
        await store.admit(admission(charge()))
    await store.close()


async def test_after_a_torn_write_whole_transactions_are_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await filled(path)
    whole = (tmp_path / "store.db-wal").read_bytes()
    for number, length in enumerate((len(whole) - 1, len(whole) // 2, 5000)):
        torn = tmp_path / str(number)
        torn.mkdir()
        shutil.copy(path, torn)
        (torn / "store.db-wal").write_bytes(whole[:length])
        again = SqliteStore(torn / "store.db", "second", QUICK)
        await again.open()
        rows = [row async for row in again.rows(AuditQuery(chain="first"))]
        heads = {head.chain: head.sequence for head in await again.heads()}
        used = await again.used([("budget", 60)])
        assert heads.get("first", 0) == len(rows) < 41
        assert used["budget"] == len(rows) // 2
        await again.close()
    await store.close()


async def test_a_file_that_another_process_has_locked_denies_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="another process has it locked"):
        await store.admit(admission(charge()))
    other.execute("ROLLBACK")
    other.close()
    assert await store.admit(admission(charge("other"))) == Admitted()
    await store.close()


async def test_a_lock_that_is_given_up_in_time_denies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "c")
    await store.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.admit(admission(charge())))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == Admitted()
    await store.close()


async def test_a_folder_that_is_not_there_yet_denies_and_recovers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "later/store.db", "c", QUICK)
    with pytest.raises(StoreUnavailableError, match="No such file or directory"):
        await store.open()
    with pytest.raises(StoreUnavailableError, match="No such file or directory"):
        await store.admit(admission(charge()))
    (tmp_path / "later").mkdir()
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()


async def test_a_store_that_failed_rests_before_it_is_tried_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "later/store.db", "c", StoreSettings(retry_seconds=3600))
    with pytest.raises(StoreUnavailableError):
        await store.open()
    (tmp_path / "later").mkdir()
    with pytest.raises(StoreUnavailableError, match="No such file or directory"):
        await store.ping()
    await store.close()


async def test_a_file_that_was_replaced_while_in_use_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await filled(path)
    await store.close()
    path.unlink()
    with pytest.raises(StoreRefusedError, match="does not hold audit chain first any more"):
        await store.open()


async def test_a_file_that_is_deleted_while_in_use_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await filled(path)
    path.unlink()
    with pytest.raises(StoreUnavailableError, match=r"replaced (or deleted )?while it was in use"):
        await store.ping()
    with pytest.raises(StoreRefusedError, match="does not hold audit chain first any more"):
        await store.admit(admission(charge()))
    await store.close()


async def test_a_damaged_counter_denies_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await filled(path)
    other = sqlite3.connect(path)
    other.execute("UPDATE cells SET value = 'x'")
    other.commit()
    other.close()
    with pytest.raises(StoreUnavailableError, match="a counter is damaged"):
        await store.admit(admission(charge()))
    assert await store.admit(admission(charge("other"))) == Admitted()
    await store.close()


async def test_a_settlement_is_on_disk_soon_and_before_a_head_is_told_or_signed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "c", StoreSettings(outcome_sync_seconds=0.01))
    await store.open()
    looks: list[Callable[[], Awaitable[object]]] = [store.heads, store.ping, lambda: asyncio.sleep(0.5)]
    seen = []
    for look in looks:
        call = admission(charge())
        await store.admit(call)
        await store.finish(completion(call.call))
        seen.append((store._writer.synchronised, store.written()))
        await look()
        seen.append((store._writer.synchronised, store.written()))
    assert [(is_on_disk, head and head.sequence) for is_on_disk, head in seen] == [
        (False, 2),
        (True, 3),
        (False, 4),
        (True, 5),
        (False, 6),
        (True, 7),
    ]
    await store.close()


async def test_the_log_is_moved_to_its_place_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, "c")
    await store.open()
    before = path.stat().st_size
    for _ in range(30):
        await asyncio.gather(*(store.admit(admission(charge(limit=10**6))) for _ in range(100)))
    assert path.stat().st_size > before
    await store.close()


async def test_a_disk_that_is_nearly_full_is_not_ready(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "c", StoreSettings(min_free_bytes=2**62))
    await store.open()
    with pytest.raises(StoreUnavailableError, match="bytes left on its volume"):
        await store.ping()
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from aos.audit.chain import origin
from aos.audit.query import AuditQuery
from aos.store.interface import Admitted, StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.store.make import admission, charge, completion

async def main(path: Path) -> None:
    store = SqliteStore(path, "c", StoreSettings(retry_seconds=0.0))
    await store.open()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    admitted = failed = 0
    while failed < 20:
        call = admission(charge(limit=10**6))
        try:
            assert await store.admit(call) == Admitted()
            admitted += 1
            await store.finish(completion(call.call))
        except StoreUnavailableError as error:
            failed += 1
            message = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert await store.admit(admission(charge(limit=10**6))) == Admitted()
    await store.ping()
    rows = [row async for row in store.rows(AuditQuery(chain="c", limit=10**6))]
    previous = origin("c")
    for row in rows:
        assert row.previous == previous
        previous = row.hash
    intents = sum(row.event.phase == "Intent" for row in rows)
    used = (await store.used([("budget", 60)]))["budget"]
    assert used == intents >= admitted + 1, (used, intents, admitted)
    print(message)
    await store.close()

asyncio.run(main(Path(sys.argv[1])))
"""


READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from aos.store.interface import Admitted, StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.store.make import admission, charge

NOBODY = 65_534

async def main(folder: Path) -> None:
    path = folder / "store.db"
    store = SqliteStore(path, "first")
    await store.open()
    await store.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    store = SqliteStore(path, "second", StoreSettings(retry_seconds=0.0))
    try:
        await store.open()
    except StoreUnavailableError as error:
        print(error)
    folder.chmod(0o755)
    path.chmod(0o600)
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_file_that_can_not_be_written_denies_and_recovers() -> None:
    with tempfile.TemporaryDirectory() as folder:
        finished = subprocess.run(
            [sys.executable, "-c", READ_ONLY, folder],
            env={"PYTHONPATH": f"{ROOT}/operator:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    assert "it can't be" in finished.stdout


def test_a_full_disk_denies_with_a_reason_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "store.db")],
        env={"PYTHONPATH": f"{ROOT}/operator:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "full" in finished.stdout
