"""What the key of a JSON object says about its value: a password needs no format when it is called one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aos.inspection.detect_payment import PAYMENT
from aos.inspection.detect_phi import PHI
from aos.inspection.detect_pii import PII
from aos.inspection.detect_secret import SECRET, is_placeholder
from aos.inspection.detector import digits_of

MAX_KEY_LENGTH: Final = 128
"""In characters; longer keys say nothing."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_GENERIC: Final = frozenset({"value", "number", "text", "raw", "display", "formatted", "code", "content"})
_LETTERS: Final = re.compile(rb"[^\W\d_]|[\x80-\xff]")
_MARKER: Final = re.compile(r"\[redacted:[a-z0-9,-]*\]")
_PLAIN: Final = re.compile(r"[A-Za-z]{1,11}(?:[_-][A-Za-z]{1,11}){0,3}|.{0,5}", re.DOTALL)
_MIN_NUMBER_DIGITS: Final = 4
_MAX_NUMBER_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class KeyRule:
    """What a key means.

    Attributes:
        data_class: of the value.
        hint: RE2, ignoring case; it matches every spelling of the keys.
        keys: of the key in snake case, as a whole.
        holds: whether the value may be what the key says.
    """

    data_class: str
    hint: str
    keys: re.Pattern[str]
    holds: Callable[[bytes], bool]


def _rule(data_class: str, hint: str, keys: str, holds: Callable[[bytes], bool]) -> KeyRule:
    return KeyRule(data_class, rf"(?i)(?:{hint})", re.compile(rf"(?:.*_)?(?:{keys})(?:_?[0-9])?"), holds)


def _digits(fewest: int, most: int) -> Callable[[bytes], bool]:
    def holds(value: bytes) -> bool:
        return len(value) <= _MAX_NUMBER_BYTES and fewest <= len(digits_of(value)) <= most

    return holds


def _is_secret(value: bytes) -> bool:
    return len(value) >= _MIN_NUMBER_DIGITS and not is_placeholder(value)


def _is_token(value: bytes) -> bool:
    return len(value) >= 8 and b" " not in value.strip() and not is_placeholder(value)  # noqa: PLR2004 - shorter are words


def _is_worded(value: bytes) -> bool:
    return _LETTERS.search(value) is not None


_some_number: Final = _digits(_MIN_NUMBER_DIGITS, 32)

