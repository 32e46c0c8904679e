"""Personal data: addresses of mail and network, phone numbers, national ids, dates of birth in context."""

import ipaddress
import re
from datetime import date
from typing import Final

from aos.inspection.checksums import codice_fiscale, cpf, dni, hetu, luhn, nir, verhoeff
from aos.inspection.detector import Detector, anything, digits_alone, digits_of, where

PII: Final = "pii"

_MIN_PHONE_DIGITS: Final = 7
_MAX_PHONE_DIGITS: Final = 15
_MAX_EMAIL_BYTES: Final = 320
_FILES: Final = frozenset(
    b"avif bmp css gif html htm ico jpeg jpg js json jsx map md mjs mp4 pdf png scss svg tif tiff ts tsx txt webm webp"
    b" woff xml yaml yml".split()
)
"""Endings of file names that carry an @, as in logo@2x.png: none is a top-level domain."""
_GLOBAL_UNICAST: Final = re.compile(rb"[23][0-9A-Fa-f]{3}:")
_NINO_PREFIXES_NEVER_GIVEN: Final = frozenset((b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"))
_NINO: Final = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
_MONTHS: Final = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[\pL]{0,7}\.?"
_DATE: Final = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2,4}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.)?[ -](?:of )?{_MONTHS}[, -]{{1,2}}[0-9]{{2,4}}|{_MONTHS} [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}})"
)
_LEADS: Final = r"[\"']?(?:[ \t]?(?:is|was|no\.?|number|#|on)){0,2}[ \t]?[:=#]?[ \t]?[\"']?"
_BORN: Final = r"d\.?o\.?b\.?|date of birth|birth[ _-]?da(?:te|y)|born|geboren(?: am)?|geburtsdatum|geb\.|n[ée]e? le|fecha de nacimiento|data di nascita"
_PHONE: Final = r"(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|call|sms|whatsapp|handy|telefon|m[óo]vil"
_NATIONAL: Final = (
    r"ssn|social security|sin|social insurance|national id(?:entity)?(?: card)?|identity card|id card|passport|reisepass"
    r"|driver'?s?[ -]?licen[cs]e|driving licen[cs]e|tax(?:payer)? id(?:entification)?|tin|steuer-?id(?:nr)?|pesel|bsn|personnummer"
    r"|aadhaar|aadhar|cpf|curp|nino|national insurance"
)


def _is_mail(value: bytes) -> bool:
    return len(value) <= _MAX_EMAIL_BYTES and value.rpartition(b".")[2].lower() not in _FILES


def _is_phone(value: bytes) -> bool:
    return _MIN_PHONE_DIGITS <= len(digits_of(value)) <= _MAX_PHONE_DIGITS


def _is_ssn(value: bytes) -> bool:
    digits = digits_of(value)
    area = digits[:3]
    return area not in (b"000", b"666") and area < b"900" and digits[3:5] != b"00" and digits[5:] != b"0000"


def _is_nino(value: bytes) -> bool:
    return value[:2] not in _NINO_PREFIXES_NEVER_GIVEN


def _is_dni(value: bytes) -> bool:
    return dni(value.upper().replace(b"-", b""))


def _is_nir(value: bytes) -> bool:
    return nir(digits_of(value))


def _is_codice(value: bytes) -> bool:
    return codice_fiscale(value.upper())


def _is_cpf(value: bytes) -> bool:
    return cpf(digits_of(value))


def _is_hetu(value: bytes) -> bool:
    return _is_day(value[4:6], value[2:4], value[:2]) and hetu(value.upper())


def _is_personnummer(value: bytes) -> bool:
    digits = digits_of(value)[-10:]
    return _is_day(digits[:2], digits[2:4], digits[4:6]) and luhn(digits)


def _is_aadhaar(value: bytes) -> bool:
    return verhoeff(digits_of(value))


def _has_digits(value: bytes) -> bool:
    return len(digits_of(value)) >= 5  # noqa: PLR2004 - fewer name nobody


def _is_public_address(value: bytes) -> bool:
    """Private, loopback and reserved addresses say nothing about a person; short ones are rather code: ``a::b``."""
    if b":" in value and _GLOBAL_UNICAST.match(value) is None:
        return False
    try:
        return ipaddress.ip_address(value.decode()).is_global
    except ValueError:
        return False


