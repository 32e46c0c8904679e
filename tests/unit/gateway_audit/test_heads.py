from pathlib import Path

from aos.audit.signing import SignedHead
from aos.gateway.audit.heads import HeadReporter
from aos.model.base import JsonObject
from aos.model.canonical import canonical_json
from aos.store.sqlite import SqliteStore
from tests.unit.audit.make import event


class Report:
    def __init__(self) -> None:
        self.said: list[JsonObject] = []

    def state(self, subject: str, statement: JsonObject) -> None:
        assert set(statement) == {subject}
        self.said.append(statement)


async def test_a_head_is_signed_and_told_once_for_each_move_of_the_chain(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", "gateway-1")
    await store.open()
    try:
        report = Report()
        reporter = HeadReporter(store, report)
        await store.append([event(1)])
        first = await reporter.tell()
        assert await reporter.tell() is None
        await store.append([event(2)])
        second = await reporter.tell()
    finally:
        await store.close()
    assert first is not None
    assert second is not None
    assert first.is_genuine
    assert (first.key, second.head.sequence) == (second.key, first.head.sequence + 1)
    said = report.said[-1]["auditHead"]
    assert isinstance(said, dict)
    assert SignedHead.parse(canonical_json(said)) == second
