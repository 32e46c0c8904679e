from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.audit.chain import link, origin
from aos.audit.event import AuditEvent, AuditRow
from aos.audit.head import ChainHead
from aos.audit.marks import Gap, gap_mark, start_mark
from aos.audit.signing import HeadSigner, SignedHead
from aos.audit.verification import (
    ANCHORED_WITHIN_SECONDS,
    MOST_FINDINGS,
    FindingKind,
    Verification,
    Verifier,
)
from aos.audit.verification import verify as verify_at
from tests.unit.audit.make import chain_of, event

Rows = list[AuditRow]
SIGNER = HeadSigner()
NOW = "2026-01-02T03:05:00.000000Z"
LATER = timedelta(seconds=ANCHORED_WITHIN_SECONDS + 60)
K = FindingKind


def verify(
    rows: Iterable[AuditRow],
    heads: Sequence[ChainHead],
    anchors: Sequence[SignedHead],
    after: timedelta = timedelta(),
) -> Verification:
    """Verify as one does within a minute of the rows; or later."""
    return verify_at(rows, heads, anchors, datetime.fromisoformat(NOW) + after)


def started(chain: str, heads: Sequence[ChainHead] = ()) -> AuditEvent:
    return start_mark(chain, event(0).time, heads)


def trail(count: int = 6, chain: str = "gateway-1", *more: AuditEvent) -> Rows:
    """Return a chain of ``count`` rows, start mark included."""
    approved = [event(number, approvers=("ana@example.com Approve",)) for number in range(1, count)]
    return chain_of([started(chain), *approved, *more], chain)


def head_of(row: AuditRow) -> ChainHead:
    return ChainHead(row.chain, row.sequence, row.hash, row.event.time)


def anchor(row: AuditRow, signer: HeadSigner = SIGNER) -> SignedHead:
    return signer.sign(head_of(row))


def relinked(rows: Rows) -> Rows:
    """Return the rows as somebody who can write the store would make them fit again."""
    return chain_of([row.event for row in rows], rows[0].chain)


def found(verification: Verification) -> set[tuple[FindingKind, int]]:
    return {(item.kind, item.sequence) for item in verification.findings}


def test_an_untouched_trail_holds() -> None:
    rows = trail()
    verification = verify(rows, [head_of(rows[-1])], [anchor(rows[3]), anchor(rows[-1])])
    assert verification.holds
    assert (verification.rows, verification.deleted, verification.unanchored) == (6, 0, 0)


def test_rows_of_several_chains_may_come_mixed() -> None:
    one, two = trail(chain="gateway-1"), trail(chain="gateway-2")
    mixed = [row for pair in zip(one, two, strict=True) for row in pair]
    assert verify(mixed, [], [anchor(one[-1]), anchor(two[-1], HeadSigner())]).holds


def test_rows_after_the_last_anchor_are_counted_as_not_covered() -> None:
    rows = trail()
    verification = verify(rows, [], [anchor(rows[2])])
    assert verification.holds
    assert verification.unanchored == 3
    assert verification.coverage[0].anchored == 3


Tamper = Callable[[Rows], Rows]


def changed(rows: Rows) -> Rows:
    rows[3] = replace(rows[3], event=replace(rows[3].event, effect="Deny"))
    return rows


def approved_by_another(rows: Rows) -> Rows:
    approvers = ("eve@example.com Approve",)
    rows[3] = replace(rows[3], event=replace(rows[3].event, approvers=approvers))
    return rows


def approved_by_nobody(rows: Rows) -> Rows:
    rows[3] = replace(rows[3], event=replace(rows[3].event, approvers=()))
    return rows


def dropped(rows: Rows) -> Rows:
    del rows[3]
    return rows


def dropped_first(rows: Rows) -> Rows:
    return rows[1:]


def swapped(rows: Rows) -> Rows:
    rows[2], rows[3] = (
        replace(rows[2], event=rows[3].event),
        replace(rows[3], event=rows[2].event),
    )
    return rows


def moved(rows: Rows) -> Rows:
    rows[2], rows[3] = rows[3], rows[2]
    return rows


def cut(rows: Rows) -> Rows:
    return rows[:4]


def inserted(rows: Rows) -> Rows:
    made_up = link("gateway-1", 4, rows[2].hash, event(9))
    return [*rows[:3], made_up, *(replace(row, sequence=row.sequence + 1) for row in rows[3:])]


def twice(rows: Rows) -> Rows:
    return [*rows[:4], rows[3], *rows[4:]]


def rewritten_from_the_middle(rows: Rows) -> Rows:
    return relinked([*rows[:3], *rows[4:], *rows[3:4]])


def dropped_and_relinked(rows: Rows) -> Rows:
    return relinked([*rows[:3], *rows[4:]])


