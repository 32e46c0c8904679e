"""Other ways to write the same text: width and style of letters, characters that show nothing, escapes, base64, hexadecimal digits."""

import base64
import binascii
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aos.inspection.spans import Piece, Span

MIN_ENCODED_BYTES: Final = 12
"""Of decoded text that is not wholly text: shorter stretches of it are chance."""

_ALPHABET: Final = "A-Za-z0-9+/_-"
# Base64 of three ASCII characters, none of them a control but white space: what each of the four letters can be.
_ASCII_GROUP: Final = rf"[CDI-Za-f][AC-HQS-Xgi-nwyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][{_ALPHABET}]"
BASE64_HINT: Final = rf"(?:{_ASCII_GROUP}){{3}}"
"""RE2; it matches all base64 of eleven or more ASCII characters in a row, wherever they begin, and little else."""
HEX_HINT: Final = r"(?:[2-7][0-9A-Fa-f]){11}"
"""RE2; it matches hexadecimal digits of eleven or more ASCII characters."""
ESCAPE_HINT: Final = r"%[0-9A-Fa-f]{2}|&#[xX]?[0-9A-Fa-f]"
"""RE2; it matches escapes that are left in text that was already unfolded once."""

_BASE64_START: Final = re.compile(BASE64_HINT.encode())
_BASE64_RUN: Final = re.compile(rb"[A-Za-z0-9+/_-]{8,}(?:\r?\n[A-Za-z0-9+/_-]{8,})*={0,2}")
_HEX_RUN: Final = re.compile(rb"(?:[2-7][0-9A-Fa-f]){11,}")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_READABLE: Final = re.compile(rb"[\t\n\r -~]{12,}")
_ESCAPE: Final = re.compile(
    rb"%([0-9A-Fa-f]{2})|\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))|&#(?:([0-9]{1,7})|[xX]([0-9A-Fa-f]{1,6}));?"
)
_ESCAPES: Final = (b"%", b"\\", b"&#")
"""What escapes start with: looked for first, since it takes a tenth of the time."""
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\0\t\n\r"))
_PLAIN_OR_NOT: Final = re.compile(rb"([\0\t\n\r -~]+)|[^\0\t\n\r -~]+")
_UNSEEN: Final = frozenset({"Cf", "Cc", "Cn", "Co", "Mn", "Me"})
_BLANK: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SEPARATORS: Final = frozenset("\0\t\n\r")
_DASHES: Final = frozenset("\u2212\u02d7\u30fc\uff70")
_STOPS: Final = frozenset("\u3002\uff61\u00b7")
_SURROGATES: Final = range(0xD800, 0xE000)
_UNICODE_END: Final = 0x110000
_MAX_REMEMBERED: Final = 20_000


class _Folding(dict[int, str]):
    """What each character counts as; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        if len(self) > _MAX_REMEMBERED:
            self.clear()
        folded = self[code] = _fold_character(chr(code))
        return folded


_FOLDED: Final = _Folding()


@dataclass(frozen=True, slots=True)
class View:
    """A text in other writing, and where its parts came from.

    Attributes:
        text: to look at.
        starts: for each byte of ``text`` where its origin starts; one more at the end.
        ends: for each byte of ``text`` where its origin ends.
    """

    text: bytes
    starts: Sequence[int]
    ends: Sequence[int]

    def origin(self, spans: Iterable[Span]) -> list[Span]:
        """Return the spans of the text that was viewed."""
        return [
            Span(self.starts[span.start], self.ends[span.end - 1], span.classes)
            for span in spans
            if span.start < span.end
        ]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What runs of base64 or hexadecimal digits say.

    Attributes:
        text: all of it, with a NUL after each run's.
        runs: for each run where it ends in ``text``, and where the run itself stands.
    """

    text: bytes
    runs: tuple[tuple[int, Piece], ...]

    def origin(self, spans: Iterable[Span]) -> list[Span]:
        """Return the runs that hold ``spans``."""
        ends = [end for end, _ in self.runs]
        found = []
        for span in spans:
            _, run = self.runs[bisect_right(ends, span.start)]
            found.append(Span(run[0], run[1], span.classes))
        return found


def plain(text: bytes) -> bytes:
    """Return what ``view`` shows, without where it came from."""
    unescaped = _ESCAPE.sub(_unescaped, text)
    if _is_plain(unescaped):
        return unescaped
    return _encoded(_decoded(unescaped).translate(_FOLDED))


def plain_text(text: str) -> str:
    """Return what ``plain`` does, of and as a string."""
    return _decoded(plain(text.encode("utf-8", "surrogatepass")))


