import pytest
from pydantic import JsonValue

from aos.inspection.projection import ProjectionError, project

CONTACT: JsonValue = {
    "id": 1,
    "owner": {"name": "Ana", "phone": "1"},
    "items": [{"id": 1, "price": 2, "tags": ["x"]}, {"id": 2}, "loose"],
    "note": None,
}


def kept(*sets: tuple[str, ...], value: JsonValue = CONTACT) -> JsonValue:
    return project(value, frozenset(frozenset(fields) for fields in sets))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("id",), {"id": 1}),
        (("note",), {"note": None}),
        (("owner",), {"owner": {"name": "Ana", "phone": "1"}}),
        (("owner.name",), {"owner": {"name": "Ana"}}),
        (("owner", "owner.name"), {"owner": {"name": "Ana", "phone": "1"}}),
        (("items[].id",), {"items": [{"id": 1}, {"id": 2}]}),
        (("items[].tags[]",), {"items": [{"tags": ["x"]}, {}]}),
        (("items[]",), {"items": [{"id": 1, "price": 2, "tags": ["x"]}, {"id": 2}, "loose"]}),
        (("missing", "owner.missing"), {"owner": {}}),
        (("id.below", "note.below"), {}),
        (("items.id", "owner[].name"), {}),
    ],
)
def test_nothing_but_the_kept_fields_is_left(fields: tuple[str, ...], expected: JsonValue) -> None:
    assert kept(fields) == expected


def test_a_field_must_be_in_every_set() -> None:
    assert kept(("id", "owner.name"), ("id", "note")) == {"id": 1}
    assert kept(("id", "owner"), ("owner.name", "note")) == {"owner": {"name": "Ana"}}


def test_a_list_is_cut_down_item_by_item() -> None:
    assert kept(("id",), value=[CONTACT, {"x": 1}]) == [{"id": 1}, {}]


def test_without_sets_all_is_kept() -> None:
    assert kept() is CONTACT


@pytest.mark.parametrize("value", ["text", 1, None, ["text"], [[1]]])
def test_what_has_no_fields_can_not_be_cut_down(value: JsonValue) -> None:
    with pytest.raises(ProjectionError):
        kept(("id",), value=value)
