import pytest

from aos.workflow.types import (
    ANYTHING,
    BOOLEAN,
    FREE,
    INTEGER,
    KINDS,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    REFUSED,
    STRING,
    UNPROMISED,
    All,
    Each,
    Either,
    Exact,
    Found,
    Listed,
    Perhaps,
    Record,
    Row,
    Type,
    declared,
    either,
    found_in_all,
    found_in_any,
    found_in_each,
    told_kinds,
)

POINT = Record({"x": INTEGER, "y": Perhaps(INTEGER)}, "a point")


@pytest.mark.parametrize(
    ("type_", "kinds", "field", "element"),
    [
        (ANYTHING, KINDS, FREE, FREE),
        (OBJECT, {"object"}, FREE, REFUSED),
        (LIST, {"array"}, REFUSED, FREE),
        (NULL, {"null"}, REFUSED, REFUSED),
        (Exact({"x": 1}), {"object"}, declared(Exact(1)), REFUSED),
        (Exact([1]), {"array"}, REFUSED, declared(Exact(1))),
        (Exact([]), {"array"}, REFUSED, declared(ANYTHING)),
        (Exact("x"), {"string"}, REFUSED, REFUSED),
        (Exact(value=True), {"boolean"}, REFUSED, REFUSED),
        (Listed(STRING), {"array"}, REFUSED, declared(STRING)),
        (Row((STRING, INTEGER)), {"array"}, REFUSED, declared(Either((STRING, INTEGER)))),
        (POINT, {"object"}, declared(INTEGER), REFUSED),
        (Record({}), {"object"}, REFUSED, REFUSED),
        (Perhaps(POINT), {"object"}, declared(INTEGER), REFUSED),
        (Perhaps(Listed(STRING)), {"array"}, REFUSED, declared(STRING)),
        (Either((POINT, STRING)), {"object", "string"}, declared(INTEGER), REFUSED),
        (Either((Listed(STRING), LIST)), {"array"}, REFUSED, declared(ANYTHING)),
        (Each((POINT, STRING)), {"object", "string"}, REFUSED, REFUSED),
        (Each((POINT, OBJECT)), {"object"}, declared(Each((INTEGER, ANYTHING))), REFUSED),
        (Each((LIST, Listed(STRING))), {"array"}, REFUSED, declared(Each((ANYTHING, STRING)))),
        (All((POINT, OBJECT)), {"object"}, declared(INTEGER), REFUSED),
        (All((LIST, Listed(STRING))), {"array"}, REFUSED, declared(STRING)),
        (All((POINT, STRING)), set(), REFUSED, REFUSED),
    ],
)
def test_a_type_tells_its_kinds_a_field_and_its_items(
    type_: Type, kinds: set[str], field: Found, element: Found
) -> None:
    assert type_.kinds() == kinds
    assert type_.field("x") == field
    assert type_.element() == element


@pytest.mark.parametrize(
    ("type_", "certain", "known", "label"),
    [
        (STRING, "", "", ""),
        (Exact({"a": 1}), "a", "a", ""),
        (Exact(1), "", "", ""),
        (POINT, "x", "xy", "a point"),
        (Perhaps(POINT), "", "xy", "a point"),
        (Either((POINT, Exact({"x": 1, "z": 2}))), "x", "xyz", "a point"),
        (Each((STRING, POINT)), "", "xy", "a point"),
        (All((POINT, Exact({"z": 2}))), "xz", "xyz", "a point"),
        (All((STRING, INTEGER)), "", "", ""),
    ],
)
def test_a_type_tells_the_fields_that_are_there_and_whose_word_it_is(
    type_: Type, certain: str, known: str, label: str
) -> None:
    assert type_.certain() == set(certain)
    assert type_.declared() == set(known)
    assert type_.label() == label


STRINGS = declared(STRING)
NUMBERS = declared(NUMBER)


@pytest.mark.parametrize(
    ("found", "in_all", "in_any", "in_each"),
    [
        ([], FREE, REFUSED, FREE),
        ([STRINGS], STRINGS, STRINGS, declared(Each((STRING,)))),
        ([STRINGS, NUMBERS], declared(All((STRING, NUMBER))), declared(Either((STRING, NUMBER))), declared(Each((STRING, NUMBER)))),
        ([STRINGS, FREE], STRINGS, declared(ANYTHING), declared(Each((STRING, ANYTHING)))),
        ([STRINGS, UNPROMISED], STRINGS, STRINGS, UNPROMISED),
        ([STRINGS, REFUSED], REFUSED, STRINGS, REFUSED),
        ([FREE, UNPROMISED], UNPROMISED, FREE, UNPROMISED),
        ([UNPROMISED, REFUSED], REFUSED, UNPROMISED, REFUSED),
        ([REFUSED, REFUSED], REFUSED, REFUSED, REFUSED),
    ],
)  # fmt: skip
def test_what_several_say_of_a_field_comes_together(
    found: list[Found], in_all: Found, in_any: Found, in_each: Found
) -> None:
    assert found_in_all(found) == in_all
    assert found_in_any(found) == in_any
    assert found_in_each(found) == in_each


def test_one_of_what_may_be_anything_is_anything() -> None:
    assert either([]) == ANYTHING
    assert either([STRING, ANYTHING]) == ANYTHING
    assert either([STRING]) == STRING


def test_kinds_are_told_in_words() -> None:
    assert told_kinds(NUMBER.kinds()) == "number"
    assert told_kinds(INTEGER.kinds()) == "integer"
    assert told_kinds({"string", "null"}) == "null or string"
    assert told_kinds(()) == "nothing"
    assert told_kinds(BOOLEAN.kinds()) == "boolean"
