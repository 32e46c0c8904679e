"""Hosts that programs may read behind the one that a URL seems to name: past a quote, a blank, a brace. Pure.

Where a URL ends is no standard's in running text. WHATWG and RFC 3986 let user information and hosts hold what people
take for the end: ``http://a.example'@b.example/`` leads to b.example.
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from aos.inspection.hosts import Host, HostError, parse_host

_END: Final = "/?#"
"""The authority of a URL ends there for every program."""
_ODD: Final = re.compile(r"[<>\"'`{}|^\\\s(),;!*\x00-\x1f\x7f]")
"""Some programs stop there, others read on."""
_MAX_LENGTH: Final = 1_024
"""Of what is looked at for one host, in characters; no name is as long."""
_MAX_QUOTED: Final = 4_096
_MIN_READINGS: Final = 64
_CHARACTERS_PER_READING: Final = 8
"""A mail address takes more: so one URL before a list of them is judged, and the effort grows with the text alone."""
_CLOSING: Final = {'"': '"', "'": "'", "`": "`", ">": "<"}
_HARD: Final = re.compile(r"[/?#]")
_AT: Final = re.compile(r"@")
_BLANKS: Final = " \t\n\f\r"
_BLANK: Final = re.compile(f"[{_BLANKS}]")
_LINE: Final = re.compile(r"[\r\n]")
_TOP: Final = re.compile(r"[\w-]+")
_BRACKETED: Final = re.compile(
    r"\[(?:(?P<six>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)(?:%[^\]]*)?|(?P<other>(?:[\w-]+\.)+[A-Za-z][\w-]*|[0-9]+(?:\.[0-9]+){3}))\]"
)
"""What urlsplit takes for the host, wherever it stands in an authority: an address, or in older releases any name."""


def goes_on(text: str, url: int, end: int) -> bool:
    """Whether any program may read on in the URL that starts at ``url``, where others stop at ``end``: soon told."""
    if end == len(text) or text[end] in _END:
        return False
    return text[end] not in _BLANKS or _opening(text, url) is not None


class FurtherHosts:
    """Reads on in one text; what is asked for must be asked in the order in which it stands there."""

    __slots__ = ("_ahead", "_ats", "_readings", "_text")

    def __init__(self, text: str) -> None:
        """Start at the beginning of ``text``."""
        self._text = text
        self._ahead = dict.fromkeys((_HARD, _BLANK, _LINE), -1)
        self._ats = [match.start() for match in _AT.finditer(text)]
        self._readings = _MIN_READINGS + len(text) // _CHARACTERS_PER_READING

    def behind(self, url: int, start: int, *, alone: bool = True) -> Iterator[Host]:
        """Give each host that a program which reads on may take for that of a URL.

        In the midst of a line of prose a blank ends a URL for every program.

        Args:
            url: where the URL starts.
            start: where its authority does.
            alone: whether blanks may belong to it, if nothing but a key or a quote stands before it in its line.

        Raises:
            HostError: one of them can't be judged, or there are too many.
        """
        limit = self._limit(url, start, alone=alone)
        first = bisect_left(self._ats, start)
        ats = self._ats[first : bisect_left(self._ats, limit, lo=first)]
        self._readings -= len(ats)
        if self._readings < 0:
            raise HostError("what follows it could be read in too many ways")
        passed: set[str] = set()
        for place, (begin, end) in enumerate(pairwise((start, *(at + 1 for at in ats), limit + 1))):
            piece = self._text[begin : min(end - 1, begin + _MAX_LENGTH)]
            names = _read_on(piece.lstrip(" \t") if place else piece, passed)
            if place == 0:
                next(names, None)  # up to what some stop at, it is the host that was judged
            yield from _hosts(names)
            yield from _bracketed(piece)
            passed.update(_ODD.findall(piece) if ats else ())

    def _limit(self, url: int, start: int, *, alone: bool) -> int:
        hard = self._next(_HARD, start)
        word = min(hard, self._next(_BLANK, start))
        opening = _opening(self._text, url) if alone else None
        if opening is None:
            return word
        line = min(hard, self._next(_LINE, start))
        closing = _CLOSING.get(opening, "")
        quoted = self._text.find(closing, start, min(line, start + _MAX_QUOTED)) if closing else -1
        return line if quoted < 0 else max(word, quoted)

    def _next(self, what: re.Pattern[str], position: int) -> int:
        """Return where ``what`` stands next; the end where nowhere. Whatever was searched is not searched again."""
        if self._ahead[what] < position:
            found = what.search(self._text, position)
            self._ahead[what] = found.start() if found else len(self._text)
        return self._ahead[what]


def _opening(text: str, url: int) -> str | None:
    """Return what stands before a URL that may hold blanks, empty for the start of a line; None in prose."""
    place = url - 1
    while place >= 0 and text[place] in " \t":
        place -= 1
    if place < 0 or text[place] in "\r\n":
        return ""
    before = text[place]
    if before in ":=|" or before in _CLOSING or (before in ",;" and place == url - 1):
        return before
    return None


def _read_on(text: str, passed: set[str]) -> Iterator[str]:
    """Give what programs may take for the host at the start of ``text``; ``passed`` is what each of them has read over.

    A program that reads over a quote does not stop at the next one: so there are only so many readings.
    """
    end = text.find("]") + 1 if text.startswith("[") else text.find(":")
    name = text if end <= 0 else text[:end]
    for odd in _ODD.finditer(name):
        if odd[0] not in passed:
            yield _without_end(name[: odd.start()], passed)
            passed.add(odd[0])
    yield _without_end(name, passed)


def _without_end(name: str, passed: set[str]) -> str:
    """Leave out what stands at the end of a name and belongs to the text around, for a program that did not read over it."""
    end = len(name)
    while end and (name[end - 1] == "." or (name[end - 1] not in passed and _ODD.match(name[end - 1]))):
        end -= 1
    return name[:end]


def _hosts(names: Iterator[str]) -> Iterator[Host]:
    for name in names:
        if not name:
            continue
        if _ODD.search(name) is None:
            yield parse_host(name)
        # A name whose last part holds anything but letters, digits and hyphens is known nowhere.
        elif _TOP.fullmatch(name.rpartition(".")[2]):
            yield Host(name.lower())


def _bracketed(text: str) -> Iterator[Host]:
    for match in _BRACKETED.finditer(text):
        if match["other"]:
            yield parse_host(match["other"])
        elif _is_ipv6(match["six"]):
            yield parse_host(f"[{match['six']}]")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
