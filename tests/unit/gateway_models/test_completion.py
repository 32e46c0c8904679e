import pytest
from pydantic import JsonValue

from aos.gateway.models.completion import MAX_FUNCTIONS, Completion, prepare
from aos.gateway.models.failure import ModelFailure
from aos.model.agent import AgentModel
from aos.model.base import JsonObject
from tests.unit.gateway_models.make import model

ASK: JsonObject = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
FREE = AgentModel(name="default")


def said(kind: str, content: JsonValue) -> JsonValue:
    """Return a message of one part."""
    return {"role": "user", "content": [{"type": kind, kind: content}]}


def options_of(completion: Completion) -> JsonObject:
    options = completion.body["stream_options"]
    assert isinstance(options, dict)
    return options


def prepared(fields: JsonObject | None = None, bounds: AgentModel = FREE) -> Completion:
    return prepare({**ASK, **(fields or {})}, model("http://llm.invalid/v1"), bounds)


def sent(fields: JsonObject | None = None, bounds: AgentModel = FREE) -> JsonObject:
    return prepared(fields, bounds).body


@pytest.mark.parametrize("name", ["default", "scripted-1"])
def test_a_request_for_the_agents_model_names_the_one_behind_it(name: str) -> None:
    assert sent({"model": name}) == {**ASK, "model": "scripted-1"}


@pytest.mark.parametrize("name", ["gpt-other", "", None, 7, ["default"], {"id": "default"}])
def test_another_model_does_not_exist(name: JsonValue) -> None:
    with pytest.raises(ModelFailure) as raised:
        prepared({"model": name})
    assert (raised.value.status, raised.value.code) == (404, "model_not_found")


@pytest.mark.parametrize("asked", [None, 0, 1.7])
def test_the_agents_temperature_counts(asked: JsonValue) -> None:
    fields: JsonObject = {} if asked is None else {"temperature": asked}
    assert sent(fields, AgentModel(name="default", temperature=0.3))["temperature"] == 0.3
    assert sent(fields).get("temperature") == asked


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, {"max_completion_tokens": 100}),
        ({"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 100}),
        ({"max_tokens": 50}, {"max_tokens": 50}),
        ({"max_tokens": 500}, {"max_tokens": 100}),
        ({"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
        ({"max_completion_tokens": 500, "max_tokens": 99}, {"max_completion_tokens": 100, "max_tokens": 99}),
    ],
)
def test_output_is_limited_to_what_the_agent_may_have(asked: JsonObject, limits: JsonObject) -> None:
    body = sent(asked, AgentModel(name="default", max_output_tokens=100))
    assert {name: body[name] for name in ("max_completion_tokens", "max_tokens") if name in body} == limits


def test_without_a_limit_nothing_is_added() -> None:
    assert "max_completion_tokens" not in sent()
    assert prepared().max_output_tokens is None


@pytest.mark.parametrize(
    ("fields", "bound", "limit"),
    [
        ({}, None, 4096),
        ({"max_tokens": 9000}, None, 9000),
        ({}, 100, 100),
        ({"max_tokens": 50}, 100, 50),
        ({"max_completion_tokens": 500, "max_tokens": 50}, 100, 100),
    ],
)
def test_where_tokens_are_counted_every_output_has_a_bound(
    fields: JsonObject, bound: int | None, limit: int
) -> None:
    bounds = AgentModel(name="default", max_output_tokens=bound)
    completion = prepare({**ASK, **fields}, model("http://llm.invalid/v1"), bounds, 4096)
    assert completion.max_output_tokens == limit
    assert limit in (completion.body.get("max_completion_tokens"), completion.body.get("max_tokens"))


def test_streams_always_count_their_tokens_and_show_it_only_if_asked() -> None:
    silent = prepared({"stream": True})
    asking = prepared(
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}}
    )
    refusing = prepared({"stream": True, "stream_options": {"include_usage": False}})
    for completion in (silent, asking, refusing):
        assert completion.streams
        assert options_of(completion)["include_usage"] is True
    assert (silent.shows_usage, asking.shows_usage, refusing.shows_usage) == (False, True, False)
    assert options_of(asking)["include_obfuscation"] is False


