import base64
from collections.abc import Callable

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from aos.inspection import folding
from aos.inspection.spans import Span

A = frozenset({"a"})
TEXT = "Zahl 4111-2222"


@pytest.mark.parametrize(
    "written",
    [
        "\uff3a\uff41\uff48\uff4c　\uff14\uff11\uff11\uff11\uff0d\uff12\uff12\uff12\uff12",
        "Za\u200bhl 4\u2060111-2222",
        "Za\xadhl 4111\u20112222",
        "Z\u0336ahl 4\u0336111-2222",
        "Zahl ٤١١١-٢٢٢٢",
        "\U0001d419ahl \U0001d7d2\U0001d7cf\U0001d7cf\U0001d7cf-2222",
        "Za\x01hl 4\x7f111-2222",
        "Zahl%204%31%311-2222",
        "Zahl \\u00341\\x311\\u002d2222",
        "Zahl &#52;&#x31;11-2222",
        "Z\u2800ahl 41\u316411-2222",
    ],
)
def test_other_writings_of_a_text_are_seen_as_the_text(written: str) -> None:
    assert folding.plain_text(written) == TEXT
    view = folding.view(written.encode())
    assert view is not None
    assert view.text.decode() == TEXT


def test_plain_text_has_no_other_view() -> None:
    assert folding.view(TEXT.encode()) is None
    assert folding.plain(TEXT.encode()) == TEXT.encode()


def test_what_is_found_in_a_view_is_told_by_where_it_came_from() -> None:
    written = "a\uff14\u200b\uff11%31!".encode()
    view = folding.view(written)
    assert view is not None
    start = view.text.index(b"411")
    assert view.origin([Span(start, start + 3, A)]) == [Span(1, len(written) - 1, A)]


@given(st.text(), st.text(alphabet="%u0123abc&#x;\\\u200b\uff14é"))
def test_a_view_shows_what_plain_shows_and_points_into_the_text(text: str, escapes: str) -> None:
    content = (escapes + text).encode()
    view = folding.view(content)
    if view is None:
        assert folding.plain(content) == content
        return
    assert view.text == folding.plain(content)
    assert len(view.starts) == len(view.ends) == len(view.text)
    assert all(0 <= start < end <= len(content) for start, end in zip(view.starts, view.ends, strict=True))


@given(st.binary())
def test_no_bytes_are_too_odd_to_be_viewed(content: bytes) -> None:
    folding.plain(content)
    folding.view(content)
    folding.decoded(content)


@pytest.mark.parametrize("lead", ["", "x", "xy/", "abc-", "path/to/"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_read_wherever_it_begins(lead: str, encode: Callable[[bytes], bytes]) -> None:
    run = encode(b"call 415-555-0123 >>>???").decode()
    said = folding.decoded(f"see {lead}{run} there".encode())
    assert said is not None
    assert b"415-555-0123" in said.text
    start = said.text.index(b"415")
    assert said.origin([Span(start, start + 12, A)]) == [Span(4, 4 + len(lead + run), A)]


def test_base64_is_read_over_line_ends_and_without_padding() -> None:
    run = base64.encodebytes(b"x" * 50 + b" call 415-555-0123 " + b"y" * 50)
    assert b"\n" in run.strip()
    said = folding.decoded(run)
    assert said is not None
    assert b"415-555-0123" in said.text
    bare = folding.decoded(base64.b64encode(b"call 415-555-0123").rstrip(b"="))
    assert bare is not None
    assert b"415-555-0123" in bare.text


def test_text_among_bytes_and_wide_text_are_read() -> None:
    among = folding.decoded(base64.b64encode(b"\xff\xfe\x80" + b"call 415-555-0123" + b"\xff"))
    assert among is not None
    assert b"415-555-0123" in among.text
    assert b"\xff" not in among.text
    hexadecimal = folding.decoded(b"0x" + b"call 415-555-0123".hex().encode())
    assert hexadecimal is not None
    assert b"415-555-0123" in hexadecimal.text


def test_what_is_neither_is_not_decoded() -> None:
    assert folding.decoded(b"an annual-report of 550e8400-e29b-41d4-a716-446655440000") is None


@given(st.integers(0, 5), st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=11))
def test_the_hint_matches_base64_of_any_eleven_ascii_characters(lead: int, text: str) -> None:
    run = base64.b64encode((b"\xff" * lead) + text.encode())
    assert re2.search(folding.BASE64_HINT.encode(), run)
    assert re2.search(folding.HEX_HINT.encode(), text.encode().hex().encode())


def test_a_tail_counts_what_is_seen() -> None:
    assert folding.tail_start("abcdef", 2) == 4
    assert folding.tail_start("abc\u200b\u200b\u200bd", 2) == 2
    assert folding.tail_start("\u200b" * 10, 2) == 0


def test_hidden_characters_in_numbers_do_not_grow_what_is_remembered_without_bound() -> None:
    for code in range(0x4E00, 0x4E00 + 21_000):
        folding.plain_text(chr(code))
    assert len(folding._FOLDED) <= folding._MAX_REMEMBERED + 1
