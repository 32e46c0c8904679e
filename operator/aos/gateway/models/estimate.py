"""How many tokens a request may take before the model has counted them. No I/O."""

from collections.abc import Iterator
from typing import Final

import orjson

from aos.model.base import JsonObject

TOKENS_PER_IMAGE: Final = 40_000
"""More than any provider counts for one image."""
MEDIA_BYTES_PER_TOKEN: Final = 32
"""Of base64; sound takes far more bytes for each token."""
TOKENS_OF_TOOLS: Final = 1_024
"""Instructions that providers add to a request with tools."""
TOKENS_OF_REQUEST: Final = 64
"""What providers put around any request."""
BYTES_PER_OUTPUT_TOKEN: Final = 6
"""No language has so many bytes in its average token: an output is at least a sixth of its bytes in tokens."""

_MEDIA: Final = {"image_url": "url", "input_audio": "data"}
_READ: Final = ("messages", "tools", "functions", "response_format", "prediction")


def most_prompt_tokens(body: JsonObject) -> int:
    """Return the most tokens that the prompt of a request can take.

    A token is at least one byte of text, so text counts by its bytes as JSON, which is about four times what a model counts
    of English. Images and sound count by other measures. What the model reports settles it.
    """
    media = _media(body)
    text = sum(len(orjson.dumps(body[name])) for name in _READ if name in body)
    tokens = text - sum(size for size, _ in media) + sum(count for _, count in media)
    return tokens + TOKENS_OF_REQUEST + (TOKENS_OF_TOOLS if body.get("tools") or body.get("functions") else 0)


def fewest_output_tokens(text_bytes: int) -> int:
    """Return how many tokens an output of so many bytes has at least."""
    return text_bytes // BYTES_PER_OUTPUT_TOKEN


def media_places(body: JsonObject, *, taken_out: bool = False) -> Iterator[tuple[JsonObject, str]]:
    """Yield where the data of each image and each sound in the messages stands: an object, and its key.

    Args:
        body: of a request.
        taken_out: whether the data was replaced by empty text.
    """
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            name = _MEDIA.get(kind) if isinstance(kind, str) else None
            detail = part.get(kind) if name and isinstance(part, dict) and isinstance(kind, str) else None
            data = detail.get(name) if name and isinstance(detail, dict) else None
            if name is None or not isinstance(detail, dict) or not isinstance(data, str):
                continue
            if (taken_out and not data) or (name == "data" and data) or data.startswith("data:image/"):
                yield detail, name


def _media(body: JsonObject) -> list[tuple[int, int]]:
    """Return bytes and most tokens of each image and each sound in the messages."""
    found = []
    for detail, name in media_places(body):
        size = len(str(detail[name]))
        found.append((size, min(TOKENS_PER_IMAGE if name == "url" else size // MEDIA_BYTES_PER_TOKEN, size)))
    return found
