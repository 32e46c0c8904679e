"""A text that comes in pieces: nothing of a value goes out before the value could be seen as a whole."""

from typing import Final

from aos.inspection.finder import Finder
from aos.inspection.folding import tail_start
from aos.inspection.redaction import cut_text
from aos.inspection.spans import Span

TAIL_CHARACTERS: Final = 160
"""Held back at least: no value with blanks in it, its context included, is longer."""
MAX_WORD_CHARACTERS: Final = 4_096
"""A run without white space is held back whole up to this length: a token, a line of base64."""
MAX_HELD_CHARACTERS: Final = 65_536
"""Of a value that goes on and on, as a private key does: more is redacted without waiting for its end."""
STEP_CHARACTERS: Final = 32
"""The text is looked at each time so much more has come. What goes out is the same however the text was split."""
STEP_SHARE: Final = 16
"""Of a text that is held back long, the step is this part: its cost grows with its length, and not with the square."""


class StreamInspector:
    """Redacts one text while it comes.

    Attributes:
        found: data classes seen so far.
        blocked: those of them that forbid to pass the text on; from then on nothing goes out.
    """

    __slots__ = ("_block", "_finder", "_redact", "_released", "_since", "_step", "_text", "blocked", "found")

    def __init__(self, finder: Finder | None, redact: frozenset[str], block: frozenset[str]) -> None:
        """Start at the beginning of a text; without ``finder`` all of it passes."""
        self._finder = finder
        self._redact = redact
        self._block = block
        # What has gone out and may still be the context of what comes, and after it what is held back.
        self._text = ""
        self._released = 0
        self._since = 0
        self._step = STEP_CHARACTERS
        self.found: frozenset[str] = frozenset()
        self.blocked: frozenset[str] = frozenset()

    @property
    def held(self) -> int:
        """Characters that are held back, and those before them that are looked at with them."""
        return len(self._text)

    def feed(self, text: str) -> str:
        """Take the next piece; return what may go out now.

        Raises:
            DataTooLargeError: what is held back holds more than can be judged.
        """
        if self._finder is None:
            return text
        out = []
        position = 0
        while position < len(text) and not self.blocked:
            piece = text[position : position + self._step - self._since]
            position += len(piece)
            self._text += piece
            self._since += len(piece)
            if self._since == self._step:
                self._since = 0
                out.append(self._look(self._finder, last=False))
                self._step = max(STEP_CHARACTERS, len(self._text) // STEP_SHARE)
        return "".join(out)

    def close(self) -> str:
        """Return the rest, once nothing more comes.

        Raises:
            DataTooLargeError: it holds more than can be judged.
        """
        if self._finder is None or self.blocked:
            return ""
        return self._look(self._finder, last=True)

    def _look(self, finder: Finder, *, last: bool) -> str:
        spans = [span for span in self._spans(finder) if span.end > self._released]
        self.found = self.found.union(*(span.classes for span in spans))
        self.blocked = self.found & self._block
        if self.blocked:
            return ""
        until = len(self._text) if last else self._held_from(spans)
        out = self._cut(spans, until)
        self._released = until
        self._forget()
        return out

    def _spans(self, finder: Finder) -> list[Span]:
        content = _encoded(self._text)
        found = finder.find(content.replace(b"\0", b"\x01"))
        if self._text.isascii():
            return found
        return [
            Span(_length(content[: span.start]), _length(content[: span.end]), span.classes) for span in found
        ]

    def _held_from(self, spans: list[Span]) -> int:
        """Return up to where nothing that is still to come can change what the text holds."""
        end = len(self._text)
        held = tail_start(self._text, TAIL_CHARACTERS)
        word = len(self._text.rstrip()) if self._text[-1:].isspace() else _word_start(self._text)
        if end - word <= MAX_WORD_CHARACTERS:
            held = min(held, word)
        for span in spans:
            if span.start < held <= span.end:
                held = span.start
        held = max(held, self._released)
        return end if end - held > MAX_HELD_CHARACTERS else held

    def _cut(self, spans: list[Span], until: int) -> str:
        chosen = [
            Span(max(span.start, self._released) - self._released, span.end - self._released, span.classes)
            for span in spans
            if span.start < until
        ]
        return cut_text(self._text[self._released : until], chosen, self._redact)

    def _forget(self) -> None:
        """Drop what is no context any more, at a blank: a part of a word may look like what the word is not."""
        start = self._released - TAIL_CHARACTERS
        if start <= 0:
            return
        while start < self._released and not self._text[start].isspace():
            start += 1
        self._text = self._text[start:]
        self._released -= start


def _word_start(text: str) -> int:
    words = text.rsplit(maxsplit=1)
    return len(text) - len(words[-1]) if words else len(text)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _length(content: bytes) -> int:
    return len(content.decode("utf-8", "surrogatepass"))