def restarted(rows: Rows) -> Rows:
    return chain_of([started("gateway-1"), event(8), event(9)])


def emptied(rows: Rows) -> Rows:
    return []


def headless(rows: Rows) -> Rows:
    return relinked(rows[1:])


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (changed, {(K.CHANGED, 4)}),
        (approved_by_another, {(K.CHANGED, 4)}),
        (approved_by_nobody, {(K.CHANGED, 4)}),
        (dropped, {(K.MISSING, 4)}),
        (dropped_first, {(K.MISSING, 1)}),
        (swapped, {(K.CHANGED, 3), (K.CHANGED, 4)}),
        (moved, {(K.MISSING, 3), (K.REORDERED, 3)}),
        (cut, {(K.TRUNCATED, 5)}),
        (inserted, {(K.CHANGED, 5), (K.CHANGED, 6), (K.CHANGED, 7), (K.UNLINKED, 5), (K.REPLACED, 6)}),
        (twice, {(K.REORDERED, 4)}),
        (rewritten_from_the_middle, {(K.REPLACED, 6)}),
        (dropped_and_relinked, {(K.TRUNCATED, 6)}),
        (restarted, {(K.TRUNCATED, 4)}),
        (emptied, {(K.CHAIN_MISSING, 1)}),
        (headless, {(K.UNMARKED_START, 1), (K.TRUNCATED, 6)}),
    ],
)
def test_attack_27_a_trail_that_was_tampered_with_does_not_hold_and_the_row_is_named(
    tamper: Tamper, expected: set[tuple[FindingKind, int]]
) -> None:
    rows = trail()
    anchors = [anchor(rows[-1])]
    assert found(verify(tamper(list(rows)), [], anchors)) == expected


def test_attack_27_a_rewritten_row_is_found_by_the_first_anchor_after_it() -> None:
    rows = trail()
    forged = relinked([*rows[:3], replace(rows[3], event=event(9)), *rows[4:]])
    verification = verify(forged, [], [anchor(rows[1]), anchor(rows[4])])
    assert found(verification) == {(K.REPLACED, 5)}
    assert "row 5 of chain gateway-1 is not the row that the anchors name" in verification.findings[0].message


def test_attack_27_a_tail_that_was_cut_before_any_anchor_is_found_by_the_next_chains_start() -> None:
    old = trail()
    new = chain_of([started("gateway-2", [head_of(old[-1])]), event(1)], "gateway-2")
    assert verify([*old, *new], [], []).holds
    verification = verify([*old[:-1], *new], [], [])
    assert found(verification) == {(K.TRUNCATED, 6)}
    assert "the start of chain gateway-2" in verification.findings[0].message
    assert found(verify(new, [], [])) == {(K.CHAIN_MISSING, 1)}


def test_attack_27_a_chain_shorter_than_the_stores_own_head_was_cut() -> None:
    rows = trail()
    assert found(verify(rows[:-1], [head_of(rows[-1])], [])) == {(K.TRUNCATED, 6)}


def test_what_a_finding_says_names_time_and_call() -> None:
    (finding,) = verify(changed(trail()), [], []).findings
    assert finding.message.startswith(
        "row 4 of chain gateway-1 (2026-01-02T03:04:03.000001Z, call c3) was changed"
    )


def test_an_anchor_whose_signature_does_not_hold_is_told_and_proves_nothing() -> None:
    rows = trail()
    forged = replace(anchor(rows[-1]), signature=anchor(rows[-2]).signature)
    verification = verify(rows[:2], [], [forged])
    assert found(verification) == {(K.BAD_ANCHOR, 6)}


def test_two_anchors_of_a_chain_under_different_keys_are_told() -> None:
    rows = trail()
    verification = verify(rows, [], [anchor(rows[-1]), anchor(rows[2], HeadSigner())])
    assert found(verification) == {(K.BAD_ANCHOR, 3)}


def test_a_row_that_can_not_be_hashed_or_read_was_changed() -> None:
    rows = trail()
    rows[3] = replace(rows[3], event=replace(rows[3].event, duration_ms=2**60))
    assert found(verify(rows, [], [])) == {(K.CHANGED, 4)}
    verifier = Verifier(datetime.fromisoformat(NOW))
    verifier.unreadable("gateway-1", 3, "it is not JSON")
    assert found(verifier.finish([], [])) == {(K.CHANGED, 3)}


def test_a_hash_that_is_no_hash_never_equals_an_anchor() -> None:
    rows = trail()
    good = anchor(rows[-1])
    for text in ("zz", "ab"):
        rows[-1] = replace(rows[-1], hash=text)
        assert (K.REPLACED, 6) in found(verify(rows, [], [good]))


