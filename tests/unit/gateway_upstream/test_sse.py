from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.gateway.upstream.sse import EventParser, EventTooLargeError

STREAM = (
    b"\xef\xbb\xbf: hello\r\n"
    b'event: message\r\ndata: {"a":1}\r\n\r\n'
    b"id: 7\nretry: 100\ndata: two\ndata: lines\n\n"
    b"event: endpoint\ndata: other\n\n"
    b"data\n\n"
    b"data:no space\r\rdata:  two spaces\n\n"
    b"data: unfinished"
)
EVENTS = [b'{"a":1}', b"two\nlines", b"no space", b" two spaces"]


def test_events_are_read_whatever_ends_their_lines() -> None:
    assert EventParser(1000).feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    parser = EventParser(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for a, b in pairwise(edges) for event in parser.feed(STREAM[a:b])]
    assert found == EVENTS


def test_one_byte_at_a_time_is_as_good() -> None:
    parser = EventParser(1000)
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_there_as_soon_as_its_empty_line_has_ended(end: bytes) -> None:
    parser = EventParser(1000)
    assert [parser.feed(piece) for piece in (b"data: x" + end, end, b"", b"data: y", end + end)] == [
        [],
        [b"x"],
        [],
        [],
        [b"y"],
    ]


def test_a_line_end_that_comes_in_two_pieces_is_one() -> None:
    parser = EventParser(1000)
    pieces = (b"data: x\r", b"\n", b"data: y\r", b"", b"\n\r", b"\n")
    assert [event for piece in pieces for event in parser.feed(piece)] == [b"x\ny"]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 200],
        [b"data: xxxxxxxxx\n"] * 20,
        [b"x" * 60, b"x" * 60],
        [b": a comment without end" * 10],
    ],
)
def test_an_event_that_is_too_long_is_refused(pieces: list[bytes]) -> None:
    parser = EventParser(100)
    with pytest.raises(EventTooLargeError):
        list(map(parser.feed, pieces))


def test_many_small_events_are_no_large_one() -> None:
    parser = EventParser(100)
    assert sum(len(parser.feed(b"data: x\n\n")) for _ in range(1000)) == 1000
