import sqlite3
import threading
from pathlib import Path

import pytest

from aos.store.interface import StoreUnavailableError
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from aos.store.sqlite_reader import SqliteReader


async def test_reading_fails_while_there_is_no_file_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    reader = SqliteReader(path, 1.0)
    for read in (reader.heads, lambda: reader.rows("SELECT 1 FROM chains", ())):
        with pytest.raises(sqlite3.OperationalError):
            read()
    store = SqliteStore(path, "mine")
    await store.open()
    assert [head.chain for head in reader.heads()] == ["mine"]
    assert reader.rows("SELECT name FROM chains WHERE id = $1", (1,)) == [("mine",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.rows("DELETE FROM chains", ())
    assert [head.chain for head in reader.heads()] == ["mine"]
    reader.close()
    await store.close()


async def test_a_disk_that_does_not_answer_holds_up_nobody_for_ever(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "mine", StoreSettings(answer_seconds=1.0))
    await store.open()
    answers = threading.Event()
    with pytest.raises(StoreUnavailableError, match="gave no answer within 1 s"):
        await store._in_thread(answers.wait)
    answers.set()
    await store.close()