def view(text: bytes) -> View | None:
    """Return ``text`` with escapes resolved and characters folded; None where that changes nothing."""
    escaped = any(start in text for start in _ESCAPES) and _ESCAPE.search(text) is not None
    if not escaped and _is_plain(text):
        return None
    first = _unescaped_view(text) if escaped else None
    second = _folded_view(first.text if first else text)
    if first is None or second is None:
        return first or second
    return View(
        second.text,
        array("L", (first.starts[start] for start in second.starts)),
        array("L", (first.ends[end - 1] for end in second.ends)),
    )


def decoded(text: bytes) -> Decoded | None:
    """Return what runs of base64 and of hexadecimal digits in ``text`` say; None where there are none."""
    said: list[bytes] = []
    runs: list[tuple[int, Piece]] = []
    length = 0
    for start, end, content in _runs(text):
        said.append(content)
        length += len(content) + 1
        runs.append((length, (start, end)))
    return Decoded(b"\0".join(said) + b"\0", tuple(runs)) if runs else None


def tail_start(text: str, visible: int) -> int:
    """Return where the last ``visible`` characters of ``text`` start, not counting those that show nothing."""
    if text.isascii():
        return max(len(text) - visible, 0)
    position = len(text)
    while position > 0 and visible > 0:
        position -= 1
        visible -= bool(_FOLDED[ord(text[position])])
    return position


def _runs(text: bytes) -> Iterable[tuple[int, int, bytes]]:
    for run in _BASE64_RUN.finditer(text):
        if _BASE64_START.search(text, run.start(), run.end()) is None:
            continue
        compact = run[0].translate(_URL_SAFE, b"\r\n=")
        # Text before it, as of a path, may shift where groups of four begin.
        for alignment in sorted({match.start() % 4 for match in _BASE64_START.finditer(compact)}):
            content = _readable(_from_base64(compact[alignment:]))
            if content:
                yield run.start(), run.end(), content
    for match in _HEX_RUN.finditer(text):
        yield match.start(), match.end(), bytes.fromhex(match[0].decode())


def _from_base64(compact: bytes) -> bytes:
    whole = len(compact) - len(compact) % 4
    rest = compact[whole:]
    # One letter alone says six bits, which is no byte.
    padded = compact[:whole] + (rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b"")
    try:
        return base64.b64decode(padded)
    except (binascii.Error, ValueError):
        return b""


def _readable(content: bytes) -> bytes:
    """Return the text in ``content``: all of it, or what of it can't be there by chance."""
    content = content.replace(b"\0", b"")
    try:
        content.decode()
    except UnicodeDecodeError:
        return b"\n".join(_READABLE.findall(content))
    return content


def _unescaped(match: re.Match[bytes]) -> bytes:
    percent, four, two, number, hexadecimal = match.groups()
    if percent or two:
        byte = int(percent or two, 16)
        return bytes((byte or 1,))
    code = int(number) if number else int(four or hexadecimal, 16)
    return _encoded(chr(code or 1)) if code < _UNICODE_END and code not in _SURROGATES else b"?"


def _unescaped_view(text: bytes) -> View:
    content = bytearray()
    starts, ends = array("L"), array("L")
    position = 0
    for match in _ESCAPE.finditer(text):
        starts.extend(range(position, match.start()))
        ends.extend(range(position + 1, match.start() + 1))
        content += text[position : match.start()]
        said = _unescaped(match)
        content += said
        starts.extend([match.start()] * len(said))
        ends.extend([match.end()] * len(said))
        position = match.end()
    starts.extend(range(position, len(text)))
    ends.extend(range(position + 1, len(text) + 1))
    content += text[position:]
    return View(bytes(content), starts, ends)


def _folded_view(text: bytes) -> View | None:
    if _is_plain(text):
        return None
    content = bytearray()
    starts, ends = array("L"), array("L")
    for match in _PLAIN_OR_NOT.finditer(text):
        position = match.start()
        if match[1]:
            content += match[1]
            starts.extend(range(position, match.end()))
            ends.extend(range(position + 1, match.end() + 1))
            continue
        for character in _decoded(match[0]):
            length = len(_encoded(character))
            said = _encoded(_FOLDED[ord(character)])
            content += said
            starts.extend([position] * len(said))
            ends.extend([position + length] * len(said))
            position += length
    return View(bytes(content), starts, ends)


def _fold_character(character: str) -> str:
    if character in _SEPARATORS:
        return character
    if character in _DASHES or unicodedata.category(character) == "Pd":
        return "-"
    if character in _STOPS:
        return "."
    number = unicodedata.decimal(character, -1)
    if number >= 0:
        return str(number)
    folded = unicodedata.normalize("NFKD", character)
    return "".join(
        part for part in folded if unicodedata.category(part) not in _UNSEEN and part not in _BLANK
    )


def _is_plain(text: bytes) -> bool:
    return text.isascii() and len(text.translate(None, _CONTROLS)) == len(text)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
