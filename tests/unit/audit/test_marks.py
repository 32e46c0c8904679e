from dataclasses import replace

import pytest

from aos.audit.event import AuditEvent
from aos.audit.head import ChainHead
from aos.audit.marks import MOST_HEADS, Gap, gap_mark, gap_of, heads_of, start_mark
from tests.unit.audit.make import EVENT

NOW = "2026-01-02T03:04:05.000000Z"
GAP = Gap("gateway-1", 4, 9, "aa", "bb")


def head(number: int) -> ChainHead:
    return ChainHead(f"chain {number}", number, "ff", f"2026-01-01T00:00:{number:02}.000000Z")


def test_a_start_mark_gives_back_the_heads_it_was_made_of() -> None:
    heads = [head(1), head(2)]
    assert set(heads_of(start_mark("gateway-9", NOW, heads))) == set(heads)


def test_of_many_heads_the_newest_are_kept() -> None:
    heads = [head(number % 60) for number in range(MOST_HEADS + 10)]
    kept = heads_of(start_mark("gateway-9", NOW, heads))
    assert len(kept) == MOST_HEADS
    assert kept[0].time == "2026-01-01T00:00:59.000000Z"


def test_a_gap_mark_gives_back_its_gap() -> None:
    assert gap_of(gap_mark(GAP, NOW)) == GAP


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        replace(gap_mark(GAP, NOW), record="4"),
        replace(gap_mark(GAP, NOW), record="9-4"),
        replace(gap_mark(GAP, NOW), record="0-4"),
        replace(gap_mark(GAP, NOW), rules=("aa",)),
    ],
)
def test_a_damaged_gap_mark_excuses_nothing(event: AuditEvent) -> None:
    assert gap_of(event) is None


def test_only_start_marks_hold_heads_and_damaged_ones_none() -> None:
    mark = start_mark("gateway-9", NOW, [head(1)])
    assert heads_of(replace(EVENT, rules=mark.rules)) == ()
    assert heads_of(replace(mark, rules=("nonsense", "chain x ff time"))) == ()
