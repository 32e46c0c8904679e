from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from aos.agent.assignment import Assignment
from tests.unit.agent.conftest import task

NOW = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)


def test_unknown_fields_are_left_alone_so_that_the_gateway_can_be_newer() -> None:
    assert Assignment.model_validate(task(parent="another")).name == "enrich-1"


@pytest.mark.parametrize(
    ("deadline", "seconds"),
    [("2027-01-01T12:01:30Z", 90.0), ("2027-01-01T14:00:00+02:00", 0.0), (None, None)],
)
def test_the_time_left_is_counted_from_now(deadline: str | None, seconds: float | None) -> None:
    assert Assignment.model_validate(task(deadline=deadline)).seconds_left(NOW) == seconds


def test_a_deadline_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Assignment.model_validate(task(deadline="2027-01-01T12:01:30"))
