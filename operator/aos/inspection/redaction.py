"""What stands in place of data that was taken out."""

from collections.abc import Iterable

from aos.inspection.spans import Span


def marker(classes: frozenset[str]) -> str:
    """Return what stands in place of data of ``classes``."""
    return f"[redacted:{','.join(sorted(classes))}]"


def cut(text: bytes, spans: Iterable[Span], classes: frozenset[str]) -> bytes:
    """Return ``text`` with a marker in place of each span of ``classes``; spans are in order and do not overlap."""
    parts = []
    position = 0
    for span in spans:
        chosen = span.classes & classes
        if chosen:
            parts += [text[position : span.start], marker(chosen).encode()]
            position = span.end
    return b"".join((*parts, text[position:]))


def cut_text(text: str, spans: Iterable[Span], classes: frozenset[str]) -> str:
    """Return what ``cut`` does, for spans in characters."""
    parts = []
    position = 0
    for span in spans:
        chosen = span.classes & classes
        if chosen:
            parts += [text[position : span.start], marker(chosen)]
            position = span.end
    return "".join((*parts, text[position:]))


def without(text: bytes, spans: Iterable[Span]) -> bytes:
    """Return ``text`` without ``spans``, which are in order and do not overlap."""
    parts = []
    position = 0
    for span in spans:
        parts.append(text[position : span.start])
        position = span.end
    return b"".join((*parts, text[position:]))
