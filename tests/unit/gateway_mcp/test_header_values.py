import pytest
from pydantic import JsonValue

from aos.gateway.mcp.header_values import (
    ParamHeaderError,
    check_param_headers,
    decode_value,
    encode_value,
    headers_for,
    param_headers,
)
from aos.model.base import JsonObject


@pytest.mark.parametrize(
    "value", ["get_contact", "", "a b", " edge ", "naïve", "line\nbreak", "=?base64?YQ==?=", "\x7f", "=?x?="]
)
def test_a_value_comes_back_as_it_went_in(value: str) -> None:
    assert decode_value(encode_value(value).encode()) == value


def test_plain_text_is_not_wrapped() -> None:
    assert encode_value("crm.get_contact") == "crm.get_contact"


def test_what_could_break_a_header_is_wrapped() -> None:
    assert encode_value("x\r\nCookie: y").startswith("=?base64?")


@pytest.mark.parametrize(
    "sent",
    [
        b"=?base64?YQ=?=",  # not whole
        b"=?base64?YR==?=",  # another spelling of the same byte
        b"=?base64?/w==?=",  # not UTF-8
        b"na\xefve",
    ],
)
def test_a_value_that_nothing_can_have_made_is_no_value(sent: bytes) -> None:
    assert decode_value(sent) is None


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "integer", "x-mcp-header": "Limit"},
        "options": {
            "type": "object",
            "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry-Run"}},
        },
        "plain": {"type": "string", "default": {"x-mcp-header": "data, not a mark"}},
    },
}


def test_marked_properties_are_found_at_any_depth_of_properties() -> None:
    assert {item.header: item.path for item in param_headers(SCHEMA)} == {
        "Mcp-Param-Dry-Run": ("options", "dry"),
        "Mcp-Param-Limit": ("limit",),
        "Mcp-Param-Region": ("region",),
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Root"},
        {"properties": {"a": {"type": "string", "x-mcp-header": 7}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A B"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A\r\nCookie"}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": ["string"], "x-mcp-header": "A"}}},
        {"properties": {"a": {"x-mcp-header": "A"}}},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"},
            }
        },
        {"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
    ],
)
def test_a_mark_where_none_may_be_is_refused(schema: JsonObject) -> None:
    with pytest.raises(ParamHeaderError):
        param_headers(schema)


def test_arguments_are_mirrored_and_absent_ones_are_not() -> None:
    marked = param_headers(SCHEMA)
    arguments: JsonObject = {"region": "süd", "options": {"dry": True}, "limit": None}
    assert headers_for(marked, arguments) == {
        "Mcp-Param-Dry-Run": "true",
        "Mcp-Param-Region": encode_value("süd"),
    }


@pytest.mark.parametrize(("limit", "sent"), [(42, "42"), (-3.0, "-3"), (1e16, "10000000000000000")])
def test_an_integer_is_mirrored_in_decimal_however_json_wrote_it(limit: float, sent: str) -> None:
    marked = param_headers(SCHEMA)
    assert headers_for(marked, {"limit": limit}) == {"Mcp-Param-Limit": sent}
    check_param_headers(marked, {"limit": limit}, {b"mcp-param-limit": sent.encode()}, required=True)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "emea"}, {b"mcp-param-region": b"emea"}),
        ({"limit": 42}, {b"mcp-param-limit": b"42"}),
        ({"limit": 42.0}, {b"mcp-param-limit": b"42"}),
        ({"limit": 42}, {b"mcp-param-limit": b"42.0"}),
        ({"options": {"dry": False}}, {b"mcp-param-dry-run": b"false"}),
        ({}, {b"content-type": b"application/json"}),
    ],
)
def test_headers_that_say_what_the_arguments_say_pass(
    arguments: JsonObject, headers: dict[bytes, bytes]
) -> None:
    check_param_headers(param_headers(SCHEMA), arguments, headers, required=True)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "emea"}, {b"mcp-param-region": b"amer"}),
        ({"region": "emea"}, {}),
        ({}, {b"mcp-param-region": b"emea"}),
        ({"region": None}, {b"mcp-param-region": b"emea"}),
        ({"region": "emea"}, {b"mcp-param-region": b"=?base64?!?="}),
        ({"limit": 42}, {b"mcp-param-limit": b"42.5"}),
        ({"limit": 42}, {b"mcp-param-limit": b"4_2"}),
        ({"limit": True}, {b"mcp-param-limit": b"1"}),
        ({"plain": "x"}, {b"mcp-param-plain": b"x"}),
    ],
)
def test_headers_that_say_something_else_are_refused(
    arguments: JsonObject, headers: dict[bytes, bytes]
) -> None:
    with pytest.raises(ParamHeaderError):
        check_param_headers(param_headers(SCHEMA), arguments, headers, required=True)


def test_the_era_with_sessions_may_leave_headers_out_but_not_lie() -> None:
    arguments: dict[str, JsonValue] = {"region": "emea"}
    check_param_headers(param_headers(SCHEMA), arguments, {}, required=False)
    with pytest.raises(ParamHeaderError):
        check_param_headers(param_headers(SCHEMA), arguments, {b"mcp-param-region": b"amer"}, required=False)
