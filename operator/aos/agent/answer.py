"""Reads the model's last words as the task's output."""

import re
from typing import Final

from aos.agent.strict_json import NotAnObjectError, read_object
from aos.model.base import JsonObject

_FENCED: Final = re.compile(r"\A```[a-zA-Z]*[ \t]*\n(?P<body>.*)```\Z", re.DOTALL)


class AnswerInvalidError(ValueError):
    """The answer can't be the output; the message says what is wrong with it."""


def read_answer(text: str, *, structured: bool) -> JsonObject:
    """Return the output that ``text`` stands for.

    Args:
        text: What the model said.
        structured: Whether the agent has an output schema. Without one, words that are no JSON object
            are the output as they are, under the key ``text``.

    Raises:
        AnswerInvalidError: ``text`` is empty, or is no JSON object although it has to be one.
    """
    bare = _without_fence(text.strip())
    if not bare:
        raise AnswerInvalidError("the answer is empty")
    try:
        return read_object(bare)
    except NotAnObjectError as error:
        if structured:
            raise AnswerInvalidError(f"the answer is no JSON object: {error}") from error
        return {"text": text.strip()}


def _without_fence(text: str) -> str:
    fenced = _FENCED.match(text)
    return fenced["body"].strip() if fenced else text
