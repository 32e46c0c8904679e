import base64

import orjson
import pytest
from pydantic import JsonValue

from aos.gateway.models.estimate import (
    TOKENS_OF_REQUEST,
    TOKENS_OF_TOOLS,
    TOKENS_PER_IMAGE,
    fewest_output_tokens,
    media_places,
    most_prompt_tokens,
)
from aos.model.base import JsonObject


def ask(*parts: JsonValue, **fields: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **fields}


def image(size: int) -> JsonObject:
    url = "data:image/png;base64," + base64.b64encode(bytes(size)).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def test_text_counts_by_its_bytes_and_never_less() -> None:
    text = "\u4f60\u597d" * 100
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0.5}
    assert most_prompt_tokens(body) == len(orjson.dumps(body["messages"])) + TOKENS_OF_REQUEST
    assert most_prompt_tokens(body) > len(text.encode())


def test_tools_count_with_what_providers_add_for_them() -> None:
    tools: JsonValue = [{"type": "function", "function": {"name": "f"}}]
    more = most_prompt_tokens(ask(tools=tools)) - most_prompt_tokens(ask())
    assert more == len(orjson.dumps(tools)) + TOKENS_OF_TOOLS


def test_attack_23_images_and_sound_do_not_count_by_their_bytes() -> None:
    small = most_prompt_tokens(ask(image(100)))
    large = most_prompt_tokens(ask(image(1_000_000)))
    assert TOKENS_PER_IMAGE < large < TOKENS_PER_IMAGE + 1_000
    assert TOKENS_PER_IMAGE < small < TOKENS_PER_IMAGE + 1_000
    sound: JsonValue = {"type": "input_audio", "input_audio": {"data": "A" * 320_000, "format": "mp3"}}
    assert 10_000 < most_prompt_tokens(ask(sound)) < 11_000


def test_documents_count_as_text() -> None:
    file: JsonValue = {"type": "file", "file": {"file_data": "A" * 50_000, "filename": "x"}}
    text_url: JsonValue = {"type": "image_url", "image_url": {"url": "data:text/plain," + "A" * 50_000}}
    assert most_prompt_tokens(ask(file)) > 50_000
    assert most_prompt_tokens(ask(text_url)) > 50_000


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": "x"}, {"messages": [1, {"content": [1, {"type": 7}, {"type": "image_url"}]}]}],
)  # fmt: skip
def test_odd_requests_have_no_media(body: JsonObject) -> None:
    assert list(media_places(body)) == []


def test_media_are_put_back_where_they_stood() -> None:
    body = ask({"type": "text", "text": ""}, image(3))
    before = orjson.dumps(body)
    (place,) = media_places(body)
    assert place.put(body, "")
    assert list(media_places(body)) == []
    assert place.put(body, place.data)
    assert orjson.dumps(body) == before


@pytest.mark.parametrize("other", [{}, {"messages": []}, {"messages": [{"content": [1, {"image_url": {}}]}]}])
def test_what_is_gone_is_no_place(other: JsonObject) -> None:
    (place,) = media_places(ask({"type": "text", "text": ""}, image(3)))
    assert not place.put(other, place.data)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "call me: 1 2", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "data:image/png,words"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,some words"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,d29yZHM="}},
    ],
)
def test_what_only_claims_to_be_a_picture_or_sound_is_text(part: JsonObject) -> None:
    assert list(media_places(ask(part))) == []


def test_an_output_has_at_least_a_sixth_of_its_bytes_in_tokens() -> None:
    assert fewest_output_tokens(600) == 100
    assert fewest_output_tokens(5) == 0