def test_what_is_no_stream_has_no_options_of_one() -> None:
    assert not prepared({"stream": False}).streams
    with pytest.raises(ModelFailure):
        prepared({"stream_options": {"include_usage": True}})


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": "auto"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        {"functions": [{"name": "f"}], "function_call": "auto"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"response_format": {"type": "json_object"}, "seed": 7, "stop": ["\n"], "top_p": 0.9},
        {"frequency_penalty": 1, "presence_penalty": 1, "logit_bias": {"1": 2}, "logprobs": True},
        {"top_logprobs": 3, "reasoning_effort": "low", "verbosity": "low", "n": 1, "store": False},
        {"modalities": ["text"], "prediction": {"type": "content", "content": "x"}},
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
        {"messages": [said("file", {"file_data": "data:application/pdf;base64,AA"})]},
        {"n": None, "store": None, "tools": None, "stream": None, "response_format": None},
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "x"}]},
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
                },
                {"role": "user", "content": [{"type": "file", "file": {"file_data": "AA", "filename": "a"}}]},
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": None},
                {"role": "tool", "tool_call_id": "1", "content": "x"},
            ]
        },
    ],
)
def test_what_shapes_an_answer_and_does_nothing_else_is_passed_on(fields: JsonObject) -> None:
    assert sent(fields).items() >= fields.items()


@pytest.mark.parametrize(
    "name",
    [
        "web_search_options",
        "audio",
        "metadata",
        "service_tier",
        "user",
        "plugins",
        "extra_body",
        "provider",
        "Model",
    ],
)
def test_a_field_that_nobody_checked_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ModelFailure) as raised:
        prepared({name: {}})
    assert (raised.value.status, raised.value.code) == (400, "unsupported_parameter")
    assert name in raised.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": True},
        {"stream": "yes"},
        {"stream": True, "stream_options": {"include_usage": True, "other": 1}},
        {"stream": True, "stream_options": []},
        {"store": True},
        {"modalities": ["text", "audio"]},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": "10"},
        {"max_completion_tokens": -1},
        {"max_completion_tokens": 1.5},
        {"tools": {}},
        {"tools": ["f"]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function"}, {"type": "mcp", "server_url": "http://evil.example"}]},
        {"tools": [{"type": "function"}] * (MAX_FUNCTIONS + 1)},
        {"tool_choice": "any"},
        {"tool_choice": {"type": "web_search"}},
        {"tool_choice": {"type": ["function"]}},
        {"tool_choice": ["auto"]},
        {"response_format": {"type": "grammar"}},
        {"response_format": {"type": {}}},
        {"response_format": "json"},
        {"messages": []},
        {"messages": {}},
        {"messages": ["x"]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        {"messages": [{"role": "user", "content": [{"type": {}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:x"}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-of-another"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "file"}]}]},
        {"messages": [said("file", {"file_data": "https://169.254.169.254/", "filename": "a"})]},
        {"messages": [said("file", {"file_data": "AA", "file_url": "https://169.254.169.254/"})]},
        {"messages": [said("input_audio", {"data": "http://169.254.169.254/", "format": "wav"})]},
        {"messages": [said("input_audio", {"data": "AA", "url": "http://169.254.169.254/"})]},
        {"messages": [said("input_audio", "AA")]},
        {"prediction": "x"},
        {"prediction": {"type": "content"}},
        {
            "prediction": {
                "type": "content",
                "content": [{"type": "image_url", "image_url": {"url": "http://x/"}}],
            }
        },
        {"messages": [{"role": "assistant", "audio": {"id": "kept"}}]},
    ],
)
def test_what_is_out_of_bounds_is_refused(fields: JsonObject) -> None:
    with pytest.raises(ModelFailure) as raised:
        prepared(fields)
    assert (raised.value.status, raised.value.code) == (400, "invalid_value")


@pytest.mark.parametrize("body", [[], "text", None, {"model": "default"}])
def test_what_is_no_request_is_refused(body: JsonValue) -> None:
    with pytest.raises(ModelFailure) as raised:
        prepare(body, model("http://llm.invalid/v1"), FREE)
    assert raised.value.status == 400
