from aos.audit.event import AuditEvent
from aos.store.blocks import ROWS_PER_BLOCK, Blocks
from aos.store.trail import StoredRow
from tests.unit.store.make import event

BASE = 5 * 2**40
BLOCK = BASE // ROWS_PER_BLOCK


def row(sequence: int, said: AuditEvent) -> StoredRow:
    return StoredRow(sequence, 0, 0, "", "", said.task, said.task_uid, "", said.record, b"", b"", b"")


def test_a_key_is_written_once_for_each_block() -> None:
    blocks, said = Blocks(), event(record="contact:")
    keys = ["task:a-task", "task:task-uid", "record:contact:"]
    assert blocks.add(BASE, [row(1, said), row(2, said)]) == [(key, BLOCK) for key in keys]
    blocks.committed()
    assert blocks.add(BASE, [row(3, said)]) == []
    later = row(ROWS_PER_BLOCK, said)
    assert blocks.add(BASE, [later]) == [(key, BLOCK + 1) for key in keys]


def test_what_does_not_apply_is_not_written() -> None:
    assert Blocks().add(BASE, [row(1, event(task="", task_uid=""))]) == []


def test_what_was_not_stored_is_written_again() -> None:
    blocks, said = Blocks(), event()
    first = blocks.add(BASE, [row(1, said)])
    blocks.undo()
    assert blocks.add(BASE, [row(1, said)]) == first


def test_what_another_process_may_have_deleted_is_written_again() -> None:
    blocks, said = Blocks(), event()
    first = blocks.add(BASE, [row(1, said)])
    blocks.committed()
    blocks.forget()
    assert blocks.add(BASE, [row(2, said)]) == first