def _is_day(year: bytes, month: bytes, day: bytes) -> bool:
    try:
        date(2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


DETECTORS: Final = (
    Detector(
        "email",
        PII,
        r"@[\pL\pN][\pL\pN.-]*\.[\pL]",
        r"[\pL\pN.!#$%&'*+/=?^_{|}~-]+@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+(?:[\pL]{2,24}|xn--[a-zA-Z0-9-]+)",
        where(_is_mail),
    ),
    Detector(
        "international phone",
        PII,
        r"\+[ (]?[1-9]",
        r"\+[ (]?[1-9][0-9]{0,3}\)?(?:[ ./()-]{0,2}[0-9]){6,14}",
        digits_alone(_is_phone),
    ),
    Detector(
        "North American phone",
        PII,
        r"[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}",
        r"(?:\(|\b)[2-9][0-9]{2}(?:\) ?|-|\.| )[2-9][0-9]{2}[ .-][0-9]{4}\b",
        digits_alone(_is_phone),
    ),
    Detector(
        "French phone",
        PII,
        r"0[1-9](?:[ .-][0-9]{2}){4}",
        r"\b0[1-9](?:[ .-][0-9]{2}){4}\b",
        digits_alone(_is_phone),
    ),
    Detector(
        "phone in context",
        PII,
        rf"(?i)(?:{_PHONE})",
        rf"(?i)\b(?:{_PHONE}){_LEADS}(?:me |us )?(?:at )?(\+?[0-9(](?:[ ./()-]{{0,2}}[0-9]){{6,14}})\b",
        digits_alone(_is_phone),
    ),
    Detector("SSN", PII, r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}", r"\b[0-9]{3}(?:-[0-9]{2}-| [0-9]{2} )[0-9]{4}\b", digits_alone(_is_ssn)),
    Detector("NINO", PII, _NINO, rf"\b{_NINO}\b", where(_is_nino)),
    Detector("DNI", PII, r"(?i)[XYZ0-9][0-9]{7}-?[A-Z]", r"(?i)\b(?:[XYZ]-?[0-9]{7}|[0-9]{8})-?[A-Z]\b", where(_is_dni)),
    Detector(
        "NIR",
        PII,
        r"[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2])[0-9 ]{10}",
        r"\b[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
        digits_alone(_is_nir),
    ),
    Detector(
        "codice fiscale",
        PII,
        r"(?i)[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]",
        r"(?i)\b[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]\b",
        where(_is_codice),
    ),
    Detector("CPF", PII, r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b", digits_alone(_is_cpf)),
    Detector("HETU", PII, r"(?i)[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]", r"(?i)\b[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]\b", where(_is_hetu)),
    Detector("personnummer", PII, r"[0-9]{6}[-+][0-9]{4}", r"\b(?:19|20)?[0-9]{6}[-+][0-9]{4}\b", digits_alone(_is_personnummer)),
    Detector("Aadhaar", PII, r"[2-9][0-9]{3} [0-9]{4} [0-9]{4}", r"\b[2-9][0-9]{3} [0-9]{4} [0-9]{4}\b", digits_alone(_is_aadhaar)),
    Detector(
        "national id in context",
        PII,
        rf"(?i)(?:{_NATIONAL})",
        rf"(?i)\b(?:{_NATIONAL}){_LEADS}([A-Z]{{0,3}}[0-9][A-Z0-9]*(?:[ ./-][A-Z0-9]*[0-9][A-Z0-9]*){{0,4}})\b",
        where(_has_digits),
    ),
    Detector("passport lines", PII, r"P[A-Z<][A-Z]{3}[A-Z<]{10}", r"\bP[A-Z<][A-Z]{3}[A-Z<]{39}(?:[ \t\r\n]{0,2}[A-Z0-9<]{44})?", anything),
    Detector(
        "IPv4 address",
        PII,
        r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}",
        r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b",
        digits_alone(_is_public_address),
    ),
    Detector(
        "IPv6 address",
        PII,
        r"(?:[0-9A-Fa-f]{1,4}:){7}|[0-9A-Fa-f]:(?:[0-9A-Fa-f:]*:)?:",
        r"\b(?:[0-9A-Fa-f]{1,4}:){1,7}(?:(?::?[0-9A-Fa-f]{1,4}){1,7}\b|:)",
        where(_is_public_address),
    ),
    Detector("date of birth", PII, rf"(?i)(?:{_BORN})", rf"(?i)(?:\b|_)(?:{_BORN}){_LEADS}({_DATE})\b", anything),
)  # fmt: skip
