import pytest

from aos.inspection.expressions import LONG_BYTES, Expression, PatternError, Prefilter


def test_the_first_group_that_took_part_is_the_value() -> None:
    assert list(Expression(r"a=(?:'(\w+)'|(\w+))").pieces(b"a='x' a=yz")) == [(3, 4), (8, 10)]
    assert list(Expression(r"b+").pieces(b"abba b")) == [(1, 3), (5, 6)]


def test_empty_matches_are_left_out() -> None:
    assert list(Expression(r"b*").pieces(b"abba")) == [(1, 3)]


@pytest.mark.parametrize("source", ["(", r"a(?=b)", "a{2000}", "\ud800"])
def test_what_re2_does_not_take_is_an_error_that_names_it(source: str) -> None:
    with pytest.raises(PatternError, match="is not RE2 syntax"):
        Expression(source)


def test_a_prefilter_says_which_hints_match() -> None:
    prefilter = Prefilter(["foo", "bar"])
    assert prefilter.hits(b"a bar") == {1}
    assert prefilter.hits(b"foobar") == {0, 1}
    assert prefilter.hits(b"baz") == frozenset()


def test_a_prefilter_that_can_not_tell_hits_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    class OutOfMemory:
        def Match(self, text: bytes) -> None:  # noqa: N802 - RE2's name
            return None

    prefilter = Prefilter(["foo", "bar"])
    monkeypatch.setattr(prefilter, "_set", OutOfMemory())
    assert prefilter.hits(b"nothing") == {0, 1}


def test_a_prefilter_says_the_same_of_a_long_text() -> None:
    prefilter = Prefilter(["fo{2}", "bar", "x{3}", "q"])
    long = b" " * LONG_BYTES
    for text in (b"bar", b"foo", b"foo bar", b"xxx", b"q xxx", b"nothing"):
        assert prefilter.hits(long + text) == prefilter.hits(text)
