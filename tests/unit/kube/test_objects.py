"""Reading odd JSON."""

from aos.kube.objects import annotation_of, child, children, key_of, number, text, texts, uid_of
from aos.model.base import JsonObject


def test_what_is_missing_or_odd_reads_as_empty() -> None:
    odd: JsonObject = {"metadata": [], "a": 1, "b": True, "c": ["x", 2, {"y": 1}], "d": "text"}
    assert key_of(odd).model_dump() == {"namespace": "", "name": ""}
    assert uid_of(odd) == ""
    assert annotation_of(odd, "x") == ""
    assert (child(odd, "a"), children(odd, "a"), text(odd, "a"), texts(odd, "a")) == ({}, (), "", ())
    assert (number(odd, "a"), number(odd, "b"), number(odd, "d")) == (1, 0, 0)
    assert (texts(odd, "c"), children(odd, "c")) == (("x",), ({"y": 1},))