def gap(rows: Rows, first: int, last: int) -> AuditEvent:
    return gap_mark(Gap(rows[0].chain, first, last, rows[first - 1].previous, rows[last - 1].hash), NOW)


def later_chain(*events: AuditEvent) -> Rows:
    return chain_of([started("gateway-2"), *events], "gateway-2")


def test_rows_that_retention_deleted_are_accounted_for_by_marks_that_meet() -> None:
    rows = trail(9)
    marks = later_chain(gap(rows, 1, 2), gap(rows, 3, 4), gap(rows, 6, 6))
    anchors = [anchor(rows[-1]), anchor(rows[1]), anchor(marks[-1])]
    verification = verify([rows[4], *rows[6:], *marks], [], anchors)
    assert verification.holds
    assert verification.deleted == 5


def test_a_chain_that_retention_deleted_whole_is_not_missing() -> None:
    rows = trail()
    marks = later_chain(gap(rows, 1, 6))
    anchors = [anchor(rows[-1]), anchor(rows[2]), anchor(marks[-1])]
    assert verify(marks, [head_of(rows[-1])], anchors).holds


def test_attack_27_a_forged_mark_of_retention_excuses_nothing() -> None:
    rows = trail(9)
    forged = later_chain(gap(rows, 3, 4), gap(rows, 8, 9))
    verification = verify([*rows[:2], *rows[4:7], *forged], [], [anchor(rows[-1])])
    assert found(verification) == {(K.MISSING, 3), (K.TRUNCATED, 8)}
    assert all("covered by no anchor" in item.message for item in verification.findings)
    tail = relinked([*rows, link(rows[0].chain, 10, rows[-1].hash, gap(rows, 3, 4))])
    assert (K.MISSING, 3) in found(verify([*tail[:2], *tail[4:]], [], [anchor(rows[-1])]))


def test_a_mark_that_the_start_of_an_anchored_chain_names_counts() -> None:
    rows = trail()
    marks = later_chain(gap(rows, 2, 3))
    third = chain_of([started("gateway-3", [head_of(marks[-1])])], "gateway-3")
    fourth = chain_of([started("gateway-4", [head_of(third[-1])])], "gateway-4")
    left = [rows[0], *rows[3:], *marks, *third, *fourth]
    assert verify(left, [], [anchor(rows[-1]), anchor(fourth[-1])]).holds
    assert not verify(left, [], [anchor(rows[-1])]).holds


@pytest.mark.parametrize("marked", [(1, 2), (2, 3), (1, 4)])
def test_a_mark_that_does_not_fit_excuses_nothing(marked: tuple[int, int]) -> None:
    rows = trail()
    marks = later_chain(gap(rows, *marked))
    verification = verify([*rows[3:], *marks], [], [anchor(marks[-1])])
    assert {item.kind for item in verification.findings} == {K.MISSING}


def test_attack_27_without_anchors_no_mark_excuses_anything() -> None:
    rows = trail()
    forged = later_chain(gap(rows, 3, 4))
    assert found(verify([*rows[:2], *rows[4:], *forged], [], [])) == {(K.MISSING, 3)}


def test_attack_27_without_anchors_nothing_that_should_have_one_holds() -> None:
    rows = trail()
    assert verify(rows, [head_of(rows[-1])], []).holds
    verification = verify(rows, [head_of(rows[-1])], [], after=LATER)
    assert found(verification) == {(K.UNANCHORED, 1)}
    assert "rows 1 to 6 of chain gateway-1, until 2026-01-02T03:04:05" in verification.findings[0].message
    assert "there are no anchors" in verification.findings[0].message


def test_attack_27_a_chain_that_somebody_made_up_whole_is_told_once_it_should_be_anchored() -> None:
    rows = trail()
    forged = chain_of([started("gateway-0", [head_of(rows[-1])]), event(1), event(2)], "gateway-0")
    verification = verify([*rows, *forged], [head_of(forged[-1])], [anchor(rows[-1])], after=LATER)
    assert {(item.kind, item.chain, item.sequence) for item in verification.findings} == {
        (K.UNANCHORED, "gateway-0", 1)
    }
    assert "no start of an anchored chain" in verification.findings[0].message
    assert verification.unanchored == 3


def longer(rows: Rows, *times: str) -> Rows:
    """Return the chain with more rows, of these times of its day."""
    more = [replace(event(9), time=f"2026-01-02T{time}.000000Z") for time in times]
    return chain_of([*(row.event for row in rows), *more], rows[0].chain)


