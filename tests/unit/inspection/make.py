"""Believable values, put together at run time: none of them stands in a file as it would stand in the wild."""

from typing import Final

from aos.inspection.finder import BUILT_IN, Finder
from aos.inspection.inspector import Inspector
from aos.policy.obligations import DataRules, PatternRule

ALL: Final = BUILT_IN
LETTERS: Final = "P4Zx9vQ2mN8rT5wK1yB7cD3eF6gH0jLsU2hV9kXa4"


def luhn_completed(digits: str) -> str:
    """Return ``digits`` with the check digit that ISO/IEC 7812-1 asks for."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return digits + str(-total % 10)


VISA: Final = luhn_completed("4" + "1" * 14)
MASTERCARD: Final = luhn_completed("55" + "0" * 12 + "4")
AMEX: Final = luhn_completed("37" + "8282246310" + "00")
EMAIL: Final = "ana.perez" + "@" + "example.com"
AWS: Final = "AKIA" + "IOSFODNN7" + "EXAMPLE"
GITHUB: Final = "ghp_" + LETTERS[:36]
JWT: Final = ".".join(("eyJ" + "hbGciOiJIUzI1NiJ9", "eyJ" + "zdWIiOiIxMjM0In0", "c2lnbmF0dXJl"))
PRIVATE_KEY: Final = "\n".join(
    ("-----BEGIN RSA " + "PRIVATE KEY-----", *(LETTERS[:32] * 2,) * 3, "-----END RSA " + "PRIVATE KEY-----")
)
IBAN: Final = "DE89" + "3704" + "0044" + "0532" + "0130" + "00"
SSN: Final = "123-" + "45-" + "6789"


def grouped(digits: str, separator: str = " ", size: int = 4) -> str:
    """Return ``digits`` in groups."""
    return separator.join(digits[start : start + size] for start in range(0, len(digits), size))


def finder(*classes: str, patterns: tuple[tuple[str, str], ...] = ()) -> Finder:
    """Return a finder of ``classes``; of all that need no pattern where none is given."""
    return Finder(frozenset(classes) or ALL, patterns)


def texts_found(text: str, *classes: str) -> list[tuple[str, str]]:
    """Return each class found in ``text``, with the text that it was found in."""
    content = text.encode()
    return [
        (",".join(sorted(span.classes)), content[span.start : span.end].decode())
        for span in finder(*classes).find(content)
    ]


def inspector(
    *,
    redact: frozenset[str] = ALL,
    block: frozenset[str] = frozenset(),
    patterns: dict[str, str] | None = None,
) -> Inspector:
    """Return an inspector with the same rules both ways."""
    return Inspector(
        DataRules(
            redact_request=redact,
            redact_response=redact,
            block_request=block,
            block_response=block,
            patterns=frozenset(PatternRule(name, regex) for name, regex in (patterns or {}).items()),
        )
    )
