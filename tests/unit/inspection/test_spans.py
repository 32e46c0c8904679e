from aos.inspection.spans import Span, merged

A = frozenset({"a"})
B = frozenset({"b"})


def test_spans_that_overlap_or_touch_become_one_with_the_classes_of_both() -> None:
    assert merged([Span(5, 9, B), Span(0, 3, A), Span(2, 5, B)]) == [Span(0, 9, A | B)]


def test_spans_apart_stay_apart_and_come_in_order() -> None:
    assert merged([Span(4, 5, A), Span(0, 3, B)]) == [Span(0, 3, B), Span(4, 5, A)]
    assert merged([]) == []
