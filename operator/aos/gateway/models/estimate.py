"""How many tokens a request may take before the model has counted them. No I/O."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import JsonValue

from aos.model.base import JsonObject

TOKENS_PER_IMAGE: Final = 50_000
"""More than any provider counts for one image. They count by its width and height, so a plain one of few bytes counts as much."""
MEDIA_BYTES_PER_TOKEN: Final = 32
"""Of base64; sound takes far more bytes for each token."""
TOKENS_OF_TOOLS: Final = 1_024
"""Instructions that providers add to a request with tools."""
TOKENS_OF_REQUEST: Final = 64
"""What providers put around any request."""
BYTES_PER_OUTPUT_TOKEN: Final = 6
"""No language has so many bytes in its average token: an output is at least a sixth of its bytes in tokens."""
LIKELY_BYTES_PER_TOKEN: Final = 4

_MEDIA: Final = {"image_url": "url", "input_audio": "data"}
_ENCODED: Final = {
    # SVG is text.
    "image_url": re.compile(r"data:image/(?!svg)[a-z0-9.+-]{1,32};base64,[A-Za-z0-9+/_\r\n-]+={0,2}\s*"),
    "input_audio": re.compile(r"[A-Za-z0-9+/_\r\n-]+={0,2}\s*"),
}
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


def likely_output_tokens(text_bytes: int) -> int:
    """Return how many tokens an output of so many bytes is charged where nobody counted them: a quarter, rounded up."""
    return -(-text_bytes // LIKELY_BYTES_PER_TOKEN)


def fewest_output_tokens(text_bytes: int) -> int:
    """Return how many tokens an output of so many bytes has at least."""
    return text_bytes // BYTES_PER_OUTPUT_TOKEN


@dataclass(frozen=True, slots=True)
class SeenOutput:
    """What came of an output.

    Attributes:
        text_bytes: of its texts.
        counted_tokens: that the model counted of it on the way.
    """

    text_bytes: int = 0
    counted_tokens: int = 0

    @property
    def likely_tokens(self) -> int:
        """What the model counted, or an estimate where that is more."""
        return max(self.counted_tokens, likely_output_tokens(self.text_bytes))

    @property
    def fewest_tokens(self) -> int:
        """What it takes at least to say so much, whatever the model counts."""
        return fewest_output_tokens(self.text_bytes)


@dataclass(frozen=True, slots=True)
class MediaPlace:
    """Where the data of one image or sound stands.

    Attributes:
        message: which of the messages.
        part: which part of its content.
        kind: of the part.
        name: of the field with the data.
        data: base64, with what stands before it in a ``data:`` URL.
    """

    message: int
    part: int
    kind: str
    name: str
    data: str

    def put(self, body: JsonValue, data: str) -> bool:
        """Put ``data`` in this place of ``body``; whether there is such a place."""
        found = body
        for step in ("messages", self.message, "content", self.part, self.kind):
            if isinstance(found, dict) and isinstance(step, str):
                found = found.get(step)
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return False
        if not isinstance(found, dict) or self.name not in found:
            return False
        found[self.name] = data
        return True


def media_places(body: JsonObject) -> Iterator[MediaPlace]:
    """Yield where each image and each sound in the messages stands. What only claims to be one is text."""
    messages = body.get("messages")
    for position, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for number, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            name = _MEDIA.get(kind) if isinstance(kind, str) else None
            detail = part.get(kind) if name and isinstance(part, dict) and isinstance(kind, str) else None
            data = detail.get(name) if name and isinstance(detail, dict) else None
            if isinstance(kind, str) and name and isinstance(data, str) and _ENCODED[kind].fullmatch(data):
                yield MediaPlace(position, number, kind, name, data)


def _media(body: JsonObject) -> list[tuple[int, int]]:
    """Return bytes and most tokens of each image and each sound in the messages."""
    found = []
    for place in media_places(body):
        size = len(place.data)
        found.append((size, TOKENS_PER_IMAGE if place.kind == "image_url" else size // MEDIA_BYTES_PER_TOKEN))
    return found
