import pytest

from aos.store import postgres_schema, sqlite_schema
from aos.store.interface import Admitted, StoreRefusedError
from aos.store.migrations import migrations
from tests.unit.store.conftest import Backend
from tests.unit.store.make import admission, charge


def test_migrations_are_numbered_without_gaps() -> None:
    assert len(migrations("sqlite")) == len(migrations("postgres")) >= 1
    assert all(script.strip() for backend in ("sqlite", "postgres") for script in migrations(backend))


async def test_a_store_of_the_first_version_is_migrated_and_keeps_what_it_holds(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(name: str) -> tuple[str, ...]:
        return migrations(name)[:1]

    def later(name: str) -> tuple[str, ...]:
        return (*migrations(name), "CREATE TABLE extra (x integer);\n\nINSERT INTO extra VALUES (1);\n")

    for module in (sqlite_schema, postgres_schema):
        monkeypatch.setattr(module, "migrations", first)
    store = await backend.open()
    await store.admit(admission(charge(amount=7)))
    await store.close()
    for module in (sqlite_schema, postgres_schema):
        monkeypatch.setattr(module, "migrations", later)
    store = await backend.open()
    assert await store.used([("budget", 60)]) == {"budget": 7}
    assert await store.admit(admission(charge())) == Admitted()
    await store.close()
    await (await backend.open()).close()


async def test_a_newer_schema_is_refused(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = [f"CREATE TABLE extra{number} (x integer)" for number in range(2)]
    with monkeypatch.context() as patch:
        for module in (sqlite_schema, postgres_schema):
            patch.setattr(module, "migrations", lambda name: (*migrations(name), *newer))
        await (await backend.open()).close()
    known = len(migrations("sqlite"))
    with pytest.raises(
        StoreRefusedError, match=f"schema version {known + 2}, and this program knows up to {known}"
    ):
        await backend.open()


async def test_a_migration_that_fails_leaves_the_store_as_it_was(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await backend.open()).close()
    with monkeypatch.context() as patch:
        broken = "CREATE TABLE extra (x integer);\n\nnonsense;\n"
        for module in (sqlite_schema, postgres_schema):
            patch.setattr(module, "migrations", lambda name: (*migrations(name), broken))
        with pytest.raises(Exception, match="syntax error"):
            await backend.open()
    await (await backend.open()).ping()
