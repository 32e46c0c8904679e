"""Feeds the redactor values at random, planted with data in many writings, and checks what must hold for each.

No crash, nothing left of what was found, nothing changed by a second pass, the same stream however it is split, no planted
value in the output.
"""

import base64
import random
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from urllib.parse import quote

import orjson
from pydantic import JsonValue

from aos.inspection.finder import BUILT_IN
from aos.inspection.inspector import Inspector, inspector_for
from aos.inspection.projection import ProjectionError, project
from aos.inspection.urls import check_urls
from aos.policy.obligations import DataRules

MAX_DEPTH = 4
FRAGMENTS = (
    "a", " ", "\n", "\0", "\u200b", "\\", '"', "{", "}", "[", "]", ":", "=", ",", "%", "%2", "%41", "\\u00", "&#5", "://", "@", "//",
    "http", "file:", "1", "41", "4111", "-", ".", "+", "é", "\uff14", "\U0001d7d2", "password", "token", "key", "born", "CVV", "MRN", "ICD",
    "diagnosed", "-----BEGIN PRIVATE KEY-----", "[redacted:", "pii]", "eyJ", "sk-", "AKIA", "QUJD", "3431", "null", "true", "::", "0x",
)  # fmt: skip
KEYS = ("id", "name", "value", "password", "phone", "dateOfBirth", "cvv", "diagnosis", "items", "note")
FIELDS = frozenset({frozenset({"id", "items[].note", "name.value"})})


class Fuzz:
    """Makes inputs from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def card(self) -> str:
        """Return a card number that passes its check."""
        digits = [4, *(self.random.randrange(10) for _ in range(14))]
        total = sum(
            number * 2 - 9 if place % 2 == 0 and number > 4 else number * (2 if place % 2 == 0 else 1)
            for place, number in enumerate(digits)
        )
        return "".join(map(str, (*digits, -total % 10)))

    def email(self) -> str:
        """Return an address of mail."""
        return "".join(self.random.choices("abcdefgh", k=8)) + "@" + "example.com"

    def planted(self) -> tuple[str, str]:
        """Return a value, and one of the writings that it must be found in."""
        value = self.random.choice((self.card, self.email))()
        writings: tuple[Callable[[str], str], ...] = (
            lambda value: base64.b64encode(f"see {value} there".encode()).decode(),
            lambda value: quote(value, safe=""),
            "\u200b".join,
            lambda value: orjson.dumps({"note": value}).decode(),
            lambda value: f"see {value} there".encode().hex(),
            str,
        )
        return value, self.random.choice(writings)(value)

    def noise(self) -> str:
        """Return text that looks for trouble."""
        return "".join(self.random.choices(FRAGMENTS, k=self.random.randrange(12)))

    def value(self, depth: int = 0) -> JsonValue:
        """Return a value of JSON without anything planted."""
        choices: tuple[JsonValue, ...]
        kind = self.random.randrange(9 if depth < MAX_DEPTH else 6)
        match kind:
            case 0:
                choices = (None, True, False)
                return self.random.choice(choices)
            case 1:
                choices = (0, 123, 1_732_300_000_000, int(self.card()), -5, self.random.random() * 1e17)
                return self.random.choice(choices)
            case 2 | 3 | 4 | 5:
                return self.noise()
            case 6:
                return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
            case 7:
                return orjson.dumps(self.value(depth + 1)).decode()
            case _:
                return {
                    self.random.choice((*KEYS, self.noise())): self.value(depth + 1)
                    for _ in range(self.random.randrange(4))
                }

    def pieces(self, text: str) -> list[str]:
        """Return ``text`` split at random."""
        cuts = sorted({0, len(text), *(self.random.randrange(len(text) + 1) for _ in range(4))})
        return [text[start:end] for start, end in pairwise(cuts)]


def check_redaction(inspector: Inspector, value: JsonValue) -> JsonValue:
    """Check that nothing is left and nothing changes twice; return what is left."""
    once = inspector.response(value).value
    again = inspector.response(once)
    assert not again.found, "something is left after redaction"
    assert again.value == once, "a second redaction changes something"
    orjson.dumps(once)
    return once


def check_planted(fuzz: Fuzz, inspector: Inspector) -> None:
    """Check that a planted value does not come out, whole or as a stream."""
    value, writing = fuzz.planted()
    text = f"{fuzz.noise()} {writing} {fuzz.noise()}"
    left = check_redaction(inspector, {"note": [text]})
    assert value not in orjson.dumps(left).decode(), f"{value} came out of {text!r}"
    assert writing not in orjson.dumps(left).decode(), f"{value} came out of {text!r}"
    outs = set()
    for pieces in ([text], fuzz.pieces(text), list(text)):
        stream = inspector.stream()
        outs.add("".join((*(stream.feed(piece) for piece in pieces), stream.close())))
    assert len(outs) == 1, f"a stream depends on how it is split: {text!r}"
    assert writing not in outs.pop(), f"{value} came out of the stream {text!r}"


def outcomes(seed: int) -> Iterator[str]:
    """Give what became of one input after the other, without end; what breaks a rule raises, with the input in a note."""
    fuzz = Fuzz(seed)
    inspector = inspector_for(DataRules(redact_request=BUILT_IN, redact_response=BUILT_IN))
    for number in count():
        value = fuzz.value()
        try:
            yield _check(fuzz, inspector, value, is_planted=number % 4 == 0)
        except Exception as error:
            error.add_note(f"value: {value!r}")
            raise


def _check(fuzz: Fuzz, inspector: Inspector, value: JsonValue, *, is_planted: bool) -> str:
    check_redaction(inspector, value)
    check_urls(value, frozenset())
    if is_planted:
        check_planted(fuzz, inspector)
    try:
        project(value, FIELDS)
    except ProjectionError:
        return "not projected"
    return "projected"
