import pytest
from pydantic import JsonValue

from aos.gateway.a2a.carrying import InputSchemas, checked_input, checked_output
from aos.gateway.refusal import Refused
from aos.inspection.inspector import Inspected
from aos.model.agent import Agent
from aos.model.structural import MAX_INPUT_BYTES
from aos.policy.obligations import DataRules
from tests.unit.gateway.make import raw_agent

CARD = "4111 1111 1111 1111"
REDACTS = DataRules(redact_request=frozenset({"payment"}), redact_response=frozenset({"payment"}))
BLOCKS = DataRules(block_request=frozenset({"payment"}), block_response=frozenset({"payment"}))
SMALL = DataRules(max_request_bytes=20, max_response_bytes=20)


def reason(found: Inspected | Refused) -> str:
    return found.reason.value if isinstance(found, Refused) else ""


def test_without_rules_everything_passes_as_it_is() -> None:
    content: dict[str, JsonValue] = {"a": CARD}
    for check in (checked_input, checked_output):
        found = check(DataRules(), content)
        assert isinstance(found, Inspected)
        assert found.value is content


@pytest.mark.parametrize("check", [checked_input, checked_output])
def test_data_is_redacted_blocked_and_measured_both_ways(check: object) -> None:
    assert callable(check)
    redacted = check(REDACTS, {"a": f"pay {CARD}"})
    assert CARD not in str(redacted.value)
    assert redacted.found == {"payment"}
    assert reason(check(BLOCKS, {"a": f"pay {CARD}"})) == "DataBlocked"
    assert reason(check(SMALL, {"a": "x" * 30})) == "DataTooLarge"


def test_a_refusal_says_nothing_of_the_data_to_others() -> None:
    refused = checked_input(BLOCKS, {"a": f"pay {CARD}"})
    assert isinstance(refused, Refused)
    assert CARD not in refused.note
    assert CARD not in refused.message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": "x" * (MAX_INPUT_BYTES - 8)}, ""),
        ({"a": "x" * (MAX_INPUT_BYTES - 7)}, "DataTooLarge"),
        ({str(number): 1 for number in range(256)}, ""),
        ({str(number): 1 for number in range(257)}, "DataTooLarge"),
    ],
)
def test_attack_06_an_input_that_no_task_can_hold_is_refused_whatever_policy_says(
    content: dict[str, JsonValue], expected: str
) -> None:
    assert reason(checked_input(DataRules(), content)) == expected


def test_an_input_is_measured_as_it_is_handed_over() -> None:
    cards: JsonValue = [CARD] * (MAX_INPUT_BYTES // (len(CARD) + 3))
    assert reason(checked_input(DataRules(), {"a": cards})) == ""
    assert reason(checked_input(REDACTS, {"a": cards})) == "DataTooLarge"


def test_attack_14_urls_in_an_input_lead_to_no_inside_address() -> None:
    assert reason(checked_input(DataRules(), {"a": "http://10.0.0.1/x"})) == "UrlNotAllowed"
    hosts = DataRules(url_hosts=frozenset({frozenset({"example.com"})}))
    assert reason(checked_input(hosts, {"a": "https://evil.example/"})) == "UrlNotAllowed"
    assert reason(checked_input(hosts, {"a": "https://example.com/"})) == ""


def agent(generation: int = 1, **spec: JsonValue) -> Agent:
    item = raw_agent("writer", metadata={"generation": generation}, **spec)
    return Agent.parse(item)


def test_an_input_fits_the_schema_of_the_receiver_as_it_is_now() -> None:
    schemas = InputSchemas()
    strict: JsonValue = {"schema": {"required": ["facts"]}}
    assert schemas.misfit(agent(), {}) is None
    refused = schemas.misfit(agent(2, input=strict), {})
    assert refused is not None
    assert refused.reason == "ArgumentsInvalid"
    assert '"facts" is a required property' in refused.message
    assert schemas.misfit(agent(2, input=strict), {"facts": 1}) is None
    assert schemas.misfit(agent(3), {}) is None


def test_a_schema_that_can_not_be_used_keeps_its_agent_from_work() -> None:
    broken: JsonValue = {"schema": {"$ref": "https://example.com/s"}}
    refused = InputSchemas().misfit(agent(input=broken), {})
    assert refused is not None
    assert refused.reason == "DelegateNotReady"
