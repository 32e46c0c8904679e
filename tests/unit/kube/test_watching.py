"""Bytes of a watch and the events in them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from aos.kube import watching
from aos.kube.errors import ApiError, Gone, Target, Unavailable
from aos.kube.watching import EventDecoder, WatchEvent, WatchType

TARGET = Target("watch", "pods", "sales")
LINES = (
    b'{"type":"ADDED","object":{"metadata":{"name":"\xc3\xa9"}}}\n'
    b'{"type":"MODIFIED","object":{"a":"\\n"}}\r\n\n'
    b'{"type":"BOOKMARK","object":{}}\n'
    b'{"type":"DELETED","object":{"x":1}}\n'
)


def events(*chunks: bytes) -> list[WatchEvent]:
    decoder = EventDecoder(TARGET)
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    decoder.end()
    return found


@given(some.sets(some.integers(1, len(LINES) - 1)))
def test_events_do_not_depend_on_how_bytes_are_cut(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(LINES)]
    chunks = [LINES[start:end] for start, end in itertools.pairwise(edges)]
    assert events(*chunks) == [
        WatchEvent(WatchType.ADDED, {"metadata": {"name": "é"}}),
        WatchEvent(WatchType.MODIFIED, {"a": "\n"}),
        WatchEvent(WatchType.BOOKMARK, {}),
        WatchEvent(WatchType.DELETED, {"x": 1}),
    ]


def test_an_error_event_for_an_old_version_is_gone() -> None:
    with pytest.raises(Gone, match="too old"):
        events(b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n')


def test_another_error_event_keeps_its_code() -> None:
    with pytest.raises(ApiError, match="watch pods sales: broken") as caught:
        events(b'{"type":"ERROR","object":{"code":500,"message":"broken"}}\n')
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "line",
    [
        b"<html>\n",
        b"[]\n",
        b'{"object":{}}\n',
        b'{"type":"RENAMED","object":{}}\n',
        b'{"type":7,"object":{}}\n',
    ],
)
def test_what_is_no_event_ends_the_watch(line: bytes) -> None:
    with pytest.raises(Unavailable, match="event"):
        events(line)


def test_a_watch_that_ends_within_an_event_was_cut_off() -> None:
    with pytest.raises(Unavailable, match="cut off"):
        events(LINES, b'{"type":"ADD')


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_EVENT_BYTES", 100)
    with pytest.raises(Unavailable, match="longer than 100 bytes"):
        events(*[b"x" * 40] * 3)