RULES: Final = (
    _rule(
        SECRET,
        r"passw|pwd|passphrase|passcode|secret|(?:api|access|account|private|signing|encryption|master|shared|subscription).?key"
        r"|connection.?string|cookie|credential|totp",
        r"passwords?|passwd|pwd|passwort|passphrase|passcode|secrets?"
        r"|(?:api|access|account|secret|private|signing|encryption|master|shared|subscription)_?keys?(?:_id)?"
        r"|secret_(?:value|string|text)|connection_?string|cookies?|set_cookie|credentials?|totp(?:_seed|_secret)?",
        _is_secret,
    ),
    _rule(
        SECRET,
        r"token|authorization|bearer|jwt|auth",
        r"(?:auth|access|refresh|id|session|bearer|api|bot|csrf|xsrf|oauth|user|device|personal|deploy|x)_?tokens?"
        r"|authorization|bearer|jwt",
        _is_token,
    ),
    KeyRule(SECRET, r"(?i)token", re.compile(r"token"), _is_token),
    KeyRule(SECRET, r"(?i)pin|otp", re.compile(r"(?:.*_)?(?:pin|pin_?code|otp|one_time_(?:code|password))"), _digits(4, 8)),
    _rule(
        PII,
        r"phone|tel|mobile|cell|fax|msisdn|whatsapp",
        r"(?:tele)?phones?|tel|mobile|cell|cellphone|fax|msisdn|whatsapp|(?:(?:tele)?phone|tel|mobile|cell|fax)_?(?:number|numbers|no|nr)",
        _digits(7, 15),
    ),
    _rule(
        PII,
        r"ssn|social.?security|national.?i|nino|passport|licen[cs]e|tax|personnummer|pesel|bsn|cpf|aadha|curp|id.?(?:card|number)|identity.?card|sin",
        r"ssn|social_security(?:_(?:number|no))?|national_id(?:entity)?(?:_(?:number|no|card))?|national_insurance(?:_(?:number|no))?|nino"
        r"|passport(?:_(?:number|no|id))?|driv(?:er|ers|ing)_licen[cs]e(?:_(?:number|no))?|tax_?id|taxpayer_id(?:entification_number)?"
        r"|personnummer|pesel|bsn|cpf|aadhaa?r(?:_number)?|curp|(?:id|identity)_card(?:_(?:number|no))?|id_number|sin",
        _digits(4, 20),
    ),
    _rule(
        PII,
        r"dob|birth|born|geburt",
        r"dob|date_of_birth|birth_?date|birth_?day|born(?:_on)?|geburtsdatum",
        _digits(2, 17),
    ),
    _rule(
        PII,
        r"(?:first|last|middle|given|family|full|maiden|sur).?name|street|address",
        r"(?:first|last|middle|given|family|full|maiden)_?names?|surname|street(?:_?address|_?line)?|address_?line"
        r"|(?:home|mailing|postal|residential|billing|shipping)_address",
        _is_worded,
    ),
    _rule(
        PHI,
        r"mrn|medical.?record|patient|chart|nhs|insurance|health.?plan|medicare|medicaid|kvnr|versicherten",
        r"mrn|medical_record(?:_(?:number|no|id))?|patient_?(?:id|identifier|number|no)|chart_(?:number|no|id)|nhs_?(?:number|no|id)"
        r"|(?:health_)?insurance_(?:member_|policy_)?(?:id|number|no)|health_plan_(?:id|number)|medicare(?:_(?:id|number))?"
        r"|medicaid(?:_(?:id|number))?|kvnr|(?:kranken)?versichertennummer",
        _some_number,
    ),
    _rule(
        PHI,
        r"diagnos|icd|medication|prescription|allerg|blood|symptom|medical.?history|lab.?result",
        r"diagnos[ie]s|(?:diagnosis|icd|icd_?10)_?codes?|icd_?10|icd|medications?|prescriptions?|allerg(?:y|ies)"
        r"|blood_(?:type|group)|symptoms?|medical_(?:history|conditions?)|lab_results?",
        _is_worded,
    ),
    _rule(
        PAYMENT,
        r"c[vs][vc]|cvn|security.?code|card.?verif",
        r"cvv2?|cvc2?|csc|cvn|(?:card_)?security_code|card_verification(?:_(?:code|value|number))?",
        _digits(3, 4),
    ),
    _rule(
        PAYMENT,
        r"card|pan|cc.?num",
        r"(?:credit_?|debit_?|payment_?)?card_?(?:number|no|num)|pan|credit_?card|debit_?card|cc_?(?:number|num|no)",
        _digits(12, 19),
    ),
    _rule(
        PAYMENT,
        r"iban|bank|routing|sort.?code",
        r"iban|bank_?account(?:_(?:number|no))?|routing_?(?:number|no)|sort_?code",
        _digits(6, 34),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """What a key says.

    Attributes:
        rules: of RULES, those that it falls under, by position.
        generic: whether it says no more than that its value belongs to what stands around it.
        plain: whether the key itself is a word that can't hold data.
    """

    rules: frozenset[int]
    generic: bool
    plain: bool


NO_RULES: Final[frozenset[int]] = frozenset()
_SILENT: Final = KeyMeaning(NO_RULES, generic=False, plain=False)


def meaning_of(key: str) -> KeyMeaning:
    """Return what ``key`` says; nothing where it is longer than MAX_KEY_LENGTH."""
    return _meaning_of(key) if len(key) <= MAX_KEY_LENGTH else _SILENT


@lru_cache(maxsize=4096)
def _meaning_of(key: str) -> KeyMeaning:
    if _MARKER.search(key) is not None:
        return _SILENT  # its value was judged when the key still was what it was
    words = in_words(key)
    return KeyMeaning(
        frozenset(place for place, rule in enumerate(RULES) if rule.keys.fullmatch(words)),
        generic=key.lower() in _GENERIC,
        plain=_PLAIN.fullmatch(key) is not None,
    )


def in_words(key: str) -> str:
    """Return ``key`` in snake case: ``dateOfBirth``, ``date-of-birth`` and ``Date Of Birth`` are one."""
    return _NOT_WORD.sub("_", _CAMEL.sub("_", key).lower()).strip("_")