def test_attack_27_rows_that_somebody_added_to_a_chain_that_has_ended_are_told() -> None:
    rows = longer(trail(), "09:00:00")
    assert found(verify(rows, [], [anchor(rows[5])], after=timedelta(hours=7))) == {(K.UNANCHORED, 7)}
    rows = longer(trail(), "09:00:00", "03:04:09")
    assert found(verify(rows, [], [anchor(rows[5])], after=timedelta(hours=7))) == {(K.UNANCHORED, 7)}


def test_what_a_gateway_wrote_in_its_last_minutes_may_have_no_anchor_and_is_counted() -> None:
    rows = longer(trail(), "03:06:00", "03:07:05")
    verification = verify(rows, [], [anchor(rows[5])], after=timedelta(days=1))
    assert verification.holds
    assert verification.unanchored == 2


def test_an_anchor_of_no_time_excuses_no_row_after_it() -> None:
    rows = longer(trail(), "03:06:00")
    for time in ("", "2026-01-02T03:04:05", "9999-12-31T23:59:59Z"):
        head = replace(head_of(rows[5]), time=time)
        assert found(verify(rows, [], [SIGNER.sign(head)], after=timedelta(hours=1))) == {(K.UNANCHORED, 7)}


def test_attack_27_a_row_from_the_future_is_no_young_one() -> None:
    ahead = replace(event(6), time="2026-01-02T09:00:00.000000Z")
    (finding,) = verify(trail(6, "gateway-1", ahead), [], []).findings
    assert (finding.kind, finding.sequence) == (K.UNANCHORED, 1)
    assert "ahead of this machine's clock" in finding.message


def test_of_a_chain_that_goes_on_only_what_is_old_should_be_anchored() -> None:
    rows = longer(trail(), "03:09:00", "03:09:01", "03:11:59")
    now = timedelta(minutes=8)
    assert verify(rows, [], [anchor(rows[7])], after=now).holds
    assert found(verify(rows, [], [anchor(rows[5])], after=now)) == {(K.UNANCHORED, 7)}


def test_a_gateway_that_lived_for_less_than_a_minute_is_vouched_for_by_the_anchored_start_of_the_next() -> (
    None
):
    short = trail()
    after = chain_of([started("gateway-2", [head_of(short[-1])]), event(1)], "gateway-2")
    verification = verify([*short, *after], [], [anchor(after[-1])], after=LATER)
    assert verification.holds
    assert [(item.anchored, item.covered) for item in verification.coverage] == [(0, 6), (2, 2)]
    assert verification.unanchored == 0
    assert found(verify([*short, *after], [], [], after=LATER)) == {(K.UNANCHORED, 1)}


def test_a_mark_with_another_hash_excuses_nothing() -> None:
    rows = trail()
    mark = gap_mark(Gap("gateway-1", 1, 3, origin("gateway-1"), "f" * 64), NOW)
    marks = later_chain(mark)
    assert (K.MISSING, 3) in found(verify([*rows[3:], *marks], [], [anchor(marks[-1])]))


def test_findings_are_bounded() -> None:
    rows = [replace(row, hash="0" * 64) for row in chain_of([started("gateway-1"), *[event(1)] * 2000])]
    assert len(verify(rows, [], []).findings) == MOST_FINDINGS


EDITS = st.lists(
    st.tuples(st.sampled_from(["drop", "swap", "edit", "insert", "cut", "relink"]), st.integers(0, 9)),
    min_size=1,
    max_size=4,
)


def edited(rows: Rows, how: str, at: int) -> Rows:
    """Return the rows after one thing that somebody who can write the store may do."""
    at = min(at, len(rows) - 1)
    match how:
        case "drop":
            return [*rows[:at], *rows[at + 1 :]]
        case "swap":
            other = (at + 1) % len(rows)
            rows = list(rows)
            rows[at], rows[other] = rows[other], rows[at]
            return rows
        case "edit":
            row = rows[at]
            return [*rows[:at], replace(row, event=replace(row.event, record=f"{at}")), *rows[at + 1 :]]
        case "insert":
            return [*rows[:at], rows[at], *rows[at:]]
        case "cut":
            return rows[: at + 1]
        case _:
            return relinked(rows)


@given(EDITS)
def test_attack_27_whatever_is_done_to_anchored_rows_is_found(edits: list[tuple[str, int]]) -> None:
    rows = ROWS_OF_TEN
    for how, at in edits:
        if len(rows) > 1:
            rows = edited(rows, how, at)
    # Rows that are added after the anchor and linked are what the proof does not cover.
    if verify(rows, [], [ANCHOR_OF_TEN]).holds:
        assert rows[: len(ROWS_OF_TEN)] == ROWS_OF_TEN
    else:
        assert rows != ROWS_OF_TEN


ROWS_OF_TEN = trail(10)
ANCHOR_OF_TEN = anchor(ROWS_OF_TEN[-1])
