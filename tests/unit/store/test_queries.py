import pytest

from aos.audit.query import AuditQuery
from aos.store.queries import matches, page
from tests.unit.store.make import event


def test_values_are_parameters_and_never_text_of_the_statement() -> None:
    hostile = "x' OR '1'='1"
    query = AuditQuery(
        namespace=hostile, agent=hostile, task=hostile, name=hostile, record=hostile, chain=hostile
    )
    for blocks in (False, True):
        asked = page(query, (1, 2), 10, blocks=blocks)
        assert hostile not in asked.sql
        assert all(f"${number}" in asked.sql for number in range(1, len(asked.parameters) + 1))
        assert asked.parameters.count(hostile) in {6, 7}


def test_an_empty_query_asks_for_every_row() -> None:
    asked = page(AuditQuery(), None, 10, blocks=True)
    assert "WHERE" not in asked.sql
    assert asked.parameters == (10,)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, True),
        ({"action": "update_contact"}, True),
        ({"action": "other"}, False),
        ({"effect": "Allow"}, False),
        ({"person": "kim@example.com"}, True),
        ({"person": "robin@example.com"}, False),
    ],
)
def test_what_no_column_holds_is_matched_on_the_event(query: dict[str, str], *, expected: bool) -> None:
    assert matches(AuditQuery(**query), event()) is expected  # type: ignore[arg-type]
