from aos.inspection.redaction import cut, cut_text, marker, without
from aos.inspection.spans import Span

A = frozenset({"a"})
AB = frozenset({"b", "a"})


def test_a_marker_names_its_classes_in_order() -> None:
    assert marker(AB) == "[redacted:a,b]"


def test_spans_are_replaced_and_those_of_other_classes_stay() -> None:
    spans = [Span(0, 1, A), Span(2, 3, frozenset({"c"})), Span(4, 6, AB)]
    assert cut(b"x.y.zz!", spans, AB) == b"[redacted:a].y.[redacted:a,b]!"
    assert cut_text("x.y.zz!", spans, AB) == "[redacted:a].y.[redacted:a,b]!"
    assert cut(b"xyz", [], AB) == b"xyz"


def test_text_without_its_spans_is_what_stands_between_them() -> None:
    assert without(b"x.y.zz!", [Span(0, 1, A), Span(4, 6, AB)]) == b".y.!"
