import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.inspection.expressions import PatternError
from aos.inspection.inspector import Inspector, inspector_for
from aos.inspection.sizes import DataTooLargeError
from aos.policy.obligations import DataRules, PatternRule
from tests.unit.inspection.make import ALL, AWS, EMAIL, IBAN, JWT, SSN, VISA, grouped, inspector

PII = frozenset({"pii"})
SECRET = frozenset({"secret"})


def test_without_rules_nothing_is_looked_at() -> None:
    idle = Inspector(DataRules(projections=frozenset({frozenset({"id"})})))
    value: JsonValue = {"to": EMAIL, "n": 2**70}
    assert idle.idle
    assert not idle.looks_into_responses
    assert idle.request(value).value is value
    assert idle.response(value).value is value
    assert idle.response(value).found == frozenset()


def test_each_direction_has_its_own_classes() -> None:
    one = Inspector(DataRules(redact_request=PII, block_response=PII))
    assert not one.idle
    assert one.looks_into_responses
    asked = one.request({"to": EMAIL})
    assert (asked.value, asked.found, asked.blocked) == ({"to": "[redacted:pii]"}, PII, frozenset())
    answered = one.response({"to": EMAIL})
    assert (answered.value, answered.found, answered.blocked) == ({"to": EMAIL}, PII, PII)


def test_what_blocks_is_told_beside_what_is_redacted() -> None:
    inspected = inspector(redact=PII, block=SECRET).response([EMAIL, AWS])
    assert inspected.found == PII | SECRET
    assert inspected.blocked == SECRET


def test_patterns_of_policies_are_classes_like_the_others() -> None:
    own = inspector(redact=frozenset({"badge"}), patterns={"badge": "^B-[0-9]{4}$"})
    assert own.request(["B-1234", "xB-1234", "B-1\u200b234"]).value == [
        "[redacted:badge]",
        "xB-1234",
        "[redacted:badge]",
    ]


def test_one_class_may_have_several_patterns() -> None:
    rules = DataRules(
        redact_request=frozenset({"badge"}),
        patterns=frozenset({PatternRule("badge", "B-[0-9]+"), PatternRule("badge", "C-[0-9]+")}),
    )
    assert Inspector(rules).request("B-1 C-2").value == "[redacted:badge] [redacted:badge]"


def test_a_pattern_that_does_not_compile_is_an_error() -> None:
    with pytest.raises(PatternError):
        inspector(redact=frozenset({"badge"}), patterns={"badge": "("})


def test_classes_that_an_action_declares_are_on_record_and_do_not_block() -> None:
    declared = Inspector(DataRules(block_response=PII), declared=PII)
    assert declared.response("nothing").found == PII
    assert declared.response("nothing").blocked == frozenset()
    assert declared.request("nothing").found == frozenset()
    assert declared.response(EMAIL).blocked == PII


def test_sizes_are_bounded_in_each_direction() -> None:
    sized = Inspector(DataRules(max_request_bytes=64, max_response_bytes=128))
    assert not sized.idle
    sized.request("x" * 62)
    sized.response("x" * 100)
    with pytest.raises(DataTooLargeError, match="policy allows 64"):
        sized.request("x" * 63)
    with pytest.raises(DataTooLargeError, match="policy allows 128"):
        sized.response("x" * 200)


def test_what_is_too_large_to_be_looked_through_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aos.inspection.inspector.MAX_TEXT_BYTES", 100)
    with pytest.raises(DataTooLargeError, match="too many to look through"):
        inspector().request("x" * 200)


def test_what_json_can_not_carry_is_refused() -> None:
    with pytest.raises(DataTooLargeError):
        inspector().request({"n": 2**70})


def test_equal_rules_share_one_inspector() -> None:
    assert inspector_for(DataRules(redact_request=PII)) is inspector_for(DataRules(redact_request=PII))
    assert inspector_for(DataRules(redact_request=PII), PII) is not inspector_for(
        DataRules(redact_request=PII)
    )


PLANTED = st.sampled_from(
    [
        EMAIL,
        VISA,
        grouped(VISA),
        AWS,
        JWT,
        SSN,
        IBAN,
        "password: hunter2!x",
        "DOB 1980-01-02",
        "Diagnosis: E11.9",
        "CVV 123",
    ]
)
TEXTS = st.one_of(st.text(), PLANTED, st.lists(st.one_of(st.text(max_size=5), PLANTED)).map("".join))
KEYS = st.one_of(
    st.text(max_size=8), PLANTED, st.sampled_from(["password", "phone", "dob", "cvv", "value", "name"])
)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.just(int(VISA))
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        inner.map(lambda value: orjson.dumps(value).decode()),
    ),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_what_is_left_holds_nothing_and_redacting_it_again_changes_nothing(value: JsonValue) -> None:
    everything = inspector()
    once = everything.response(value)
    again = everything.response(once.value)
    assert again.found == frozenset()
    assert again.value == once.value
    orjson.dumps(once.value)


@given(VALUES)
def test_a_value_that_holds_nothing_comes_back_as_it_was(value: JsonValue) -> None:
    inspected = inspector(redact=ALL).response(value)
    if not inspected.found:
        assert inspected.value is value


@pytest.mark.parametrize("blank", ["\b", "\f"])
def test_attack_16_blanks_that_json_escapes_hide_nothing(blank: str) -> None:
    card = grouped(VISA).replace(" ", blank)
    assert inspector(redact=ALL).request({"x": card}).found == {"payment"}
    assert inspector(redact=ALL).request({"x": f"{blank}password: hunter22"}).found == {"secret"}
