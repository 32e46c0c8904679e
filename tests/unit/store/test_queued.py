"""When a batch begins: at once for whoever calls alone, a moment later where several call at once."""

import asyncio
from pathlib import Path

import pytest

from aos.store.interface import Admitted
from aos.store.settings import StoreSettings
from aos.store.sqlite import SqliteStore
from tests.unit.store.make import admission, charge, completion

_LONG_SECONDS = 3600.0
_SHORT_SECONDS = 0.02


async def crowded(path: Path, gather_seconds: float) -> SqliteStore:
    """Return a store whose last transaction was for two callers."""
    store = SqliteStore(path / "store.db", "first", StoreSettings(gather_seconds=gather_seconds))
    await store.open()
    for result in await asyncio.gather(store.admit(admission(charge())), store.admit(admission(charge()))):
        assert isinstance(result, Admitted)
    return store


async def test_whoever_calls_alone_never_waits_for_others(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "first", StoreSettings(gather_seconds=_LONG_SECONDS))
    await store.open()
    for number in range(3):
        assert await store.admit(admission(charge(), call=f"call-{number}")) == Admitted()
        await store.finish(completion(f"call-{number}"))
    await store.close()


async def test_after_a_transaction_of_several_callers_the_next_one_waits_for_more(tmp_path: Path) -> None:
    store = await crowded(tmp_path, _LONG_SECONDS)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.admit(admission(charge())), _SHORT_SECONDS)
    await store.close()


async def test_what_was_waited_for_is_done_even_if_nobody_else_comes(tmp_path: Path) -> None:
    store = await crowded(tmp_path, _SHORT_SECONDS)
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()


async def test_a_store_that_waits_for_more_can_be_closed(tmp_path: Path) -> None:
    store = await crowded(tmp_path, _SHORT_SECONDS)
    waiting = asyncio.ensure_future(store.admit(admission(charge())))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(Exception, match="the store is closed"):
        await waiting
    await asyncio.sleep(2 * _SHORT_SECONDS)
