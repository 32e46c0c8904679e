import pytest

from aos.audit.chain import link, origin
from aos.audit.codec import EventError, decode_event
from aos.audit.event import Phase
from aos.audit.head import ChainHead
from aos.store.interface import StoreRefusedError
from aos.store.trail import Place, Trail, microseconds, prepared, rfc3339
from tests.unit.store.make import event


def trail() -> Trail:
    beginning = Place(0, origin("mine"), "")
    return Trail("mine", beginning, beginning)


def test_a_row_is_what_the_chain_links() -> None:
    made = trail()
    asked = event("c", record="contact/1")
    made.add(asked, *prepared(asked))
    (row,) = made.rows
    linked = link("mine", 1, origin("mine"), asked)
    assert (row.sequence, row.previous.hex(), row.hash.hex()) == (1, linked.previous, linked.hash)
    assert (decode_event(row.event), row.mark, row.record) == (asked, 0, "contact/1")


def test_a_mark_of_retention_is_marked() -> None:
    made = trail()
    asked = event("c", Phase.GAP)
    made.add(asked, *prepared(asked))
    assert made.rows[0].mark == 1


def test_rows_that_were_not_stored_leave_the_chain_where_it_was() -> None:
    made = trail()
    made.add(event(), *prepared(event()))
    made.undo()
    assert made.place == made.stored == Place(0, origin("mine"), "")
    assert made.rows == []


def test_after_a_commit_without_an_answer_either_end_is_the_chains_own() -> None:
    made = trail()
    made.add(event(), *prepared(event()))
    doubtful = made.place
    made.doubt()
    made.take_up(made.stored)
    made.take_up(doubtful)
    assert made.stored == doubtful
    with pytest.raises(StoreRefusedError, match="another process has written audit chain mine"):
        made.take_up(Place(7, "00", ""))


@pytest.mark.parametrize(
    ("commits", "durable"),
    [([], 0), ([False], 0), ([True], 1), ([False, True], 2), ([True, False], 1), ([True, False, True], 3)],
)
def test_only_what_this_process_wrote_and_knows_to_be_on_disk_is_its_head(
    commits: list[bool], durable: int
) -> None:
    made = trail()
    places: list[ChainHead | None] = [None]
    for on_disk in commits:
        made.add(event(), *prepared(event()))
        places.append(ChainHead("mine", *made.place))
        made.committed(on_disk=on_disk)
    made.add(event(), *prepared(event()))
    made.undo()
    assert made.head == places[durable]


def test_times_are_exact_to_the_microsecond() -> None:
    time = "2026-03-01T10:00:00.123457Z"
    assert rfc3339(microseconds(time)) == time
    assert microseconds("2026-03-01T11:00:00.123457+01:00") == microseconds(time)


@pytest.mark.parametrize("time", ["", "yesterday", "2026-03-01T10:00:00"])
def test_a_time_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(EventError, match=r"no RFC 3339 time|no time zone"):
        microseconds(time)
