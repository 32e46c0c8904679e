import pytest

from aos.model.approval import CallMatch
from aos.model.rule import ToolMatch
from aos.policy.matching import concerns, means
from tests.unit.policy.make import tool

EXPORT = tool().spec.actions[3]
"""A Read of high risk that declares pii."""


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"name": "crm"}, True),
        ({"name": "c*"}, True),
        ({"name": "erp"}, False),
        ({"name": "crm", "actions": ["get_*", "export_*"]}, True),
        ({"name": "crm", "actions": ["get_*"]}, False),
        ({"name": "*", "access": ["Read"]}, True),
        ({"name": "*", "access": ["Write"]}, False),
        ({"name": "*", "risk": ["Medium", "High"]}, True),
        ({"name": "*", "risk": ["Low"]}, False),
        ({"name": "*", "dataClasses": ["phi", "pii"]}, True),
        ({"name": "*", "dataClasses": ["phi"]}, False),
    ],
)
def test_all_that_a_match_names_must_be_so(match: dict[str, object], *, expected: bool) -> None:
    assert concerns([ToolMatch.model_validate(match)], "crm", EXPORT) is expected


def test_one_of_several_matches_is_enough_and_none_is_none() -> None:
    matches = [ToolMatch(name="erp"), ToolMatch(name="crm")]
    assert concerns(matches, "crm", EXPORT)
    assert not concerns([], "crm", EXPORT)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"tools": [{"name": "erp"}, {"name": "crm"}]}, True),
        ({"tools": [{"name": "erp"}]}, False),
        ({"tools": [{"name": "crm"}], "access": ["Write"]}, False),
        ({"access": ["Read"], "risk": ["High"], "dataClasses": ["pii"]}, True),
        ({"access": ["Read"], "risk": ["Low"]}, False),
        ({"dataClasses": ["phi"]}, False),
    ],
)
def test_all_that_a_match_of_calls_names_must_be_so(match: dict[str, object], *, expected: bool) -> None:
    assert means(CallMatch.model_validate(match), "crm", EXPORT) is expected
