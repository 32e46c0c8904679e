"""Payment data: card numbers by issuer, length and Luhn, IBANs by country and modulo 97, card codes in context."""

import re
from collections.abc import Sequence
from typing import Final

from aos.inspection.checksums import IBAN_COUNTRIES, iban, iban_length, luhn
from aos.inspection.detector import Detector, anything
from aos.inspection.spans import Piece

PAYMENT: Final = "payment"

_MIN_CARD_DIGITS: Final = 14
_MAX_CARD_DIGITS: Final = 19
_MIN_GROUP_DIGITS: Final = 3
_GROUP: Final = re.compile(rb"[0-9]+")
_IBAN_START: Final = re.compile(rb"(?i)(?<![a-z0-9])[a-z]{2}[0-9]{2}")
_COUNTRIES: Final = "|".join(IBAN_COUNTRIES)

_ISSUERS: Final = re.compile(
    rb"(?:4(?:\d{15}|\d{18})"  # Visa
    rb"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    rb"|3[47]\d{13}"  # American Express
    rb"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    rb"|3(?:0[0-59]|[689]\d)\d{11,16}"  # Diners Club
    rb"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    rb"|62\d{14,17}|81\d{14,17}"  # UnionPay
    rb"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{12}(?:\d{2,3})?"  # Maestro
    rb"|220[0-4]\d{12,15})"  # Mir
)


def is_card(digits: bytes) -> bool:
    """Whether ``digits`` are a card number of a known issuer, of a length that it gives out, with a sound check digit."""
    return (
        _MIN_CARD_DIGITS <= len(digits) <= _MAX_CARD_DIGITS
        and _ISSUERS.fullmatch(digits) is not None
        and luhn(digits)
    )


def _cards(text: bytes, start: int, end: int) -> Sequence[Piece]:
    """Give the card numbers in a run of digits and separators: whole groups of digits, separated in one way."""
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    if text[start - 1 : start] == b"." and text[start - 2 : start - 1].isdigit():
        del groups[0]  # the digits after the point of a number
    if not groups:
        return ()
    if all(after - before == 1 for before, after in groups):
        digits = bytes(text[before] for before, _ in groups)
        return ((groups[0][0], groups[-1][1]),) if is_card(digits) else ()
    found = []
    first = 0
    while first < len(groups):
        last = _card_from(text, groups, first)
        if last is not None:
            found.append((groups[first][0], groups[last][1]))
            first = last
        first += 1
    return found


def _card_from(text: bytes, groups: Sequence[Piece], first: int) -> int | None:
    digits = b""
    separator = b""
    for place in range(first, len(groups)):
        before, after = groups[place]
        if place > first:
            between = text[groups[place - 1][1] : before]
            separator = separator or between
            short_before = groups[place - 1][1] - groups[place - 1][0] < _MIN_GROUP_DIGITS
            if between != separator or short_before:
                return None
        if len(digits) + after - before > _MAX_CARD_DIGITS:
            return None
        digits += text[before:after]
        if len(digits) >= _MIN_CARD_DIGITS and is_card(digits):
            return place
    return None


def _ibans(text: bytes, start: int, end: int) -> Sequence[Piece]:
    found = []
    position = start
    while (match := _IBAN_START.search(text, position, end)) is not None:
        position = match.start() + 1
        after = _iban_end(text, match.start(), end)
        if after:
            found.append((match.start(), after))
            position = after
    return found


def _iban_end(text: bytes, start: int, end: int) -> int:
    length = iban_length(text[start : start + 2].upper())
    compact = bytearray()
    position = start
    while position < end and len(compact) < length:
        if text[position] not in b" -":
            compact.append(text[position])
        position += 1
    goes_on = text[position : position + 1].isalnum()
    return position if length and not goes_on and iban(bytes(compact).upper()) else 0


DETECTORS: Final = (
    Detector("card number", PAYMENT, r"[0-9](?:[ +-]?[0-9]){13}", r"[0-9](?:[ +-]?[0-9]){13,}", _cards),
    Detector(
        "IBAN",
        PAYMENT,
        rf"(?i)(?:{_COUNTRIES})[0-9]{{2}}(?:[ -]?[A-Z0-9]){{11}}",
        r"(?i)\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9])+",
        _ibans,
    ),
    Detector(
        "card code",
        PAYMENT,
        r"(?i)c[vs][vc]2?|card verification|security code",
        r"(?i)\b(?:c[vs][vc]2?|card verification (?:code|value|number)|security code)\b[\"']?(?: is|[ \t]?[:=#])?[ \t]?[\"']?([0-9]{3,4})\b",
        anything,
    ),
)
