from aos.store.cells import COUNTER, LEASE, WRITE, Cells
from aos.store.interface import Admission, Admitted, Completion, Duplicate, Exhausted, RecordBusy
from aos.store.ledger import admit, finish, missing
from tests.unit.store.make import admission, charge, check, lease

NOW = 1_800_000_000_000
FULL = (charge(), charge("other"))


def known(cells: Cells, asked: Admission | Completion) -> Cells:
    cells.put_absent(missing(cells, asked))
    return cells


def test_what_an_admission_reads_is_asked_for_once() -> None:
    asked = admission(*FULL, lease=lease(), duplicates=(check(),))
    cells = Cells(60)
    wanted = {COUNTER + "budget", COUNTER + "other", LEASE + "contact/1", WRITE + "write"}
    assert set(missing(cells, asked)) == wanted
    assert missing(known(cells, asked), asked) == []


def test_what_a_completion_reads_is_what_its_call_took_and_is_settled() -> None:
    asked = admission(*FULL, call="c", lease=lease(), duplicates=(check(),))
    cells = known(Cells(60), asked)
    admit(cells, asked, NOW)
    cells.settled(0)
    assert missing(cells, Completion("c")) == []
    admit(known(cells, asked), asked, NOW)
    cells.counters.clear()
    cells.leases.clear()
    cells.writes.clear()
    assert set(missing(cells, Completion("c", {"other": 1, "unknown": 1}))) == {
        COUNTER + "other",
        LEASE + "contact/1",
        WRITE + "write",
    }


def test_a_refusal_changes_nothing() -> None:
    first = admission(charge(amount=10), call="c", lease=lease(), duplicates=(check(),))
    cells = known(Cells(60), first)
    assert admit(cells, first, NOW) == Admitted()
    cells._clean()
    for refused, kind in (
        (admission(charge()), Exhausted),
        (admission(lease=lease(task="b")), RecordBusy),
        (admission(duplicates=(check(task="b"),)), Duplicate),
    ):
        assert isinstance(admit(known(cells, refused), refused, NOW), kind)
        assert not list(cells.changed(NOW))
        assert not cells.opened


def test_an_identical_write_is_told_before_the_record_and_the_record_before_the_counter() -> None:
    first = admission(charge(amount=10), lease=lease(), duplicates=(check(),))
    cells = known(Cells(60), first)
    admit(cells, first, NOW)
    other = lease(task="b")
    assert isinstance(
        admit(cells, admission(charge(), lease=other, duplicates=(check(task="b"),)), NOW), Duplicate
    )
    assert isinstance(admit(cells, admission(charge(), lease=other), NOW), RecordBusy)


def test_a_call_that_took_too_long_does_not_replace_another_tasks_write() -> None:
    first = admission(call="first", duplicates=(check(seconds=1),), expires_seconds=1)
    second = admission(call="second", duplicates=(check(task="b", seconds=1),), task="b")
    cells = known(Cells(60), first)
    admit(cells, first, NOW)
    cells.dirty_writes.clear()
    assert admit(cells, second, NOW + 5000) == Admitted()
    assert finish(cells, Completion("first", result=b"late"), NOW + 5001, 100)
    write = cells.writes["write"]
    assert write is not None
    assert (write.call, write.result) == ("second", None)


def test_of_two_calls_of_a_lease_the_one_under_way_keeps_it() -> None:
    short, long = lease(seconds=1), lease(seconds=1)
    first = admission(call="first", lease=short, expires_seconds=600)
    second = admission(call="second", lease=long, expires_seconds=600)
    cells = known(Cells(60), first)
    admit(cells, first, NOW)
    admit(cells, second, NOW)
    finish(cells, Completion("first"), NOW + 10, 100)
    held = cells.leases["contact/1"]
    assert held is not None
    assert held.expires_ms == NOW + 601_000
    finish(cells, Completion("second"), NOW + 20, 100)
    assert held.expires_ms == NOW + 1020


def until_of(cells: Cells) -> int:
    """Return when the lease of contact/1 ends, after `NOW`; 0 where it is not held."""
    held = cells.leases["contact/1"]
    assert held is not None
    return max(held.expires_ms - NOW, 0)


def held_by_calls(*calls: str) -> Cells:
    cells = Cells(60)
    for call in calls:
        asked = admission(call=call, lease=lease(seconds=60), expires_seconds=600)
        assert admit(known(cells, asked), asked, NOW) == Admitted()
    return cells


def test_a_call_that_was_not_made_leaves_its_record_as_it_was() -> None:
    cells = held_by_calls("lost")
    assert until_of(cells) == 660_000
    finish(cells, Completion("lost", forget_lease=True), NOW + 10, 100)
    assert until_of(cells) == 0


def test_a_call_that_was_not_made_takes_nothing_from_others_of_its_task() -> None:
    cells = held_by_calls("made", "lost", "under-way")
    finish(cells, Completion("made"), NOW + 10, 100)
    finish(cells, Completion("lost", forget_lease=True), NOW + 20, 100)
    assert until_of(cells) == 660_000
    finish(cells, Completion("under-way", forget_lease=True), NOW + 30, 100)
    assert until_of(cells) == 60_010


def test_an_error_of_a_write_that_does_no_harm_twice_holds_its_record() -> None:
    cells = held_by_calls("failed")
    finish(cells, Completion("failed", forget_duplicate=True), NOW + 10, 100)
    assert until_of(cells) == 60_010


def test_a_call_is_finished_once_even_within_one_transaction() -> None:
    asked = admission(charge(amount=5), call="c")
    cells = known(Cells(60), asked)
    admit(cells, asked, NOW)
    assert finish(cells, Completion("c", {"budget": 2}), NOW, 100)
    assert not finish(cells, Completion("c", {"budget": 1}), NOW, 100)
    assert cells.counters["budget"].used(NOW, 60) == 2
    assert not cells.opened
    assert not cells.finished
