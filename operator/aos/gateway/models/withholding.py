"""The gateway's own credential in a streamed output: found across chunks, and no chunk gives away its beginning. No I/O."""

from typing import Final

from pydantic import JsonValue

from aos.gateway.models.answer import unsound
from aos.model.base import JsonObject

_Path = tuple[str | int, ...]
_WHOLE: Final = frozenset({"role", "id", "type", "name"})
"""Clients take these as they come, and do not put pieces of them together."""


class CredentialGuard:
    """Holds back the end of each text of a stream for as long as it may be the beginning of the credential."""

    __slots__ = ("_credential", "_held")

    def __init__(self, credential: str) -> None:
        self._credential = credential
        self._held: dict[tuple[JsonValue, _Path], str] = {}

    def passed(self, choices: list[JsonValue]) -> tuple[list[JsonValue], list[JsonValue]]:
        """Return the choices of a chunk as they may go out, and choices to send in a chunk before it.

        Raises:
            UpstreamError: together with what came before they hold the credential.
        """
        passed: list[JsonValue] = []
        before: list[JsonValue] = []
        for choice in choices:
            if not isinstance(choice, dict):
                passed.append(choice)
                continue
            index = choice.get("index", 0)
            place: JsonValue = index if isinstance(index, int | str) else 0
            taken: JsonObject = {**choice, "delta": self._taken(place, (), choice.get("delta"))}
            holds = any(owner == place for owner, _ in self._held)
            if choice.get("finish_reason") is not None and holds:
                before += self._rest(place)
            elif holds and "logprobs" in taken:
                # They spell the text out token by token.
                taken["logprobs"] = None
            passed.append(taken)
        return passed, before

    def rest(self) -> list[JsonValue]:
        """Return choices with all that is still held back, once nothing more comes."""
        places = list(dict.fromkeys(owner for owner, _ in self._held))
        return [choice for place in places for choice in self._rest(place)]

    def _rest(self, place: JsonValue) -> list[JsonValue]:
        mine = [key for key in self._held if key[0] == place]
        return [
            {"index": place, "delta": _nested(key[1], self._held.pop(key)), "finish_reason": None}
            for key in mine
        ]

    def _taken(self, place: JsonValue, path: _Path, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self._text(place, path, value)
        if isinstance(value, dict):
            return {
                name: item if name in _WHOLE else self._taken(place, (*path, name), item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [
                self._taken(place, (*path, _position(item, number)), item)
                for number, item in enumerate(value)
            ]
        return value

    def _text(self, place: JsonValue, path: _Path, text: str) -> str:
        said = self._held.pop((place, path), "") + text
        if self._credential in said:
            raise unsound("its answer holds the gateway's credential and was withheld")
        kept = _overlap(said, self._credential)
        if kept:
            self._held[place, path] = said[-kept:]
        return said[: len(said) - kept]


def _overlap(text: str, credential: str) -> int:
    """Return how many characters at the end of ``text`` are a beginning of ``credential``, at most."""
    longest = min(len(text), len(credential) - 1)
    return next((size for size in range(longest, 0, -1) if credential.startswith(text[-size:])), 0)


def _position(item: JsonValue, number: int) -> int:
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else number


def _nested(path: _Path, text: str) -> JsonValue:
    value: JsonValue = text
    for step in reversed(path):
        if isinstance(step, str):
            value = {step: value}
        else:
            value = [{"index": step, **value}] if isinstance(value, dict) else [value]
    return value
